#include <algorithm>
#include <charconv>
#include <system_error>

#include <stratwire/transport/handshake.hpp>
#include <stratwire/transport/random.hpp>

#include "accept_key.hpp"
#include "http.hpp"
#include "text.hpp"

namespace stratwire::transport {
namespace {

// Of a response that is no upgrade, no more of the body is read than a line that fits an error
// text.
constexpr std::size_t kBodyBytesMax = 512;

ClientHandshake::Key random_key() noexcept {
  ClientHandshake::Key key;
  random_bytes(key);
  return key;
}

std::string_view cure_for(unsigned status) noexcept {
  if (status == 200) return "a web server, not a WebSocket server; check port and path";
  if (status == 401 || status == 403) return "check the credentials and the Origin";
  if (status == 404) return "check the path";
  if (status >= 300 && status < 400) return "it moved; use the address that it names";
  if (status == 429 || status >= 500) return "try again later";
  return "check host, port and path";
}

}  // namespace

struct ClientHandshake::State {
  State(const Url& where, std::span<const std::string_view> offers, const Key& random)
      : url(where.to_string()), offered(offers.begin(), offers.end()), key(base64(random)) {}

  std::string url;
  std::vector<std::string> offered;
  std::string key;
  std::string request{};
  HeadCollector head{kHandshakeBytesMax};
  HttpHead response{};
  bool head_done = false;
  std::string body{};
  Step step = Step::need_more;
  std::string subprotocol{};
  Error error{};

