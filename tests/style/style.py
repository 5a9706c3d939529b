"""The rules of style that a program can check, over every file of the checkout.

    style.py [--clang-format PROGRAM] ROOT

Prints one line "path:line: what is wrong and what to do" for each finding; exit code 1 if there are any.
How a file is seen: its text, and its code, which is the text with comments, strings and character
constants blanked, line by line in the same places. style_test.py has a bad sample for every rule.
"""

import argparse
import dataclasses
import functools
import os
import pathlib
import re
import subprocess
import sys

LIBRARIES = {  # folder -> library
    "codecs": "codecs",
    "sdk/queue": "queue",
    "sdk/telemetry": "telemetry",
    "sdk/transport": "transport",
    "sdk/session": "session",
    "sdk/client": "client",
    "sdk/arbiter": "arbiter",
    "sdk/peer": "peer",
    "sdk/testing": "testing",
    "server": "server",
}
SOURCE_FOLDERS = ("codecs", "sdk", "server", "examples", "bench", "tests", "cmake")
CPP = (".hpp", ".cpp")
TEXT = CPP + (".cmake", ".txt", ".md", ".py", ".sh", ".js", ".json", ".in", ".toml")
SKIPPED_FOLDERS = {"node_modules", "__pycache__", "corpus", "data"}

FILE_LINES_MAX = 600
TEST_FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
# A reason stands at most so many lines above the memory order that it explains.
REASON_DISTANCE = 8

# Where a third party may be included, by the start of the path; tests and bench may include any.
THIRD_PARTY_PLACES = {
    "simdjson": ("codecs/src/",),
    "msgpack": ("codecs/src/",),
    "boost": ("sdk/transport/src/",),
    "concurrentqueue": ("sdk/queue/src/stratwire_internal/queue/mpmc.hpp",),
    "CLI": ("server/app/", "sdk/cli/"),
    "toml++": ("server/app/",),
    "spdlog": ("server/app/",),
}
SYSTEM_FOLDERS = ("sys", "netinet", "arpa", "linux", "net")
SYSTEM_HEADERS = re.compile(
    r"(unistd|fcntl|poll|pthread|sched|signal|netdb|time|errno|cpuid|dlfcn|termios|stdlib|string"
    r"|[a-z]+intrin)\.h")
# Written so that this file does not hold them.
MARKERS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.])/(wo" r"rk|ro" r"ot|ho" r"me|tmp/b-)(/|\b-)")


@dataclasses.dataclass(frozen=True)
class Finding:
    path: str
    line: int
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.text}"


class File:
    """One file of the checkout; `path` is relative to its root, with '/'."""

    def __init__(self, path, text):
        self.path = path
        self.text = text

    @functools.cached_property
    def lines(self):
        return self.text.split("\n")

    @functools.cached_property
    def code(self):
        return blank(self.text)

    @functools.cached_property
    def code_lines(self):
        return self.code.split("\n")

    @property
    def is_cpp(self):
        return self.path.endswith(CPP)

    @property
    def is_product(self):
        return self.path.startswith(("codecs/", "sdk/", "server/"))

    @property
    def is_public_header(self):
        return (self.is_product and "/include/" in self.path and "/detail/" not in self.path)

    @property
    def library(self):
        return next((library for folder, library in LIBRARIES.items()
                     if self.path.startswith((folder + "/include/", folder + "/src/"))), None)

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def includes(self):
        """(line, path, is it in quotes) of every include."""
        for number, line in enumerate(self.lines, 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if match:
                yield number, match[2], match[1] == '"'


TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<raw>[^(\s]*)\(.*?\)(?P=raw)"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-zA-Z_])'(?:\\.|[^'\\\n])+'", re.S)


def blank(text):
    """The text with comments and constants replaced by blanks, newlines kept."""
    return TOKEN.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


# ---- Rules of one file: File -> findings


def markers(file):
    for number, line in enumerate(file.lines, 1):
        match = MARKERS.search(line)
        if match:
            yield Finding(file.path, number, f"leftover marker {match[0]}: do it or drop it")


def tabs(file):
    for number, line in enumerate(file.lines, 1):
        if "\t" in line:
            yield Finding(file.path, number, "tab: indent with spaces, write \\t in strings")


def machine_paths(file):
    for number, line in enumerate(file.lines, 1):
        match = MACHINE_PATHS.search(line)
        if match and "http" not in line:
            yield Finding(file.path, number,
                          f"path of one machine ('{match[0]}'): make it relative or an option")


