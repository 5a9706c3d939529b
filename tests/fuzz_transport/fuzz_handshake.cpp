/// Feeds bytes to both halves of the upgrade.
///
/// 1. The input is given to a ServerHandshake and to a ClientHandshake, each time in one piece,
/// byte
///    by byte, and cut at places that follow from the input.
/// 2. All three must come to the same step and the same answer, and leave the same bytes.
/// 3. What is left is the end of the input; no more than a head is taken.
/// 4. A refusal has a status from 400 on, one line of printable text, and is itself a response that
/// a
///    ClientHandshake reads to its end.
/// 5. An upgrade that is accepted satisfies a ClientHandshake that sent its key.
#include <algorithm>

#include <stratwire/transport/handshake.hpp>

#include "property.hpp"

namespace stratwire::transport::test {
namespace {

enum class Cuts { none, every_byte, some };

struct Answer {
  int step = 0;
  std::string text{};
  std::size_t left = 0;

  friend bool operator==(const Answer&, const Answer&) = default;
};

const Url kUrl{.host = "feed.example", .target = "/"};
constexpr ClientHandshake::Key kKey = {'t', 'h', 'e', ' ', 's', 'a', 'm', 'p',
                                       'l', 'e', ' ', 'n', 'o', 'n', 'c', 'e'};
constexpr std::string_view kOffers[] = {"a", "b"};

// Feeds until the handshake says something; the bytes that it left are counted.
template <class Handshake>
Answer feed(Handshake& handshake, std::string_view bytes, Cuts cuts) {
  Dice dice(bytes);
  std::span<const char> pending;
  auto step = Handshake::Step::need_more;
  std::size_t given = 0;
  while (step == Handshake::Step::need_more && given < bytes.size()) {
    std::size_t take = bytes.size() - given;
    if (cuts == Cuts::every_byte) take = 1;
    if (cuts == Cuts::some) take = std::min(take, 1 + dice.below(60));
    pending = {bytes.data() + given, take};
    given += take;
    step = handshake.feed(pending);
    if (step == Handshake::Step::need_more && !pending.empty()) std::abort();
  }
  return {static_cast<int>(step), {}, bytes.size() - given + pending.size()};
}

bool is_printable_line(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

Answer serve(std::string_view bytes, Cuts cuts, std::string_view input) {
  ServerHandshake server;
  Answer answer = feed(server, bytes, cuts);
  const auto step = static_cast<ServerHandshake::Step>(answer.step);
  if (step == ServerHandshake::Step::refused) {
    answer.text = server.refusal();
    require(server.refusal_status() >= 400, "a refusal is an error", input);
    require(is_printable_line(server.refusal_text()), "a refusal is one printable line", input);
    ClientHandshake client(kUrl, kOffers, kKey);
    const std::string_view refusal = server.refusal();
    std::span<const char> response(refusal.data(), refusal.size());
    // The body is cut after its first line, or missing where a HEAD was refused.
    const bool failed = client.feed(response) == ClientHandshake::Step::failed ||
                        client.end_of_stream() == ClientHandshake::Step::failed;
    require(failed && client.http_status() == server.refusal_status(),
            "a refusal is a response that our client reads", input);
  } else if (step == ServerHandshake::Step::upgrade) {
    answer.text = server.accept("");
    for (const std::string& one : server.subprotocols()) answer.text += one + ',';
    require(server.path().starts_with('/'), "a path starts with '/'", input);
    if (server.header("Sec-WebSocket-Key") == "dGhlIHNhbXBsZSBub25jZQ==") {
      ClientHandshake client(kUrl, kOffers, kKey);
      const std::string accepted = server.accept("");
      std::span<const char> response(accepted);
      require(client.feed(response) == ClientHandshake::Step::upgraded,
              "what our server accepts, our client takes", input);
    }
  } else if (step == ServerHandshake::Step::http_request) {
    answer.text = std::string(server.method()) + ' ' + std::string(server.path()) + '?' +
                  std::string(server.query()) + server.query_value("a").value_or("-");
  }
  require(bytes.size() - answer.left <= kHandshakeBytesMax, "no more than a head is taken", input);
  // After a refusal nothing that came means anything.
  if (step == ServerHandshake::Step::refused) answer.left = 0;
  return answer;
}

Answer connect(std::string_view bytes, Cuts cuts, std::string_view input) {
  ClientHandshake client(kUrl, kOffers, kKey);
  Answer answer = feed(client, bytes, cuts);
  const auto step = static_cast<ClientHandshake::Step>(answer.step);
  if (step == ClientHandshake::Step::need_more) {
    require(client.end_of_stream() == ClientHandshake::Step::failed, "the end is a failure", input);
  }
  if (step == ClientHandshake::Step::upgraded) {
    answer.text = client.subprotocol();
    require(answer.text.empty() || answer.text == "a" || answer.text == "b",
            "only an offer is chosen", input);
    return answer;
  }
  // How much was there of what is no HTTP, and of a body, depends on the cuts; what it is does not.
  answer.left = 0;
  answer.text = to_string(client.error().code);
  require(is_printable_line(client.error().text), "an error is one printable line", input);
  return answer;
}

void check(std::string_view input) {
  const Answer served = serve(input, Cuts::none, input);
  require(serve(input, Cuts::every_byte, input) == served, "server, byte by byte", input);
  require(serve(input, Cuts::some, input) == served, "server, cut anywhere", input);
  const Answer connected = connect(input, Cuts::none, input);
  require(connect(input, Cuts::every_byte, input) == connected, "client, byte by byte", input);
  require(connect(input, Cuts::some, input) == connected, "client, cut anywhere", input);
}

}  // namespace
}  // namespace stratwire::transport::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  stratwire::transport::test::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
