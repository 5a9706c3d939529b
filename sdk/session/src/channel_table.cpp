#include <algorithm>

#include <stratwire/session/channel_table.hpp>

namespace stratwire::session {
namespace {

constexpr std::size_t kSlotsAtFirst = 64;
constexpr std::size_t kBlockBytes = 4096;

}  // namespace

ChannelTable::ChannelTable() : slots_(kSlotsAtFirst), mask_(kSlotsAtFirst - 1) {}

Cursor& ChannelTable::intern(std::string_view channel) {
  const std::uint64_t hashed = hash(channel);
  if (Cursor* const found = find(channel, hashed)) return *found;
  // At most a quarter full: a second look costs more than a slot (mispredicted, 5 ns).
  if ((cursors_.size() + 1) * 4 > slots_.size()) grow();
  Cursor& cursor = cursors_.emplace_back();
  cursor.channel = keep(channel);
  place(hashed, cursor);
  return cursor;
}

void ChannelTable::place(std::uint64_t hashed, Cursor& cursor) noexcept {
  std::size_t at = hashed & mask_;
  while (slots_[at].cursor != nullptr) at = (at + 1) & mask_;
  slots_[at] = {hashed, &cursor};
}

void ChannelTable::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  mask_ = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.cursor != nullptr) place(slot.hash, *slot.cursor);
  }
}

std::string_view ChannelTable::keep(std::string_view channel) {
  if (channel.empty()) return {};
  if (block_left_ < channel.size()) {
    const std::size_t bytes = std::max(kBlockBytes, channel.size());
    blocks_.push_back(std::make_unique<char[]>(bytes));
    block_left_ = bytes;
  }
  // The block is filled from its end, so that what is left says where.
  block_left_ -= channel.size();
  char* const at = blocks_.back().get() + block_left_;
  std::memcpy(at, channel.data(), channel.size());
  return {at, channel.size()};
}

}  // namespace stratwire::session
