/// Checks of arguments in words for users.
#pragma once

#include <charconv>
#include <string>
#include <system_error>

#include <CLI/CLI.hpp>

namespace stratwire::cli {

/// CLI11's own words for a wrong number are those of a programmer.
template <class T>
CLI::Validator number_from(T least, T most, const char* what) {
  return CLI::Validator(
      [least, most, what](const std::string& text) {
        T value{};
        const char* const end = text.data() + text.size();
        const auto [rest, error] = std::from_chars(text.data(), end, value);
        const bool good = error == std::errc{} && rest == end && value >= least && value <= most;
        return good ? std::string{} : "'" + text + "' is not " + what;
      },
      "");
}

}  // namespace stratwire::cli
