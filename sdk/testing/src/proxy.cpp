#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <set>
#include <span>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <stratwire/testing/proxy.hpp>
#include <stratwire/transport/listener.hpp>
#include <stratwire/transport/poller.hpp>
#include <stratwire/transport/url.hpp>

#include "link.hpp"

namespace stratwire::testing {
namespace {

using transport::Interest;
using transport::Ready;

constexpr std::string_view kUnixPrefix = "unix:";

/// An address that can be connected to; `bytes` is 0 when the text was none.
struct Address {
  sockaddr_storage storage{};
  socklen_t bytes = 0;
};

Address unix_address(std::string_view path) {
  Address address;
  sockaddr_un name{};
  if (path.empty() || path.size() >= sizeof name.sun_path) return address;
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), path.size());
  std::memcpy(&address.storage, &name, sizeof name);
  address.bytes = sizeof name;
  return address;
}

/// Looks the host up; may block for as long as the system's resolver does.
Address tcp_address(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  Address address;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return {};
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  address.bytes = found->ai_addrlen;
  ::freeaddrinfo(found);
  return address;
}

struct HostPort {
  std::string host{};
  std::uint16_t port = 0;
};

std::optional<HostPort> split(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  HostPort result{std::string{text.substr(0, colon)}, 0};
  const std::string_view digits = text.substr(colon + 1);
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), result.port);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return result;
}

Address parse_target(std::string_view text) {
  if (text.find("://") != std::string_view::npos) {
    const auto url = transport::Url::parse(text);
    if (!url.ok()) return {};
    return url->kind == transport::Url::Kind::unix_socket ? unix_address(url->socket_path)
                                                          : tcp_address(url->host, url->port);
  }
  if (text.starts_with(kUnixPrefix)) return unix_address(text.substr(kUnixPrefix.size()));
  const auto where = split(text);
  return where ? tcp_address(where->host, where->port) : Address{};
}

/// Begins to connect; what is written before that is done would block.
transport::Socket connect_to(const Address& address) {
  const int family = address.storage.ss_family;
  const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return {};
  const int on = 1;
  if (family != AF_UNIX) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.bytes) != 0 &&
      errno != EINPROGRESS) {
    ::close(fd);
    return {};
  }
  return transport::Socket(fd);
}

transport::Error bad_address(std::string_view what, const std::string& text,
                             std::string_view cure) {
  return {transport::Errc::invalid_url, 0,
          std::string{what} + " '" + text + "': " + std::string{cure}};
}

transport::Outcome<transport::Listener> listen_on(const std::string& text) {
  if (text.starts_with(kUnixPrefix)) {
    return transport::Listener::open_unix(std::string_view(text).substr(kUnixPrefix.size()));
  }
  const auto where = split(text);
  if (!where) return bad_address("listen", text, "write 127.0.0.1:PORT or unix:PATH");
  return transport::Listener::open(where->host, where->port);
}

}  // namespace

class Proxy::Core {
 public:
  Core(ProxyConfig config, transport::Listener listener, transport::Poller poller,
       transport::Wakeup wakeup)
      : plan_(std::move(config.plan)),
        target_(parse_target(config.target)),
        on_event_(std::move(config.on_event)),
        listener_(std::move(listener)),
        poller_(std::move(poller)),
        wakeup_(std::move(wakeup)) {}
  ~Core() {
    // start() may have failed before there was one.
    if (!thread_.joinable()) return;
    run_on_thread([this] { stopping_ = true; });
    thread_.join();
  }
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  [[nodiscard]] int start() {
    if (const int error = poller_.add(wakeup_.fd(), kWakeupToken, Interest::read)) return error;
    if (const int error = poller_.add(listener_.fd(), kListenerToken, Interest::read)) {
      return error;
    }
    address_ = listener_.local_address();
    thread_ = std::thread([this] { run(); });
    return 0;
  }

  [[nodiscard]] const std::string& address() const { return address_; }

  /// Runs `work` on the proxy's thread and waits for its end.
  void run_on_thread(std::function<void()> work) {
    std::unique_lock lock(mutex_);
    const std::uint64_t ticket = ++posted_;
    work_.push_back(std::move(work));
    has_work_.store(true, std::memory_order_release);  // release: pairs with the acquire in run().
    wakeup_.notify();
    changed_.wait(lock, [&] { return done_ >= ticket; });
  }

