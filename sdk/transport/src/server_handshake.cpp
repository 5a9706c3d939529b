#include <algorithm>

#include <stratwire/transport/handshake.hpp>

#include "accept_key.hpp"
#include "http.hpp"
#include "text.hpp"

namespace stratwire::transport {
namespace {

std::string_view reason_phrase(unsigned status) noexcept {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 421:
      return "Misdirected Request";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return status < 400 ? "Response" : "Error";
  }
}

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// As forms write it: %XX, and '+' for a blank. A '%' without two digits stands for itself.
std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool has_digits = text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 &&
                            hex_value(text[i + 2]) >= 0;
    if (has_digits) {
      out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

}  // namespace

struct ServerHandshake::State {
  HeadCollector head{kHandshakeBytesMax};
  HttpHead request{};
  Step step = Step::need_more;
  std::string path{};
  std::string query{};
  std::vector<std::string> subprotocols{};
  unsigned refusal_status = 0;
  std::string refusal_text{};
  std::string refusal{};

  Step refuse(unsigned status, std::string text);
  Step refuse_garbage();
  Step evaluate();
  Step evaluate_upgrade();
  bool split_target();
  Step read_subprotocols();
  [[nodiscard]] std::string response(unsigned status, std::string_view content_type,
                                     std::string_view body) const;
};

std::string ServerHandshake::State::response(unsigned status, std::string_view content_type,
                                             std::string_view body) const {
  std::string out = "HTTP/1.1 " + std::to_string(status) + ' ';
  out += reason_phrase(status);
  out += "\r\n";
  if (status == 426) {
    // RFC 6455 4.2.2 and 4.4; RFC 7231 6.5.15 wants the Upgrade field too.
    out += "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nConnection: Upgrade, close\r\n";
  } else {
    out += "Connection: close\r\n";
  }
  if (status == 405) out += "Allow: GET, HEAD\r\n";
  if (!content_type.empty()) {
    out += "Content-Type: ";
    out += content_type;
    out += "\r\n";
  }
  out += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  if (request.method != "HEAD") out += body;
  return out;
}

ServerHandshake::Step ServerHandshake::State::refuse(unsigned status, std::string text) {
  refusal_status = status;
  refusal_text = std::move(text);
  refusal = response(status, "text/plain; charset=utf-8", refusal_text + '\n');
  step = Step::refused;
  return step;
}

// Something that is no HTTP is told so at once, not when the deadline passes.
ServerHandshake::Step ServerHandshake::State::refuse_garbage() {
  const char first = head.text().front();
  if (first == '\x16') {
    return refuse(400,
                  "this port speaks ws:// without TLS, and the client began with TLS; use a "
                  "ws:// address");
  }
  return refuse(400, "not an HTTP request; send 'GET /path HTTP/1.1'");
}

// Sets path and query; the target may be absolute (RFC 7230 5.3.2).
bool ServerHandshake::State::split_target() {
  std::string_view target = request.target;
  for (const std::string_view scheme : {"http://", "ws://"}) {
    if (target.size() < scheme.size() || !equal_any_case(target.substr(0, scheme.size()), scheme)) {
      continue;
    }
    const std::size_t start = target.find_first_of("/?", scheme.size());
    target = start == std::string_view::npos ? "/" : target.substr(start);
  }
  if (target.find('#') != std::string_view::npos) return false;
  const std::size_t mark = target.find('?');
  path = target.substr(0, mark);
  if (mark != std::string_view::npos) query = target.substr(mark + 1);
  if (path.empty()) path = "/";
  return path.front() == '/';
}

ServerHandshake::Step ServerHandshake::State::read_subprotocols() {
  for (const auto& [name, value] : request.fields) {
    if (!equal_any_case(name, "Sec-WebSocket-Protocol")) continue;
    for_each_element(value, [this](std::string_view one) { subprotocols.emplace_back(one); });
  }
  for (auto one = subprotocols.begin(); one != subprotocols.end(); ++one) {
    if (!is_token(*one)) {
      return refuse(400, "Sec-WebSocket-Protocol has " + quoted(*one) +
                             ", which is no token; separate names with one comma");
    }
    if (std::find(subprotocols.begin(), one, *one) != one) {
      return refuse(400, "Sec-WebSocket-Protocol names " + quoted(*one) + " twice; name it once");
    }
  }
  step = Step::upgrade;
  return step;
}

ServerHandshake::Step ServerHandshake::State::evaluate_upgrade() {
  if (request.method != "GET") {
    return refuse(405, "a WebSocket upgrade with " + quoted(request.method) + "; use GET");
  }
  if (request.version != 11) return refuse(400, "a WebSocket upgrade with HTTP/1.0; use HTTP/1.1");
  for (const std::string_view name : {"Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version"}) {
    const std::size_t count = request.count(name);
    if (count == 1) continue;
    return refuse(400, (count == 0 ? "no " : "more than one ") + std::string(name) +
                           " field; send exactly one");
  }
  if (!request.has_token("Upgrade", "websocket")) {
    return refuse(400, "Upgrade is " + quoted(request.first("Upgrade")) + "; send 'websocket'");
  }
  if (!request.has_token("Connection", "upgrade")) {
    return refuse(400, "Connection does not name the Upgrade field; send 'Connection: Upgrade'");
  }
  if (request.first("Sec-WebSocket-Version") != "13") {
    return refuse(426, "Sec-WebSocket-Version is " +
                           quoted(request.first("Sec-WebSocket-Version")) + "; send 13");
  }
  if (!is_websocket_key(request.first("Sec-WebSocket-Key"))) {
    return refuse(400, "Sec-WebSocket-Key is " + quoted(request.first("Sec-WebSocket-Key")) +
                           "; send 16 random bytes in base64");
  }
  return read_subprotocols();
}

ServerHandshake::Step ServerHandshake::State::evaluate() {
  if (const std::string fault = parse_request(head.text(), request); !fault.empty()) {
    return refuse(400, "malformed HTTP request (" + fault + "); send 'GET /path HTTP/1.1'");
  }
  const std::size_t hosts = request.count("Host");
  if (hosts > 1 || (hosts == 0 && request.version == 11)) {
    return refuse(400, hosts == 0 ? "no Host field; send exactly one"
                                  : "more than one Host field; send exactly one");
  }
  if (request.count("Transfer-Encoding") != 0 ||
      (request.count("Content-Length") != 0 && request.first("Content-Length") != "0")) {
    return refuse(400, "the request announces a body; send none");
  }
  if (!split_target()) {
    return refuse(400, "the target is " + quoted(request.target) +
                           "; send a path that starts with '/' and has no '#'");
  }
  const bool wants_upgrade = request.has_token("Upgrade", "websocket") ||
                             request.count("Sec-WebSocket-Key") != 0 ||
                             request.count("Sec-WebSocket-Version") != 0;
  if (wants_upgrade) return evaluate_upgrade();
  if (request.method != "GET" && request.method != "HEAD") {
    return refuse(405, "the method is " + quoted(request.method) + "; use GET or HEAD");
  }
  step = Step::http_request;
  return step;
}

ServerHandshake::ServerHandshake() : state_(std::make_unique<State>()) {}
ServerHandshake::~ServerHandshake() = default;
ServerHandshake::ServerHandshake(ServerHandshake&&) noexcept = default;
ServerHandshake& ServerHandshake::operator=(ServerHandshake&&) noexcept = default;

ServerHandshake::Step ServerHandshake::feed(std::span<const char>& input) {
  if (state_->step != Step::need_more || input.empty()) return state_->step;
  const HeadCollector::State collected = state_->head.feed(input);
  const char first = state_->head.text().front();
  if (!is_token({&first, 1})) return state_->refuse_garbage();
  switch (collected) {
    case HeadCollector::State::need_more:
      return Step::need_more;
    case HeadCollector::State::complete:
      return state_->evaluate();
    case HeadCollector::State::bare_line:
      return state_->refuse(400, "a line of the HTTP request ends with LF; end it with CR LF");
    case HeadCollector::State::too_large:
      return state_->refuse(431, "the HTTP head is larger than " +
                                     std::to_string(kHandshakeBytesMax) + " bytes; send less");
  }
  return state_->step;
}

std::string_view ServerHandshake::method() const noexcept {
  return state_->request.method;
}
std::string_view ServerHandshake::path() const noexcept {
  return state_->path;
}
std::string_view ServerHandshake::query() const noexcept {
  return state_->query;
}

std::optional<std::string> ServerHandshake::query_value(std::string_view name) const {
  std::string_view rest = state_->query;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    if (percent_decoded(pair.substr(0, equals)) != name) continue;
    return percent_decoded(pair.substr(std::min(equals + 1, pair.size())));
  }
  return std::nullopt;
}

const std::vector<std::string>& ServerHandshake::subprotocols() const noexcept {
  return state_->subprotocols;
}

std::string_view ServerHandshake::header(std::string_view name) const noexcept {
  return state_->request.first(name);
}

std::string ServerHandshake::accept(std::string_view subprotocol) const {
  std::string out =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: " +
      accept_for(state_->request.first("Sec-WebSocket-Key")) + "\r\n";
  if (!subprotocol.empty()) {
    out += "Sec-WebSocket-Protocol: ";
    out += subprotocol;
    out += "\r\n";
  }
  return out + "\r\n";
}

std::string ServerHandshake::respond(unsigned status, std::string_view content_type,
                                     std::string_view body) const {
  return state_->response(status, content_type, body);
}

std::string_view ServerHandshake::refusal() const noexcept {
  return state_->refusal;
}
unsigned ServerHandshake::refusal_status() const noexcept {
  return state_->refusal_status;
}
std::string_view ServerHandshake::refusal_text() const noexcept {
  return state_->refusal_text;
}

}  // namespace stratwire::transport
