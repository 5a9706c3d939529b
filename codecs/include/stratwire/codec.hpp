/// Messages to bytes and back, in JSON and in MessagePack.
///
/// Both codecs have a fixed-layout path for data messages written by this library, and a general
/// path (simdjson, msgpack-c) that takes everything valid; they give the same answer on every
/// input.
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <stratwire/message.hpp>
#include <stratwire/result.hpp>

namespace stratwire {

/// Most bytes that encode() can need for this message.
[[nodiscard]] std::size_t encoded_bytes_max(Codec codec, const Envelope& envelope,
                                            const PriceUpdate& message) noexcept;
[[nodiscard]] std::size_t encoded_bytes_max(Codec codec, const Envelope& envelope,
                                            const AccountUpdate& message) noexcept;

namespace detail {

/// Bytes written; 0 when the other one has to say why not, or to take more time.
[[nodiscard]] std::size_t encode_fast(Codec codec, const Envelope& envelope,
                                      const PriceUpdate& message, std::span<char> out) noexcept;
[[nodiscard]] std::size_t encode_fast(Codec codec, const Envelope& envelope,
                                      const AccountUpdate& message, std::span<char> out) noexcept;
[[nodiscard]] Result<std::size_t> encode_any(Codec codec, const Envelope& envelope,
                                             const PriceUpdate& message,
                                             std::span<char> out) noexcept;
[[nodiscard]] Result<std::size_t> encode_any(Codec codec, const Envelope& envelope,
                                             const AccountUpdate& message,
                                             std::span<char> out) noexcept;

}  // namespace detail

/// Writes one message to the start of `out`.
///
/// Never allocates.
///
/// \param out   at least encoded_bytes_max() bytes, or buffer_too_small may be the answer
/// \return      bytes written
/// \errors      not_finite, invalid_utf8, buffer_too_small; the first two name the member
/// \thread      any thread
/// \source      PROTOCOL.md, "PriceUpdate"
template <class T>
requires std::same_as<T, PriceUpdate> || std::same_as<T, AccountUpdate>
[[nodiscard]] inline Result<std::size_t> encode(Codec codec, const Envelope& envelope,
                                                const T& message, std::span<char> out) noexcept {
  // Here in the header, so that no Result is passed through memory when all is well.
  const std::size_t bytes = detail::encode_fast(codec, envelope, message, out);
  if (bytes != 0) [[likely]]
    return bytes;
  return detail::encode_any(codec, envelope, message, out);
}

/// Appends any message to `out`. An Event whose value is of the other codec is converted.
///
/// \errors      not_finite, invalid_utf8; for an Event also what its value is refused with.
///              `out` is as it was before when an error is returned.
/// \thread      any thread
Result<void> encode(Codec codec, const Message& message, std::string& out);

/// Appends `value`, converted to `codec`, to `out`.
///
/// \errors      of the decoder, with the offset in value.bytes; too_deep beyond kNestingMax;
///              wrong_type for a MessagePack value that JSON has no form for (bin, ext, NaN, a map
///              key that is not a string)
Result<void> transcode(const RawValue& value, Codec codec, std::string& out);

/// Whether `value` is one value of its codec.
///
/// \errors  of the decoder, with the offset in value.bytes; too_deep beyond kNestingMax; too_large
/// \cost    one pass over the bytes; allocates nothing
Result<void> check(const RawValue& value) noexcept;

/// Decodes messages of one connection.
///
/// Data messages in the fixed layout cost no allocation; others use memory that is kept and
/// reused. Bad input never throws, never reads past the end and never allocates beyond a small
/// multiple of its size.
///
/// \thread    one thread at a time
class Decoder {
 public:
  explicit Decoder(Codec codec);
  ~Decoder();
  Decoder(Decoder&&) noexcept;
  Decoder& operator=(Decoder&&) noexcept;

  /// Decodes one whole message.
  ///
  /// \param bytes  the payload of one WebSocket message
  /// \param out    overwritten; its views point into `bytes` or into this decoder
  /// \errors       code, offset and member, no context
  /// \lifetime     views in `out` are valid until the next decode() or until `bytes` goes
  [[nodiscard]] Result<void> decode(std::string_view bytes, Message& out) noexcept {
    if (decode_fast(bytes, out)) [[likely]]
      return {};
    return decode_any(bytes, out);
  }

  /// Decodes one whole PriceUpdate in the fixed layout to where it is wanted.
  ///
  /// \return  false when it is something else, in another layout or wrong: decode() says which;
  ///          `envelope` and `out` are then undefined
  /// \lifetime  as decode()
  [[nodiscard]] bool try_decode(std::string_view bytes, Envelope& envelope,
                                PriceUpdate& out) const noexcept;

  [[nodiscard]] Codec codec() const noexcept { return codec_; }

 private:
  struct State;

  /// False when it has not the fixed layout, or something is wrong.
  [[nodiscard]] bool decode_fast(std::string_view bytes, Message& out) const noexcept;
  [[nodiscard]] Result<void> decode_any(std::string_view bytes, Message& out) noexcept;

  Codec codec_;
  std::unique_ptr<State> state_;
};

}  // namespace stratwire
