/// What the end-to-end benches share: pinned threads, a blocking-free upgrade, figures of rounds.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <pthread.h>
#include <sched.h>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <stratwire/transport/handshake.hpp>
#include <stratwire/transport/listener.hpp>
#include <stratwire/transport/socket.hpp>

namespace stratwire::bench {

[[noreturn]] inline void die(const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  std::exit(1);
}

/// The calling thread runs on this core from now on, as far as the machine has so many.
inline void pin(unsigned core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core % std::max(1U, std::thread::hardware_concurrency()), &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

/// Middle of the rounds; `values` is reordered.
inline double median(std::vector<double>& values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}
inline double percentile(std::vector<double>& sorted, double percent) {
  if (sorted.empty()) return 0;
  const auto rank = static_cast<std::size_t>(percent / 100 * static_cast<double>(sorted.size()));
  return sorted[std::min(rank, sorted.size() - 1)];
}

/// `--name VALUE`, or `other`. What this program does not know is left to the programs that do.
inline double option(int argc, char** argv, std::string_view name, double other) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (argv[i] != name) continue;
    const std::string_view text{argv[i + 1]};
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value <= 0) {
      die(std::string{name} + " takes a number above 0, not '" + argv[i + 1] + "'");
    }
    return value;
  }
  return other;
}

/// Waits on this core for a connection; nothing else does.
inline transport::Socket accept_one(transport::Listener& listener) {
  for (;;) {
    auto accepted = listener.accept();
    if (accepted.status == transport::AcceptStatus::ok) return std::move(accepted.socket);
    sched_yield();
  }
}

/// Answers the upgrade with the subprotocol that was offered.
inline void upgrade(transport::Socket& socket) {
  transport::ServerHandshake handshake;
  std::array<char, 4096> head;
  for (;;) {
    const auto got = socket.read_some(head);
    if (got.status == transport::IoStatus::would_block) {
      sched_yield();
      continue;
    }
    if (got.status != transport::IoStatus::ok) die("the client went away in its upgrade");
    std::span<const char> input(head.data(), got.bytes);
    if (handshake.feed(input) == transport::ServerHandshake::Step::upgrade) break;
  }
  const auto& offered = handshake.subprotocols();
  const std::string answer = handshake.accept(offered.empty() ? std::string{} : offered.front());
  static_cast<void>(socket.write_some(std::span<const char>(answer)));
}

}  // namespace stratwire::bench
