#include <limits>

#include <stratwire/session/clock_offset.hpp>

namespace stratwire::session {
namespace {

// A difference of two times that a peer chose: it may be anything.
std::optional<std::int64_t> difference(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t out = 0;
  if (__builtin_sub_overflow(a, b, &out)) return std::nullopt;
  return out;
}

// Beyond that a clock is not set; it also keeps every sum below far from the end of the type.
constexpr std::int64_t kOffsetMax = std::numeric_limits<std::int64_t>::max() / 8;

bool sane(std::optional<std::int64_t> ns) noexcept {
  return ns && *ns <= kOffsetMax && *ns >= -kOffsetMax;
}

}  // namespace

bool ClockOffset::add(Instant now, const ClockSample& sample) noexcept {
  if (sample.t2 == 0 || sample.t3 == 0) return false;
  const auto out = difference(sample.t2, sample.t1);
  const auto back = difference(sample.t3, sample.t4);
  if (!sane(out) || !sane(back)) return false;
  const std::int64_t delay = *out - *back;
  if (delay < 0 || sample.t3 < sample.t2) return false;
  const Entry entry{now, Duration{(*out + *back) / 2}, Duration{delay / 2 + delay % 2}};

  if (const Entry* const known = best(now)) {
    const Duration apart =
        entry.offset > known->offset ? entry.offset - known->offset : known->offset - entry.offset;
    if (apart > entry.half_trip + error_of(*known, now)) size_ = 0;
  }
  if (size_ == 0) next_ = 0;
  entries_[next_] = entry;
  next_ = (next_ + 1) % kSamplesMax;
  if (size_ < kSamplesMax) ++size_;
  return true;
}

std::optional<ClockOffset::Estimate> ClockOffset::estimate(Instant now) const noexcept {
  const Entry* const entry = best(now);
  if (entry == nullptr) return std::nullopt;
  return Estimate{entry->offset, error_of(*entry, now)};
}

std::optional<Duration> ClockOffset::latency(Instant now, Span span) const noexcept {
  const auto known = estimate(now);
  const auto apparent = difference(span.local_time, span.server_time);
  if (!known || !sane(apparent)) return std::nullopt;
  const Duration latency = Duration{*apparent} + known->offset;
  if (latency <= known->error) return std::nullopt;
  return latency;
}

Duration ClockOffset::error_of(const Entry& entry, Instant now) noexcept {
  return entry.half_trip + (now - entry.taken_at) / 1'000'000 * kDriftPerMillion;
}

const ClockOffset::Entry* ClockOffset::best(Instant now) const noexcept {
  const Entry* found = nullptr;
  for (std::size_t i = 0; i < size_; ++i) {
    if (found == nullptr || error_of(entries_[i], now) < error_of(*found, now)) {
      found = &entries_[i];
    }
  }
  return found;
}

}  // namespace stratwire::session
