#include "ring.hpp"

#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>
#include <variant>

#include <stratwire/owned.hpp>

namespace stratwire::client {
namespace {

static_assert(std::is_trivially_copyable_v<Delivery> && std::is_trivially_destructible_v<Delivery>,
              "records are given back without a destructor");
static_assert(alignof(Delivery) <= queue::SpscBytes::kRecordAlignment);

// The texts of the body; Gap and notices have none that are not theirs.
template <class Body, class Visit>
void for_each_text_of(Body& body, Visit&& visit) {
  if constexpr (detail::HasTexts<Body>) detail::for_each_text(body, visit);
}

}  // namespace

DeliveryRing::~DeliveryRing() {
  while (next() != nullptr) {
  }
}

bool DeliveryRing::try_push(const Delivery& delivery) {
  // Straight-line for the common cases: the compiler unrolls two texts, not a loop over a variant.
  return std::visit(
      [&](const auto& body) {
        using Body = std::remove_cvref_t<decltype(body)>;
        if constexpr (std::is_same_v<Body, const Notice*>) {
          char* const record = ring_.try_reserve(sizeof(Delivery));
          if (record == nullptr) return false;
          auto notice = std::make_unique<Notice>(*body);
          auto* const copy = new (record) Delivery(delivery);
          copy->body = static_cast<const Notice*>(notice.release());
        } else {
          Body copied = body;
          std::size_t bytes = sizeof(Delivery);
          for_each_text_of(copied, [&](std::string_view& text) { bytes += text.size(); });
          char* const record = ring_.try_reserve(bytes);
          if (record == nullptr) return false;
          char* at = record + sizeof(Delivery);
          for_each_text_of(copied, [&](std::string_view& text) {
            std::memcpy(at, text.data(), text.size());
            text = {at, text.size()};
            at += text.size();
          });
          new (record) Delivery{delivery.envelope, delivery.epoch, delivery.received_at, copied};
        }
        ring_.commit();
        return true;
      },
      delivery.body);
}

void DeliveryRing::step_over() noexcept {
  if (current_ == nullptr) return;
  if (const auto* notice = std::get_if<const Notice*>(&current_->body)) delete *notice;
  current_ = nullptr;
  ring_.pop();
}

void DeliveryRing::release() noexcept {
  ring_.release();
  held_bytes_ = 0;
  released_ = true;
}

const Delivery* DeliveryRing::next() noexcept {
  step_over();
  const std::span<char> record = ring_.front();
  if (record.empty()) {
    if (held_bytes_ != 0) release();
    return nullptr;
  }
  // Giving back in large pieces: one store for hundreds of records instead of one for each.
  if (held_bytes_ > ring_.capacity_bytes() / 8) release();
  held_bytes_ += record.size();
  current_ = std::launder(reinterpret_cast<const Delivery*>(record.data()));
  return current_;
}

bool DeliveryRing::empty() noexcept {
  return ring_.empty();
}

bool DeliveryRing::made_room() noexcept {
  return std::exchange(released_, false) && starved_.take();
}

}  // namespace stratwire::client
