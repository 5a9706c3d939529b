/// How far apart variables of different threads are kept.
#pragma once

#include <cstddef>

namespace stratwire::queue {

/// Two cache lines: where the adjacent-line prefetcher pulls lines in pairs, indices that are only
/// 64 bytes apart still travel together, and a round trip takes up to 5 times as long (AMD Zen 5;
/// no difference on Intel Sapphire Rapids; BM_BareRing64 and BM_BareRing128 in bench/queue tell). A
/// constant of our own, because std::hardware_destructive_interference_size varies with flags and
/// would make the layout depend on them.
inline constexpr std::size_t kIsolationBytes = 128;

}  // namespace stratwire::queue
