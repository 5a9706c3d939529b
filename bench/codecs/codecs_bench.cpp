/// What one PriceUpdate costs to encode and to decode, beside what others cost for the same.
///
/// 1024 different messages with 44-character mints, one after another, so that neither the caches
/// nor the branch predictor know the next one by heart. Prices have two to six decimals, as those
/// that feeds send; in `17_digits` they have all that a double can need. Run with
///   bench_codecs --benchmark_repetitions=9 --benchmark_enable_random_interleaving=true
///                --benchmark_report_aggregates_only=true
#include <array>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <benchmark/benchmark.h>
#include <msgpack.hpp>
#include <simdjson.h>

#include <stratwire/codec.hpp>

#include "general_decoder.hpp"

namespace {

using stratwire::Codec;
using stratwire::Envelope;
using stratwire::Message;
using stratwire::PriceUpdate;

constexpr std::size_t kMessages = 1024;  // A power of two: the next one is a mask away.

enum class Shape { bare, in_channel, full_digits };

struct Corpus {
  std::vector<std::string> texts{};
  std::vector<PriceUpdate> messages{};
  Envelope envelope{};

  explicit Corpus(Shape shape) {
    std::mt19937_64 random(20240607);
    const auto mint = [&] {
      constexpr std::string_view kBase58 =
          "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
      std::string text(44, ' ');
      for (char& c : text) c = kBase58[random() % kBase58.size()];
      return text;
    };
    texts.reserve(2 * kMessages);  // The messages keep views of them.
    for (std::size_t i = 0; i < kMessages; ++i) {
      const std::string& input = texts.emplace_back(mint());
      const std::string& output = texts.emplace_back(mint());
      // Two to six decimals, from cents to tens of thousands.
      const double scale = std::pow(10, static_cast<double>(2 + random() % 5));
      double price = static_cast<double>(random() % 100'000'000) / scale;
      if (shape == Shape::full_digits) price *= 1.0000000123456789;
      messages.push_back({input, output, price, random() % 1'000'000,
                          1'732'094'400'000'000'000 + static_cast<std::int64_t>(random() >> 20)});
    }
    if (shape == Shape::in_channel) envelope = {"prices:SOL-USDC", 1'051};
  }

  [[nodiscard]] std::vector<std::string> encoded(Codec codec) const {
    std::vector<std::string> all;
    for (const PriceUpdate& message : messages) {
      all.emplace_back();
      encode(codec, Message{envelope, message}, all.back()).value();
    }
    return all;
  }
};

// ---- Ours

void decode_fast(benchmark::State& state, Codec codec, Shape shape) {
  const std::vector<std::string> inputs = Corpus(shape).encoded(codec);
  stratwire::Decoder decoder(codec);
  Message message;
  std::size_t i = 0;
  for (auto _ : state) {
    if (!decoder.decode(inputs[i++ % kMessages], message)) state.SkipWithError("refused");
    benchmark::DoNotOptimize(message);
  }
}
BENCHMARK_CAPTURE(decode_fast, json, Codec::json, Shape::bare)->Name("BM_Decode_Json/fast");
BENCHMARK_CAPTURE(decode_fast, json, Codec::json, Shape::in_channel)
    ->Name("BM_Decode_Json/fast_in_channel");
BENCHMARK_CAPTURE(decode_fast, json, Codec::json, Shape::full_digits)
    ->Name("BM_Decode_Json/fast_17_digits");
BENCHMARK_CAPTURE(decode_fast, msgpack, Codec::msgpack, Shape::bare)
    ->Name("BM_Decode_Msgpack/fast");
BENCHMARK_CAPTURE(decode_fast, msgpack, Codec::msgpack, Shape::in_channel)
    ->Name("BM_Decode_Msgpack/fast_in_channel");

void decode_general(benchmark::State& state, Codec codec) {
  const std::vector<std::string> inputs = Corpus(Shape::bare).encoded(codec);
  stratwire::detail::GeneralDecoder decoder(codec);
  Message message;
  std::size_t i = 0;
  for (auto _ : state) {
    if (decoder.decode(inputs[i++ % kMessages], message)) state.SkipWithError("refused");
    benchmark::DoNotOptimize(message);
  }
}
BENCHMARK_CAPTURE(decode_general, json, Codec::json)->Name("BM_Decode_Json/general");
BENCHMARK_CAPTURE(decode_general, msgpack, Codec::msgpack)->Name("BM_Decode_Msgpack/general");

void encode_fast(benchmark::State& state, Codec codec, Shape shape) {
  const Corpus corpus(shape);
  std::array<char, 2048> out;
  std::size_t i = 0;
  for (auto _ : state) {
    const auto bytes =
        encode(codec, corpus.envelope, corpus.messages[i++ % kMessages], std::span<char>(out));
    if (!bytes) state.SkipWithError("refused");
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
}
BENCHMARK_CAPTURE(encode_fast, json, Codec::json, Shape::bare)->Name("BM_Encode_Json/fast");
BENCHMARK_CAPTURE(encode_fast, json, Codec::json, Shape::in_channel)
    ->Name("BM_Encode_Json/fast_in_channel");
BENCHMARK_CAPTURE(encode_fast, json, Codec::json, Shape::full_digits)
    ->Name("BM_Encode_Json/fast_17_digits");
BENCHMARK_CAPTURE(encode_fast, msgpack, Codec::msgpack, Shape::bare)
    ->Name("BM_Encode_Msgpack/fast");
BENCHMARK_CAPTURE(encode_fast, msgpack, Codec::msgpack, Shape::in_channel)
    ->Name("BM_Encode_Msgpack/fast_in_channel");

// ---- Baselines

struct Plain {
  std::array<char, 44> input_mint;
  std::array<char, 44> output_mint;
  double price;
  std::uint64_t volume;
  std::int64_t timestamp;
};

void copy_plain(benchmark::State& state) {
  std::vector<Plain> from(kMessages);
  Plain to{};
  std::size_t i = 0;
  for (auto _ : state) {
    std::memcpy(&to, &from[i++ % kMessages], sizeof to);
    benchmark::DoNotOptimize(to);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(copy_plain)->Name("BM_Baseline/memcpy_of_a_plain_struct");

void simdjson_ondemand(benchmark::State& state) {
  const std::vector<std::string> inputs = Corpus(Shape::bare).encoded(Codec::json);
  std::vector<simdjson::padded_string> padded(inputs.begin(), inputs.end());
  simdjson::ondemand::parser parser;
  std::size_t i = 0;
  for (auto _ : state) {
    auto document = parser.iterate(padded[i++ % kMessages]);
    PriceUpdate message;
    if (document["input_mint"].get_string().get(message.input_mint) ||
        document["output_mint"].get_string().get(message.output_mint) ||
        document["price"].get_double().get(message.price) ||
        document["volume"].get_uint64().get(message.volume) ||
        document["timestamp"].get_int64().get(message.timestamp)) {
      state.SkipWithError("refused");
    }
    benchmark::DoNotOptimize(message);
  }
}
BENCHMARK(simdjson_ondemand)->Name("BM_Decode_Json/baseline_simdjson_ondemand");

struct Packed {
  std::string input_mint{};
  std::string output_mint{};
  double price = 0;
  std::uint64_t volume = 0;
  std::int64_t timestamp = 0;
  MSGPACK_DEFINE(input_mint, output_mint, price, volume, timestamp)
};

std::vector<Packed> packable() {
  std::vector<Packed> all;
  for (const PriceUpdate& m : Corpus(Shape::bare).messages) {
    all.push_back(
        {std::string(m.input_mint), std::string(m.output_mint), m.price, m.volume, m.timestamp});
  }
  return all;
}

void msgpack_c_pack(benchmark::State& state) {
  const std::vector<Packed> messages = packable();
  msgpack::sbuffer out;
  std::size_t i = 0;
  for (auto _ : state) {
    out.clear();
    msgpack::pack(out, messages[i++ % kMessages]);
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(msgpack_c_pack)->Name("BM_Encode_Msgpack/baseline_msgpack_c_pack");

void msgpack_c_unpack(benchmark::State& state) {
  std::vector<std::string> inputs;
  for (const Packed& message : packable()) {
    msgpack::sbuffer out;
    msgpack::pack(out, message);
    inputs.emplace_back(out.data(), out.size());
  }
  Packed message;
  std::size_t i = 0;
  for (auto _ : state) {
    const std::string& input = inputs[i++ % kMessages];
    msgpack::unpack(input.data(), input.size()).get().convert(message);
    benchmark::DoNotOptimize(message);
  }
}
BENCHMARK(msgpack_c_unpack)->Name("BM_Decode_Msgpack/baseline_msgpack_c_unpack");

}  // namespace

BENCHMARK_MAIN();
