// The frame layer per frame and per byte, beside memcpy of the same bytes.
//
// Frames are those of a feed: 159 bytes of JSON each, back to back in one buffer of 64 KiB, as one
// large recv() brings them.
#include <cstring>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include <stratwire/transport/frame.hpp>
#include <stratwire/transport/random.hpp>
#include <stratwire/transport/utf8.hpp>

namespace stratwire::transport {
namespace {

constexpr std::size_t kBufferBytes = 64 * 1024;
constexpr MaskKey kKey = {'\x37', '\xfa', '\x21', '\x3d'};

const std::string& price_update() {
  static const std::string text =
      R"({"type":"PriceUpdate","ch":"prices:SOL-USDC","seq":1051,"input_mint":"USDC",)"
      R"("output_mint":"SOL","price":142.3317,"volume":12,"timestamp":1732094400123456789})";
  return text;
}

std::string frames(const FrameHead& head, std::string_view payload) {
  std::string out;
  while (out.size() + kFrameHeaderBytesMax + payload.size() <= kBufferBytes) {
    append_frame(out, head, payload);
  }
  return out;
}

void count(benchmark::State& state, std::size_t frames_each, std::size_t bytes_each) {
  state.counters["per_frame"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(frames_each),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes_each));
}

// Baseline: what moving the same bytes once costs.
void BM_Memcpy(benchmark::State& state) {
  const std::string bytes = frames({.opcode = Opcode::text}, price_update());
  const std::size_t frame_bytes = 4 + price_update().size();
  std::string copy(bytes.size(), '\0');
  for (auto _ : state) {
    for (std::size_t at = 0; at + frame_bytes <= bytes.size(); at += frame_bytes) {
      std::memcpy(copy.data() + at, bytes.data() + at, frame_bytes);
      benchmark::ClobberMemory();
    }
  }
  count(state, bytes.size() / frame_bytes, bytes.size());
}
BENCHMARK(BM_Memcpy);

void parse(benchmark::State& state, Role role, const FrameHead& head, std::string_view payload) {
  const std::string original = frames(head, payload);
  std::string bytes = original;
  std::size_t parsed = 0;
  for (auto _ : state) {
    // A masked frame is unmasked in place, so that it has to come anew.
    if (role == Role::server) std::memcpy(bytes.data(), original.data(), original.size());
    FrameParser parser(role);
    std::span<char> input = bytes;
    parsed = 0;
    while (true) {
      const Incoming event = parser.next(input);
      if (event.kind != Incoming::Kind::message) break;
      benchmark::DoNotOptimize(event.payload.data());
      ++parsed;
    }
    if (!input.empty()) state.SkipWithError("frames were left");
  }
  count(state, parsed, original.size());
}

void BM_ParseText(benchmark::State& state) {
  parse(state, Role::client, {.opcode = Opcode::text}, price_update());
}
BENCHMARK(BM_ParseText);

void BM_ParseTextNotAscii(benchmark::State& state) {
  std::string text = price_update();
  text.replace(text.find("USDC\","), 4, "\xe2\x82\xac\xc3\xa4");
  parse(state, Role::client, {.opcode = Opcode::text}, text);
}
BENCHMARK(BM_ParseTextNotAscii);

void BM_ParseBinary(benchmark::State& state) {
  parse(state, Role::client, {.opcode = Opcode::binary},
        std::string_view(price_update()).substr(0, 100));
}
BENCHMARK(BM_ParseBinary);

void BM_ParseMaskedText(benchmark::State& state) {
  parse(state, Role::server, {.opcode = Opcode::text, .mask = kKey}, price_update());
}
BENCHMARK(BM_ParseMaskedText);

void BM_Utf8(benchmark::State& state) {
  const std::string text(static_cast<std::size_t>(state.range(0)), 'a');
  for (auto _ : state) benchmark::DoNotOptimize(is_utf8(text));
  count(state, 1, text.size());
}
BENCHMARK(BM_Utf8)->ArgName("bytes")->Arg(16)->Arg(159)->Arg(4096);

void BM_Mask(benchmark::State& state) {
  std::string text(static_cast<std::size_t>(state.range(0)), 'a');
  for (auto _ : state) {
    mask(text, kKey);
    benchmark::ClobberMemory();
  }
  count(state, 1, text.size());
}
BENCHMARK(BM_Mask)->ArgName("bytes")->Arg(16)->Arg(159)->Arg(4096);

void BM_WriteHeader(benchmark::State& state) {
  char out[kFrameHeaderBytesMax];
  std::size_t bytes = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    benchmark::DoNotOptimize(bytes);
    benchmark::DoNotOptimize(write_header({.opcode = Opcode::text}, bytes, out));
    benchmark::ClobberMemory();
  }
  count(state, 1, bytes);
}
BENCHMARK(BM_WriteHeader)->ArgName("bytes")->Arg(100)->Arg(159)->Arg(70000);

void BM_SealMasked(benchmark::State& state) {
  std::string block = std::string(kFrameHeaderBytesMax, '\0') + price_update();
  MaskKeys keys;
  for (auto _ : state) {
    const auto frame = seal_frame({.opcode = Opcode::text, .mask = keys.next()},
                                  std::span<char>(block).subspan(kFrameHeaderBytesMax));
    benchmark::DoNotOptimize(frame.data());
    benchmark::ClobberMemory();
  }
  count(state, 1, price_update().size());
}
BENCHMARK(BM_SealMasked);

void BM_MaskKeys(benchmark::State& state) {
  MaskKeys keys;
  for (auto _ : state) benchmark::DoNotOptimize(keys.next());
  count(state, 1, sizeof(MaskKey));
}
BENCHMARK(BM_MaskKeys);

}  // namespace
}  // namespace stratwire::transport
