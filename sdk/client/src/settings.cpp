#include "settings.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <sched.h>
#include <string>
#include <system_error>

#include <stratwire/limits.hpp>

namespace stratwire {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kNameBytesMax = 64;
constexpr std::size_t kMessageBytesMin = 1024;
constexpr std::size_t kMessageBytesMax = std::size_t{256} << 20;
constexpr std::size_t kRingBytesMax = std::size_t{1} << 30;
constexpr std::size_t kRecordExtraBytes = 1024;
constexpr milliseconds kDayMs{24 * 60 * 60 * 1000};

Error refuse(std::string_view setting, const std::string& value, const std::string& cure) {
  return {Errc::invalid_config, 0,
          std::string{setting} + " = " + value + " is not possible; " + cure};
}

Result<void> check_time(std::string_view setting, milliseconds value, milliseconds least) {
  if (value >= least && value <= kDayMs) return {};
  return refuse(setting, std::to_string(value.count()) + " ms",
                "use " + std::to_string(least.count()) + " ms to one day");
}

/// The number in the environment variable, or nothing where it is not set.
Result<std::optional<std::uint32_t>> number_from(const char* variable, std::uint32_t most) {
  const char* const text = std::getenv(variable);
  if (text == nullptr) return std::optional<std::uint32_t>{};
  const std::string_view view{text};
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  if (error != std::errc{} || end != view.data() + view.size() || value > most) {
    return Error{Errc::invalid_config, 0,
                 std::string{variable} + "='" + text + "' is not a whole number from 0 to " +
                     std::to_string(most)};
  }
  return std::optional<std::uint32_t>{value};
}

}  // namespace

Result<ClientConfig> ClientConfig::from_environment(std::string url) {
  constexpr std::uint32_t kSecondsMax = 24 * 60 * 60;
  ClientConfig config;
  config.url = std::move(url);
  const auto interval = number_from("WS_RECONNECT_INTERVAL", kSecondsMax);
  if (!interval.ok()) return interval.error();
  if (*interval) config.reconnect.delay_max = std::chrono::seconds{**interval};
  const auto attempts = number_from("WS_MAX_RECONNECT_ATTEMPTS", ~std::uint32_t{0});
  if (!attempts.ok()) return attempts.error();
  if (*attempts) config.reconnect.attempts_max = **attempts;
  const auto ping = number_from("WS_PING_INTERVAL", kSecondsMax);
  if (!ping.ok()) return ping.error();
  if (*ping) config.ping_interval = std::chrono::seconds{**ping};
  const auto buffer = number_from("WS_MESSAGE_BUFFER_SIZE", 1'000'000);
  if (!buffer.ok()) return buffer.error();
  if (*buffer) config.send_buffer.messages_max = **buffer;
  if (auto valid = client::validate(config); !valid.ok()) return valid.error();
  return config;
}

