#include <cerrno>
#include <fcntl.h>
#include <new>
#include <optional>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <stratwire/transport/listener.hpp>

#include "address.hpp"
#include "text.hpp"

namespace stratwire::transport {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Stream = asio::generic::stream_protocol;
using Acceptor = asio::basic_socket_acceptor<Stream>;

bool is_out_of_descriptors(int error) noexcept {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

// Non-blocking, and not for programs that the user's process starts.
void make_private(Acceptor& acceptor, error_code& error) {
  ::fcntl(acceptor.native_handle(), F_SETFD, FD_CLOEXEC);
  acceptor.non_blocking(true, error);
}

int open_spare() noexcept {
  return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

Error listen_error(const std::string& address, const error_code& error) {
  if (error == asio::error::address_in_use) {
    return {Errc::address_in_use, error.value(),
            address +
                " is in use; stop the program that listens there or take another port (0: "
                "any that is free)"};
  }
  std::string text = "can't listen on " + address + ": " + error.message();
  const bool is_file = address.starts_with("unix:");
  if (error == asio::error::access_denied) {
    text += is_file ? "; take a folder that you may write to" : "; ports below 1024 need root";
  }
  if (error.value() == ENOENT) text += "; make the folder first, or take another path";
  if (error.value() == EADDRNOTAVAIL) text += "; take an address of this machine, or 0.0.0.0";
  return {Errc::listen_failed, error.value(), text};
}

Outcome<asio::ip::address> resolve(std::string_view host) {
  if (host.empty()) return asio::ip::address(asio::ip::address_v4::any());
  if (equal_any_case(host, "localhost")) {
    return asio::ip::address(asio::ip::address_v4::loopback());
  }
  error_code error;
  const asio::ip::address address = asio::ip::make_address(std::string(host), error);
  if (!error) return address;
  asio::io_context io;
  asio::ip::tcp::resolver resolver(io);
  const auto found = resolver.resolve(std::string(host), "0", error);
  if (error || found.empty()) {
    return Error{Errc::resolve_failed, error.value(),
                 "host " + quoted(host) + " has no address (" + error.message() +
                     "); check the name, or listen on 0.0.0.0"};
  }
  return found.begin()->endpoint().address();
}

// Which file a path named, to tell later whether it is still the same one.
struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  mode_t mode = 0;

  friend bool operator==(const FileId&, const FileId&) = default;
};

std::optional<FileId> file_at(const std::string& path) noexcept {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return std::nullopt;
  return FileId{status.st_dev, status.st_ino, status.st_mode};
}

// Holds a folder against other listeners that look for left-over files, so that none removes what
// another has just made. Nothing is written; a folder that can't be opened is not held.
class FolderLock {
 public:
  explicit FolderLock(const std::string& path)
      : fd_(::open(path.substr(0, path.rfind('/') + 1).c_str(),
                   O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    while (fd_ >= 0 && ::flock(fd_, LOCK_EX) != 0 && errno == EINTR) continue;
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  int fd_;
};

// Removes a socket file that nobody listens on.
std::optional<Error> remove_stale(const std::string& path) {
  const auto file = file_at(path);
  if (!file) return std::nullopt;
  if (!S_ISSOCK(file->mode)) {
    return Error{Errc::listen_failed, EADDRINUSE,
                 quoted(path) + " is there and is no socket file; remove it or take another path"};
  }
  asio::io_context io;
  asio::local::stream_protocol::socket probe(io);
  error_code error;
  probe.open(asio::local::stream_protocol(), error);
  // A full queue must not hold us up: it is as good an answer as a connection.
  if (!error) probe.native_non_blocking(true, error);
  if (!error) probe.connect(asio::local::stream_protocol::endpoint(path), error);
  if (error == asio::error::connection_refused) {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return std::nullopt;
    return Error{Errc::listen_failed, errno,
                 quoted(path) + " is left over and can't be removed; remove it by hand"};
  }
  if (error && error != asio::error::would_block && error != asio::error::try_again) {
    return Error{Errc::listen_failed, error.value(),
                 quoted(path) + " is there and can't be asked who listens (" + error.message() +
                     "); check its owner"};
  }
  return Error{
      Errc::address_in_use, EADDRINUSE,
      quoted(path) + " is in use; stop the program that listens there or take another path"};
}

}  // namespace

struct Listener::State {
  asio::io_context io{1};
  Acceptor acceptor{io};
  std::uint16_t port = 0;
  std::string address{};
  std::string path{};  // of the socket file; empty for TCP
  std::optional<FileId> file{};
  // Kept to hang up on somebody when there are no descriptors left: a connection that can't be
  // accepted would keep the listener readable for ever.
  int spare = open_spare();

  ~State() {
    if (spare >= 0) ::close(spare);
  }
  /// False when nobody waits.
  [[nodiscard]] bool hang_up_on_one() noexcept;
};

Listener::Listener(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Listener::~Listener() {
  close();
}
Listener::Listener(Listener&&) noexcept = default;
Listener& Listener::operator=(Listener&& other) noexcept {
  if (this != &other) {
    close();
    state_ = std::move(other.state_);
  }
  return *this;
}

Outcome<Listener> Listener::open(std::string_view host, std::uint16_t port) {
  auto address = resolve(host);
  if (!address) return address.error();
  const asio::ip::tcp::endpoint wanted(*address, port);
  auto state = std::make_unique<State>();
  error_code error;
  state->acceptor.open(Stream(wanted.protocol()), error);
  if (!error) state->acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error && wanted.address().is_v6()) {
    const bool only_v6 = !wanted.address().is_unspecified();
    state->acceptor.set_option(asio::ip::v6_only(only_v6), error);
  }
  if (!error) state->acceptor.bind(Stream::endpoint(wanted), error);
  if (!error) state->acceptor.listen(kBacklog, error);
  if (!error) make_private(state->acceptor, error);
  if (error) return listen_error(host_port(wanted.address().to_string(), port), error);

  sockaddr_storage local{};
  socklen_t bytes = sizeof(local);
  ::getsockname(state->acceptor.native_handle(), reinterpret_cast<sockaddr*>(&local), &bytes);
  state->port = address_port(local);
  state->address = address_text(local);
  return Listener(std::move(state));
}

Outcome<Listener> Listener::open_unix(std::string_view path_text) {
  const std::string path(path_text);
  const std::string address = "unix:" + printable(path);
  if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path) ||
      path.find('\0') != std::string::npos) {
    return Error{Errc::listen_failed, EINVAL,
                 "the socket path " + quoted(path) + " has " + std::to_string(path.size()) +
                     " bytes; the system takes 1 to " +
                     std::to_string(sizeof(sockaddr_un::sun_path) - 1)};
  }
  const FolderLock lock(path.find('/') == std::string::npos ? "./" : path);
  if (auto error = remove_stale(path)) return *error;
  auto state = std::make_unique<State>();
  const asio::local::stream_protocol::endpoint wanted(path);
  error_code error;
  state->acceptor.open(Stream(wanted.protocol()), error);
  if (!error) state->acceptor.bind(Stream::endpoint(wanted), error);
  if (!error) state->path = path;
  if (!error) state->file = file_at(path);
  if (!error) state->acceptor.listen(kBacklog, error);
  if (!error) make_private(state->acceptor, error);
  state->address = address;
  Listener listener(std::move(state));
  if (error) return listen_error(address, error);
  return listener;
}

// Gives the spare descriptor up for as long as it takes to accept and close one connection.
bool Listener::State::hang_up_on_one() noexcept {
  if (spare >= 0) ::close(std::exchange(spare, -1));
  const int fd = ::accept4(acceptor.native_handle(), nullptr, nullptr, SOCK_CLOEXEC);
  const bool nobody = fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  if (fd >= 0) ::close(fd);
  spare = open_spare();
  return !nobody;
}

AcceptResult Listener::accept() noexcept {
  if (!state_) return {AcceptStatus::failed, EBADF, {}};
  int number = 0;
  try {
    Stream::socket peer(state_->io);
    error_code error;
    state_->acceptor.accept(peer, error);
    if (!error) {
      const int fd = peer.release(error);
      if (!error) return {AcceptStatus::ok, 0, Socket(fd)};
    }
    if (error == asio::error::would_block || error == asio::error::try_again) return {};
    number = error.value();
  } catch (const std::bad_alloc&) {
    number = ENOMEM;
  } catch (const boost::system::system_error& error) {
    number = error.code().value();
  }
  if (!is_out_of_descriptors(number)) return {AcceptStatus::failed, number, {}};
  // The one that waited may have gone in the meantime.
  if (!state_->hang_up_on_one()) return {};
  return {AcceptStatus::out_of_descriptors, number, {}};
}

int Listener::fd() const noexcept {
  // native_handle() is not const in Asio, though it changes nothing.
  return state_ && state_->acceptor.is_open() ? state_->acceptor.native_handle() : -1;
}

std::uint16_t Listener::local_port() const noexcept {
  return state_ ? state_->port : 0;
}
std::string Listener::local_address() const {
  return state_ ? state_->address : std::string();
}

void Listener::close() noexcept {
  if (!state_ || !state_->acceptor.is_open()) return;
  // The file goes first: whoever comes now finds nothing instead of a refusal. A file that somebody
  // else has put there since is not ours to remove.
  if (!state_->path.empty() && state_->file && file_at(state_->path) == state_->file) {
    ::unlink(state_->path.c_str());
  }
  error_code ignored;
  state_->acceptor.close(ignored);
}

}  // namespace stratwire::transport
