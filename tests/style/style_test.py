"""A bad sample for every rule of style.py, which must be found, and a good one, which must not."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import style

FORMATTER = shutil.which("clang-format-14")
LAYERS = ('set(STRATWIRE_MAY_USE_codecs "")\nset(STRATWIRE_MAY_USE_queue "")\n'
          "set(STRATWIRE_MAY_USE_client codecs queue)\n")
QUEUE = "sdk/queue/include/stratwire/queue/spsc.hpp"
CODEC = "codecs/include/stratwire/codec.hpp"
GOOD_QUEUE = "#pragma once\nnamespace stratwire::queue {}\n"
BASE = {"cmake/StratwireLibrary.cmake": LAYERS, QUEUE: GOOD_QUEUE, CODEC: "#pragma once\n"}


def findings(path, text, **more):
    """What is said of `path` with this text, in a checkout with a few other files."""
    files = BASE | {path: text} | {name.replace("__", "/"): value for name, value in more.items()}
    return [finding for finding in style.check(files) if finding.path == path]


class Rules(unittest.TestCase):
    def bad(self, path, text, words, line=None, **more):
        found = findings(path, text, **more)
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0].text)
        if line is not None:
            self.assertEqual(found[0].line, line)

    def good(self, path, text, **more):
        self.assertEqual(findings(path, text, **more), [])

    def test_the_base_is_clean(self):
        self.assertEqual(style.check(BASE), [])

    def test_markers(self):
        for marker in ("TO" "DO", "FIX" "ME", "XX" "X", "HA" "CK"):
            self.bad("codecs/src/a.cpp", f"int a;\n// {marker}: later\n", marker, line=2)
            self.bad("README.md", f"{marker}\n", marker)
        self.good("codecs/src/a.cpp", "// The method is called to_do.\n")

    def test_tabs(self):
        self.bad("dev", "a\n\tb\n", "tab", line=2)

    def test_machine_paths(self):
        self.bad("README.md", "see /wo" "rk/main\n", "one machine")
        self.bad("tests/unit/a.cpp", 'open("/ho' 'me/me");\n', "one machine")
        self.good("README.md", "frames/work/queue, ../shared/data, https://a.b/home/x\n")

    def test_file_length(self):
        self.bad("codecs/src/a.cpp", "int a;\n" * 601, "601 lines")
        self.good("codecs/src/a.cpp", "int a;\n" * 600)
        self.bad("tests/unit/a.cpp", "int a;\n" * 801, "801 lines")
        self.good("tests/unit/a.cpp", "int a;\n" * 800)

    def test_function_length(self):
        for head in ("int f(int a) {", "template <class T>\nvoid A<T>::f() const noexcept {",
                     "A::A(int a) : a_{a}, b_(a) {", "TEST(Suite, Name) {",
                     "auto f() -> std::vector<int> {",
                     "namespace n {\nclass C {\n void f() {"):
            lines = head.count("\n")
            self.bad("codecs/src/a.cpp", f"{head}\n" + "g();\n" * 69 + "}\n", "71 lines", line=lines + 1)
            self.good("codecs/src/a.cpp", f"{head}\n" + "g();\n" * 68 + "}\n")

    def test_function_length_counts_neither_scopes_nor_data(self):
        for head in ("namespace a {", "class A : public B<int()> {", "struct alignas(64) A {",
                     "enum class E : int {", "constexpr int kA[] = {", 'extern "C" {'):
            self.good("codecs/src/a.cpp", f"{head}\n" + "\n" * 100 + "};\n")

    def test_braces_in_texts_are_not_code(self):
        self.good("codecs/src/a.cpp", 'int f() { return g("{", \'{\', R"(")"); }\n' + "// {\n" * 90)

    def test_third_party_includes(self):
        boost = "#include <boost/asio.hpp>\n"
        self.bad("server/src/a.cpp", boost, "<boost/asio.hpp>")
        self.bad("examples/a.cpp", "#include <simdjson.h>\n", "<simdjson.h>")
        self.bad("sdk/queue/src/spsc.cpp", "#include <concurrentqueue/concurrentqueue.h>\n", "mpmc.hpp")
        self.bad("server/src/a.cpp", "#include <nobody/knows.h>\n", "no product code")
        self.good("sdk/transport/src/a.cpp", boost)
        self.good("tests/unit/a.cpp", "#include <gtest/gtest.h>\n")
        self.good("server/src/a.cpp", '#include <sys/socket.h>\n#include <vector>\n#include "a.hpp"\n')

    def test_layers_of_includes(self):
        self.bad("sdk/queue/src/a.cpp", "#include <stratwire/codec.hpp>\n", "layer broken")
        self.bad("codecs/src/a.cpp", "#include <stratwire/gone.hpp>\n", "no header of this project")
        self.good("sdk/client/src/a.cpp", "#include <stratwire/queue/spsc.hpp>\n")
        self.good("server/app/main.cpp", "#include <stratwire/codec.hpp>\n")

    def test_internal_headers_stay_inside(self):
        internal = {"sdk__queue__src__stratwire_internal__queue__a.hpp": "#pragma once\n"}
        text = "#include <stratwire_internal/queue/a.hpp>\n"
        self.bad("examples/a.cpp", text, "not installed", **internal)
        self.bad(QUEUE, GOOD_QUEUE + text, "not installed", **internal)
        self.good("sdk/client/src/a.cpp", text, **internal)

    def test_headers_are_installed(self):
        build = {"codecs/CMakeLists.txt": "HEADERS stratwire/error.hpp\n"}
        found = style.check(BASE | build)
        self.assertEqual([(finding.path, finding.line) for finding in found], [(CODEC, 1)])
        build = {"codecs/CMakeLists.txt": "HEADERS\n  stratwire/codec.hpp\n"}
        self.assertEqual(style.check(BASE | build), [])

    def test_memory_orders_have_reasons(self):
        load = "auto a = a_.load(std::memory_order_relaxed);\n"
        self.bad("sdk/queue/src/a.cpp", load, "without a reason")
        self.bad("sdk/queue/src/a.cpp", "// acquire: pairs with push().\n" + load, "'// relaxed: why")
        self.bad("sdk/queue/src/a.cpp", "// relaxed: why.\n" + "\n" * 8 + load, "without a reason")
        self.good("sdk/queue/src/a.cpp", "// relaxed: only this thread writes it.\n" + load)
        self.good("tests/unit/a.cpp", load)

    def test_no_implicit_order(self):
        atomic = "std::atomic<std::uint64_t> head_{0};\n"
        for use in ("head_.load();", "head_.store(f(1));", "++head_;", "head_++;", "head_ += 2;",
                    "head_ = 1;", "slots_[i].flag.load();", "x->fetch_add(1);"):
            self.bad("sdk/queue/src/a.cpp", atomic + f"void f() {{ {use} }}\n", "order" if "(" in use
                     else "implicit seq_cst", line=2)
        self.good("sdk/queue/src/a.cpp", atomic + "void f() { if (head_ == g()) file.load(name); }\n")

    def test_headers(self):
        self.bad(QUEUE, "namespace stratwire::queue {}\n", "#pragma once")
        self.bad(QUEUE, "#pragma once\nnamespace stratwire {}\n", "namespace stratwire::queue")

    def test_public_calls(self):
        self.bad(CODEC, "#pragma once\nvoid open(int a, bool fast = true);\n", "bool parameter", line=2)
        self.good(CODEC, "#pragma once\nstruct A {\n  bool fast = true;\n};\nbool open(int a);\n"
                  "void write(bool value);\n")
        self.bad(CODEC, "#pragma once\n/// Opens.\nclass Door {};\n", "\\thread", line=3)
        self.good(CODEC, "#pragma once\n/// Opens.\n/// \\thread any\nclass Door {};\nclass Wall;\n")
        detail = "namespace detail {\nclass Hinge {};\n}  // namespace detail\n"
        self.good(CODEC, "#pragma once\n" + detail)
        self.bad(CODEC, "#pragma once\n" + detail + "class Door {};\n", "'Door'", line=5)

    def test_unit_tests_do_not_sleep(self):
        self.bad("tests/unit/a.cpp", "std::this_thread::sleep_for(1s);\n", "sleep")

    def test_readme_shows_what_runs(self):
        example = {"examples__a.cpp": "int main() {\n  f();\n}\n"}
        self.good("README.md", "```cpp\nf();\n```\n```sh\nls\n```\n", **example)
        self.bad("README.md", "a\n```cpp\ng();\n```\n", "examples/", line=2, **example)

    def test_limits_are_reached(self):
        limits = "codecs/include/stratwire/limits.hpp"
        text = "#pragma once\ninline constexpr std::size_t kMost = 1;\n"
        self.bad(limits, text, "kMost", line=2)
        test = "EXPECT_EQ(send(limits::kMost), Errc::ok);\n"
        self.assertEqual(style.check(BASE | {limits: text, "tests/unit/a_test.cpp": test}), [])
        for test in ("open({.frame_bytes_max = 9});\n", "run(['--frame-bytes-max', '9'])\n"):
            text = "#pragma once\ninline constexpr std::size_t kFrameBytesMax = 1;\n"
            self.assertEqual(style.check(BASE | {limits: text, "tests/unit/a_test.cpp": test}), [])


class Program(unittest.TestCase):
    def run_over(self, files, *options):
        with tempfile.TemporaryDirectory() as folder:
            for path, text in files.items():
                target = pathlib.Path(folder) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
            return subprocess.run([sys.executable, style.__file__, *options, folder],
                                  capture_output=True, text=True, check=False)

    def test_a_clean_checkout_passes(self):
        result = self.run_over(BASE)
        self.assertEqual((result.returncode, result.stdout), (0, "3 files, 0 findings\n"))

    def test_a_finding_fails_and_names_its_place(self):
        result = self.run_over(BASE | {"codecs/src/a.cpp": "int a;\n\tint b;\n"})
        self.assertEqual(result.returncode, 1)
        self.assertIn("codecs/src/a.cpp:2: tab", result.stdout)

    @unittest.skipUnless(FORMATTER, "no clang-format-14 on this machine")
    def test_what_is_not_formatted_is_found(self):
        config = {".clang-format": "BasedOnStyle: Google\n"}
        bad = self.run_over(BASE | config | {"codecs/src/a.cpp": "int   a;\n"}, "--clang-format",
                            FORMATTER)
        self.assertEqual(bad.returncode, 1)
        self.assertIn("codecs/src/a.cpp:1: not formatted", bad.stdout)
        good = self.run_over(BASE | config | {"codecs/src/a.cpp": "int a;\n"}, "--clang-format",
                             FORMATTER)
        self.assertEqual(good.returncode, 0, good.stdout)


if __name__ == "__main__":
    unittest.main()
