/// What an Arbiter may do with a Client that others may not: take one thing at a time, and wait for
/// several.
#pragma once

#include <chrono>
#include <memory>
#include <utility>

#include <stratwire/client.hpp>
#include <stratwire/queue/wait.hpp>

namespace stratwire::detail {

struct ClientAccess {
  static Result<Client> open(ClientConfig config, std::shared_ptr<queue::Wait> wait) {
    return Client::open(std::move(config), std::move(wait));
  }
  /// Valid until the next call for the same client; nullptr when nothing waits.
  static const Delivery* next(Client& client) {
    return client.next(std::chrono::steady_clock::time_point::min());
  }
  static bool may_have_next(const Client& client) noexcept { return client.may_have_next(); }
  /// What waits can still be taken.
  static bool has_ended(const Client& client) noexcept { return client.has_ended(); }
};

}  // namespace stratwire::detail
