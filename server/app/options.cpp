#include "options.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <toml++/toml.h>

namespace stratwire::app {
namespace {

/// The error to print; empty when all is well.
using Problem = std::string;

constexpr const char* kFooter =
    "Each option can stand in the TOML file too, with _ for -: lane_bytes = 4194304\n"
    "A flag without value can be taken back: --no-demo\n"
    "Flags win over the environment, the environment over the file, the file over defaults.\n"
    "Environment: WS_HOST, WS_PORT or PORT, WS_PING_INTERVAL (seconds), LOG_LEVEL.\n"
    "SIGTERM and SIGINT: sends what waits, closes every connection with 1001, ends. A second one: "
    "ends at once.\n"
    "Exit codes: 0 ok, or ended by a signal; 1 a reader did not get everything (one that left by "
    "itself does not count), 2 wrong option or input file, 3 can't listen.\n"
    "Example: stratwire-server --demo   and then   stratwire sub ws://127.0.0.1:8080 'prices:*'";

std::string toml_key(const Setting& setting) {
  std::string key{setting.name};
  for (auto& c : key) c = c == '-' ? '_' : c;
  return key;
}

/// What the sources said, merged; and which settings at least one of them gave.
struct Merged {
  Options options{};
  std::vector<std::string_view> given{};

