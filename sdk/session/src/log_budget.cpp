#include <algorithm>

#include <stratwire/session/log_budget.hpp>
#include <stratwire/session/message_log.hpp>

namespace stratwire::session {

void LogBudget::evict_older_than(Instant now, std::size_t logs_max) noexcept {
  for (std::size_t left = std::min(logs_max, logs_); left != 0 && aging_ != nullptr; --left) {
    MessageLog& log = *aging_;
    aging_ = log.next_;  // Before the call, which may unlink it.
    log.evict_older_than(now);
  }
}

bool LogBudget::allow(const MessageLog& log, std::size_t more) noexcept {
  const auto fits = [&] { return bytes_ <= bytes_max_ && more <= bytes_max_ - bytes_; };
  if (fits()) return true;
  const std::size_t has = log.allocated_bytes();
  const std::size_t share = bytes_max_ / (has == 0 ? logs_ + 1 : logs_);
  if (has + more > share) return false;
  for (std::size_t left = std::min(kLooksMax, logs_); left != 0 && giving_ != nullptr; --left) {
    MessageLog& other = *giving_;
    giving_ = other.next_;  // Before the call, which may unlink it.
    const std::size_t memory = other.allocated_bytes();
    if (memory <= share) continue;  // `log` itself never has more.
    // An eighth or more, because giving up means to move everything that stays.
    const std::size_t missing = bytes_ + more - bytes_max_;
    other.give_up(memory - std::max(memory / 8, std::min(missing, memory - share)));
    if (fits()) return true;
  }
  return false;
}

void LogBudget::account(MessageLog& log, std::size_t before, std::size_t after) noexcept {
  bytes_ = bytes_ - before + after;
  if (before == 0 && after != 0) link(log);
  if (before != 0 && after == 0) unlink(log);
}

void LogBudget::link(MessageLog& log) noexcept {
  if (logs_++ == 0) {
    log.next_ = log.prev_ = giving_ = aging_ = &log;
    return;
  }
  log.next_ = giving_;
  log.prev_ = giving_->prev_;
  log.prev_->next_ = log.next_->prev_ = &log;
}

void LogBudget::unlink(MessageLog& log) noexcept {
  MessageLog* const next = --logs_ == 0 ? nullptr : log.next_;
  if (giving_ == &log) giving_ = next;
  if (aging_ == &log) aging_ = next;
  log.prev_->next_ = log.next_;
  log.next_->prev_ = log.prev_;
  log.next_ = log.prev_ = nullptr;
}

}  // namespace stratwire::session
