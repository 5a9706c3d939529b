#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <pthread.h>
#include <string>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <stratwire/transport/connector.hpp>

#include "address.hpp"
#include "text.hpp"

namespace stratwire::transport {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::chrono::milliseconds kBlindWait{1};
using Stream = asio::generic::stream_protocol;

// Addresses that need no resolver: numbers, and the name of this machine (RFC 6761 6.3). IPv4 comes
// first, since it is what most servers on the same machine listen on.
std::vector<Stream::endpoint> known_addresses(const Url& url) {
  if (url.kind == Url::Kind::unix_socket) {
    return {asio::local::stream_protocol::endpoint(url.socket_path)};
  }
  if (equal_any_case(url.host, "localhost")) {
    return {asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), url.port),
            asio::ip::tcp::endpoint(asio::ip::address_v6::loopback(), url.port)};
  }
  error_code error;
  const asio::ip::address address = asio::ip::make_address(url.host, error);
  if (error) return {};
  return {asio::ip::tcp::endpoint(address, url.port)};
}

std::string endpoint_text(const Stream::endpoint& endpoint) {
  sockaddr_storage address{};
  std::memcpy(&address, endpoint.data(), endpoint.size());
  return address_text(address);
}

// What to do about an address of that kind that could not be connected to.
std::string cure(const Url& url, int system) {
  if (url.kind != Url::Kind::unix_socket) return "check the port and that the server is up";
  switch (system) {
    case ENOENT:
      return "start the server with --unix-path " + printable(url.socket_path) +
             ", or check the path";
    case ECONNREFUSED:
      return "no server listens on that file: start one with this path, or check the path";
    case EACCES:
      return "this user may not write to the file; check its owner and mode";
    default:
      return "check the path and that the server is up";
  }
}

// TCP connects to itself when nobody listens on a port that the system then picks for our own end.
bool is_self_connected(const Stream::socket& socket) {
  error_code error;
  const Stream::endpoint local = socket.local_endpoint(error);
  if (error || local.protocol().family() == AF_UNIX) return false;
  const Stream::endpoint remote = socket.remote_endpoint(error);
  return !error && local == remote;
}

}  // namespace

struct Connector::State {
  // A look-up on a thread of its own. Whoever comes last frees it: the thread may come back long
  // after the connector is gone.
  struct Lookup {
    std::mutex mutex{};
    State* owner = nullptr;  // guarded by mutex; null when nobody waits any more
    std::vector<Stream::endpoint> found{};
    error_code error{};
  };

  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  asio::steady_timer limit{io};
  std::optional<Stream::socket> socket{};
  std::shared_ptr<Lookup> lookup{};

  Status status = Status::idle;
  Url url{};
  std::vector<Stream::endpoint> addresses{};
  std::size_t next = 0;
  std::string tried{};  // "127.0.0.1:80: Connection refused, ..."
  int last_error = 0;
  bool timed_out = false;
  // Handlers of an earlier attempt that are still queued know an older number.
  std::uint64_t attempt = 0;
  Socket result{};
  Error error{};

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { give_up(); }

  void start(const Url& to);
  void look_up();
  void looked_up(Lookup& done);
  void try_next();
  void tried_one(const error_code& outcome);
  void fail(Errc code, int system, std::string text);
  void give_up() noexcept;
  void settle() noexcept;
};

void Connector::State::give_up() noexcept {
  ++attempt;
  if (lookup) {
    const std::lock_guard hold(lookup->mutex);
    lookup->owner = nullptr;
  }
  lookup.reset();
  settle();
  result.close();
  status = Status::idle;
}

// Nothing is under way any more.
void Connector::State::settle() noexcept {
  limit.cancel();
  socket.reset();
}

void Connector::State::fail(Errc code, int system, std::string text) {
  settle();
  error = {code, system, std::move(text)};
  status = Status::failed;
}

void Connector::State::start(const Url& to) {
  give_up();
  url = to;
  error = {};
  next = 0;
  tried.clear();
  last_error = 0;
  status = Status::pending;
  addresses = known_addresses(url);
  if (addresses.empty()) return look_up();
  try_next();
}

