/// stratwire: subscribe to channels, publish to them and break connections, from a terminal or a
/// script.
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <CLI/CLI.hpp>

#include "arguments.hpp"
#include "chaos.hpp"
#include "chaos_options.hpp"
#include "pub.hpp"
#include "sub.hpp"

namespace stratwire::cli {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 ok, 1 something was lost (or --exit-on-close was cut off) or a line was bad, "
    "2 wrong arguments, 3 could not "
    "connect, 4 refused by the server.";

constexpr const char* kSubFooter =
    "Each message is one line of JSON on standard output: the wire form with epoch and "
    "received_at\n"
    "(Unix ns) added; a Gap says which messages will not come. Everything else goes to standard "
    "error.\n"
    "After a lost connection it goes on where it was. To go on after a restart, give --since what "
    "the last line said.\n"
    "Ends at --count, at --seconds, at Ctrl-C, or as --exit-on-close says.\n"
    "Example: stratwire sub ws://127.0.0.1:8080 'prices:*' --codec msgpack --stats\n";

constexpr const char* kPubFooter =
    "A line is one JSON value. An object with type PriceUpdate, AccountUpdate or Event is that "
    "message:\n"
    "  {\"type\":\"PriceUpdate\",\"input_mint\":\"USDC\",\"output_mint\":\"SOL\",\"price\":142.33,"
    "\"volume\":12,\"timestamp\":0}\n"
    "  "
    "{\"type\":\"AccountUpdate\",\"pubkey\":\"9xQ...\",\"lamports\":1,\"slot\":2,\"timestamp\":0}\n"
    "  {\"type\":\"Event\",\"event\":\"Trade\",\"data\":{\"side\":\"buy\"}}\n"
    "Any other value becomes the data of an Event of type --event. A bad line is reported with its "
    "number\n"
    "and the others go on. The server must run with --allow-publish.\n"
    "Example: echo '{\"side\":\"buy\"}' | stratwire pub ws://127.0.0.1:8080 trades:SOL-USDC\n";

void add_connection_options(CLI::App& command, ConnectionOptions& options) {
  static const std::map<std::string, Codec> kCodecs{{"json", Codec::json},
                                                    {"msgpack", Codec::msgpack}};
  command.add_option("URL", options.url, "ws://host:port or ws+unix:///path")
      ->required()
      ->type_name("");
  command
      .add_option("--also", options.also,
                  "A further server with the same channels, tried when one fails; may be repeated")
      ->type_name("URL")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command
      .add_option_function<std::string>(
          "--codec", [&options](const std::string& name) { options.codec = kCodecs.at(name); },
          "Form of the messages on the wire (default json)")
      ->check(CLI::IsMember({"json", "msgpack"}).description(""))
      ->type_name("json|msgpack");
  command
      .add_option_function<std::uint32_t>(
          "--retry", [&options](std::uint32_t tries) { options.retry = tries; },
          "Give up after so many failed tries in a row, 0 = never (default: 3 before the first "
          "connection, never after it)")
      ->check(number_from<std::uint32_t>(0, 4'000'000'000, "a whole number from 0 on"))
      ->type_name("N");
}

/// "prices:SOL-USDC@1732094400123:1051"
std::optional<ResumePoint> parse_point(std::string_view text) {
  const auto at = text.rfind('@');
  const auto colon = text.rfind(':');
  if (at == std::string_view::npos || colon == std::string_view::npos || colon < at || at == 0) {
    return std::nullopt;
  }
  const auto number = [](std::string_view digits, std::uint64_t& out) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    return error == std::errc{} && end == digits.data() + digits.size();
  };
  ResumePoint point;
  point.channel = text.substr(0, at);
  if (!number(text.substr(at + 1, colon - at - 1), point.epoch)) return std::nullopt;
  if (!number(text.substr(colon + 1), point.seq)) return std::nullopt;
  return point;
}

CLI::App* add_sub(CLI::App& app, SubOptions& options) {
  auto* sub = app.add_subcommand("sub", "Print what channels carry, one JSON line a message");
  sub->footer(std::string{kSubFooter} + kExitCodes);
  add_connection_options(*sub, options.connection);
  sub->add_option("CHANNEL", options.channels, "kind:key, or kind:* for all of a kind")
      ->required()
      ->type_name("");
  sub->add_option_function<std::uint64_t>(
         "--count", [&options](std::uint64_t count) { options.count = count; },
         "End after so many messages")
      ->check(number_from<std::uint64_t>(1, ~std::uint64_t{0}, "a whole number from 1 on"))
      ->type_name("N");
  sub->add_option_function<double>(
         "--seconds",
         [&options](double seconds) {
           options.duration = std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::duration<double>{seconds});
         },
         "End after so long")
      ->check(number_from<double>(0, 1e9, "a number of seconds from 0 on"))
      ->type_name("N");
  sub->add_option_function<std::vector<std::string>>(
         "--since",
         [&options](const std::vector<std::string>& points) {
           for (const auto& point : points) options.since.push_back(*parse_point(point));
         },
         "Begin after that message, as ch, epoch and seq of its line say; may be repeated")
      ->check(CLI::Validator(
          [](const std::string& text) {
            return parse_point(text) ? std::string{}
                                     : "'" + text +
                                           "' is not CHANNEL@EPOCH:SEQ, for example "
                                           "prices:SOL-USDC@1732094400123:1051";
          },
          ""))
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("CHANNEL@EPOCH:SEQ");
  sub->add_flag_function(
      "--latest", [&options](std::int64_t) { options.start = Start::latest; },
      "Begin with the latest message of each channel");
  sub->add_flag_function(
      "--stats", [&options](std::int64_t) { options.print = Print::summary; },
      "Print one JSON summary at the end instead of the messages");
  sub->add_flag_function(
      "--exit-on-close", [&options](std::int64_t) { options.on_close = OnClose::exit; },
      "End when the server goes away, instead of connecting again");
  return sub;
}

CLI::App* add_pub(CLI::App& app, PubOptions& options) {
  auto* pub = app.add_subcommand("pub", "Publish lines from standard input");
  pub->footer(std::string{kPubFooter} + kExitCodes);
  add_connection_options(*pub, options.connection);
  pub->add_option("CHANNEL", options.channel, "kind:key")->required()->type_name("");
  pub->add_option("--event", options.event,
                  "Type of the Event that other JSON values become (default line)")
      ->type_name("NAME");
  return pub;
}

int run(int argc, const char* const* argv) {
  CLI::App app{
      "Subscribes to channels of a stratwire server, publishes to them, and breaks connections.",
      "stratwire"};
  app.require_subcommand(1);
  app.set_version_flag("--version", "stratwire " STRATWIRE_VERSION);
  app.footer(
      std::string{"See stratwire sub --help, stratwire pub --help and stratwire chaos --help.\n"} +
      kExitCodes);
  SubOptions sub_options;
  PubOptions pub_options;
  ChaosOptions chaos_options;
  const auto* sub = add_sub(app, sub_options);
  add_pub(app, pub_options);
  const auto* chaos = add_chaos(app, chaos_options);
  const auto is_command = [&app](std::string_view name) {
    return std::ranges::any_of(app.get_subcommands({}), [name](const CLI::App* command) {
      return command->get_name() == name;
    });
  };
  if (argc > 1 && argv[1][0] != '-' && !is_command(argv[1])) {
    std::fprintf(stderr, "stratwire: there is no command '%s'; see stratwire --help\n", argv[1]);
    return kExitUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "stratwire: %s; see stratwire --help\n", error.what());
    return kExitUsage;
  }
  if (chaos->parsed()) return run_chaos(chaos_options);
  return sub->parsed() ? run_sub(sub_options) : run_pub(pub_options);
}

}  // namespace
}  // namespace stratwire::cli

int main(int argc, char** argv) {
  return stratwire::cli::run(argc, argv);
}
