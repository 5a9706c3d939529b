#include <new>

#include <stratwire/codec.hpp>

#include "exchange_fast.hpp"
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
  // Made by the first message that needs it: many connections never do, and it is large.
  std::unique_ptr<detail::GeneralDecoder> general{};
};

Decoder::Decoder(Codec codec) : codec_(codec), state_(std::make_unique<State>()) {}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;
Decoder& Decoder::operator=(Decoder&&) noexcept = default;

namespace {

// Out of line, so that MessagePack needs no room on the stack for it.
[[gnu::noinline]] bool decode_json(std::string_view bytes, Message& out) noexcept {
  return detail::decode_json_anchored(bytes, out);
}
[[gnu::noinline]] bool decode_json(std::string_view bytes, Envelope& envelope,
                                   PriceUpdate& out) noexcept {
  return detail::decode_json_anchored(bytes, envelope, out);
}

}  // namespace

bool Decoder::decode_fast(std::string_view bytes, Message& out) const noexcept {
  return codec_ == Codec::json ? decode_json(bytes, out) : detail::decode_msgpack_fast(bytes, out);
}

bool Decoder::try_decode(std::string_view bytes, Envelope& envelope,
                         PriceUpdate& out) const noexcept {
  return codec_ == Codec::json ? decode_json(bytes, envelope, out)
                               : detail::decode_msgpack_fast(bytes, envelope, out);
}

Result<void> Decoder::decode_any(std::string_view bytes, Message& out) noexcept {
  if (codec_ == Codec::json
          ? detail::decode_json_unanchored(bytes, out) || detail::decode_json_exchange(bytes, out)
          : detail::decode_msgpack_exchange(bytes, out)) {
    return {};
  }
  if (state_->general == nullptr) {
    state_->general.reset(new (std::nothrow) detail::GeneralDecoder(codec_));
    if (state_->general == nullptr) return Errc::too_large;
  }
  const detail::Fault wrong = state_->general->decode(bytes, out);
  if (wrong) return wrong.error();
  return {};
}

}  // namespace stratwire