namespace client {

Result<void> validate(const ClientConfig& config) {
  if (config.name.size() > kNameBytesMax) {
    return refuse("name", "'" + config.name + "'", "use at most 64 bytes");
  }
  if (config.message_bytes_max < kMessageBytesMin || config.message_bytes_max > kMessageBytesMax) {
    return refuse("message_bytes_max", std::to_string(config.message_bytes_max),
                  "use 1024 to 268435456 bytes");
  }
  const std::size_t ring_least = 2 * (config.message_bytes_max + kRecordExtraBytes);
  if (config.threading == Threading::own_thread &&
      (config.ring_bytes < ring_least || config.ring_bytes > kRingBytesMax)) {
    return refuse("ring_bytes", std::to_string(config.ring_bytes),
                  "use " + std::to_string(ring_least) +
                      " (two messages of message_bytes_max) to 1073741824 bytes");
  }
  if (config.io_cpu < -1 || config.io_cpu >= CPU_SETSIZE) {
    return refuse("io_cpu", std::to_string(config.io_cpu), "use -1 or the number of a core");
  }
  if (config.send_buffer.bytes_max > kRingBytesMax) {
    return refuse("send_buffer.bytes_max", std::to_string(config.send_buffer.bytes_max),
                  "use at most 1073741824 bytes");
  }
  struct Time {
    std::string_view setting;
    milliseconds value;
    milliseconds least;
  };
  const Time times[] = {
      {"connect_timeout", config.connect_timeout, milliseconds{1}},
      {"ping_interval", config.ping_interval, milliseconds{1}},
      {"reconnect.first_delay_max", config.reconnect.first_delay_max, milliseconds{0}},
      {"reconnect.delay_base", config.reconnect.delay_base, milliseconds{1}},
      {"reconnect.delay_max", config.reconnect.delay_max, milliseconds{0}},
      {"reconnect.healthy_after", config.reconnect.healthy_after, milliseconds{0}},
      {"clock_interval", config.clock_interval, milliseconds{0}},
      {"send_buffer.age_max", config.send_buffer.age_max, milliseconds{0}},
  };
  for (const Time& time : times) {
    if (auto checked = check_time(time.setting, time.value, time.least); !checked.ok()) {
      return checked;
    }
  }
  return {};
}

session::SendBufferPolicy send_buffer_policy(const SendBufferLimits& limits) noexcept {
  session::SendBufferPolicy policy;
  policy.kept_offline =
      limits.messages_max != 0 && limits.bytes_max != 0 && limits.age_max.count() != 0;
  // Without an offline buffer the defaults bound what is on its way while connected.
  if (policy.kept_offline) {
    policy.messages_max = limits.messages_max;
    policy.bytes_max = limits.bytes_max;
    policy.age_max = limits.age_max;
  }
  return policy;
}

Result<std::vector<transport::Url>> parse_urls(const ClientConfig& config) {
  std::vector<std::string> texts;
  // Without any, the empty one is refused in the words of a bad URL.
  if (!config.url.empty() || config.urls.empty()) texts.push_back(config.url);
  texts.insert(texts.end(), config.urls.begin(), config.urls.end());
  if (texts.size() > limits::kUrlsMax) {
    return refuse("urls", "a list of " + std::to_string(texts.size()),
                  "use at most " + std::to_string(limits::kUrlsMax) + " servers");
  }
  std::vector<transport::Url> urls;
  for (const std::string& text : texts) {
    auto url = transport::Url::parse(text);
    if (!url) return translate(url.error());
    urls.push_back(*std::move(url));
  }
  return urls;
}

session::ClientSessionConfig session_config(const ClientConfig& config,
                                            std::span<const transport::Url> urls,
                                            std::uint64_t seed) {
  session::ClientSessionConfig session;
  session.name = config.name;
  session.connect_timeout = config.connect_timeout;
  session.ping_interval = config.ping_interval;
  session.backoff.first_delay_max = config.reconnect.first_delay_max;
  session.backoff.delay_base = config.reconnect.delay_base;
  session.backoff.delay_max = config.reconnect.delay_max;
  session.backoff.healthy_after = config.reconnect.healthy_after;
  session.backoff.attempts_max = config.reconnect.attempts_max;
  session.targets = urls.size();
  session.target_order = config.url_order == UrlOrder::shuffled ? session::TargetOrder::shuffled
                                                                : session::TargetOrder::in_order;
  session.resume = config.resume;
  session.clock_interval = config.clock_interval;
  const bool near = std::all_of(urls.begin(), urls.end(),
                                [](const transport::Url& url) { return url.is_same_host(); });
  session.nearness = near ? session::Nearness::same_host : session::Nearness::remote;
  session.send_buffer = send_buffer_policy(config.send_buffer);
  session.seed = seed;
  return session;
}

Error translate(const transport::Error& error) {
  // The names are the same where the meaning is; what only servers meet can't come here.
  return {errc_from_string(transport::to_string(error.code)), 0, error.text};
}

Error end_of_connection(const transport::Url& url, int system) {
  Error error{Errc::connection_lost, 0, url.to_string()};
  if (system == 0) {
    error.context += " ended the connection without a close frame";
  } else {
    error.context += ": " + std::error_code(system, std::generic_category()).message();
  }
  return error;
}

}  // namespace client
}  // namespace stratwire
