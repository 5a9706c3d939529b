// A user of the codecs alone: there and back in both, with nothing but stratwire's headers.
#include <cstdio>
#include <string>

#include <stratwire/codec.hpp>

int main() {
  for (const auto codec : {stratwire::Codec::json, stratwire::Codec::msgpack}) {
    const stratwire::PriceUpdate sent{
        .input_mint = "USDC", .output_mint = "SOL", .price = 142.33, .volume = 12, .timestamp = 5};
    const stratwire::Message message{{.channel = "prices:SOL-USDC", .seq = 7}, sent};
    std::string bytes;
    stratwire::encode(codec, message, bytes).value();

    stratwire::Decoder decoder{codec};
    stratwire::Message back;
    decoder.decode(bytes, back).value();
    if (back != message) {
      std::fprintf(stderr, "%s came back as another message\n", bytes.c_str());
      return 1;
    }
  }
  std::puts("values: ok");
}
