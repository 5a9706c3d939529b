/// What the end-to-end benches share: pinned threads, a blocking-free upgrade, figures of rounds,
/// printed and, with `--json FILE`, written for bench/driver.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <pthread.h>
#include <sched.h>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <stratwire/transport/handshake.hpp>
#include <stratwire/transport/listener.hpp>
#include <stratwire/transport/socket.hpp>

namespace stratwire::bench {

[[noreturn]] inline void die(const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  std::exit(1);
}

/// The calling thread runs on this core from now on, as far as the machine has so many.
inline void pin(unsigned core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core % std::max(1U, std::thread::hardware_concurrency()), &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

/// Middle of the rounds.
inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}
inline double percentile(std::vector<double>& sorted, double percent) {
  if (sorted.empty()) return 0;
  const auto rank = static_cast<std::size_t>(percent / 100 * static_cast<double>(sorted.size()));
  return sorted[std::min(rank, sorted.size() - 1)];
}

/// `--name VALUE`, or `other`. What this program does not know is left to the programs that do.
inline double option(int argc, char** argv, std::string_view name, double other) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (argv[i] != name) continue;
    const std::string_view text{argv[i + 1]};
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value <= 0) {
      die(std::string{name} + " takes a number above 0, not '" + argv[i + 1] + "'");
    }
    return value;
  }
  return other;
}

/// What stands behind `--name`, or nothing.
inline std::string text_option(int argc, char** argv, std::string_view name) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (argv[i] == name) return argv[i + 1];
  }
  return {};
}

/// The rows of a bench, and their figures in each round; the first column is what a row is about.
class Table {
 public:
  enum class Better : std::uint8_t { less, more };
  struct Name {
    std::string row{};
    /// The row of this table that is the least that it could cost; empty where it is one itself.
    std::string floor{};
  };

  Table(std::string unit, Better better, std::vector<std::string> columns)
      : unit_(std::move(unit)), better_(better), columns_(std::move(columns)) {}
  /// Of times: percentiles.
  explicit Table(std::string unit)
      : Table(std::move(unit), Better::less, {"p50", "p90", "p99", "p99.9", "max"}) {}

  /// One more round of a row.
  void add(const Name& name, std::vector<double> figures) {
    if (figures.size() != columns_.size()) die("as many figures as columns");
    row_of(name).rounds.push_back(std::move(figures));
  }
  /// The same, out of all samples of the round.
  void add_samples(const Name& name, std::vector<double> samples) {
    std::sort(samples.begin(), samples.end());
    std::vector<double> figures;
    for (const double percent : {50.0, 90.0, 99.0, 99.9, 100.0}) {
      figures.push_back(percentile(samples, percent));
    }
    add(name, std::move(figures));
  }
  /// Median of the rounds of one column.
  [[nodiscard]] double middle(std::string_view row, std::size_t column) const {
    for (const Row& each : rows_) {
      if (each.name.row == row) return median(each.column(column));
    }
    return 0;
  }

  /// Prints it, and writes it where `--json FILE` says.
  void finish(int argc, char** argv) const {
    print();
    const std::string path = text_option(argc, argv, "--json");
    if (!path.empty()) write(path);
  }

 private:
  struct Row {
    Name name{};
    std::vector<std::vector<double>> rounds{};

    [[nodiscard]] std::vector<double> column(std::size_t index) const {
      std::vector<double> all;
      for (const std::vector<double>& round : rounds) all.push_back(round[index]);
      return all;
    }
  };

  Row& row_of(const Name& name) {
    for (Row& row : rows_) {
      if (row.name.row == name.row) return row;
    }
    return rows_.emplace_back(Row{name});
  }

  void print() const {
    std::size_t width = 0;
    for (const Row& row : rows_) width = std::max(width, row.name.row.size());
    const auto indent = static_cast<int>(width);
    std::printf("%-*s %9s %19s", indent, unit_.c_str(), columns_[0].c_str(), "lowest - highest");
    for (std::size_t i = 1; i < columns_.size(); ++i) std::printf(" %9s", columns_[i].c_str());
    std::printf("\n");
    for (const Row& row : rows_) {
      const std::vector<double> first = row.column(0);
      const auto [low, high] = std::minmax_element(first.begin(), first.end());
      std::printf("%-*s %9.2f %8.2f - %8.2f", indent, row.name.row.c_str(), median(first), *low,
                  *high);
      for (std::size_t i = 1; i < columns_.size(); ++i) {
        std::printf(" %9.2f", median(row.column(i)));
      }
      std::printf("\n");
    }
  }

  /// Names are ours and hold nothing that JSON would escape.
  void write(const std::string& path) const {
    std::FILE* const file = std::fopen(path.c_str(), "w");
    if (file == nullptr) die("can't write " + path);
    std::fprintf(file, "{\"unit\": \"%s\", \"more_is_better\": %s, \"columns\": ", unit_.c_str(),
                 better_ == Better::more ? "true" : "false");
    write_list(file, columns_,
               [file](const std::string& name) { std::fprintf(file, "\"%s\"", name.c_str()); });
    std::fprintf(file, ", \"rows\": ");
    write_list(file, rows_, [file](const Row& row) {
      std::fprintf(file,
                   "\n{\"row\": \"%s\", \"floor\": \"%s\", \"rounds\": ", row.name.row.c_str(),
                   row.name.floor.c_str());
      write_list(file, row.rounds, [file](const std::vector<double>& round) {
        write_list(file, round, [file](double figure) { std::fprintf(file, "%.5g", figure); });
      });
      std::fprintf(file, "}");
    });
    std::fprintf(file, "}\n");
    if (std::fclose(file) != 0) die("can't write " + path);
  }
  template <class Each, class Write>
  static void write_list(std::FILE* file, const std::vector<Each>& all, Write write_one) {
    std::fputs("[", file);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i != 0) std::fputs(", ", file);
      write_one(all[i]);
    }
    std::fputs("]", file);
  }

  std::string unit_;
  Better better_;
  std::vector<std::string> columns_;
  std::vector<Row> rows_{};
};

/// Waits on this core for a connection; nothing else does.
inline transport::Socket accept_one(transport::Listener& listener) {
  for (;;) {
    auto accepted = listener.accept();
    if (accepted.status == transport::AcceptStatus::ok) return std::move(accepted.socket);
    sched_yield();
  }
}

/// Answers the upgrade with the subprotocol that was offered.
inline void upgrade(transport::Socket& socket) {
  transport::ServerHandshake handshake;
  std::array<char, 4096> head;
  for (;;) {
    const auto got = socket.read_some(head);
    if (got.status == transport::IoStatus::would_block) {
      sched_yield();
      continue;
    }
    if (got.status != transport::IoStatus::ok) die("the client went away in its upgrade");
    std::span<const char> input(head.data(), got.bytes);
    if (handshake.feed(input) == transport::ServerHandshake::Step::upgrade) break;
  }
  const auto& offered = handshake.subprotocols();
  const std::string answer = handshake.accept(offered.empty() ? std::string{} : offered.front());
  static_cast<void>(socket.write_some(std::span<const char>(answer)));
}

}  // namespace stratwire::bench