  // ---- On the proxy's thread

  std::size_t apply(const Fault& fault) {
    const Instant now = std::chrono::steady_clock::now();
    std::vector<std::uint64_t> affected;
    for (auto& [id, entry] : links_) {
      if (fault.connection == 0 || fault.connection == id) affected.push_back(id);
    }
    for (const std::uint64_t id : affected) {
      links_.at(id).link->apply(fault, now);
      step(id, now);
    }
    return affected.size();
  }
  void set_plan(Plan plan) { plan_ = std::move(plan); }
  bool set_admission(Admission admission) {
    if (admission_ == Admission::away && admission != Admission::away && !listen_again()) {
      return false;
    }
    if (admission == Admission::away && admission_ != Admission::away) {
      poller_.remove(listener_.fd());
      listener_.close();
      accept_again_.reset();
    }
    admission_ = admission;
    return true;
  }
  bool listen_again() {
    auto listener = listen_on(address_);
    if (!listener.ok()) return false;
    listener_ = *std::move(listener);
    return poller_.add(listener_.fd(), kListenerToken, Interest::read) == 0;
  }
  void set_target(const std::string& target) { target_ = parse_target(target); }

  // ---- On any thread

  [[nodiscard]] ProxyStats stats() const {
    const std::lock_guard lock(mutex_);
    return stats_;
  }
  [[nodiscard]] bool wait(const std::function<bool(const ProxyStats&)>& condition,
                          std::chrono::milliseconds patience) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return condition(stats_); });
  }

 private:
  struct Entry {
    std::unique_ptr<Link> link{};
    std::array<Interest, 2> watched{Interest::none, Interest::none};
    /// Told as broken: a poller would tell it for ever.
    std::array<bool, 2> dropped{};
    std::array<std::uint64_t, kDirections> counted{};
    std::optional<Instant> due{};
  };
  static constexpr std::uint64_t kWakeupToken = 0;
  static constexpr std::uint64_t kListenerToken = 1;
  static constexpr std::array kSides{Side::client, Side::server};

  static std::uint64_t token_of(std::uint64_t id, Side side) {
    return id * 2 + static_cast<std::uint64_t>(side);
  }

  void run() {
    std::array<Ready, transport::Poller::kReadyMax> ready;
    while (!stopping_) {
      wakeup_.prepare_sleep();
      // acquire: pairs with the release in run_on_thread(); the work is taken under the mutex.
      const auto timeout =
          has_work_.load(std::memory_order_acquire) ? std::chrono::nanoseconds{0} : time_to_next();
      const std::size_t count = poller_.wait(ready, timeout);
      wakeup_.end_sleep();
      const Instant now = std::chrono::steady_clock::now();
      for (const Ready& each : std::span(ready).first(count)) handle(each, now);
      step_those_due(now);
      resume_accepting(now);
      do_work();
    }
    on_event_ = {};  // The end of the proxy is none of its faults.
    for (auto& [id, entry] : links_) entry.link->apply({.kind = FaultKind::reset}, Instant{});
  }

  [[nodiscard]] std::chrono::nanoseconds time_to_next() const {
    if (due_.empty() && !accept_again_) return transport::Poller::kNoTimeout;
    Instant next = accept_again_.value_or(Instant::max());
    if (!due_.empty()) next = std::min(next, due_.begin()->first);
    return std::max(std::chrono::nanoseconds{0},
                    std::chrono::nanoseconds(next - std::chrono::steady_clock::now()));
  }

  void handle(const Ready& ready, Instant now) {
    if (ready.token == kWakeupToken) return wakeup_.drain();
    if (ready.token == kListenerToken) return accept_all(now);
    const std::uint64_t id = ready.token / 2;
    if (!links_.contains(id)) return;
    step(id, now);
    if (!ready.broken) return;
    const auto found = links_.find(id);
    if (found == links_.end()) return;
    // What is left in it is read, or written in vain, when the time for it has come.
    const Side side = kSides[ready.token % 2];
    poller_.remove(found->second.link->fd(side));
    found->second.dropped[ready.token % 2] = true;
  }

  void accept_all(Instant now) {
    for (;;) {
      auto accepted = listener_.accept();
      if (accepted.status == transport::AcceptStatus::would_block) return;
      if (accepted.status != transport::AcceptStatus::ok) return pause_accepting(now);
      take(std::move(accepted.socket), now);
    }
  }

  /// Level-triggered: without a pause the loop would spin on the same connection.
  void pause_accepting(Instant now) {
    static_cast<void>(poller_.modify(listener_.fd(), kListenerToken, Interest::none));
    accept_again_ = now + ProxyStats::kAcceptPause;
    tell([](ProxyStats& stats) { ++stats.accept_failures; });
  }
  void resume_accepting(Instant now) {
    if (!accept_again_ || now < *accept_again_) return;
    accept_again_.reset();
    static_cast<void>(poller_.modify(listener_.fd(), kListenerToken, Interest::read));
  }

  void take(transport::Socket client, Instant now) {
    const std::uint64_t id = ++last_id_;
    transport::Socket server;
    if (admission_ == Admission::open && target_.bytes != 0) server = connect_to(target_);
    const bool refused = !server.is_open();
    if (refused) {
      client.set_linger_reset();
      client.close();
    } else {
      Entry& entry = links_[id];
      entry.link =
          std::make_unique<Link>(std::move(client), std::move(server), plan_.faults_of(id));
      entry.link->on_fault = [this, id](const Fault& fault) { on_fault(id, fault); };
      for (const Side side : kSides) {
        static_cast<void>(poller_.add(entry.link->fd(side), token_of(id, side), Interest::none));
      }
    }
    tell([&](ProxyStats& stats) {
      ++stats.accepted;
      stats.refused += refused ? 1 : 0;
      stats.open += refused ? 0 : 1;
      if (stats.accepted_at.size() < ProxyStats::kAcceptedAtMax) stats.accepted_at.push_back(now);
    });
    announce({refused ? ProxyEvent::Kind::refused : ProxyEvent::Kind::opened, id});
    if (!refused) step(id, now);
  }

  void on_fault(std::uint64_t id, Fault fault) {
    fired_.push_back(fault.kind);
    const Link& link = *links_.at(id).link;
    fault.connection = id;
    fault.offset = link.forwarded(fault.direction);
    announce({ProxyEvent::Kind::fault, id, fault, forwarded(link)});
  }
  static std::array<std::uint64_t, kDirections> forwarded(const Link& link) {
    return {link.forwarded(Direction::up), link.forwarded(Direction::down)};
  }
  void announce(const ProxyEvent& event) {
    if (on_event_) on_event_(event);
  }

  void step(std::uint64_t id, Instant now) {
    Entry& entry = links_.at(id);
    entry.link->step(now);
    if (entry.due) due_.erase({*std::exchange(entry.due, std::nullopt), id});
    count(entry);
    if (entry.link->over()) {
      const ProxyEvent ended{ProxyEvent::Kind::ended, id, {}, forwarded(*entry.link)};
      // Its sockets are closed, and gone from the poller with it.
      links_.erase(id);
      tell([](ProxyStats& stats) {
        ++stats.ended;
        --stats.open;
      });
      announce(ended);
      return;
    }
    for (const Side side : kSides) {
      const auto index = static_cast<std::size_t>(side);
      const Interest wanted = entry.link->interest(side, now);
      if (entry.dropped[index] || wanted == entry.watched[index]) continue;
      static_cast<void>(poller_.modify(entry.link->fd(side), token_of(id, side), wanted));
      entry.watched[index] = wanted;
    }
    entry.due = entry.link->due(now);
    // A broken socket is not watched any more: only trying shows how it goes on.
    if (!entry.due && (entry.dropped[0] || entry.dropped[1]) && wants_more(entry, now)) {
      entry.due = now + std::chrono::milliseconds(1);
    }
    if (entry.due) due_.insert({*entry.due, id});
  }

  static bool wants_more(const Entry& entry, Instant now) {
    for (const Side side : kSides) {
      if (entry.dropped[static_cast<std::size_t>(side)] &&
          entry.link->interest(side, now) != Interest::none) {
        return true;
      }
    }
    return false;
  }

  void count(Entry& entry) {
    std::array<std::uint64_t, kDirections> more{};
    for (std::size_t i = 0; i < kDirections; ++i) {
      const std::uint64_t all = entry.link->forwarded(static_cast<Direction>(i));
      more[i] = all - std::exchange(entry.counted[i], all);
    }
    if (fired_.empty() && more == std::array<std::uint64_t, kDirections>{}) return;
    tell([&](ProxyStats& stats) {
      for (std::size_t i = 0; i < kDirections; ++i) stats.forwarded_bytes[i] += more[i];
      for (const FaultKind kind : fired_) ++stats.faults[static_cast<std::size_t>(kind)];
    });
    fired_.clear();
  }

  void step_those_due(Instant now) {
    std::vector<std::uint64_t> ids;
    for (const auto& [due, id] : due_) {
      if (due > now) break;
      ids.push_back(id);
    }
    for (const std::uint64_t id : ids) {
      if (links_.contains(id)) step(id, now);
    }
  }

  void do_work() {
    std::vector<std::function<void()>> work;
    std::uint64_t done = 0;
    {
      const std::lock_guard lock(mutex_);
      work.swap(work_);
      done = posted_;
      // relaxed: written under the mutex that the other writer holds too.
      has_work_.store(false, std::memory_order_relaxed);
    }
    if (work.empty()) return;
    for (auto& each : work) each();
    const std::lock_guard lock(mutex_);
    done_ = done;
    changed_.notify_all();
  }

  template <class Change>
  void tell(Change&& change) {
    const std::lock_guard lock(mutex_);
    change(stats_);
    changed_.notify_all();
  }

  Plan plan_;
  Address target_;
  std::function<void(const ProxyEvent&)> on_event_;
  Admission admission_ = Admission::open;
  transport::Listener listener_;
  transport::Poller poller_;
  transport::Wakeup wakeup_;
  std::string address_{};
  std::map<std::uint64_t, Entry> links_{};
  std::set<std::pair<Instant, std::uint64_t>> due_{};
  std::vector<FaultKind> fired_{};
  std::optional<Instant> accept_again_{};  // While nobody is taken.
  std::uint64_t last_id_ = 0;
  bool stopping_ = false;

  mutable std::mutex mutex_{};
  mutable std::condition_variable changed_{};
  std::vector<std::function<void()>> work_{};
  std::uint64_t posted_ = 0;
  std::uint64_t done_ = 0;
  std::atomic<bool> has_work_{false};
  ProxyStats stats_{};
  std::thread thread_{};
};

