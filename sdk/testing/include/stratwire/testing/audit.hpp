/// A judge that reads what a client hands over.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include <stratwire/client.hpp>
#include <stratwire/message.hpp>
#include <stratwire/testing/delivery_oracle.hpp>

namespace stratwire::testing {

/// One number for a whole message, for a PublishedLedger and a DeliveryOracle: the same at both
/// ends, whatever the codec between them.
[[nodiscard]] std::uint64_t content_of(const DataMessage& message);

/// A DeliveryOracle for everything that one client hands over.
///
/// Give it each Delivery, in order, and at the end the ledger of what was published:
/// `client.poll([&](const Delivery& d) noexcept { audit.take(d); strategy.take(d); })`.
///
/// \thread one thread at a time
class Audit {
 public:
  /// \cost a hash of the message, and an entry for each of its channel
  void take(const Delivery& delivery);

  /// The channel begins behind this message: a strategy that goes on from a stored ResumePoint.
  /// Without this it begins behind the head that its first Subscribed result names.
  void begins_after(std::string_view channel, std::uint64_t seq);
  /// The channel begins with whatever comes first: Start::latest.
  void begins_anywhere(std::string_view channel);

  /// What was broken, a line each; empty when every message that was published since the channel
  /// began was handed over once, in order and unaltered, or named by a Gap.
  ///
  /// Ask when everything has had the time to come: what is still on its way is lost.
  [[nodiscard]] std::string verdict(const PublishedLedger& ledger) const;

  [[nodiscard]] const DeliveryOracle& oracle() const noexcept { return oracle_; }

 private:
  void on_message(const Delivery& delivery, std::uint64_t content);
  void on_subscribed(const Subscribed& answer);
  void on_unsubscribed(const Unsubscribed& answer);

  DeliveryOracle oracle_{};
  std::set<std::string, std::less<>> known_{};
};

}  // namespace stratwire::testing
