/// What has to hold for every input of the codecs. A property that does not hold aborts.
#pragma once

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include <stratwire/codec.hpp>

#include "exchange_fast.hpp"
#include "general_decoder.hpp"
#include "json_check.hpp"
#include "json_fast.hpp"
#include "json_tree.hpp"
#include "msgpack_fast.hpp"

namespace stratwire::fuzz {

inline void require(bool holds, const char* property, std::string_view input) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\ninput (%zu bytes):", property, input.size());
  for (const char c : input) std::fprintf(stderr, " %02x", static_cast<unsigned char>(c));
  std::fprintf(stderr, "\n");
  std::abort();
}

/// The data message inside of another one; nullptr for those that have none.
inline const DataMessage* carried(const Message& message) {
  if (const auto* const publish = std::get_if<Publish>(&message.body)) return &publish->message;
  if (const auto* const request = std::get_if<Request>(&message.body)) return &request->message;
  if (const auto* const reply = std::get_if<Reply>(&message.body)) return &reply->message;
  return nullptr;
}

/// The price of the message or of the one inside of it, bit for bit; 0 for those that have none.
inline std::uint64_t price_bits(const Message& message) {
  const DataMessage* const inner = carried(message);
  const auto* const price =
      inner != nullptr ? std::get_if<PriceUpdate>(inner) : std::get_if<PriceUpdate>(&message.body);
  return price != nullptr ? std::bit_cast<std::uint64_t>(price->price) : 0;
}

/// Equal, and of the same sign where both are zero.
inline bool same(const Message& a, const Message& b) {
  return a == b && price_bits(a) == price_bits(b);
}

/// Whether the message carries a value that changes its form from one codec to the other.
inline bool carries_value(const Message& message) {
  if (std::holds_alternative<Event>(message.body)) return true;
  const DataMessage* const inner = carried(message);
  return inner != nullptr && std::holds_alternative<Event>(*inner);
}

/// The input in memory that ends where it ends, so that a sanitizer sees a read behind it.
class Exact {
 public:
  explicit Exact(std::string_view input)
      : bytes_(std::make_unique<char[]>(input.size())), size_(input.size()) {
    for (std::size_t i = 0; i < size_; ++i) bytes_[i] = input[i];
  }
  [[nodiscard]] std::string_view view() const noexcept { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_;
};

/// Fast path against general path, and simdjson against the byte-by-byte check.
inline void check_paths(Codec codec, std::string_view input) {
  const Exact exact(input);
  detail::GeneralDecoder general(codec);
  Message slow;
  const detail::Fault wrong = general.decode(exact.view(), slow);
  require(wrong.offset <= input.size(), "the offset of an error lies inside of the input", input);

  Message quick;
  const bool taken = codec == Codec::json
                         ? detail::decode_json_fast(exact.view(), quick) ||
                               detail::decode_json_exchange(exact.view(), quick)
                         : detail::decode_msgpack_fast(exact.view(), quick) ||
                               detail::decode_msgpack_exchange(exact.view(), quick);
  require(!taken || !wrong, "what the fast path takes is valid", input);
  require(!taken || same(quick, slow), "both paths read the same message", input);

  if (codec == Codec::json) {
    detail::JsonTreeParser parser;
    detail::Tree tree;
    const detail::Fault parsed = parser.parse(exact.view(), detail::kMessageNestingMax, tree);
    const detail::Fault checked = detail::check_json(exact.view(), detail::kMessageNestingMax);
    require(parsed == checked, "simdjson and the check agree about what is JSON", input);
  }
  if (wrong) return;

  std::string encoded;
  if (!encode(codec, slow, encoded)) {
    require(false, "what was decoded can be encoded again", input);
  }
  detail::GeneralDecoder again(codec);
  Message back;
  require(!again.decode(encoded, back), "what was encoded can be decoded", input);
  require(same(slow, back), "a message survives its own codec", input);
}

/// One codec against the other: there, back, and there again.
inline void check_codecs(Codec first, std::string_view input) {
  const Codec second = first == Codec::json ? Codec::msgpack : Codec::json;
  Decoder decoder(first);
  Message original;
  if (!decoder.decode(input, original)) return;

  std::string there;
  const Result<void> encoded = encode(second, original, there);
  if (!encoded) {
    const Errc code = encoded.error().code;
    require(carries_value(original) &&
                (code == Errc::wrong_type || code == Errc::out_of_range || code == Errc::too_deep),
            "only a carried value can be without a form in the other codec", input);
    return;
  }
  Decoder other(second);
  Message arrived;
  require(other.decode(there, arrived).ok(), "the other codec reads what was converted", input);
  if (!carries_value(original)) {
    require(same(original, arrived), "a message survives the other codec", input);
  }
  std::string back;
  require(encode(first, arrived, back).ok(), "what arrived can be sent back", input);
  Decoder third(first);
  Message returned;
  require(third.decode(back, returned).ok(), "what was sent back can be read", input);
  std::string there_again;
  require(encode(second, returned, there_again).ok(), "and converted once more", input);
  require(there == there_again, "converting twice changes nothing more", input);
}

}  // namespace stratwire::fuzz
