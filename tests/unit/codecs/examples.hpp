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
  const RawValue hedge{Codec::json, R"({"side":"sell","size":3})"};
  const RawValue filled{Codec::json, R"({"price":142.31})"};
  constexpr std::uint64_t kEpoch = 1732094399000000;
  return {
      {"PriceUpdate", {prices, price}},
      {"PriceUpdate without a channel", {{}, price}},
      {"AccountUpdate", {accounts, account}},
      {"Event", {trades, Event{"Trade", json}}},
      {"Gap", {{"prices:SOL-USDC", 0}, Gap{kEpoch, 1052, 1060, Gap::Reason::conflated}}},
      {"Subscribe", {{}, Subscribe{{"prices:SOL-USDC", "accounts:*"}, 1}}},
      {"Subscribe since",
       {{},
        Subscribe{{"prices:SOL-USDC", "accounts:*"},
                  5,
                  {{"prices:SOL-USDC", kEpoch, 1051}, {"accounts:*", kEpoch, 88213}},
                  true,
                  false}}},
      {"Subscribe, first part",
       {{}, Subscribe{{}, 6, {{"accounts:9xQeWvG816bUx9EP", kEpoch, 7}}, false, true}}},
      {"Subscribe, last part", {{}, Subscribe{{"accounts:*"}, 6, {{"accounts:*", kEpoch, 88213}}}}},
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
      {"Subscribed since",
       {{},
        Subscribed{5,
                   {{"prices:SOL-USDC", Errc::ok, "", kEpoch, 1060, true},
                    {"accounts:*", Errc::ok, "", kEpoch, 90307, false}}}}},
      {"Unsubscribed", {{}, Unsubscribed{2, {{"accounts:*", Errc::ok, "", kEpoch, 0}}}}},
      {"Publish", {{}, Publish{3, "prices:SOL-USDC", price}}},
      {"Publish of an Event", {{}, Publish{4, "trades:SOL-USDC", Event{"Trade", json}}}},
      {"Published",
       {{}, Published{3, Errc::publish_not_allowed, "start the server with --allow-publish"}}},
      {"Heartbeat", {{}, Heartbeat{1732094401123456789}}},
      {"Heartbeat with heads and times",
       {{},
        Heartbeat{1732094402123456789,
                  {{"accounts:9xQeWvG816bUx9EP", 8}},
                  {{"prices:SOL-USDC", 1088, 1732094401900000000, 1732094401900012345}}}}},
      {"GoAway", {{}, GoAway{5000, 250}}},
      {"GoAway with alternatives",
       {{}, GoAway{30000, 1750, {"ws://10.0.0.2:8080", "ws://10.0.0.3:8080"}}}},
      {"Error",
       {{}, ErrorReply{0, Errc::unknown_message_type, "no message has the type 'Buy'", false, 0}}},
      {"CaughtUp", {{}, CaughtUp{5}}},
      {"PeerHello", {{}, PeerHello{"hedger", kEpoch, 1732094377000000, 311}}},
      {"PeerHello of a first meeting", {{}, PeerHello{"hedger", kEpoch}}},
      {"Ack", {{}, Ack{312}}},
      {"Message of a peer", {{"peer", 313}, price}},
      {"Request", {{{}, 314}, Request{9, 250, Event{"Hedge", hedge}}}},
      {"Reply", {{{}, 51}, Reply{9, Errc::ok, "", Event{"Hedged", filled}}}},
      {"Reply that refuses",
       {{{}, 52}, Reply{10, Errc::request_refused, "nothing answers 'Unwind' here", {}}}},
  };
}

}  // namespace stratwire::test