void Connector::State::look_up() {
  lookup = std::make_shared<Lookup>();
  lookup->owner = this;
  try {
    std::thread thread([job = lookup, number = attempt, host = url.host, port = url.port] {
      asio::io_context own;
      asio::ip::tcp::resolver resolver(own);
      error_code outcome;
      const auto found = resolver.resolve(host, std::to_string(port),
                                          asio::ip::resolver_base::numeric_service, outcome);
      const std::lock_guard hold(job->mutex);
      job->error = outcome;
      for (const auto& one : found) job->found.emplace_back(one.endpoint());
      if (job->owner == nullptr) return;
      // Under the lock, so that the connector can't go while its queue is used.
      asio::post(job->owner->io, [job, owner = job->owner, number] {
        if (owner->attempt == number) owner->looked_up(*job);
      });
    });
    pthread_setname_np(thread.native_handle(), "stratwire-dns");
    thread.detach();
  } catch (const std::system_error& refused) {
    lookup.reset();
    fail(Errc::resolve_failed, refused.code().value(),
         "no thread to look up " + quoted(url.host) + ": " + refused.code().message());
  }
}

void Connector::State::looked_up(Lookup& done) {
  addresses = std::move(done.found);
  const error_code outcome = done.error;
  lookup.reset();
  if (outcome || addresses.empty()) {
    return fail(Errc::resolve_failed, outcome.value(),
                "host " + quoted(url.host) + " of " + url.to_string() + " has no address (" +
                    outcome.message() + "); check the name and the resolver");
  }
  try_next();
}

void Connector::State::try_next() {
  if (next == addresses.size()) {
    return fail(
        Errc::connect_failed, last_error,
        "can't connect to " + url.to_string() + " (" + tried + "); " + cure(url, last_error));
  }
  const Stream::endpoint& endpoint = addresses[next++];
  socket.emplace(io);
  timed_out = false;
  error_code outcome;
  socket->open(endpoint.protocol(), outcome);
  const std::uint64_t number = attempt;
  if (outcome) {
    // Through the queue, so that a hundred bad addresses are no hundred frames of stack.
    asio::post(io, [this, number, outcome] {
      if (attempt == number) tried_one(outcome);
    });
    return;
  }
  socket->async_connect(endpoint, [this, number](const error_code& answer) {
    if (attempt == number) tried_one(answer);
  });
  if (next == addresses.size()) return;
  limit.expires_after(kPerAddressTimeout);
  limit.async_wait([this, number, which = next](const error_code& stopped) {
    if (stopped || attempt != number || which != next || !socket) return;
    timed_out = true;
    error_code ignored;
    socket->cancel(ignored);
  });
}

void Connector::State::tried_one(const error_code& answer) {
  limit.cancel();
  error_code outcome = answer;
  if (timed_out) outcome = asio::error::timed_out;
  if (!outcome && is_self_connected(*socket)) outcome = asio::error::connection_refused;
  // On a socket file with a full queue a connect "succeeds" that connected nothing.
  if (!outcome) static_cast<void>(socket->remote_endpoint(outcome));
  if (outcome == asio::error::not_connected) outcome = asio::error::try_again;
  if (!outcome) {
    const int fd = socket->release(outcome);
    if (!outcome) {
      result = Socket(fd);
      settle();
      status = Status::connected;
      return;
    }
  }
  if (!tried.empty()) tried += ", ";
  tried += endpoint_text(addresses[next - 1]) + ": " + outcome.message();
  last_error = outcome.value();
  try_next();
}

Connector::Connector() : state_(std::make_unique<State>()) {}
Connector::~Connector() = default;
Connector::Connector(Connector&&) noexcept = default;
Connector& Connector::operator=(Connector&&) noexcept = default;

void Connector::start(const Url& url) {
  state_->start(url);
}

Connector::Status Connector::poll() {
  if (state_->status != Status::pending) return state_->status;
  state_->io.restart();
  state_->io.poll();
  return state_->status;
}

Connector::Status Connector::wait(std::chrono::nanoseconds timeout) {
  if (state_->status != Status::pending) return state_->status;
  state_->io.run_one_for(timeout);
  return poll();
}

Connector::Status Connector::wait(std::chrono::nanoseconds timeout, int fd) {
  if (state_->status != Status::pending) return state_->status;
  asio::posix::stream_descriptor other(state_->io);
  error_code refused;
  other.assign(fd, refused);
  // The system has no room for one more epoll entry: look again soon.
  if (refused) return wait(std::min<std::chrono::nanoseconds>(timeout, kBlindWait));
  other.async_wait(asio::posix::stream_descriptor::wait_read, [](const error_code&) {});
  state_->io.run_one_for(timeout);
  static_cast<void>(other.release());
  return poll();
}

void Connector::cancel() noexcept {
  state_->give_up();
}

Connector::Status Connector::status() const noexcept {
  return state_->status;
}

Socket Connector::take_socket() noexcept {
  state_->status = Status::idle;
  return std::move(state_->result);
}

const Error& Connector::error() const noexcept {
  return state_->error;
}

}  // namespace stratwire::transport