def file_length(file):
    if not file.is_cpp:
        return
    most = TEST_FILE_LINES_MAX if file.path.startswith("tests/") else FILE_LINES_MAX
    lines = file.text.count("\n")
    if lines > most:
        yield Finding(file.path, most, f"{lines} lines, more than {most}: split it by subject")


def function_length(file):
    if not file.is_cpp:
        return
    for name, first, last in functions(file):
        if last - first + 1 > FUNCTION_LINES_MAX:
            yield Finding(file.path, first, f"'{name}' has {last - first + 1} lines, more than "
                          f"{FUNCTION_LINES_MAX}: name its parts and call them")


def functions(file):
    """(name, first line, last line) of every function body that is not inside another one."""
    code = re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", lambda m: re.sub(r"[^\n]", " ", m[0]), file.code,
                  flags=re.M)
    stack = []  # (is a function, name, line)
    head_start = 0
    for match in re.finditer(r"[{};]", code):
        sign, at = match[0], match.start()
        inside = any(is_function for is_function, _, _ in stack)
        if sign == "{":
            head = code[head_start:at]
            name = None if inside else function_name(head)
            stack.append((name is not None, name, file.line_of(at)))
        elif sign == "}" and stack:
            is_function, name, line = stack.pop()
            if is_function:
                yield name, line, file.line_of(at)
        # An initialiser in braces belongs to the head of what follows: Type::Type() : a_{0} {
        if not (sign == "}" and code[at + 1:].lstrip()[:1] in (",", "{")):
            head_start = at + 1


def function_name(head):
    """The name of the function whose body follows `head`, or None where no body follows."""
    plain = re.sub(r"<[^<>]*>", "", re.sub(r"<[^<>]*>", "", head))
    if re.search(r"\b(namespace|enum|extern)\b", plain):
        return None
    match = re.search(r"([~\w:]+|operator\W+)\s*\(", plain)
    if not match or re.search(r"=\s*$", plain):
        return None
    if re.search(r"\b(class|struct|union)\b", plain[:match.start()]):
        return None
    return match[1]


def third_party_includes(file):
    if not file.is_cpp or file.path.startswith(("tests/", "bench/")):
        return
    for number, path, quoted in file.includes():
        name = re.split(r"[/.]", path)[0]
        if quoted or name in ("stratwire", "stratwire_internal"):
            continue
        if "/" not in path and ("." not in path or SYSTEM_HEADERS.fullmatch(path)):
            continue
        if path.startswith(tuple(folder + "/" for folder in SYSTEM_FOLDERS)):
            continue
        if name == "toml++" or path.startswith("toml++"):
            name = "toml++"
        places = THIRD_PARTY_PLACES.get(name, ())
        if not file.path.startswith(places or ("\0",)):
            where = " or ".join(places) or "no product code"
            yield Finding(file.path, number,
                          f"<{path}> may be included in {where} only (STYLE: one obvious place)")


def memory_order_reasons(file):
    if not file.is_product or not file.is_cpp:
        return
    for number, line in enumerate(file.code_lines, 1):
        for order in re.findall(r"memory_order(?:_|::)(\w+)", line):
            above = file.lines[max(0, number - 1 - REASON_DISTANCE):number]
            if not any(re.search(rf"//.*\b{order}\b", text) for text in above):
                yield Finding(file.path, number, f"memory order without a reason: write "
                              f"'// {order}: why, and what it pairs with' above it")


ATOMIC_CALLS = (r"load|store|exchange|compare_exchange_weak|compare_exchange_strong|fetch_add|fetch_sub"
                r"|fetch_or|fetch_and|fetch_xor|test_and_set")


def implicit_orders(file):
    if not file.is_product or not file.is_cpp:
        return
    atomics = set(re.findall(r"\batomic(?:_\w+)?\s*(?:<(?:[^<>]|<[^<>]*>)*>)?\s*&?\s+?(\w+)\s*[{;=\[]",
                             file.code))
    for match in re.finditer(rf"(\w+)(?:\[[^\]]*\])?(?:\.|->)({ATOMIC_CALLS})\s*\(", file.code):
        name, call = match[1], match[2]
        arguments = balanced(file.code, match.end() - 1)
        known = name in atomics or call.startswith(("fetch_", "compare_exchange"))
        if (known or (call == "load" and not arguments.strip())) and "order" not in arguments:
            yield Finding(file.path, file.line_of(match.start()),
                          f"'{name}.{call}' without a memory order: say which one, and why")
    for name in atomics:
        # Another class of the file may have a plain member of that name; then nobody can tell here.
        if re.search(rf"\b(?!return\b|atomic)\w+\s+{name}\s*[={{;]", file.code):
            continue
        pattern = rf"(\+\+|--)\s*{name}\b|(?<![\w.>]){name}\s*(\+\+|--|[-+|&^]?=(?!=))"
        for match in re.finditer(pattern, file.code):
            declared = re.search(r"atomic[^;]*$", file.code[:match.start()].rpartition(";")[2])
            if not declared:
                yield Finding(file.path, file.line_of(match.start()),
                              f"operator on the atomic '{name}': an implicit seq_cst; call it by name")


