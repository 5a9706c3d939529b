#include "hub_link.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <sched.h>
#include <span>
#include <utility>

#include <stratwire/limits.hpp>

#include "shard.hpp"

namespace stratwire::server {
namespace {

constexpr std::size_t kRingBytes = 8 << 20;
constexpr std::size_t kFrameBytesMax = limits::kClientMessageBytesMax + 1024;

/// What lies in the ring; a frame's bytes follow it.
struct Record {
  enum class Kind : std::uint8_t { frame, interest, go_away, close_all };
  Kind kind = Kind::frame;
  Frame frame{};
  InterestChange* interest = nullptr;  ///< Owned by the record.
};

const Record& record_at(std::span<char> bytes) {
  return *std::launder(reinterpret_cast<const Record*>(bytes.data()));
}

}  // namespace

HubLink::HubLink(ShardFigures& figures, std::function<void()> wake)
    : figures_(figures), wake_(std::move(wake)), ring_(kRingBytes) {}

HubLink::~HubLink() {
  ring_.publish();
  for (std::span<char> bytes = ring_.front(); !bytes.empty(); bytes = ring_.front()) {
    delete record_at(bytes).interest;
    ring_.pop();
  }
}

bool HubLink::has_room() noexcept {
  return ring_.try_reserve(2 * (sizeof(Record) + kFrameBytesMax)) != nullptr;
}

void HubLink::forward(const Frame& frame) {
  char* const at = ring_.try_reserve(sizeof(Record) + frame.bytes.size());
  if (at == nullptr) std::abort();  // the hub asks has_room() before every message
  new (at) Record{Record::Kind::frame, frame, nullptr};
  std::ranges::copy(frame.bytes, at + sizeof(Record));
  ring_.commit();
  unpublished_ = true;
  // release: pairs with the acquire in ShardFigures::lag().
  figures_.ring_bytes.fetch_add(frame.bytes.size(), std::memory_order_release);
}

void HubLink::forward(std::unique_ptr<InterestChange> change) {
  new (reserve(sizeof(Record))) Record{Record::Kind::interest, {}, change.release()};
  commit_now();
}

void HubLink::forward_go_away() {
  new (reserve(sizeof(Record))) Record{Record::Kind::go_away, {}, nullptr};
  commit_now();
}

void HubLink::forward_close_all() {
  new (reserve(sizeof(Record))) Record{Record::Kind::close_all, {}, nullptr};
  commit_now();
}

void HubLink::commit_now() {
  ring_.commit();
  unpublished_ = true;
  flush();
}

char* HubLink::reserve(std::size_t bytes) {
  for (;;) {
    if (char* const at = ring_.try_reserve(bytes)) return at;
    // Control plane: waits for room. The other thread never waits for this one, so it comes.
    flush();
    sched_yield();
  }
}

void HubLink::flush() {
  if (!std::exchange(unpublished_, false)) return;
  ring_.publish();
  wake_();
}

void HubLink::drain(Shard& shard, std::size_t limit, Now now) {
  std::size_t handed_on = 0;
  while (handed_on < limit && !shard.has_enough()) {
    const std::span<char> bytes = ring_.front();
    if (bytes.empty()) break;
    const Record& record = record_at(bytes);
    switch (record.kind) {
      case Record::Kind::frame: {
        Frame frame = record.frame;
        frame.bytes = bytes.subspan(sizeof(Record));
        handed_on += frame.bytes.size();
        shard.on_frame(frame);
        break;
      }
      case Record::Kind::interest:
        shard.on_interest(std::unique_ptr<InterestChange>(record.interest), now);
        break;
      case Record::Kind::go_away:
        shard.go_away(now);
        break;
      case Record::Kind::close_all:
        shard.close_all(now);
        break;
    }
    ring_.pop();
  }
  ring_.release();
  drained_bytes_ += handed_on;
}

void HubLink::settle() noexcept {
  if (drained_bytes_ == 0) return;
  // release: pairs with the acquire in ShardFigures::lag(), and comes behind the store of the lag,
  // so that no byte is ever missing from the sum.
  figures_.ring_bytes.fetch_sub(std::exchange(drained_bytes_, 0), std::memory_order_release);
}

}  // namespace stratwire::server