transport::Outcome<std::unique_ptr<Proxy>> Proxy::open(ProxyConfig config) {
  if (parse_target(config.target).bytes == 0) {
    return bad_address("target", config.target, "write ws://HOST:PORT, HOST:PORT or unix:PATH");
  }
  auto listener = listen_on(config.listen);
  if (!listener.ok()) return listener.error();
  auto poller = transport::Poller::open();
  if (!poller.ok()) return poller.error();
  auto wakeup = transport::Wakeup::open();
  if (!wakeup.ok()) return wakeup.error();
  auto core = std::make_unique<Core>(std::move(config), *std::move(listener), *std::move(poller),
                                     *std::move(wakeup));
  if (const int error = core->start()) {
    return transport::Error{transport::Errc::io_failed, error, "epoll refused the listener"};
  }
  return std::unique_ptr<Proxy>(new Proxy(std::move(core)));
}

Proxy::Proxy(std::unique_ptr<Core> core) : core_(std::move(core)) {}
Proxy::~Proxy() = default;

std::string Proxy::url() const {
  const std::string& address = core_->address();
  if (address.starts_with(kUnixPrefix)) return "ws+unix://" + address.substr(kUnixPrefix.size());
  return "ws://" + address;
}

std::size_t Proxy::apply(const Fault& fault) {
  std::size_t affected = 0;
  core_->run_on_thread([&] { affected = core_->apply(fault); });
  return affected;
}

void Proxy::set_plan(Plan plan) {
  core_->run_on_thread([&] { core_->set_plan(std::move(plan)); });
}
bool Proxy::set_admission(Admission admission) {
  bool done = false;
  core_->run_on_thread([&] { done = core_->set_admission(admission); });
  return done;
}
void Proxy::set_target(std::string target) {
  core_->run_on_thread([&] { core_->set_target(target); });
}

ProxyStats Proxy::stats() const {
  return core_->stats();
}
bool Proxy::wait(const std::function<bool(const ProxyStats&)>& condition,
                 std::chrono::milliseconds patience) const {
  return core_->wait(condition, patience);
}

}  // namespace stratwire::testing
