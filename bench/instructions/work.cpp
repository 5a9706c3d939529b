/// Fixed work on fixed data, for callgrind to count its instructions (instructions.py): codecs,
/// queues, frames, the log of a channel, a turn of the hub.
///
/// 1. Each piece of work is done once uncounted, so that nothing is done for the first time in it,
///    then so many times counted, and a dump of the counts is written under its name.
/// 2. Standard output has a line for each: operations, name.
/// 3. No clock, no thread, no address and no random number decides anything: the counts of one
///    program are the same in every run.
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <valgrind/callgrind.h>
#include <vector>

#include <stratwire/codec.hpp>
#include <stratwire/queue/spsc.hpp>
#include <stratwire/queue/spsc_bytes.hpp>
#include <stratwire/session/message_log.hpp>
#include <stratwire/transport/frame.hpp>
#include <stratwire/transport/utf8.hpp>

#include "../hub/hub_rig.hpp"
#include "general_decoder.hpp"
#include "stratwire_internal/queue/mpmc.hpp"

namespace stratwire::bench {
namespace {

/// What is computed is used, as far as the compiler knows.
template <class T>
void use(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

[[noreturn]] void die(const char* what, const char* name) {
  std::fprintf(stderr, "%s: %s\n", name, what);
  std::exit(1);
}

/// `work(i)` is done for i = 0, then for 1 to `times`, which are counted; each is so many
/// operations.
template <class Work>
void count(const char* name, std::size_t times, std::size_t operations, Work work) {
  work(std::size_t{0});
  CALLGRIND_TOGGLE_COLLECT;
  for (std::size_t i = 1; i <= times; ++i) work(i);
  CALLGRIND_TOGGLE_COLLECT;
  CALLGRIND_DUMP_STATS_AT(name);
  std::printf("%zu %s\n", times * operations, name);
}

// ---- Codecs

constexpr std::string_view kMint = "So11111111111111111111111111111111111111112";
constexpr std::string_view kOtherMint = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";

/// Numbers of different lengths, as feeds have them.
PriceUpdate price_update(std::size_t i) {
  constexpr std::array<double, 8> kPrices = {142.3317, 0.00001234, 98.5,       101'234.56,
                                             1.0,      7.654321,   0.33333333, 250};
  return {kMint, kOtherMint, kPrices[i % kPrices.size()], 12 + 977 * i,
          1'732'094'400'123'456'789 + static_cast<std::int64_t>(i)};
}

std::vector<Message> kinds() {
  const Envelope envelope{"prices:SOL-USDC", 1051};
  return {
      {envelope, AccountUpdate{kMint, 2'039'280, 301'234'567, 1'732'094'400'123'456'789}},
      {{"trades:SOL-USDC", 12},
       Event{"Trade", {Codec::json, R"({"side":"buy","price":142.3,"size":3})"}}},
      {envelope, Gap{1'732'094'399'000'000, 1052, 1060, Gap::Reason::conflated}},
      {{}, Subscribe{{"prices:SOL-USDC", "accounts:*"}, 1}},
      {{}, Ping{1'732'094'400'123'456'789}},
      {{}, Publish{3, "prices:SOL-USDC", price_update(0)}},
      {{}, Published{3, Errc::ok, {}}},
      {{{}, 7}, Request{3, 250, price_update(0)}},
      {{{}, 7}, Reply{3, Errc::ok, {}, price_update(0)}},
      {{}, Heartbeat{1'732'094'401'123'456'789, {{"accounts:9xQeWvG816bUx9EP", 8}}}},
  };
}
constexpr std::array kKindNames = {"AccountUpdate", "Event",    "Gap",       "Subscribe",
                                   "Ping",          "Publish",  "Published", "Request",
                                   "Reply",         "Heartbeat"};

void codec(Codec codec, const std::string& prefix) {
  constexpr std::size_t kTimes = 2000;
  constexpr std::size_t kInputs = 64;
  const Envelope envelope{"prices:SOL-USDC", 1051};
  std::array<char, 2048> out{};
  std::vector<std::string> inputs(kInputs);
  for (std::size_t i = 0; i < kInputs; ++i) {
    encode(codec, Message{envelope, price_update(i)}, inputs[i]).value();
  }
  count((prefix + " encode PriceUpdate").c_str(), kTimes, 1, [&](std::size_t i) {
    if (!encode(codec, envelope, price_update(i), std::span<char>(out))) die("refused", "encode");
    use(out.data());
  });
  Decoder decoder(codec);
  Message message;
  count((prefix + " decode PriceUpdate").c_str(), kTimes, 1, [&](std::size_t i) {
    if (!decoder.decode(inputs[i % kInputs], message)) die("refused", "decode");
    use(message);
  });
  detail::GeneralDecoder general(codec);
  count((prefix + " decode PriceUpdate, members in any order").c_str(), kTimes, 1,
        [&](std::size_t i) {
          if (general.decode(inputs[i % kInputs], message)) die("refused", "general decoder");
          use(message);
        });
  const std::vector<Message> others = kinds();
  for (std::size_t kind = 0; kind < others.size(); ++kind) {
    std::string text;
    count((prefix + " encode " + kKindNames[kind]).c_str(), kTimes, 1, [&](std::size_t) {
      text.clear();
      if (!encode(codec, others[kind], text)) die("refused", "encode");
      use(text.data());
    });
    count((prefix + " decode " + kKindNames[kind]).c_str(), kTimes, 1, [&](std::size_t) {
      if (!decoder.decode(text, message)) die("refused", "decode");
      use(message);
    });
  }
}

// ---- Queues

using Item = std::array<std::uint64_t, 8>;
constexpr std::size_t kCapacity = 4096;
constexpr std::size_t kBatch = 32;

void queues() {
  constexpr std::size_t kTimes = 10'000;
  const auto spsc = std::make_unique<queue::Spsc<Item>>(kCapacity);
  Item item{};
  count("Spsc push and pop, 64 bytes", kTimes, 1, [&](std::size_t i) {
    item[0] = i;
    if (!spsc->try_push(item) || !spsc->try_pop(item)) die("full or empty", "Spsc");
  });
  const std::array<Item, kBatch> sent{};
  std::array<Item, kBatch> taken{};
  count("Spsc push and pop of 32, each", kTimes / kBatch, kBatch, [&](std::size_t) {
    Item* out = taken.data();
    if (spsc->try_push_batch(std::span(sent)) != kBatch ||
        spsc->pop_batch([&out](const Item& one) noexcept { *out++ = one; }, kBatch) != kBatch) {
      die("full or empty", "Spsc");
    }
    use(taken);
  });
  queue::SpscBytes bytes{kCapacity * (sizeof(Item) + queue::SpscBytes::kHeaderBytes)};
  count("SpscBytes push and pop of 32, each", kTimes / kBatch, kBatch, [&](std::size_t) {
    for (const Item& one : sent) {
      char* const memory = bytes.try_reserve(sizeof(Item));
      if (memory == nullptr) die("full", "SpscBytes");
      std::memcpy(memory, &one, sizeof one);
      bytes.commit();
    }
    bytes.publish();
    Item* out = taken.data();
    const auto take = [&out](std::span<char> record) noexcept {
      std::memcpy(out++, record.data(), sizeof(Item));
    };
    if (bytes.pop_batch(take, kBatch) != kBatch) die("empty", "SpscBytes");
    use(taken);
  });
  queue::Mpmc<Item> mpmc({.capacity = kCapacity, .producers = 1, .threads = 1});
  queue::Mpmc<Item>::Producer producer(mpmc);
  queue::Mpmc<Item>::Consumer consumer(mpmc);
  count("Mpmc push and pop, 64 bytes", kTimes, 1, [&](std::size_t i) {
    item[0] = i;
    if (!mpmc.try_push(producer, item) || mpmc.pop_batch(consumer, std::span(&item, 1)) != 1) {
      die("full or empty", "Mpmc");
    }
  });
  count("Mpmc push and pop of 32, each", kTimes / kBatch, kBatch, [&](std::size_t) {
    if (!mpmc.try_push_batch(producer, std::span(taken)) ||
        mpmc.pop_batch(consumer, std::span(taken)) != kBatch) {
      die("full or empty", "Mpmc");
    }
  });
}

// ---- Frames

constexpr transport::MaskKey kKey = {'\x37', '\xfa', '\x21', '\x3d'};
constexpr std::size_t kFrames = 400;

std::string price_text() {
  std::string text;
  encode(Codec::json, Message{{"prices:SOL-USDC", 1051}, price_update(0)}, text).value();
  return text;
}

void parse(const char* name, transport::Role role, const transport::FrameHead& head,
           std::string_view payload) {
  constexpr std::size_t kTimes = 8;
  std::string original;
  for (std::size_t i = 0; i < kFrames; ++i) transport::append_frame(original, head, payload);
  // What is masked is unmasked in place, so that each time has its own.
  std::vector<std::string> inputs(kTimes + 1, original);
  count(name, kTimes, kFrames, [&](std::size_t i) {
    transport::FrameParser parser(role);
    std::span<char> input = inputs[i];
    std::size_t parsed = 0;
    while (parser.next(input).kind == transport::Incoming::Kind::message) ++parsed;
    if (parsed != kFrames) die("frames were left", "parse");
  });
}

void frames() {
  using transport::Opcode;
  using transport::Role;
  constexpr std::size_t kTimes = 2000;
  const std::string text = price_text();
  std::string not_ascii = text;
  not_ascii.replace(not_ascii.find(kMint), 4, "\xe2\x82\xac\xc3");
  not_ascii.replace(not_ascii.find("\xc3") + 1, 1, "\xa4");
  parse("frame parse, text", Role::client, {.opcode = Opcode::text}, text);
  parse("frame parse, text that is not ASCII", Role::client, {.opcode = Opcode::text}, not_ascii);
  parse("frame parse, binary", Role::client, {.opcode = Opcode::binary}, text);
  parse("frame parse, masked text", Role::server, {.opcode = Opcode::text, .mask = kKey}, text);
  parse("frame parse, masked binary", Role::server, {.opcode = Opcode::binary, .mask = kKey}, text);
  std::string block = std::string(transport::kFrameHeaderBytesMax, '\0') + text;
  const std::span<char> payload = std::span<char>(block).subspan(transport::kFrameHeaderBytesMax);
  count("frame seal", kTimes, 1,
        [&](std::size_t) { use(transport::seal_frame({.opcode = Opcode::text}, payload).data()); });
  count("frame seal, masked", kTimes, 1, [&](std::size_t) {
    use(transport::seal_frame({.opcode = Opcode::text, .mask = kKey}, payload).data());
  });
  std::string out;
  count("frame append", kTimes, 1, [&](std::size_t) {
    out.clear();
    transport::append_frame(out, {.opcode = Opcode::text}, text);
    use(out.data());
  });
  const std::string long_text(4096, 'a');
  count("UTF-8 check of 4096 bytes, ASCII", kTimes, 1,
        [&](std::size_t) { use(transport::is_utf8(long_text)); });
  count("UTF-8 check of a message, not ASCII", kTimes, 1,
        [&](std::size_t) { use(transport::is_utf8(not_ascii)); });
}

// ---- Log and hub

void message_log() {
  using namespace std::chrono_literals;
  constexpr std::size_t kTimes = 5000;
  constexpr std::size_t kRecordBytes = 130;
  const std::string record(kRecordBytes, 'x');
  session::MessageLog log(session::LogLimits{});
  session::Instant now{1h};
  std::uint64_t position = 0;
  const auto append = [&](std::size_t) {
    now += 1us;
    use(log.append(++position, now, record));
  };
  // Full, so that each append pushes out the oldest one.
  for (std::size_t i = 0; i < 20'000; ++i) append(i);
  count("MessageLog append, full", kTimes, 1, append);
  count("MessageLog record", kTimes, 1,
        [&](std::size_t i) { use(log.record(log.first() + i % 1000)->bytes.data()[0]); });
}

void hub(const char* name, std::size_t connections, std::size_t messages, server::HubRig::Way way) {
  constexpr std::size_t kTimes = 100;
  server::HubRig rig(1, connections);
  count(name, kTimes, messages, [&](std::size_t) { rig.turn(messages, way); });
}

void all() {
  codec(Codec::json, "JSON");
  codec(Codec::msgpack, "MessagePack");
  queues();
  frames();
  message_log();
  using Way = server::HubRig::Way;
  hub("hub, publish to send, 1 connection, turn of 64", 1, 64, Way::past_inbox);
  hub("hub, publish to send through the inbox, 1 connection, turn of 64", 1, 64, Way::inbox);
  hub("hub, publish to send, 100 connections, turn of 1", 100, 1, Way::past_inbox);
}

}  // namespace
}  // namespace stratwire::bench

int main() {
  if (RUNNING_ON_VALGRIND == 0) {
    std::fprintf(stderr, "run it by bench_instructions, or under valgrind --tool=callgrind\n");
    return 2;
  }
  stratwire::bench::all();
  return 0;
}
