/// One example of every message, as PROTOCOL.md shows them and tests/data/messages.golden has them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <stratwire/message.hpp>

namespace stratwire::test {

struct Example {
  std::string_view name;
  Message message;
};

inline std::vector<Example> examples() {
  const Envelope prices{"prices:SOL-USDC", 1051};
  const Envelope accounts{"accounts:9xQeWvG816bUx9EP", 7};
  const Envelope trades{"trades:SOL-USDC", 12};
  const PriceUpdate price{"USDC", "SOL", 142.3317, 12, 1732094400123456789};
  const AccountUpdate account{"9xQeWvG816bUx9EP", 2039280, 301234567, 1732094400123456789};
  const RawValue json{Codec::json, R"({"side":"buy","price":142.3,"size":3})"};
  constexpr std::uint64_t kEpoch = 1732094399000000;
  return {
      {"PriceUpdate", {prices, price}},
      {"PriceUpdate without a channel", {{}, price}},
      {"AccountUpdate", {accounts, account}},
      {"Event", {trades, Event{"Trade", json}}},
      {"Gap", {{"prices:SOL-USDC", 0}, Gap{kEpoch, 1052, 1060, Gap::Reason::conflated}}},
      {"Subscribe", {{}, Subscribe{{"prices:SOL-USDC", "accounts:*"}, 1}}},
      {"Unsubscribe", {{}, Unsubscribe{{"accounts:*"}, 2}}},
      {"Ping", {{}, Ping{1732094400123456789}}},
      {"Pong", {{}, Pong{1732094400123456789, 1732094400123500000, 1732094400123501000}}},
      {"Hello", {{}, Hello{"momentum-7"}}},
      {"Welcome", {{}, Welcome{42, kEpoch, 1000, 65536, 1024, 1732094400123456789}}},
      {"Subscribed",
       {{},
        Subscribed{1,
                   {{"prices:SOL-USDC", Errc::ok, "", kEpoch, 1050},
                    {"weather:oslo", Errc::unknown_channel_kind,
                     "no channels of kind 'weather'; try prices, accounts, trades", 0, 0}}}}},
      {"Unsubscribed", {{}, Unsubscribed{2, {{"accounts:*", Errc::ok, "", kEpoch, 0}}}}},
      {"Publish", {{}, Publish{3, "prices:SOL-USDC", price}}},
      {"Publish of an Event", {{}, Publish{4, "trades:SOL-USDC", Event{"Trade", json}}}},
      {"Published",
       {{}, Published{3, Errc::publish_not_allowed, "start the server with --allow-publish"}}},
      {"Heartbeat", {{}, Heartbeat{1732094401123456789}}},
      {"GoAway", {{}, GoAway{5000, 250}}},
      {"Error",
       {{}, ErrorReply{0, Errc::unknown_message_type, "no message has the type 'Buy'", false, 0}}},
  };
}

}  // namespace stratwire::test