def balanced(code, at):
    """What stands between the parenthesis at `at` and its partner."""
    depth = 0
    for end in range(at, len(code)):
        depth += {"(": 1, ")": -1}.get(code[end], 0)
        if depth == 0:
            return code[at + 1:end]
    return code[at + 1:]


def header_shape(file):
    if not file.path.endswith(".hpp"):
        return
    if "#pragma once" not in file.lines:
        yield Finding(file.path, 1, "header without #pragma once")
    match = re.search(r"/include/stratwire/(\w+)/", "/" + file.path)
    if match and match[1] != "detail" and f"namespace stratwire::{match[1]}" not in file.code:
        yield Finding(file.path, 1, f"nothing in namespace stratwire::{match[1]}: folder, include "
                      "path and namespace are the same")


def public_calls(file):
    if not file.is_public_header:
        return
    # A parameter that is called `value` is data, a truth to be written down, and not a switch.
    for match in re.finditer(r"[(,]\s*(?:const\s+)?bool\s+(?!value\b)\w+\s*(?==|,|\))", file.code):
        yield Finding(file.path, file.line_of(match.end()),
                      "bool parameter in a public call: an enum of two values says which is which")
    for match in re.finditer(r"^(?:template[^\n]*\n)?class (?:\[\[\w+\]\] )?(\w+)\b(?!<)[^;{]*\{", file.code,
                             re.M):
        before = file.text[:match.start()]
        if before.rfind("namespace detail {") > before.rfind("}  // namespace detail"):
            continue
        line = file.line_of(match.start())
        comment = []
        for above in reversed(file.lines[:line - 1]):
            if not above.startswith("///"):
                break
            comment.append(above)
        if not re.search(r"\\thread\b", "\n".join(comment)):
            yield Finding(file.path, line, f"class '{match[1]}' without a \\thread line: say who may call")


def unit_test_sleeps(file):
    if not file.path.startswith("tests/unit/") or not file.is_cpp:
        return
    for number, line in enumerate(file.code_lines, 1):
        if re.search(r"\b(sleep_for|sleep_until|usleep|nanosleep)\s*\(", line):
            yield Finding(file.path, number, "sleep in a unit test: wait for what must happen")


# ---- Rules of the whole checkout: {path: File} -> findings


def include_layers(files):
    table = layer_table(files)
    owners = {}
    for path in files:
        match = re.match(r"(.+)/(?:include|src)/((?:stratwire|stratwire_internal)/.+)", path)
        if match and match[1] in LIBRARIES:
            owners[match[2]] = LIBRARIES[match[1]]
    for file in files.values():
        if not file.is_cpp:
            continue
        for number, path, quoted in file.includes():
            if quoted or not path.startswith(("stratwire/", "stratwire_internal/")):
                continue
            owner = owners.get(path)
            if owner is None:
                if file.is_product:
                    yield Finding(file.path, number, f"<{path}> is no header of this project")
            elif file.library and owner != file.library and owner not in table[file.library]:
                yield Finding(file.path, number, f"layer broken: {file.library} may not include "
                              f"<{path}> of {owner} (the table is in cmake/StratwireLibrary.cmake)")
            elif path.startswith("stratwire_internal/") and file.path.startswith("examples/"):
                yield Finding(file.path, number, f"<{path}> is not installed; an example has the "
                              "public headers only")
            elif path.startswith("stratwire_internal/") and "/include/" in file.path:
                yield Finding(file.path, number, f"<{path}> is not installed, this header is")


def headers_are_listed(files):
    """A header that its library does not list is there in this checkout and gone in the package."""
    for path in files:
        match = re.match(r"(.+)/include/(stratwire/.+\.hpp)$", path)
        build = files.get(f"{match[1]}/CMakeLists.txt") if match else None
        if build and not re.search(rf"\s{re.escape(match[2])}[\s)]", build.text):
            yield Finding(path, 1, f"not among the HEADERS of {build.path}: it is not installed")


