/// Channel names: `kind:key`, `token-<mint>`, `global`, and the wildcard `kind:*`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <stratwire/result.hpp>

namespace stratwire::session {

/// A name taken apart; views into the text that was parsed.
struct ChannelName {
  std::string_view text{};
  /// The text before the first ':'; without one "token" for `token-<mint>`, else the whole name.
  std::string_view kind{};
  /// `kind:*`, every channel of the kind.
  bool wildcard = false;

  /// Whether this name, a wildcard or not, means the channel `name`.
  [[nodiscard]] bool covers(const ChannelName& name) const noexcept {
    return wildcard ? kind == name.kind : text == name.text;
  }
};

/// Whether a valid name is `kind:*`.
[[nodiscard]] constexpr bool is_wildcard(std::string_view name) noexcept {
  return name.ends_with(":*");
}

/// The kind of a valid `kind:*`.
[[nodiscard]] constexpr std::string_view kind_of(std::string_view wildcard) noexcept {
  return wildcard.substr(0, wildcard.size() - 2);
}
[[nodiscard]] inline std::string wildcard_of(std::string_view kind) {
  return std::string(kind) + ":*";
}

/// Whether a valid `kind:*` means the channel `name`, which may be anything.
///
/// \cost  a comparison for most names of another kind, else as parse_channel_name()
[[nodiscard]] bool covers(std::string_view wildcard, std::string_view name);

enum class Wildcards : std::uint8_t { refused, allowed };

/// Takes a name apart: 1 to limits::kChannelNameBytesMax bytes of printable ASCII without space,
/// '"' and '\\'; '*' only as the whole key.
///
/// \errors  invalid_channel_name; the text names the input, shortened, and the cure
/// \cost    one pass, no allocation unless refused
/// \source  PROTOCOL.md, "Channel names"
[[nodiscard]] Result<ChannelName> parse_channel_name(std::string_view text, Wildcards wildcards);

/// `text` for a message to a person: quoted, control characters as \xNN, at most 48 characters.
[[nodiscard]] std::string quoted(std::string_view text);

}  // namespace stratwire::session
