#include "message_reader.hpp"

#include <limits>
#include <string>
#include <vector>

#include "member_reader.hpp"
#include "message_types.hpp"

namespace stratwire::detail {
namespace {

// A member has a name in objects and a place in arrays.
struct Member {
  std::uint32_t index;
  const char* name;
};

enum class Need : std::uint8_t { required, optional };

// The members of one object or array. Keeps the first fault; reading goes on to no effect.
class Members {
 public:
  Members(const Tree& tree, const Node& container) noexcept : tree_(tree), container_(container) {}

  [[nodiscard]] Fault fault_found() const noexcept { return fault_; }
  [[nodiscard]] const Tree& tree() const noexcept { return tree_; }
  void refuse(Errc code, const Node& node, Member member) noexcept {
    if (!fault_) fault_ = fault(code, node.offset, member.name);
  }
  void refuse(Fault found) noexcept {
    if (!fault_) fault_ = found;
  }

  const Node* find(Member member, Need need) noexcept {
    if (fault_) return nullptr;
    const Node* const found =
        container_.kind == Kind::array ? element(member.index) : value_of(member);
    // refuse() keeps the first fault, which for a member that is there twice is another one.
    if (found == nullptr && need == Need::required) {
      refuse(Errc::missing_member, container_, member);
    }
    return found;
  }

  void read(Member member, std::string_view& out, Need need = Need::required) noexcept {
    if (const Node* const node = typed(member, Kind::text, need)) out = node->text();
  }
  void read(Member member, std::string& out, Need need = Need::required) {
    if (const Node* const node = typed(member, Kind::text, need)) out = node->text();
  }
  void read(Member member, bool& out, Need need = Need::required) noexcept {
    if (const Node* const node = typed(member, Kind::boolean, need))
      out = node->unsigned_value != 0;
  }
  void read(Member member, std::uint64_t& out, Need need = Need::required) noexcept {
    const Node* const node = find(member, need);
    if (node != nullptr) check(to_integer(tree_, *node, out), *node, member);
  }
  void read(Member member, std::uint32_t& out, Need need = Need::required) noexcept {
    const Node* const node = find(member, need);
    if (node == nullptr) return;
    std::uint64_t wide = 0;
    read(member, wide, need);
    if (wide > std::numeric_limits<std::uint32_t>::max()) {
      return refuse(Errc::out_of_range, *node, member);
    }
    out = static_cast<std::uint32_t>(wide);
  }
  void read(Member member, std::int64_t& out, Need need = Need::required) noexcept {
    const Node* const node = find(member, need);
    if (node != nullptr) check(to_integer(tree_, *node, out), *node, member);
  }
  void read(Member member, double& out, Need need = Need::required) noexcept {
    const Node* const node = find(member, need);
    if (node != nullptr) check(to_double(*node, out), *node, member);
  }

 private:
  void check(Errc code, const Node& node, Member member) noexcept {
    if (code != Errc::ok) refuse(code, node, member);
  }

  const Node* typed(Member member, Kind kind, Need need) noexcept {
    const Node* const node = find(member, need);
    if (node == nullptr || node->kind == kind) return node;
    refuse(Errc::wrong_type, *node, member);
    return nullptr;
  }

  [[nodiscard]] const Node* element(std::uint32_t index) const noexcept {
    if (index >= container_.size) return nullptr;
    std::uint32_t at = tree_.index_of(container_) + 1;
    for (; index > 0; --index) at = tree_.nodes[at].next;
    return &tree_.nodes[at];
  }

  [[nodiscard]] const Node* value_of(Member member) noexcept {
    const Lookup found = find_member(tree_, container_, member.name);
    if (found.twice != nullptr) refuse(Errc::syntax, *found.twice, member);
    return found.twice != nullptr ? nullptr : found.value;
  }