  Step fail(Errc code, std::string_view text);
  Step evaluate();
  Step evaluate_subprotocol();
  Step feed_body(std::span<const char>& input);
  Step fail_with_body();
  [[nodiscard]] bool is_http() const noexcept;
  [[nodiscard]] bool is_chunked() const noexcept {
    return response.has_token("Transfer-Encoding", "chunked");
  }
};

ClientHandshake::Step ClientHandshake::State::fail(Errc code, std::string_view text) {
  error = {code, 0, url + ' ' + std::string(text)};
  step = Step::failed;
  return step;
}

// What has come so far is the start of an HTTP response.
bool ClientHandshake::State::is_http() const noexcept {
  constexpr std::string_view kStart = "HTTP/1.";
  const std::string_view text = head.text().substr(0, kStart.size());
  return kStart.starts_with(text);
}

ClientHandshake::Step ClientHandshake::State::evaluate_subprotocol() {
  if (response.count("Sec-WebSocket-Extensions") != 0) {
    return fail(Errc::invalid_handshake, "chose the extension " +
                                             quoted(response.first("Sec-WebSocket-Extensions")) +
                                             ", and none was offered; the server is faulty");
  }
  const std::size_t count = response.count("Sec-WebSocket-Protocol");
  if (count > 1) {
    return fail(Errc::invalid_handshake, "chose more than one subprotocol; the server is faulty");
  }
  const std::string_view chosen = response.first("Sec-WebSocket-Protocol");
  if (count == 1 && std::find(offered.begin(), offered.end(), chosen) == offered.end()) {
    return fail(Errc::subprotocol_refused, "chose the subprotocol " + quoted(chosen) +
                                               ", which was not offered; the server is faulty");
  }
  subprotocol = chosen;
  step = Step::upgraded;
  return step;
}

ClientHandshake::Step ClientHandshake::State::evaluate() {
  if (const std::string fault = parse_response(head.text(), response); !fault.empty()) {
    return fail(Errc::not_websocket, "answered with malformed HTTP (" + fault +
                                         "); check that it is a WebSocket server");
  }
  if (response.status != 101) return Step::need_more;
  if (response.version != 11) {
    return fail(Errc::invalid_handshake,
                "answered 101 in HTTP/1.0, which knows no upgrade; a proxy may have changed it");
  }
  if (!response.has_token("Upgrade", "websocket") || !response.has_token("Connection", "upgrade")) {
    return fail(
        Errc::invalid_handshake,
        "answered 101 without 'Upgrade: websocket' and 'Connection: Upgrade'; check that it "
        "is a WebSocket server");
  }
  if (response.count("Sec-WebSocket-Accept") != 1 ||
      response.first("Sec-WebSocket-Accept") != accept_for(key)) {
    return fail(Errc::invalid_handshake, "answered with the wrong Sec-WebSocket-Accept " +
                                             quoted(response.first("Sec-WebSocket-Accept")) +
                                             "; a proxy may have answered from its cache");
  }
  return evaluate_subprotocol();
}

ClientHandshake::Step ClientHandshake::State::fail_with_body() {
  std::string_view line = body;
  // The first line of a chunked body is the size of its first chunk.
  if (is_chunked()) line.remove_prefix(std::min(line.find('\n') + 1, line.size()));
  line = line.substr(0, line.find_first_of("\r\n"));
  std::string text =
      "answered HTTP " + std::to_string(response.status) + ' ' + printable(response.reason);
  const std::string_view location = response.first("Location");
  if (!location.empty()) text += ", Location " + quoted(location);
  if (!line.empty()) text += ": " + printable(line);
  text += " (";
  text += cure_for(response.status);
  text += ')';
  return fail(Errc::not_websocket, text);
}

ClientHandshake::Step ClientHandshake::State::feed_body(std::span<const char>& input) {
  const std::size_t taken = std::min(input.size(), kBodyBytesMax - body.size());
  body.append(input.data(), taken);
  input = input.subspan(taken);
  const std::string_view declared = response.first("Content-Length");
  // A length of more than three digits is more than what is read anyway.
  const bool all_there = !declared.empty() && declared.size() <= 3 &&
                         body.size() >= static_cast<std::size_t>(std::stoul(std::string(declared)));
  const bool without_body =
      response.status < 200 || response.status == 204 || response.status == 304;
  const auto lines = std::count(body.begin(), body.end(), '\n');
  if (all_there || without_body || body.size() == kBodyBytesMax || lines > (is_chunked() ? 1 : 0)) {
    return fail_with_body();
  }
  return Step::need_more;
}

ClientHandshake::ClientHandshake(const Url& url, std::span<const std::string_view> subprotocols,
                                 const Key& key)
    : state_(std::make_unique<State>(url, subprotocols, key)) {
  std::string& out = state_->request;
  out = "GET " + url.target + " HTTP/1.1\r\nHost: " + url.authority() +
        "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: " +
        state_->key + "\r\nUser-Agent: stratwire\r\n";
  std::string_view separator = "Sec-WebSocket-Protocol: ";
  for (const std::string_view one : subprotocols) {
    out += separator;
    out += one;
    separator = ", ";
  }
  if (!subprotocols.empty()) out += "\r\n";
  out += "\r\n";
}

ClientHandshake::ClientHandshake(const Url& url, std::span<const std::string_view> subprotocols)
    : ClientHandshake(url, subprotocols, random_key()) {}
ClientHandshake::~ClientHandshake() = default;
ClientHandshake::ClientHandshake(ClientHandshake&&) noexcept = default;
ClientHandshake& ClientHandshake::operator=(ClientHandshake&&) noexcept = default;

std::string_view ClientHandshake::request() const noexcept {
  return state_->request;
}

ClientHandshake::Step ClientHandshake::feed(std::span<const char>& input) {
  if (state_->step != Step::need_more || input.empty()) return state_->step;
  if (state_->head_done) return state_->feed_body(input);
  const HeadCollector::State collected = state_->head.feed(input);
  if (!state_->is_http()) {
    const std::string_view text = state_->head.text();
    return state_->fail(Errc::not_websocket,
                        "does not speak HTTP: it began with " +
                            quoted(text.substr(0, std::min<std::size_t>(text.size(), 40))) +
                            "; check the port");
  }
  switch (collected) {
    case HeadCollector::State::need_more:
      return Step::need_more;
    case HeadCollector::State::complete:
      state_->head_done = true;
      if (state_->evaluate() != Step::need_more) return state_->step;
      return state_->feed_body(input);
    case HeadCollector::State::bare_line:
      return state_->fail(Errc::not_websocket,
                          "answered with malformed HTTP (a line ends with LF alone); check that it "
                          "is a WebSocket server");
    case HeadCollector::State::too_large:
      return state_->fail(Errc::too_large, "answered with an HTTP head of more than " +
                                               std::to_string(kHandshakeBytesMax) +
                                               " bytes; check that it is a WebSocket server");
  }
  return state_->step;
}

ClientHandshake::Step ClientHandshake::end_of_stream() {
  if (state_->step != Step::need_more) return state_->step;
  if (state_->head_done) return state_->fail_with_body();
  return state_->fail(Errc::connection_lost,
                      state_->head.text().empty()
                          ? "closed the connection without an answer; check that it is a WebSocket "
                            "server and that it is not shutting down"
                          : "closed the connection in the middle of its answer; try again");
}

std::string_view ClientHandshake::subprotocol() const noexcept {
  return state_->subprotocol;
}
const Error& ClientHandshake::error() const noexcept {
  return state_->error;
}
unsigned ClientHandshake::http_status() const noexcept {
  return state_->response.status;
}

std::chrono::milliseconds ClientHandshake::retry_after() const noexcept {
  using std::chrono::milliseconds;
  // A date (RFC 7231 7.1.3) is no number: our clock may differ from the server's.
  const auto number = [this](std::string_view name, milliseconds unit) {
    const std::string_view text = state_->response.first(name);
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (end != text.data() + text.size() || error == std::errc::invalid_argument) {
      return milliseconds{0};
    }
    if (error != std::errc{}) return milliseconds{kRetryAfterMax};
    return std::min<milliseconds>(value * unit, kRetryAfterMax);
  };
  const milliseconds exact = number("Retry-After-Ms", milliseconds{1});
  return exact.count() != 0 ? exact : number("Retry-After", std::chrono::seconds{1});
}

}  // namespace stratwire::transport
