/// A program of ours as a process of its own, to be killed.
#pragma once

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace stratwire::test {

/// \thread one thread at a time
class ChildProcess {
 public:
  /// Starts it; its stderr can be waited for.
  ChildProcess(const std::string& program, std::vector<std::string> arguments) {
    std::array<int, 2> pipe{};
    EXPECT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe[1], STDERR_FILENO);
    arguments.insert(arguments.begin(), program);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const int error = ::posix_spawn(&id_, program.c_str(), &actions, nullptr, argv.data(), environ);
    EXPECT_EQ(error, 0) << program << " can't be started";
    if (error != 0) id_ = -1;
    posix_spawn_file_actions_destroy(&actions);
    ::close(pipe[1]);
    errors_ = pipe[0];
  }
  ~ChildProcess() {
    kill();
    ::close(errors_);
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// Waits for a line of stderr with this in it. \return false when it ended or said nothing
  [[nodiscard]] bool says(std::string_view text, std::chrono::milliseconds patience) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (said_.find(text) == std::string::npos) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          end - std::chrono::steady_clock::now());
      pollfd waiting{errors_, POLLIN, 0};
      if (left.count() <= 0) return false;
      if (::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) continue;
      std::array<char, 4096> block;
      const ssize_t got = ::read(errors_, block.data(), block.size());
      if (got == 0 || (got < 0 && errno != EINTR)) return false;
      if (got > 0) said_.append(block.data(), static_cast<std::size_t>(got));
    }
    return true;
  }
  [[nodiscard]] const std::string& said() const noexcept { return said_; }

  /// SIGKILL, and waits until it is gone with its sockets; a second call does nothing.
  void kill() {
    if (id_ < 0) return;
    ::kill(id_, SIGKILL);
    int status = 0;
    while (::waitpid(id_, &status, 0) < 0 && errno == EINTR) {
    }
    id_ = -1;
  }

 private:
  pid_t id_ = -1;
  int errors_ = -1;
  std::string said_{};
};

}  // namespace stratwire::test
