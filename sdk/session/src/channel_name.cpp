#include <stratwire/limits.hpp>
#include <stratwire/session/channel_name.hpp>

namespace stratwire::session {
namespace {

constexpr std::size_t kQuotedCharactersMax = 48;
constexpr std::string_view kTokenPrefix = "token-";

// Names go to the wire as they are: nothing in them may need an escape in JSON.
bool allowed(char c) noexcept {
  return c > ' ' && c <= '~' && c != '"' && c != '\\';
}

Error refused(std::string_view text, std::string_view why) {
  return {Errc::invalid_channel_name, 0, "channel " + quoted(text) + " " + std::string(why)};
}

}  // namespace

std::string quoted(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "'";
  for (const char c : text.substr(0, kQuotedCharactersMax)) {
    if (c >= ' ' && c <= '~') {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  out += '\'';
  if (text.size() > kQuotedCharactersMax) {
    out += "... (" + std::to_string(text.size()) + " bytes)";
  }
  return out;
}

Result<ChannelName> parse_channel_name(std::string_view text, Wildcards wildcards) {
  if (text.empty()) return refused(text, "is empty; write kind:key, for example prices:SOL-USDC");
  if (text.size() > limits::kChannelNameBytesMax) {
    return refused(text, "is longer than " + std::to_string(limits::kChannelNameBytesMax) +
                             " bytes; shorten the key");
  }
  std::size_t star = std::string_view::npos;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!allowed(text[i])) {
      return refused(text, "has a character that is not allowed at byte " + std::to_string(i) +
                               "; use printable ASCII without spaces, quotes and backslashes");
    }
    if (text[i] == '*' && star == std::string_view::npos) star = i;
  }

  ChannelName name{text, text, false};
  if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    name.kind = text.substr(0, colon);
    if (colon == 0 || colon + 1 == text.size()) {
      return refused(text, "has an empty kind or key; write kind:key");
    }
    name.wildcard = star == colon + 1 && text.size() == colon + 2;
  } else if (text.starts_with(kTokenPrefix) && text.size() > kTokenPrefix.size()) {
    name.kind = kTokenPrefix.substr(0, kTokenPrefix.size() - 1);
  }
  if (star != std::string_view::npos && !name.wildcard) {
    return refused(text, "has a '*' that is not a whole key; the one wildcard is kind:*");
  }
  if (name.wildcard && wildcards == Wildcards::refused) {
    return refused(text, "is a wildcard; name one channel here");
  }
  return name;
}

bool covers(std::string_view wildcard, std::string_view name) {
  const std::string_view kind = kind_of(wildcard);
  // Quick, because a table may have a million names and most are of another kind.
  if (!name.starts_with(kind)) return false;
  const auto parsed = parse_channel_name(name, Wildcards::refused);
  return parsed.ok() && parsed->kind == kind;
}

}  // namespace stratwire::session
