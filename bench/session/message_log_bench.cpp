/// What it costs to keep a message for those who ask again for it, beside the memcpy that is the
/// least.
///
/// The log is full when it is measured: each append pushes out the oldest record. In `channels:N`
/// the appends go to N logs in turn, so that each finds its log out of the near caches. Run with
///   bench_session --benchmark_repetitions=9 --benchmark_enable_random_interleaving=true
///                 --benchmark_report_aggregates_only=true
#include <array>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include <benchmark/benchmark.h>

#include <stratwire/session/log_budget.hpp>
#include <stratwire/session/message_log.hpp>

namespace {

using stratwire::session::Instant;
using stratwire::session::KeepLatest;
using stratwire::session::LogBudget;
using stratwire::session::LogLimits;
using stratwire::session::MessageLog;
using namespace std::chrono_literals;

constexpr std::size_t kRecordBytes = 130;  // A PriceUpdate in MessagePack.

struct Feed {
  std::string record = std::string(kRecordBytes, 'x');
  std::uint64_t position = 0;
  Instant now{1h};

  void append_to(MessageLog& log) {
    now += 1us;
    benchmark::DoNotOptimize(log.append(++position, now, record));
  }
};

/// The same ring without a log: nothing but the copy.
void BM_Memcpy(benchmark::State& state) {
  constexpr std::size_t kRing = std::size_t{4096} * kRecordBytes;
  const auto ring = std::make_unique<std::array<char, kRing>>();
  std::string record(kRecordBytes, 'x');
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(record.data());
    std::memcpy(ring->data() + at, record.data(), record.size());
    at = at + kRecordBytes == kRing ? 0 : at + kRecordBytes;
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_Memcpy);

void append(benchmark::State& state, LogLimits limits) {
  MessageLog log(limits);
  Feed feed;
  for (int i = 0; i < 20'000; ++i) feed.append_to(log);
  for (auto _ : state) feed.append_to(log);
}
BENCHMARK_CAPTURE(append, messages_max, LogLimits{})->Name("BM_MessageLog_Append/full:messages");
BENCHMARK_CAPTURE(append, bytes_max, LogLimits{.bytes_max = 100'000})
    ->Name("BM_MessageLog_Append/full:bytes");
BENCHMARK_CAPTURE(append, age_max, LogLimits{.age_max = 1ms})
    ->Name("BM_MessageLog_Append/full:age");

void append_over_budget(benchmark::State& state) {
  LogBudget budget(100'000);
  MessageLog log({}, KeepLatest::no, &budget);
  Feed feed;
  for (int i = 0; i < 20'000; ++i) feed.append_to(log);
  for (auto _ : state) feed.append_to(log);
}
BENCHMARK(append_over_budget)->Name("BM_MessageLog_Append/full:budget");

void append_to_many(benchmark::State& state) {
  LogBudget budget(std::size_t{256} << 20);
  std::deque<MessageLog> logs;
  for (int i = 0; i < state.range(0); ++i) {
    logs.emplace_back(LogLimits{.messages_max = 64}, KeepLatest::no, &budget);
  }
  Feed feed;
  for (int i = 0; i < 65; ++i) {
    for (MessageLog& log : logs) feed.append_to(log);
  }
  auto next = logs.begin();
  for (auto _ : state) {
    feed.append_to(*next);
    if (++next == logs.end()) next = logs.begin();
  }
}
BENCHMARK(append_to_many)->Name("BM_MessageLog_Append/channels")->Arg(1'000)->Arg(20'000);

void replay(benchmark::State& state) {
  MessageLog log({});
  Feed feed;
  for (int i = 0; i < 20'000; ++i) feed.append_to(log);
  std::uint64_t seq = log.first();
  for (auto _ : state) {
    const auto record = log.record(seq);
    benchmark::DoNotOptimize(record->bytes.data()[0]);
    seq = seq == log.head() ? log.first() : seq + 1;
  }
}
BENCHMARK(replay)->Name("BM_MessageLog_Record");

void first_after(benchmark::State& state) {
  MessageLog log({});
  Feed feed;
  for (int i = 0; i < 20'000; ++i) feed.append_to(log);
  std::uint64_t position = feed.position;
  for (auto _ : state) {
    position = position * 6364136223846793005u + 1442695040888963407u;
    benchmark::DoNotOptimize(log.first_after(feed.position - (position >> 52)));
  }
}
BENCHMARK(first_after)->Name("BM_MessageLog_FirstAfter/log:4096");

}  // namespace
