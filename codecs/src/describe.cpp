#include <memory>

#include <stratwire/describe.hpp>
#include <stratwire/limits.hpp>

#include "json_tree.hpp"
#include "member_reader.hpp"
#include "msgpack_tree.hpp"
#include "value_writer.hpp"

namespace stratwire::detail {
namespace {

// The writers of this library behind the interface that headers see.
template <class Writer>
class WriterAdapter final : public ValueWriter {
 public:
  explicit WriterAdapter(std::string& out) noexcept : writer_(out) {}
  virtual ~WriterAdapter() = default;

  [[nodiscard]] Errc refused() const noexcept { return writer_.refused(); }

  void null() override { writer_.null(); }
  void boolean(bool value) override { writer_.boolean(value); }
  void unsigned_integer(std::uint64_t value) override { writer_.unsigned_integer(value); }
  void signed_integer(std::int64_t value) override { writer_.signed_integer(value); }
  void floating(double value) override { writer_.floating(value); }
  void text(std::string_view value) override { writer_.text(value); }
  void begin_object(std::size_t members) override {
    enter();
    writer_.begin_object(members);
  }
  void key(std::string_view name) override { writer_.key(name); }
  void end_object() override {
    --depth_;
    writer_.end_object();
  }
  void begin_array(std::size_t elements) override {
    enter();
    writer_.begin_array(elements);
  }
  void end_array() override {
    --depth_;
    writer_.end_array();
  }

 private:
  void enter() {
    if (++depth_ > limits::kNestingMax) writer_.refuse(Errc::too_deep);
  }

  Writer writer_;
  std::size_t depth_ = 0;
};

template <class Writer>
Errc write_with(const void* object, void (*write)(ValueWriter&, const void*), std::string& out) {
  WriterAdapter<Writer> writer(out);
  write(writer, object);
  return writer.refused();
}

}  // namespace

std::string& data_buffer() noexcept {
  // One large struct must not cost memory for the rest of the thread's life.
  constexpr std::size_t kKeptMax = 64 * 1024;
  thread_local std::string buffer;
  if (buffer.capacity() > kKeptMax) buffer = std::string{};
  buffer.clear();
  return buffer;
}

Result<void> write_value(Codec codec, const void* object,
                         void (*write)(ValueWriter& out, const void* object), std::string& out) {
  const std::size_t size_before = out.size();
  const Errc refused = codec == Codec::json ? write_with<JsonWriter>(object, write, out)
                                            : write_with<MsgpackWriter>(object, write, out);
  if (refused == Errc::ok) return {};
  out.resize(size_before);
  return refused;
}

struct ValueReader::Source {
  Tree tree{};
  Error error{};
};

bool ValueReader::refuse(Errc code) const {
  source_->error = Error{code, source_->tree.nodes[node_].offset, {}};
  return false;
}

bool ValueReader::refuse_missing(std::string_view type, std::string_view name) const {
  refuse(Errc::missing_member);
  source_->error.context.append(type).append(" needs a member '").append(name).append("'");
  return false;
}

void ValueReader::name_error(std::string_view type, std::string_view name) const {
  Error& error = source_->error;
  if (!error.context.empty()) return;  // An inner struct has named its own member.
  error.context.append("'").append(name).append("' of ").append(type).append(": ");
  error.context.append(describe(error.code));
}

bool ValueReader::is_null() const noexcept {
  return source_->tree.nodes[node_].kind == Kind::null;
}

bool ValueReader::boolean(bool& out) const {
  const Node& node = source_->tree.nodes[node_];
  if (node.kind != Kind::boolean) return refuse(Errc::wrong_type);
  out = node.unsigned_value != 0;
  return true;
}

bool ValueReader::unsigned_integer(std::uint64_t& out) const {
  const Errc code = to_integer(source_->tree, source_->tree.nodes[node_], out);
  return code == Errc::ok || refuse(code);
}

bool ValueReader::signed_integer(std::int64_t& out) const {
  const Errc code = to_integer(source_->tree, source_->tree.nodes[node_], out);
  return code == Errc::ok || refuse(code);
}

bool ValueReader::floating(double& out) const {
  const Errc code = to_double(source_->tree.nodes[node_], out);
  return code == Errc::ok || refuse(code);
}

bool ValueReader::text(std::string_view& out) const {
  const Node& node = source_->tree.nodes[node_];
  if (node.kind != Kind::text) return refuse(Errc::wrong_type);
  out = node.text();
  return true;
}

bool ValueReader::object() const {
  return source_->tree.nodes[node_].kind == Kind::object || refuse(Errc::wrong_type);
}

bool ValueReader::member(std::string_view name, std::optional<ValueReader>& out) const {
  const Lookup found = find_member(source_->tree, source_->tree.nodes[node_], name);
  if (found.twice != nullptr) {
    return ValueReader(*source_, source_->tree.index_of(*found.twice)).refuse(Errc::syntax);
  }
  if (found.value != nullptr) out.emplace(*source_, source_->tree.index_of(*found.value));
  return true;
}

bool ValueReader::array(std::size_t& elements) const {
  const Node& node = source_->tree.nodes[node_];
  if (node.kind != Kind::array) return refuse(Errc::wrong_type);
  elements = node.size;
  return true;
}

ValueReader ValueReader::first() const noexcept {
  return {*source_, node_ + 1};
}

ValueReader ValueReader::next() const noexcept {
  return {*source_, source_->tree.nodes[node_].next};
}

Result<void> read_value(const RawValue& value, void* object,
                        bool (*read)(const ValueReader& in, void* object)) {
  // Kept for the thread: a JSON parser is large, and messages come in streams.
  thread_local ValueReader::Source source;
  Fault wrong{};
  if (value.codec == Codec::json) {
    thread_local JsonTreeParser parser;
    wrong = parser.parse(value.bytes, limits::kNestingMax, source.tree);
  } else {
    wrong = parse_msgpack(value.bytes, limits::kNestingMax, source.tree);
  }
  if (wrong) return wrong.error();
  source.error = Error{};
  if (read(ValueReader(source, 0), object)) return {};
  return source.error;
}

}  // namespace stratwire::detail