def layer_table(files):
    text = files["cmake/StratwireLibrary.cmake"].text
    return {name: uses.strip('"').split() for name, uses in
            re.findall(r"^set\(STRATWIRE_MAY_USE_(\w+) ([^)]*)\)", text, re.M)}


def readme_samples(files):
    """Every C++ block of the README is a run of lines of an example, which is compiled and run."""
    if "README.md" not in files:
        return
    examples = [[line.strip() for line in file.lines if line.strip()]
                for path, file in files.items() if path.startswith("examples/") and file.is_cpp]
    readme = files["README.md"]
    for match in re.finditer(r"^```(?:cpp|c\+\+)\n(.*?)^```", readme.text, re.M | re.S):
        block = [line.strip() for line in match[1].split("\n") if line.strip()]
        if not any(block == lines[at:at + len(block)]
                   for lines in examples for at in range(len(lines) - len(block) + 1)):
            yield Finding("README.md", readme.line_of(match.start()),
                          "this code is not in any file of examples/: copy it from one that runs")


def limits_are_reached(files):
    limits = files.get("codecs/include/stratwire/limits.hpp")
    tests = "\n".join(file.text for path, file in files.items()
                      if path.startswith("tests/") and path.endswith(CPP + (".py", ".js")))
    for match in re.finditer(r"inline constexpr [\w:]+ k(\w+)", limits.code if limits else ""):
        # By its name, or by that of the setting that it is the default of.
        setting = re.sub(r"(?<!^)([A-Z])", r"[_-]\1", match[1]).lower()
        if not re.search(rf"\bk{match[1]}\b|\b{setting}\b", tests):
            yield Finding(limits.path, limits.line_of(match.start()),
                          f"no test names k{match[1]} or its setting: write one that reaches it")


FILE_RULES = (markers, tabs, machine_paths, file_length, function_length, third_party_includes,
              memory_order_reasons, implicit_orders, header_shape, public_calls, unit_test_sleeps)
PROJECT_RULES = (include_layers, headers_are_listed, readme_samples, limits_are_reached)


# ---- The checkout


def check(files):
    """All findings of all rules but formatting. `files` is {path: text}."""
    files = {path: File(path, text) for path, text in files.items()}
    findings = [finding for file in files.values() for rule in FILE_RULES for finding in rule(file)]
    findings += [finding for rule in PROJECT_RULES for finding in rule(files)]
    return sorted(findings, key=lambda finding: (finding.path, finding.line, finding.text))


def read_checkout(root):
    files = {}
    tops = [root / folder for folder in SOURCE_FOLDERS]
    paths = [path for path in root.iterdir() if path.is_file()]
    paths += (root / ".ci").glob("*")
    for top in tops:
        for folder, folders, names in os.walk(top):
            folders[:] = sorted(set(folders) - SKIPPED_FOLDERS)
            paths += [pathlib.Path(folder) / name for name in names]
    for path in paths:
        if path.suffix in TEXT or path.name in ("dev", "run"):
            files[path.relative_to(root).as_posix()] = path.read_text(encoding="utf-8")
    return files


def badly_formatted(program, root, paths):
    """Findings of clang-format, which says 'path:line:column: error: code should be clang-formatted'."""
    for start in range(0, len(paths), 50):
        result = subprocess.run([program, "--dry-run", "-Werror", *paths[start:start + 50]], cwd=root,
                                capture_output=True, text=True, check=False)
        bad = re.findall(r"^([^:\s]+):(\d+):\d+: error", result.stderr, re.M)
        for path, line in dict(reversed(bad)).items():  # the first place of each file
            yield Finding(path, int(line), "not formatted as .clang-format says: './dev format'")
        if result.returncode != 0 and "error" not in result.stderr:
            yield Finding(paths[start], 1, f"{program} failed: {result.stderr.strip()}")


def main():
    parser = argparse.ArgumentParser(description="Checks the rules of style over a checkout.")
    parser.add_argument("--clang-format", help="program that checks the formatting; none if left out")
    parser.add_argument("root", type=pathlib.Path)
    options = parser.parse_args()
    files = read_checkout(options.root)
    findings = check(files)
    if options.clang_format:
        sources = sorted(path for path in files if path.endswith(CPP))
        findings += badly_formatted(options.clang_format, options.root, sources)
    for finding in findings:
        print(finding)
    print(f"{len(files)} files, {len(findings)} findings")
    return 1 if findings or not files else 0


if __name__ == "__main__":
    sys.exit(main())
