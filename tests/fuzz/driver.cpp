/// Runs a fuzz target without libFuzzer, so that every compiler and every preset runs it as a test.
///
/// 1. Arguments: how many mutated inputs, a seed, then the folders of the corpus.
/// 2. Each file of the corpus is run as it is, and cut short at every byte.
/// 3. Then one file after another is drawn, changed in one to six places, and run: a bit flipped, a
///    byte set, a piece removed, repeated, taken from another file, or a word of the protocol put
///    in.
/// 4. The seed is printed first; the same seed makes the same inputs again.
/// 5. A broken property aborts with the input in hex.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t kInputBytesMax = 4096;

constexpr std::string_view kWords[] = {"\"type\"",
                                       "PriceUpdate",
                                       "Event",
                                       "Request",
                                       "\"since\":[{",
                                       "\"code\":\"ok\"",
                                       "\"data\":",
                                       "\"ch\":\"\"",
                                       "\"seq\":0",
                                       "null",
                                       "true",
                                       "-0",
                                       "-0.0",
                                       "1e999",
                                       "1e-400",
                                       "5e-324",
                                       "[[",
                                       "]]",
                                       "{}",
                                       "[]",
                                       ",",
                                       ":",
                                       "\\u0000",
                                       "\\ud800",
                                       "\\udc00",
                                       "\\ud83d\\ude00",
                                       "\xc3\xa4",
                                       "\xed\xa0\x80",
                                       "\xf0\x9f\x98\x80",
                                       "18446744073709551615",
                                       "18446744073709551616",
                                       "-9223372036854775808",
                                       "9007199254740993",
                                       "0.1000000000000000055",
                                       "123456789012345678",
                                       "\xcb\x7f\xf8",
                                       "\xdd\xff\xff\xff\xff",
                                       "\xdf\xff\xff\xff\xff",
                                       "\xdb\xff\xff\xff\xff",
                                       "\xc1",
                                       "\x91\x91\x91\x91\x91\x91\x91\x91",
                                       "\xd9",
                                       "\xc0"};

void run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

class Mutator {
 public:
  Mutator(std::uint64_t seed, const std::vector<std::string>& corpus)
      : random_(seed), corpus_(corpus) {}

  std::string next() {
    std::string input = any_file();
    for (std::size_t changes = 1 + below(6); changes > 0; --changes) change(input);
    if (input.size() > kInputBytesMax) input.resize(kInputBytesMax);
    return input;
  }

 private:
  std::size_t below(std::size_t limit) { return random_() % limit; }
  const std::string& any_file() { return corpus_[below(corpus_.size())]; }

  void change(std::string& input) {
    const std::size_t at = below(input.size() + 1);
    const std::size_t length = std::min(input.size() - at, 1 + below(16));
    switch (below(6)) {
      case 0:
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << below(8)));
        return;
      case 1:
        if (at < input.size()) input[at] = static_cast<char>(below(256));
        return;
      case 2:
        input.erase(at, length);
        return;
      case 3:
        input.insert(at, input.substr(at, length));
        return;
      case 4: {
        const std::string& other = any_file();
        const std::size_t from = below(other.size() + 1);
        input.replace(at, length, other.substr(from, 1 + below(64)));
        return;
      }
      default:
        input.insert(at, kWords[below(std::size(kWords))]);
    }
  }

  std::mt19937_64 random_;
  const std::vector<std::string>& corpus_;
};

std::vector<std::string> read_corpus(int folders, char** names) {
  std::vector<std::filesystem::path> paths;
  for (int i = 0; i < folders; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(names[i])) {
      paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());  // The same seed must mean the same inputs everywhere.
  std::vector<std::string> corpus;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return corpus;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: %s INPUTS SEED CORPUS_FOLDER...\n", argv[0]);
    return 2;
  }
  const std::uint64_t inputs = std::strtoull(argv[1], nullptr, 10);
  const std::uint64_t seed = std::strtoull(argv[2], nullptr, 10);
  const std::vector<std::string> corpus = read_corpus(argc - 3, argv + 3);
  if (corpus.empty()) {
    std::fprintf(stderr, "no files in the corpus; name folders that have some\n");
    return 2;
  }
  std::printf("seed %llu, %zu files, %llu mutated inputs\n", static_cast<unsigned long long>(seed),
              corpus.size(), static_cast<unsigned long long>(inputs));
  std::fflush(stdout);
  for (const std::string& input : corpus) {
    for (std::size_t size = 0; size <= input.size(); ++size) run(input.substr(0, size));
  }
  Mutator mutator(seed, corpus);
  for (std::uint64_t i = 0; i < inputs; ++i) run(mutator.next());
  return 0;
}
