/// A copy of everything that was published, for a server that is started again with its log.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <stratwire/message.hpp>
#include <stratwire/owned.hpp>

namespace stratwire::testing {

/// One message that was published.
struct KeptMessage {
  std::string channel{};
  std::variant<Owned<PriceUpdate>, Owned<AccountUpdate>, Owned<Event>> body{};
  std::int64_t at = 0;  ///< On whatever clock its owner has.

  /// \lifetime its texts are valid as long as this
  [[nodiscard]] DataMessage message() const {
    return std::visit([](const auto& owned) { return DataMessage{*owned}; }, body);
  }
};

[[nodiscard]] inline KeptMessage keep(std::string_view channel, const DataMessage& message,
                                      std::int64_t at) {
  KeptMessage kept{std::string(channel), {}, at};
  std::visit([&kept](const auto& body) { kept.body = Owned(body); }, message);
  return kept;
}

}  // namespace stratwire::testing
