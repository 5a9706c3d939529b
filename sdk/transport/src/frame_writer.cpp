#include <algorithm>

#include <stratwire/transport/frame.hpp>

namespace stratwire::transport {

void mask(std::span<char> bytes, MaskKey key, std::size_t offset) noexcept {
  MaskKey turned;
  for (std::size_t i = 0; i < turned.size(); ++i) turned[i] = key[(offset + i) % 4];
  char twice[8];
  std::memcpy(twice, turned.data(), 4);
  std::memcpy(twice + 4, turned.data(), 4);
  std::uint64_t wide;
  std::memcpy(&wide, twice, sizeof(wide));

  char* at = bytes.data();
  std::size_t left = bytes.size();
  const auto xor_word = [wide](char* word_at) {
    std::uint64_t word;
    std::memcpy(&word, word_at, sizeof(word));
    word ^= wide;
    std::memcpy(word_at, &word, sizeof(word));
  };
  // Four words with nothing between them become vector instructions.
  for (; left >= 32; left -= 32, at += 32) {
    xor_word(at);
    xor_word(at + 8);
    xor_word(at + 16);
    xor_word(at + 24);
  }
  for (; left >= 8; left -= 8, at += 8) xor_word(at);
  for (std::size_t i = 0; i < left; ++i) {
    at[i] = static_cast<char>(at[i] ^ turned[i % 4]);
  }
}

void append_frame(std::string& out, const FrameHead& head, std::string_view payload) {
  char header[kFrameHeaderBytesMax];
  const std::size_t head_bytes = write_header(head, payload.size(), header);
  out.append(header, head_bytes);
  const std::size_t start = out.size();
  out.append(payload);
  if (head.mask) mask(std::span<char>{out}.subspan(start), *head.mask);
}

void append_close(std::string& out, CloseCode code, std::string_view reason,
                  std::optional<MaskKey> mask_key) {
  const FrameHead head{.opcode = Opcode::close, .mask = mask_key};
  if (code == CloseCode::no_status) return append_frame(out, head, {});
  std::size_t reason_bytes = std::min(reason.size(), kCloseReasonBytesMax);
  // Not in the middle of a code point: back to where one starts.
  while (reason_bytes < reason.size() && reason_bytes > 0 &&
         (static_cast<unsigned char>(reason[reason_bytes]) & 0xc0U) == 0x80U) {
    --reason_bytes;
  }
  const auto number = static_cast<unsigned>(code);
  char payload[kControlBytesMax] = {static_cast<char>(number >> 8),
                                    static_cast<char>(number & 0xffU)};
  reason.copy(payload + 2, reason_bytes);
  append_frame(out, head, {payload, 2 + reason_bytes});
}

}  // namespace stratwire::transport
