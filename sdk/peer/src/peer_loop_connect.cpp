// From a URL, or from somebody who connects, to the link.

#include <algorithm>
#include <utility>

#include <stratwire/telemetry/clock.hpp>

#include "peer_loop.hpp"
#include "settings.hpp"

namespace stratwire::peer {
namespace {

// Whoever connects and says nothing is dropped for one that comes later.
constexpr std::size_t kCandidatesMax = 8;
constexpr Duration kAcceptEvery = std::chrono::milliseconds{1};

}  // namespace

bool PeerLoop::get_on_with_connecting() {
  using Status = transport::Connector::Status;
  switch (connector_.poll()) {
    case Status::idle:
    case Status::pending:
      return false;
    case Status::failed: {
      const transport::Error& error = connector_.error();
      const bool refused = error.code == transport::Errc::connect_failed;
      session_.try_failed(now_, translate(error),
                          refused ? session::Loss::refused : session::Loss::ordinary);
      connector_.cancel();
      return true;
    }
    case Status::connected:
      break;
  }
  add_candidate(std::make_unique<Candidate>(candidate_settings(), connector_.take_socket(), url_));
  return true;
}

bool PeerLoop::accept() {
  if (!listener_ || now_ < accept_at_) return false;
  accept_at_ = now_ + kAcceptEvery;
  bool busy = false;
  for (std::size_t i = 0; i < kCandidatesMax; ++i) {
    transport::AcceptResult accepted = listener_->accept();
    if (accepted.status != transport::AcceptStatus::ok) break;
    add_candidate(std::make_unique<Candidate>(candidate_settings(), std::move(accepted.socket)));
    busy = true;
  }
  return busy;
}

CandidateSettings PeerLoop::candidate_settings() {
  CandidateSettings settings;
  settings.codec = config_.codec;
  settings.message_bytes_max = config_.message_bytes_max;
  settings.number = ++candidates_seen_;
  // The session watches over a try of its own.
  settings.until = listener_ ? now_ + limits::kHandshakeTimeout : session::kNever;
  // validate() has tried it with this name.
  static_cast<void>(encode(config_.codec, {{}, session_.hello()}, settings.hello));
  return settings;
}

void PeerLoop::add_candidate(std::unique_ptr<Candidate> candidate) {
  if (candidates_.size() == kCandidatesMax) {
    unwatch(candidates_.front()->fd());
    candidates_.erase(candidates_.begin());
  }
  candidates_.push_back(std::move(candidate));
}

bool PeerLoop::step_candidates() {
  bool busy = false;
  for (std::size_t i = 0; i < candidates_.size();) {
    const Candidate::Status status = candidates_[i]->step(now_);
    if (status == Candidate::Status::waiting) {
      ++i;
      continue;
    }
    busy = true;
    const std::unique_ptr<Candidate> candidate = std::move(candidates_[i]);
    candidates_.erase(candidates_.begin() + static_cast<std::ptrdiff_t>(i));
    if (candidate->fd() >= 0) unwatch(candidate->fd());
    if (status == Candidate::Status::met) {
      met(*candidate);
    } else {
      failed(*candidate);
    }
  }
  return busy;
}

void PeerLoop::met(Candidate& candidate) {
  const session::PeerMeeting meeting = session_.meet(now_, candidate.number(), candidate.hello());
  auto connection = candidate.take_connection();
  if (meeting.answer == session::PeerMeeting::Answer::refused) {
    std::string farewell =
        connection->take_farewell(transport::CloseCode{meeting.code}, meeting.reason);
    part(connection->release(), std::move(farewell));
    return;
  }
  if (meeting.code != 0) part_link(meeting.code, meeting.reason);
  link_ = std::move(connection);
  received_at_ = telemetry::wall_ns();
}

void PeerLoop::failed(Candidate& candidate) {
  if (std::string farewell = candidate.take_farewell(); !farewell.empty()) {
    part(candidate.take_socket(), std::move(farewell));
  }
  // Of a side that listens nobody need know: whoever it was comes again.
  if (!listener_) session_.try_failed(now_, candidate.error(), candidate.loss());
}

void PeerLoop::stop_listening() {
  if (listener_ && listener_->fd() >= 0) {
    unwatch(listener_->fd());
    listener_->close();
  }
  for (auto& candidate : candidates_) unwatch(candidate->fd());
  candidates_.clear();
}

}  // namespace stratwire::peer
