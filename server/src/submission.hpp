/// One published message, and how it goes from a publisher to the hub.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>

#include <stratwire/message.hpp>

namespace stratwire::server {

class Channel;

/// A message that is being published, taken apart: the same form for every type. Its texts are
/// somebody else's.
struct Publication {
  enum class Kind : std::uint8_t { price, account, event_json, event_msgpack };

  Publication() noexcept = default;
  /// \param where  nullptr: a broadcast
  Publication(Channel* where, const PriceUpdate& message) noexcept
      : channel(where),
        numbers{std::bit_cast<std::uint64_t>(message.price), message.volume,
                static_cast<std::uint64_t>(message.timestamp)},
        first(message.input_mint),
        second(message.output_mint),
        kind(Kind::price) {}
  Publication(Channel* where, const AccountUpdate& message) noexcept
      : channel(where),
        numbers{message.lamports, message.slot, static_cast<std::uint64_t>(message.timestamp)},
        first(message.pubkey),
        kind(Kind::account) {}
  Publication(Channel* where, const Event& message) noexcept
      : channel(where),
        first(message.type),
        second(message.data.bytes),
        kind(message.data.codec == Codec::json ? Kind::event_json : Kind::event_msgpack) {}

  /// The message in the form of a channel's log, the same for every codec.
  ///
  /// \param buffer    only ever grows
  /// \lifetime        until `buffer` changes
  [[nodiscard]] std::string_view record(std::string& buffer) const {
    const std::size_t bytes = sizeof(RecordHead) + first.size() + second.size();
    if (buffer.size() < bytes) buffer.resize(bytes);
    const RecordHead head{
        {numbers[0], numbers[1], numbers[2]}, static_cast<std::uint32_t>(first.size()), kind};
    std::memcpy(buffer.data(), &head, sizeof head);
    first.copy(buffer.data() + sizeof head, first.size());
    second.copy(buffer.data() + sizeof head + first.size(), second.size());
    return {buffer.data(), bytes};
  }
  /// Calls `visitor` with the message of a record; its texts point into the record.
  template <class Visitor>
  static decltype(auto) visit_record(std::string_view record, Visitor&& visitor) {
    RecordHead head;
    std::memcpy(&head, record.data(), sizeof head);
    const std::string_view text = record.substr(sizeof head);
    return visit_parts(head.kind, head.numbers, text.substr(0, head.first_bytes),
                       text.substr(head.first_bytes), visitor);
  }
  /// Calls `visitor` with the message as it was published.
  template <class Visitor>
  decltype(auto) visit(Visitor&& visitor) const {
    return visit_parts(kind, numbers, first, second, visitor);
  }

  Channel* channel = nullptr;
  std::uint64_t numbers[3] = {};
  std::string_view first{};
  std::string_view second{};
  /// When publish() was called; 0 = not known. \units Unix nanoseconds
  std::int64_t published_ns = 0;
  /// Bytes that it may take in a lane at most; set for paced publishers only.
  std::uint32_t paced_bytes = 0;
  Kind kind = Kind::price;

 private:
  struct RecordHead {
    std::uint64_t numbers[3] = {};
    std::uint32_t first_bytes = 0;
    Kind kind = Kind::price;
  };

  template <class Visitor>
  static decltype(auto) visit_parts(Kind kind, const std::uint64_t (&numbers)[3],
                                    std::string_view first, std::string_view second,
                                    Visitor&& visitor) {
    const auto timestamp = static_cast<std::int64_t>(numbers[2]);
    switch (kind) {
      case Kind::price:
        return visitor(
            PriceUpdate{first, second, std::bit_cast<double>(numbers[0]), numbers[1], timestamp});
      case Kind::account:
        return visitor(AccountUpdate{first, numbers[0], numbers[1], timestamp});
      case Kind::event_json:
        return visitor(Event{first, {Codec::json, second}});
      case Kind::event_msgpack:
        break;
    }
    return visitor(Event{first, {Codec::msgpack, second}});
  }
};

/// A publication on its way to the hub, with texts of its own: inside, up to kInlineTextBytes;
/// longer ones in one allocation.
///
/// \thread one thread at a time; handed over by the inbox
class Submission {
 public:
  /// Two mints of 44 characters fit, and the whole is three cache lines.
  static constexpr std::size_t kInlineTextBytes = 128;

  Submission() noexcept = default;
  /// Ends the program when there is no memory, as publish() does not throw.
  explicit Submission(const Publication& from) noexcept
      : channel_(from.channel),
        numbers_{from.numbers[0], from.numbers[1], from.numbers[2]},
        published_ns_(from.published_ns),
        paced_bytes_(from.paced_bytes),
        first_bytes_(static_cast<std::uint32_t>(from.first.size())),
        second_bytes_(static_cast<std::uint32_t>(from.second.size())),
        kind_(from.kind) {
    const std::size_t bytes = from.first.size() + from.second.size();
    if (bytes > kInlineTextBytes) long_text_ = std::make_unique_for_overwrite<char[]>(bytes);
    char* const to = long_text_ ? long_text_.get() : text_;
    from.first.copy(to, from.first.size());
    from.second.copy(to + from.first.size(), from.second.size());
  }

  /// \lifetime  that of this object, where it is
  [[nodiscard]] Publication publication() const noexcept {
    const char* const text = long_text_ ? long_text_.get() : text_;
    Publication all;
    all.channel = channel_;
    std::copy(std::begin(numbers_), std::end(numbers_), all.numbers);
    all.first = {text, first_bytes_};
    all.second = {text + first_bytes_, second_bytes_};
    all.published_ns = published_ns_;
    all.paced_bytes = paced_bytes_;
    all.kind = kind_;
    return all;
  }

 private:
  Channel* channel_ = nullptr;
  std::uint64_t numbers_[3] = {};
  std::int64_t published_ns_ = 0;
  std::unique_ptr<char[]> long_text_{};
  std::uint32_t paced_bytes_ = 0;
  std::uint32_t first_bytes_ = 0;
  std::uint32_t second_bytes_ = 0;
  Publication::Kind kind_ = Publication::Kind::price;
  char text_[kInlineTextBytes];
};

static_assert(sizeof(Submission) == 192);

}  // namespace stratwire::server
