#include <new>

#include <stratwire/codec.hpp>

#include "general_decoder.hpp"
#include "json_fast.hpp"
#include "message_reader.hpp"
#include "msgpack_fast.hpp"
#include "msgpack_tree.hpp"

namespace stratwire {
namespace detail {

GeneralDecoder::GeneralDecoder(Codec codec) : codec_(codec) {}

std::size_t GeneralDecoder::bytes_kept() const noexcept {
  return tree_.nodes.capacity() * sizeof(Node) + (json_ ? json_->bytes_kept() : 0);
}

void GeneralDecoder::release_excess() {
  if (bytes_kept() <= kBytesKeptMax) return;
  tree_ = Tree{};
  json_.reset();
}

Fault GeneralDecoder::decode(std::string_view bytes, Message& out) noexcept try {
  // Now, not after the message before: its texts may have been in that memory.
  release_excess();
  Fault wrong{};
  if (codec_ == Codec::json) {
    if (json_ == nullptr) json_ = std::make_unique<JsonTreeParser>();
    wrong = json_->parse(bytes, kMessageNestingMax, tree_);
  } else {
    wrong = parse_msgpack(bytes, kMessageNestingMax, tree_);
  }
  return wrong ? wrong : read_message(codec_, tree_, out);
} catch (const std::bad_alloc&) {
  return fault(Errc::too_large, 0);
}

}  // namespace detail

struct Decoder::State {
  explicit State(Codec codec_in_use) noexcept : codec(codec_in_use) {}

  // Out of line, so that the fast path saves no registers for it.
  [[gnu::noinline]] Result<void> decode_general(std::string_view bytes, Message& out) noexcept;

  Codec codec;
  // Made by the first message that needs it: many connections never do, and it is large.
  std::unique_ptr<detail::GeneralDecoder> general{};
};

Decoder::Decoder(Codec codec) : state_(std::make_unique<State>(codec)) {}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;
Decoder& Decoder::operator=(Decoder&&) noexcept = default;

Codec Decoder::codec() const noexcept {
  return state_->codec;
}

Result<void> Decoder::decode(std::string_view bytes, Message& out) noexcept {
  const bool fast = state_->codec == Codec::json ? detail::decode_json_fast(bytes, out)
                                                 : detail::decode_msgpack_fast(bytes, out);
  if (fast) return {};
  return state_->decode_general(bytes, out);
}

Result<void> Decoder::State::decode_general(std::string_view bytes, Message& out) noexcept {
  if (general == nullptr) {
    general.reset(new (std::nothrow) detail::GeneralDecoder(codec));
    if (general == nullptr) return Errc::too_large;
  }
  const detail::Fault wrong = general->decode(bytes, out);
  if (wrong) return wrong.error();
  return {};
}

}  // namespace stratwire