  const Tree& tree_;
  const Node& container_;
  Fault fault_{};
};

// Calls `visit` with each element of an array member.
template <class Visit>
void for_each_element(Members& members, Member member, Need need, Visit&& visit) {
  const Node* const list = members.find(member, need);
  if (list == nullptr) return;
  if (list->kind != Kind::array) return members.refuse(Errc::wrong_type, *list, member);
  const Tree& tree = members.tree();
  for (std::uint32_t at = tree.index_of(*list) + 1; at < list->next; at = tree.nodes[at].next) {
    visit(tree.nodes[at]);
  }
}

bool is_container(Codec codec, const Node& node) noexcept {
  return node.kind == Kind::object || (codec == Codec::msgpack && node.kind == Kind::array);
}

class Reader {
 public:
  Reader(Codec codec, const Tree& tree) noexcept : codec_(codec), tree_(tree) {}

  Fault message(const Node& node, Message& out) {
    if (!is_container(codec_, node)) return fault(Errc::wrong_type, node.offset);
    Members members(tree_, node);
    std::size_t type = 0;
    if (const Fault wrong = type_of(members, node, type)) return wrong;
    out.envelope = {};
    read_as(type, members, out);
    return members.fault_found();
  }

 private:
  Fault type_of(Members& members, const Node& container, std::size_t& type) {
    constexpr Member kType{0, "type"};
    const Node* const node = members.find(kType, Need::required);
    if (node == nullptr) return members.fault_found();
    const Kind kind = container.kind == Kind::array ? Kind::unsigned_integer : Kind::text;
    if (node->kind != kind) return fault(Errc::wrong_type, node->offset, kType.name);
    if (container.kind == Kind::array) {
      type = node->unsigned_value - 1;
      if (type >= kMessageNames.size()) return fault(Errc::unknown_message_type, node->offset);
      return {};
    }
    type = 0;
    while (type < kMessageNames.size() && kMessageNames[type] != node->text()) ++type;
    if (type == kMessageNames.size()) return fault(Errc::unknown_message_type, node->offset);
    return {};
  }

  template <std::size_t Index = 0>
  void read_as(std::size_t type, Members& members, Message& out) {
    if constexpr (Index < kMessageNames.size()) {
      if (type != Index) return read_as<Index + 1>(type, members, out);
      read(members, out.envelope, out.body.template emplace<Index>());
    }
  }

  // A sequence number belongs to a channel; without one it means nothing.
  static void read_envelope(Members& members, Member seq, Member channel, Envelope& out) {
    members.read(channel, out.channel, Need::optional);
    members.read(seq, out.seq, Need::optional);
    if (out.channel.empty()) out.seq = 0;
  }

  void read(Members& members, Envelope& envelope, PriceUpdate& out) {
    read_envelope(members, {1, "seq"}, {5, "ch"}, envelope);
    members.read({6, "input_mint"}, out.input_mint);
    members.read({7, "output_mint"}, out.output_mint);
    members.read({2, "price"}, out.price);
    members.read({3, "volume"}, out.volume);
    members.read({4, "timestamp"}, out.timestamp);
  }

  void read(Members& members, Envelope& envelope, AccountUpdate& out) {
    read_envelope(members, {1, "seq"}, {5, "ch"}, envelope);
    members.read({6, "pubkey"}, out.pubkey);
    members.read({2, "lamports"}, out.lamports);
    members.read({3, "slot"}, out.slot);
    members.read({4, "timestamp"}, out.timestamp);
  }

  void read(Members& members, Envelope& envelope, Event& out) {
    read_envelope(members, {1, "seq"}, {2, "ch"}, envelope);
    members.read({3, "event"}, out.type);
    if (const Node* const data = members.find({4, "data"}, Need::required)) {
      out.data = RawValue{codec_, tree_.bytes_of(*data)};
    }
  }

  void read(Members& members, Envelope& envelope, Gap& out) {
    members.read({1, "ch"}, envelope.channel, Need::optional);
    members.read({2, "epoch"}, out.epoch);
    members.read({3, "from"}, out.from);
    members.read({4, "to"}, out.to);
    std::string_view reason;
    members.read({5, "reason"}, reason);
    // A reason of a later version: the range is missing all the same, so it must be told.
    out.reason = Gap::Reason::upstream;
    for (auto known : {Gap::Reason::slow_consumer, Gap::Reason::conflated, Gap::Reason::retention,
                       Gap::Reason::epoch_change, Gap::Reason::disconnected}) {
      if (to_string(known) == reason) out.reason = known;
    }
  }

