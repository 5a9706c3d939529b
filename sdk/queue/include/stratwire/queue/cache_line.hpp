/// How far apart variables of different threads are kept.
#pragma once

#include <cstddef>

namespace stratwire::queue {

/// Two cache lines: the adjacent-line prefetcher of x86 pulls lines in pairs, so that indices which
/// are only 64 bytes apart still travel together (round trip 5 times as long, bench/queue). A
/// constant of our own, because std::hardware_destructive_interference_size varies with flags and
/// would make the layout depend on them.
inline constexpr std::size_t kIsolationBytes = 128;

}  // namespace stratwire::queue
