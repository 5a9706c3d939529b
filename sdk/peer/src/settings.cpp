#include "settings.hpp"

#include <string>

#include <stratwire/codec.hpp>

namespace stratwire::peer {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kNameBytesMax = 64;
constexpr std::size_t kMessageBytesMin = 1024;
constexpr std::size_t kMessageBytesMax = std::size_t{256} << 20;
constexpr std::size_t kRequestsMax = 65'536;
constexpr milliseconds kDay{24 * 60 * 60 * 1000};

Error refuse(std::string_view setting, const std::string& value, const std::string& cure) {
  return {Errc::invalid_config, 0,
          std::string{setting} + " = " + value + " is not possible; " + cure};
}

Result<void> check_number(std::string_view setting, std::size_t value, std::size_t least,
                          std::size_t most) {
  if (value >= least && value <= most) return {};
  return refuse(setting, std::to_string(value),
                "use " + std::to_string(least) + " to " + std::to_string(most));
}

Result<void> check_time(std::string_view setting, session::Duration value, milliseconds least) {
  if (value >= least && value <= kDay) return {};
  return refuse(setting, std::to_string(value / milliseconds{1}) + " ms",
                "use " + std::to_string(least.count()) + " ms to one day");
}

}  // namespace

Result<void> validate(const PeerConfig& config) {
  if (config.listen.empty() == config.dial.empty()) {
    return Error{
        Errc::invalid_config, 0,
        "one of listen and dial has to be set, and not both: either this side waits, or it "
        "connects"};
  }
  if (config.name.empty() || config.name.size() > kNameBytesMax) {
    return refuse("name", "'" + config.name + "'", "use 1 to 64 bytes");
  }
  std::string scratch;
  if (!encode(config.codec, {{}, PeerHello{config.name}}, scratch).ok()) {
    return refuse("name", "(not UTF-8)", "use 1 to 64 bytes of UTF-8");
  }
  if (config.other.size() > kNameBytesMax) {
    return refuse("other", "'" + config.other + "'", "use at most 64 bytes");
  }
  using Log = session::MessageLog;
  const Result<void> checks[] = {
      check_number("log.messages_max", config.log.messages_max, 1, Log::kMessagesMax),
      check_number("log.bytes_max", config.log.bytes_max, 1, Log::kBytesMax),
      check_number("requests_max", config.requests_max, 1, kRequestsMax),
      check_number("message_bytes_max", config.message_bytes_max, kMessageBytesMin,
                   kMessageBytesMax),
      check_time("connect_timeout", config.connect_timeout, milliseconds{1}),
      check_time("ping_interval", config.ping_interval, milliseconds{1}),
      check_time("reconnect.first_delay_max", config.reconnect.first_delay_max, milliseconds{0}),
      check_time("reconnect.delay_base", config.reconnect.delay_base, milliseconds{1}),
      check_time("reconnect.delay_max", config.reconnect.delay_max, milliseconds{0}),
      check_time("reconnect.healthy_after", config.reconnect.healthy_after, milliseconds{0}),
  };
  for (const Result<void>& check : checks) {
    if (!check.ok()) return check;
  }
  if (config.log.age_max <= session::Duration{0}) {
    return refuse("log.age_max", std::to_string(config.log.age_max.count()) + " ns",
                  "use more than 0; Duration::max() keeps a message however old it is");
  }
  return {};
}

Result<transport::Url> url_of(const PeerConfig& config) {
  std::string text = config.listen.empty() ? config.dial : config.listen;
  // "Any port" is for listeners only; a Url is something to connect to.
  const bool any_port = !config.listen.empty() && text.starts_with("ws://") && text.ends_with(":0");
  if (any_port) text.resize(text.size() - 2);
  auto url = transport::Url::parse(text);
  if (!url) return translate(url.error());
  if (any_port) url->port = 0;
  return *std::move(url);
}

session::PeerSessionConfig session_config(const PeerConfig& config, const transport::Url& url,
                                          std::uint64_t epoch, std::uint64_t seed) {
  using Role = session::PeerSessionConfig::Role;
  session::PeerSessionConfig session;
  session.role = config.listen.empty() ? Role::dial : Role::listen;
  session.name = config.name;
  session.other = config.other;
  session.epoch = epoch;
  session.codec = config.codec;
  session.log = config.log;
  session.requests_max = config.requests_max;
  session.message_bytes_max = config.message_bytes_max;
  session.connect_timeout = config.connect_timeout;
  session.ping_interval = config.ping_interval;
  session.backoff = config.reconnect;
  session.nearness = url.is_same_host() ? session::Nearness::same_host : session::Nearness::remote;
  session.seed = seed;
  return session;
}

Error translate(const transport::Error& error) {
  // The names are the same where the meaning is; that a port is taken is the system's refusal.
  const bool is_listening =
      error.code == transport::Errc::address_in_use || error.code == transport::Errc::listen_failed;
  const Errc code =
      is_listening ? Errc::io_failed : errc_from_string(transport::to_string(error.code));
  return {code, 0, error.text};
}

}  // namespace stratwire::peer
