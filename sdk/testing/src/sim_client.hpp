/// The real client without its threads: ClientSession, FrameParser, Decoder and ClientHandshake,
/// driven by the rules of ClientLoop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/codec.hpp>
#include <stratwire/session/client_session.hpp>
#include <stratwire/transport/frame.hpp>
#include <stratwire/transport/handshake.hpp>

#include "pipe.hpp"

namespace stratwire::sim {

class SimClient;

/// A data message that is handed over.
///
/// \lifetime valid until the call returns
struct Arrived {
  Envelope envelope{};
  std::uint64_t epoch = 0;
  std::uint64_t connection = 0;  ///< The one that brought it.
  std::int64_t wall_ns = 0;      ///< When it was read, on the client's clock.
  DataMessage body{};
};

/// Takes what a client hands over, in its order.
class Receiver {
 public:
  Receiver() = default;
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;
  virtual ~Receiver() = default;

  virtual void message(const Arrived& arrived) = 0;
  virtual void gap(std::string_view channel, const Gap& gap) = 0;
  /// \param connection  the one that the client follows now
  virtual void notice(const Notice& notice, std::uint64_t connection) = 0;
  /// The client is about to put this on a connection; whoever breaks it on purpose changes it.
  virtual void asks(Subscribe&) {}
};

/// What is between clients and servers.
class Network {
 public:
  Network() = default;
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;
  virtual ~Network() = default;

  /// \return when there is an answer; kForever = never
  [[nodiscard]] virtual TimeNs dial(const SimClient& client) = 0;
  /// The answer. \return nullptr: nobody listens
  [[nodiscard]] virtual std::shared_ptr<Pipe> arrive(const SimClient& client, std::size_t site) = 0;
  [[nodiscard]] virtual std::optional<std::size_t> site_of(std::string_view url) const = 0;
  virtual void opened(const SimClient& client, std::size_t site) = 0;
  /// What becomes of a connection that the client gives up.
  enum class Afterlife : std::uint8_t { none, told_late };
  [[nodiscard]] virtual Afterlife dropped(const SimClient& client, Pipe& pipe) = 0;
  /// The session was told of a connection that is over while another one is alive.
  virtual void told_late(const SimClient&) {}
  /// Bytes of an old connection have reached a server behind those of a new one.
  virtual void old_came_late(const SimClient&) {}
};

struct SimClientConfig {
  std::string name{};
  Codec codec = Codec::json;
  std::vector<std::size_t> sites{};  ///< In the order of its URLs.
  session::ClientSessionConfig session{};
};

/// \thread one thread: the simulation's
class SimClient final : public Actor, public PipeUser {
 public:
  SimClient(Scheduler& scheduler, Trace& trace, Random random, SimClientConfig config,
            Network& network, Receiver& receiver);
  /// The process is killed.
  ~SimClient() override;

  // ---- The user

  void start();
  void subscribe(std::span<const std::string> channels, Start start = Start::live,
                 std::span<const ResumePoint> since = {});
  void unsubscribe(std::span<const std::string> channels);

  // ---- Faults

  /// The strategy takes nothing.
  void stall(TimeNs until) noexcept { stalled_until_ = until; }
  /// It takes so many bytes every 10 ms.
  void slow_down(std::size_t bytes, TimeNs until) noexcept {
    slow_bytes_ = bytes;
    slow_until_ = until;
  }
  void pause(TimeNs until) noexcept { paused_until_ = until; }
  void jump_wall_clock(TimeNs by) noexcept { wall_offset_ += by; }
  /// No stall, no slowness, no pause lasts longer.
  void recover();

  // ---- How things are

  [[nodiscard]] const std::string& name() const noexcept { return config_.name; }
  [[nodiscard]] const SimClientConfig& config() const noexcept { return config_; }
  [[nodiscard]] const session::ClientSession& session() const noexcept { return session_; }
  /// Of the connection that it follows; nullptr when there is none.
  [[nodiscard]] Pipe* pipe() noexcept;
  [[nodiscard]] std::string describe() const;

 private:
  /// One connection, or one try.
  struct Line {
    enum class Stage : std::uint8_t {
      dialling,
      upgrading,
      open,
      parting,  ///< Said goodbye; read until the peer has gone.
      late,     ///< The session has given it up, and is told of it all the same.
      over,
    };
    Line(session::ConnectionId of, std::size_t to, std::size_t message_bytes_max)
        : id(of), site(to), parser(transport::Role::client, {message_bytes_max}) {}

    session::ConnectionId id;
    std::size_t site;
    Stage stage = Stage::dialling;
    TimeNs due = kForever;  ///< Of the answer to dialling; of the end of parting and late.
    std::shared_ptr<Pipe> pipe{};
    std::optional<transport::ClientHandshake> handshake{};
    transport::FrameParser parser;
    std::string head{};  ///< What the handshake was fed.
    std::string in{};
    std::string out{};
    bool close_put = false;
  };
  /// A pipe that was closed with bytes on their way to the server.
  struct Trail {
    std::shared_ptr<Pipe> pipe{};
    std::uint64_t arrived = 0;
  };

  void on_event() override;
  void pipe_changed() override;
  void turn();
  void plan_next_turn();
  [[nodiscard]] Line* find(session::ConnectionId id) noexcept;

  void perform();
  void perform(const session::action::Connect& connect);
  void perform(const session::action::ConnectSuccessor& connect);
  void perform(const session::action::Write& write);
  void perform(const session::action::WritePing& ping);
  void perform(const session::action::ProbeClock& probe);
  void perform(const session::action::Close& close);
  void perform(const session::action::Leave& leave);
  void perform(const session::action::Drop& drop);
  void perform(const session::action::HandGap& hand);
  void perform(const session::action::HandNotice& hand);

  void dial(session::ConnectionId id, std::size_t site);
  void advance(Line& line);
  void answer(Line& line);
  void upgrade(Line& line);
  void refused(Line& line);
  void open(Line& line, std::span<const char> rest);
  void receive(Line& line);
  [[nodiscard]] std::size_t take_allowance() noexcept;
  void parse(Line& line);
  void take(Line& line, const transport::Incoming& incoming);
  void take_message(Line& line, std::string_view payload);
  template <class T>
  void take_data(Line& line, const T& body);
  void ended(Line& line, session::Ending ending);
  void part(Line& line, std::uint16_t code);
  void close(Line& line);
  void put(Line& line, transport::Opcode opcode, std::string_view payload);
  void put_message(Line& line, const WsMessage& message);
  void flush(Line& line);
  void look_at_trails();

  [[nodiscard]] session::Instant instant() const noexcept;
  [[nodiscard]] std::int64_t wall_ns() const noexcept;
  [[nodiscard]] transport::MaskKey mask_key() noexcept;

  Trace& trace_;
  Random random_;
  SimClientConfig config_;
  Network& network_;
  Receiver& receiver_;
  session::ClientSession session_;
  Decoder decoder_;
  Message message_{};
  std::vector<std::unique_ptr<Line>> lines_{};
  std::vector<Trail> trails_{};
  std::string encoded_{};
  std::string scrap_;

  TimeNs stalled_until_ = 0;
  TimeNs slow_until_ = 0;
  TimeNs paused_until_ = 0;
  TimeNs read_again_at_ = 0;
  TimeNs wall_offset_ = 0;
  std::size_t slow_bytes_ = 0;
};

}  // namespace stratwire::sim
