/// The codecs without a network: a message to bytes and back, in both forms.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

#include <stratwire/codec.hpp>

using stratwire::Codec;

int main() {
  const stratwire::Envelope envelope{.channel = "prices:SOL-USDC", .seq = 1051};
  const stratwire::PriceUpdate update{.input_mint = "USDC",
                                      .output_mint = "SOL",
                                      .price = 142.3317,
                                      .volume = 12,
                                      .timestamp = 1732094400123456789};
  for (const auto codec : {Codec::json, Codec::msgpack}) {
    std::array<char, 512> bytes{};
    const auto size = encode(codec, envelope, update, std::span<char>{bytes}).value();
    const std::string_view text{bytes.data(), size};
    std::printf("%zu bytes%s%.*s\n", size, codec == Codec::json ? ": " : "",
                codec == Codec::json ? static_cast<int>(size) : 0, text.data());

    stratwire::Decoder decoder{codec};
    stratwire::Message message;
    decoder.decode(text, message).value();
    if (message != stratwire::Message{envelope, update}) return EXIT_FAILURE;
  }

  // Bad input is an error with a code and an offset, never an exception.
  stratwire::Decoder decoder{Codec::json};
  stratwire::Message message;
  const auto bad = decoder.decode(R"({"type":"PriceUpdate","price":"high"})", message);
  std::printf("%s at byte %u\n", std::string{to_string(bad.error().code)}.c_str(),
              bad.error().offset);
  return bad.ok() ? EXIT_FAILURE : EXIT_SUCCESS;
}