  static void read_texts(Members& members, Member member, Need need,
                         std::vector<std::string>& out) {
    for_each_element(members, member, need, [&](const Node& node) {
      if (node.kind != Kind::text) return members.refuse(Errc::wrong_type, node, member);
      out.emplace_back(node.text());
    });
  }

  // A list of objects, in MessagePack of arrays or maps: `read_item` reads one.
  template <class Item, class ReadItem>
  void read_items(Members& members, Member member, Need need, std::vector<Item>& out,
                  ReadItem&& read_item) {
    for_each_element(members, member, need, [&](const Node& node) {
      if (!is_container(codec_, node)) return members.refuse(Errc::wrong_type, node, member);
      Members item(tree_, node);
      read_item(item, out.emplace_back());
      if (item.fault_found()) members.refuse(item.fault_found());
    });
  }

  void read(Members& members, Envelope&, Subscribe& out) {
    members.read({1, "id"}, out.id, Need::optional);
    read_texts(members, {2, "channels"}, Need::required, out.channels);
    read_items(members, {3, "since"}, Need::optional, out.since,
               [](Members& item, ResumePoint& point) {
                 item.read({0, "channel"}, point.channel);
                 item.read({1, "epoch"}, point.epoch);
                 item.read({2, "seq"}, point.seq);
               });
    members.read({4, "snapshot"}, out.snapshot, Need::optional);
    members.read({5, "more"}, out.more, Need::optional);
  }
  void read(Members& members, Envelope&, Unsubscribe& out) {
    members.read({1, "id"}, out.id, Need::optional);
    read_texts(members, {2, "channels"}, Need::required, out.channels);
  }

  void read(Members& members, Envelope&, Ping& out) {
    members.read({1, "t1"}, out.t1, Need::optional);
  }

  void read(Members& members, Envelope&, Pong& out) {
    members.read({1, "t1"}, out.t1, Need::optional);
    members.read({2, "t2"}, out.t2, Need::optional);
    members.read({3, "t3"}, out.t3, Need::optional);
  }

  void read(Members& members, Envelope&, Hello& out) {
    members.read({1, "name"}, out.name, Need::optional);
  }

  void read(Members& members, Envelope&, Welcome& out) {
    members.read({1, "client_id"}, out.client_id);
    members.read({2, "epoch"}, out.epoch);
    members.read({3, "heartbeat_ms"}, out.heartbeat_ms);
    members.read({4, "message_bytes_max"}, out.message_bytes_max);
    members.read({5, "channels_max"}, out.channels_max);
    members.read({6, "timestamp"}, out.timestamp);
  }

  static void read_code(Members& members, Member member, Errc& out) {
    std::string_view name;
    members.read(member, name);
    out = errc_from_string(name);
  }

  void read_results(Members& members, std::uint64_t& id, std::vector<ChannelResult>& results) {
    members.read({1, "id"}, id, Need::optional);
    read_items(members, {2, "results"}, Need::required, results,
               [](Members& item, ChannelResult& result) {
                 item.read({0, "channel"}, result.channel);
                 read_code(item, {1, "code"}, result.code);
                 item.read({2, "message"}, result.message, Need::optional);
                 item.read({3, "epoch"}, result.epoch, Need::optional);
                 item.read({4, "head"}, result.head, Need::optional);
                 item.read({5, "recovered"}, result.recovered, Need::optional);
               });
  }
  void read(Members& members, Envelope&, Subscribed& out) {
    read_results(members, out.id, out.results);
  }
  void read(Members& members, Envelope&, Unsubscribed& out) {
    read_results(members, out.id, out.results);
  }

  // The data message that another one carries. A channel and a number in it mean nothing: the one
  // around it says where it belongs.
  void read_data(Members& members, Member member, DataMessage& out) {
    const Node* const node = members.find(member, Need::required);
    if (node == nullptr) return;
    if (!is_container(codec_, *node)) return members.refuse(Errc::wrong_type, *node, member);
    Members inner(tree_, *node);
    std::size_t type = 0;
    Fault wrong = type_of(inner, *node, type);
    Envelope ignored;
    if (!wrong && type == message_index<PriceUpdate>()) {
      read(inner, ignored, out.emplace<PriceUpdate>());
    } else if (!wrong && type == message_index<AccountUpdate>()) {
      read(inner, ignored, out.emplace<AccountUpdate>());
    } else if (!wrong && type == message_index<Event>()) {
      read(inner, ignored, out.emplace<Event>());
    } else if (!wrong) {
      wrong = fault(Errc::wrong_type, node->offset, member.name);
    }
    members.refuse(wrong ? wrong : inner.fault_found());
  }

