#include <algorithm>
#include <utility>

#include <stratwire/session/send_buffer.hpp>

namespace stratwire::session {

bool SendBuffer::push(Outgoing message) {
  if (!has_room(message.payload.size())) return false;
  bytes_ += message.payload.size();
  unsent_.push_back(std::move(message));
  return true;
}

void SendBuffer::written(std::uint64_t begins_at) {
  in_flight_.push_back({std::move(unsent_.front()), begins_at});
  unsent_.pop_front();
}

Fate SendBuffer::refuse_next(Errc code) {
  const Fate fate{unsent_.front().user_id, code};
  bytes_ -= unsent_.front().payload.size();
  unsent_.pop_front();
  return fate;
}

std::optional<std::uint64_t> SendBuffer::answered(std::uint64_t wire_id) {
  // Answers come in the order of the requests, so that this looks at the first one only.
  const auto found = std::find_if(in_flight_.begin(), in_flight_.end(), [&](const InFlight& one) {
    return one.message.wire_id == wire_id;
  });
  if (found == in_flight_.end()) return std::nullopt;
  const std::uint64_t user_id = found->message.user_id;
  bytes_ -= found->message.payload.size();
  in_flight_.erase(found);
  return user_id;
}

bool SendBuffer::knows(std::uint64_t wire_id) const noexcept {
  return std::any_of(in_flight_.begin(), in_flight_.end(),
                     [&](const InFlight& one) { return one.message.wire_id == wire_id; });
}

void SendBuffer::drop(const Outgoing& message, Errc code, std::vector<Fate>& fates) {
  bytes_ -= message.payload.size();
  fates.push_back({message.user_id, code});
}

void SendBuffer::lost(std::uint64_t bytes_left, std::vector<Fate>& fates) {
  // From the newest back: what had not left goes before what was never written, order kept.
  while (!in_flight_.empty() && in_flight_.back().begins_at >= bytes_left) {
    unsent_.push_front(std::move(in_flight_.back().message));
    in_flight_.pop_back();
  }
  for (const InFlight& one : in_flight_) drop(one.message, Errc::connection_lost, fates);
  in_flight_.clear();
  if (policy_.kept_offline) return;
  for (const Outgoing& message : unsent_) drop(message, Errc::connection_lost, fates);
  unsent_.clear();
}

void SendBuffer::expire(Instant now, std::vector<Fate>& fates) {
  while (!in_flight_.empty() && now - in_flight_.front().message.sent_at >= policy_.age_max) {
    drop(in_flight_.front().message, Errc::expired, fates);
    in_flight_.pop_front();
  }
  while (!unsent_.empty() && now - unsent_.front().sent_at >= policy_.age_max) {
    drop(unsent_.front(), Errc::expired, fates);
    unsent_.pop_front();
  }
}

void SendBuffer::close(std::vector<Fate>& fates) {
  for (const InFlight& one : in_flight_) drop(one.message, Errc::connection_lost, fates);
  in_flight_.clear();
  for (const Outgoing& message : unsent_) drop(message, Errc::closed, fates);
  unsent_.clear();
}

Instant SendBuffer::next_expiry() const noexcept {
  Instant oldest = kNever;
  if (!in_flight_.empty()) oldest = in_flight_.front().message.sent_at;
  if (!unsent_.empty()) oldest = std::min(oldest, unsent_.front().sent_at);
  return oldest == kNever ? kNever : oldest + policy_.age_max;
}

}  // namespace stratwire::session