  Problem apply(const Setting& setting, std::string_view text) {
    auto problem = setting.apply(options, text);
    // Taken back is as good as not given: "--no-exit-at-end".
    std::erase(given, setting.name);
    if (!(setting.value.empty() && text == "false")) given.push_back(setting.name);
    return problem;
  }
  [[nodiscard]] bool has(std::string_view name) const {
    return std::find(given.begin(), given.end(), name) != given.end();
  }
};

std::string cure(const Setting& setting, std::string_view written_as) {
  return "; write " + std::string{written_as} + std::string{setting.example};
}

// ---- TOML file

/// A value as the text that a flag would have; nothing for a table, a date, a mixed array.
std::optional<std::string> as_text(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  if (const auto* number = node.as_floating_point()) {
    char text[32];
    const auto [end, error] = std::to_chars(text, text + sizeof text, number->get());
    return std::string(text, end);
  }
  const auto* array = node.as_array();
  if (array == nullptr) return std::nullopt;
  std::string joined;
  for (const auto& element : *array) {
    const auto* text = element.as_string();
    if (text == nullptr) return std::nullopt;
    joined += (joined.empty() ? "" : ",") + text->get();
  }
  return joined;
}

Problem apply_toml_entry(Merged& merged, const std::string& place, std::string_view key,
                         const toml::node& node) {
  for (const auto& setting : all_settings()) {
    if (toml_key(setting) != key) continue;
    const bool quoted =
        setting.example.find_first_not_of("0123456789.") != std::string_view::npos &&
        !setting.value.empty();
    const auto text = as_text(node);
    const auto problem = text ? merged.apply(setting, *text) : "has a value of a wrong type";
    if (problem.empty()) return {};
    std::string example =
        quoted ? '"' + std::string{setting.example} + '"' : std::string{setting.example};
    return place + ": " + std::string{key} + (text ? " = '" + *text + "'" : "") + " " + problem +
           "; write " + std::string{key} + " = " + example;
  }
  return place + ": there is no key '" + std::string{key} +
         "'; the keys are the options of 'stratwire-server --help', with _ for -";
}

Problem apply_toml(Merged& merged, const std::string& path) {
  std::error_code unknown;
  // The parser takes a directory for an empty file.
  if (std::filesystem::is_directory(path, unknown)) {
    return path + ": is a directory; give --config a TOML file";
  }
  toml::table table;
  try {
    table = toml::parse_file(path);
  } catch (const toml::parse_error& error) {
    const auto line = error.source().begin.line;
    const auto place = line > 0 ? path + ":" + std::to_string(line) : path;
    return place + ": " + std::string{error.description()} +
           (line > 0 ? "; mend the line, or see https://toml.io" : "; check the path of --config");
  }
  if (table.contains("replay") && table["demo"].value_or(false)) {
    return path + ":" + std::to_string(table["demo"].node()->source().begin.line) +
           ": demo and replay are two feeds; leave one out";
  }
  for (const auto& [key, node] : table) {
    const auto place = path + ":" + std::to_string(key.source().begin.line);
    if (auto problem = apply_toml_entry(merged, place, key.str(), node); !problem.empty()) {
      return problem;
    }
  }
  return {};
}

// ---- Environment

Problem apply_environment(Merged& merged) {
  for (const auto& setting : all_settings()) {
    for (const auto name : setting.environment) {
      const char* text = std::getenv(std::string{name}.c_str());
      if (text == nullptr || *text == '\0') continue;
      const auto problem = merged.apply(setting, text);
      if (problem.empty()) continue;
      return "environment variable " + std::string{name} + " = '" + text + "' " + problem +
             cure(setting, std::string{name} + "=");
    }
  }
  return {};
}

// ---- Flags

struct Flags {
  std::string config_file{};
  /// In the order of all_settings(); nothing = not given.
  std::vector<std::optional<std::string>> texts{};
};

void add_flag(CLI::App& app, const Setting& setting, std::optional<std::string>& text) {
  const auto flag = "--" + std::string{setting.name};
  std::string help{setting.help};
  if (!setting.fallback.empty()) help += " (default " + std::string{setting.fallback} + ")";
  CLI::Option* option = nullptr;
  if (setting.value.empty()) {
    option = app.add_flag_callback(
        flag, [&text] { text = "true"; }, help);
    app.add_flag_callback("--no-" + std::string{setting.name}, [&text] { text = "false"; })
        ->group("");  // Not in the help: the footer says it for all of them.
  } else {
    option = app.add_option_function<std::string>(
        flag, [&text](const std::string& given) { text = given; }, help);
    option->type_name(std::string{setting.value});
  }
  option->group(std::string{setting.group});
  // Twice the same flag: the last one counts, as with other tools.
  option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

Problem apply_flags(Merged& merged, const Flags& flags) {
  const auto settings = all_settings();
  for (std::size_t i = 0; i < settings.size(); ++i) {
    if (!flags.texts[i]) continue;
    const auto& setting = settings[i];
    const auto problem = merged.apply(setting, *flags.texts[i]);
    if (problem.empty()) continue;
    const auto flag = "--" + std::string{setting.name};
    return flag + " '" + *flags.texts[i] + "' " + problem + cure(setting, flag + " ");
  }
  return {};
}

/// The library names its settings as C++ does; who wrote an option wants to read that.
std::string in_words_of_options(std::string text) {
  constexpr std::string_view kPrefix = "ServerConfig::";
  const auto at = text.find(kPrefix);
  if (at == std::string::npos) return text;
  const auto begin = at + kPrefix.size();
  const auto end = std::min(text.find(' ', begin), text.size());
  std::string name = text.substr(begin, end - begin);
  for (auto& c : name) c = c == '_' || c == '.' ? '-' : c;
  const auto is_option = [](std::string_view wanted) {
    const auto settings = all_settings();
    return std::any_of(settings.begin(), settings.end(),
                       [&](const Setting& setting) { return setting.name == wanted; });
  };
  constexpr std::string_view kMost = "-max";
  if (!is_option(name) && name.ends_with(kMost)) name.resize(name.size() - kMost.size());
  if (!is_option(name)) return text;
  return text.replace(at, end - at, "--" + name);
}

/// What has no effect is refused: whoever wrote it expects one.
Problem check_feed(const Merged& merged) {
  struct Dependent {
    std::string_view name;
    bool demo_only;
  };
  constexpr Dependent kDependents[] = {{"seed", true},
                                       {"rate", true},
                                       {"messages", true},
                                       {"speed", false},
                                       {"wait-subscribers", false},
                                       {"exit-at-end", false}};
  const auto feed = merged.options.feed;
  for (const auto& [name, demo_only] : kDependents) {
    if (!merged.has(name) || feed == FeedKind::demo) continue;
    if (feed == FeedKind::replay && !demo_only) continue;
    const auto option = "--" + std::string{name};
    if (feed == FeedKind::replay) return option + " is for --demo, not for --replay; leave it out";
    return option + " is for a feed, and there is none; add " +
           (demo_only ? "--demo" : "--demo or --replay FILE") + ", or leave it out";
  }
  return {};
}

/// Readers change over only while the server goes on; and then it does, unless told otherwise.
Problem complete_drain(Merged& merged) {
  DrainConfig& drain = merged.options.server.drain;
  if (drain.alternatives.empty()) return {};
  using std::chrono::milliseconds;
  constexpr milliseconds kGoAwayDeadline{5'000};
  if (!merged.has("drain-go-away-deadline")) drain.go_away_deadline = kGoAwayDeadline;
  milliseconds& timeout = merged.options.drain_timeout;
  if (!merged.has("drain-timeout")) timeout = std::max(timeout, 2 * drain.go_away_deadline);
  if (std::min(drain.go_away_deadline, timeout / 2) > milliseconds{0}) return {};
  const std::string zero =
      drain.go_away_deadline > milliseconds{0} ? "--drain-timeout" : "--drain-go-away-deadline";
  return zero + " leaves no time to change over to --drain-alternatives; write " + zero +
         (zero == "--drain-timeout" ? " 10s" : " 5s") + ", or leave one of the two out";
}

Problem apply_all(Merged& merged, const Flags& flags) {
  Problem problem;
  if (!flags.config_file.empty()) problem = apply_toml(merged, flags.config_file);
  if (problem.empty()) problem = apply_environment(merged);
  if (problem.empty()) problem = apply_flags(merged, flags);
  if (problem.empty()) problem = check_feed(merged);
  if (problem.empty()) problem = complete_drain(merged);
  if (!problem.empty()) return problem;
  const auto valid = merged.options.server.validate();
  return valid.ok() ? Problem{} : in_words_of_options(valid.error().context);
}

}  // namespace

std::variant<Options, ExitNow> read_options(int argc, const char* const* argv) {
  CLI::App app{"Streams market and account data to strategies over WebSocket.", "stratwire-server"};
  app.footer(kFooter);
  app.set_version_flag("--version", "stratwire-server " STRATWIRE_VERSION);
  Flags flags;
  flags.texts.resize(all_settings().size());
  app.add_option("--config", flags.config_file, "TOML file with options")
      ->type_name("FILE.toml")
      ->group("Program");
  for (std::size_t i = 0; i < flags.texts.size(); ++i) {
    add_flag(app, all_settings()[i], flags.texts[i]);
  }
  app.get_option("--replay")->excludes(app.get_option("--demo"));
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    return ExitNow{app.exit(done)};
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "stratwire-server: %s; see stratwire-server --help\n", error.what());
    return ExitNow{kExitUsage};
  }
  Merged merged;
  if (const auto problem = apply_all(merged, flags); !problem.empty()) {
    std::fprintf(stderr, "stratwire-server: %s\n", problem.c_str());
    return ExitNow{kExitUsage};
  }
  return std::move(merged.options);
}

}  // namespace stratwire::app