  void read(Members& members, Envelope&, Publish& out) {
    members.read({1, "id"}, out.id, Need::optional);
    members.read({2, "channel"}, out.channel);
    read_data(members, {3, "message"}, out.message);
  }

  void read(Members& members, Envelope&, Published& out) {
    members.read({1, "id"}, out.id, Need::optional);
    read_code(members, {2, "code"}, out.code);
    members.read({3, "message"}, out.message, Need::optional);
  }

  void read(Members& members, Envelope&, Heartbeat& out) {
    members.read({1, "timestamp"}, out.timestamp, Need::optional);
    read_items(members, {2, "heads"}, Need::optional, out.heads,
               [](Members& item, ChannelHead& head) {
                 item.read({0, "channel"}, head.channel);
                 item.read({1, "seq"}, head.seq);
               });
    read_items(members, {3, "times"}, Need::optional, out.times,
               [](Members& item, HopTimes& times) {
                 item.read({0, "channel"}, times.channel);
                 item.read({1, "seq"}, times.seq);
                 item.read({2, "published"}, times.published);
                 item.read({3, "written"}, times.written);
               });
  }

  void read(Members& members, Envelope&, GoAway& out) {
    members.read({1, "deadline_ms"}, out.deadline_ms);
    members.read({2, "reconnect_after_ms"}, out.reconnect_after_ms, Need::optional);
    read_texts(members, {3, "alternatives"}, Need::optional, out.alternatives);
  }

  void read(Members& members, Envelope&, ErrorReply& out) {
    members.read({1, "id"}, out.id, Need::optional);
    read_code(members, {2, "code"}, out.code);
    members.read({3, "message"}, out.message, Need::optional);
    members.read({4, "temporary"}, out.temporary, Need::optional);
    members.read({5, "retry_after_ms"}, out.retry_after_ms, Need::optional);
  }

  void read(Members& members, Envelope&, CaughtUp& out) {
    members.read({1, "id"}, out.id, Need::optional);
  }

  void read(Members& members, Envelope&, PeerHello& out) {
    members.read({1, "name"}, out.name);
    members.read({2, "epoch"}, out.epoch);
    members.read({3, "received_epoch"}, out.received_epoch, Need::optional);
    members.read({4, "received_seq"}, out.received_seq, Need::optional);
  }

  void read(Members& members, Envelope&, Ack& out) { members.read({1, "seq"}, out.seq); }

  void read(Members& members, Envelope& envelope, Request& out) {
    members.read({1, "seq"}, envelope.seq);
    members.read({2, "id"}, out.id);
    members.read({3, "deadline_ms"}, out.deadline_ms, Need::optional);
    read_data(members, {4, "message"}, out.message);
  }

  void read(Members& members, Envelope& envelope, Reply& out) {
    members.read({1, "seq"}, envelope.seq);
    members.read({2, "id"}, out.id);
    read_code(members, {3, "code"}, out.code);
    members.read({4, "text"}, out.text, Need::optional);
    // A refusal has none, or null in its place.
    if (out.code == Errc::ok) read_data(members, {5, "message"}, out.message);
  }

  Codec codec_;
  const Tree& tree_;
};

}  // namespace

Fault read_message(Codec codec, const Tree& tree, Message& out) {
  if (const Fault wrong = Reader(codec, tree).message(tree.nodes.front(), out)) return wrong;
  // One level for the message, one more for that inside of another one.
  const bool carrier = std::holds_alternative<Publish>(out.body) ||
                       std::holds_alternative<Request>(out.body) ||
                       std::holds_alternative<Reply>(out.body);
  if (!carrier && tree.depth == kMessageNestingMax) {
    return fault(Errc::too_deep, tree.deepest_offset);
  }
  return {};
}

}  // namespace stratwire::detail
