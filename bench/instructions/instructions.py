#!/usr/bin/python3
"""Counts the instructions of bench_instructions_work under callgrind, and compares with the committed
counts of the same compiler, flags and C library.

Exit codes: 0 nothing needs more than before; 1 something does, or the counting failed; 2 wrong usage;
4 there are no counts to compare with.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "driver"))

import compare  # noqa: E402
import machine  # noqa: E402

ROOT = machine.ROOT
NOTHING_TO_COMPARE = 4
UPDATE = "'./dev bench instructions -- --update'"
# What must be the same for counts to be: the instructions are the compiler's and the C library's.
CIRCUMSTANCES = ("compiler", "flags", "libc")


class Failed(Exception):
    """Why there are no counts."""


def count(build_folder):
    """{name: instructions for each operation}"""
    program = os.path.join(build_folder, "bench", "instructions", "bench_instructions_work")
    if not shutil.which("valgrind"):
        raise Failed("valgrind is not there (apt-get install valgrind)")
    with tempfile.TemporaryDirectory(prefix="bench-instructions-") as folder:
        out = os.path.join(folder, "callgrind.out")
        # An environment of its own: how long it is decides where the stack begins.
        done = subprocess.run(["valgrind", "--tool=callgrind", "--collect-atstart=no",
                               f"--callgrind-out-file={out}", program], capture_output=True, text=True,
                              check=False, env={"PATH": os.environ["PATH"], "LC_ALL": "C"})
        if done.returncode != 0:
            raise Failed(done.stderr.strip()[-500:])
        operations = {name: int(times) for times, name in
                      (line.split(" ", 1) for line in done.stdout.splitlines())}
        totals = dict(totals_in(folder))
    if set(totals) != set(operations) or not totals:
        raise Failed(f"counted {len(totals)} pieces of work of {len(operations)}")
    for name, times in operations.items():
        if not totals[name] or not times:
            raise Failed(f"counted {totals[name]} instructions in {times} times '{name}'")
    return {name: round(totals[name] / times, 3) for name, times in operations.items()}


def totals_in(folder):
    """(name, instructions) of each dump that the program asked for."""
    for file in sorted(os.listdir(folder)):
        with open(os.path.join(folder, file), encoding="utf-8") as dump:
            text = dump.read()
        name = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.M)
        total = re.search(r"^(?:totals|summary): (\d+)", text, re.M)
        if name and total:
            yield name[1], int(total[1])


def path_of(run):
    """bench/results/instructions-g++-12.2.0.json"""
    words = run["compiler"].split()
    return os.path.join(ROOT, "bench", "results", f"instructions-{words[0]}-{words[-1]}.json")


def committed(run):
    """(counts, "") or (None, why they can't be compared with); Failed where the file is broken."""
    path = path_of(run)
    try:
        with open(path, encoding="utf-8") as file:
            then = json.load(file)
    except OSError:
        return None, f"no counts of this compiler ({os.path.basename(path)}); {UPDATE} makes them"
    except ValueError as wrong:
        raise Failed(f"{os.path.basename(path)} is no JSON: {wrong}; {UPDATE} makes it anew") from None
    if not are_counts(then):
        raise Failed(f"{os.path.basename(path)} has not {', '.join(CIRCUMSTANCES)} and counts above 0; "
                     f"{UPDATE} makes it anew")
    for name in CIRCUMSTANCES:
        if then[name] != run[name]:
            return None, f"the committed counts have another {name}: {then[name]}, here {run[name]}"
    return then["counts"], ""


def are_counts(then):
    if not isinstance(then, dict) or not {*CIRCUMSTANCES, "counts"} <= then.keys():
        return False
    counts = then["counts"]
    return isinstance(counts, dict) and all(isinstance(count, (int, float)) and count > 0
                                            for count in counts.values())


def write(run, counts):
    path = path_of(run)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump({**{name: run[name] for name in CIRCUMSTANCES}, "counts": counts}, file, indent=1)
        file.write("\n")
    return path


def beside(run, update):
    """What is committed. A broken file does not stop who writes it anew."""
    try:
        return committed(run)
    except Failed as failed:
        if not update:
            raise
        return None, str(failed)


def main(arguments):
    parser = argparse.ArgumentParser(prog="bench_instructions", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build-bench"), help="build folder")
    parser.add_argument("--update", action="store_true", help="write the counts that are committed")
    options = parser.parse_args(arguments)
    run = machine.circumstances(options.build, "")
    try:
        now = count(options.build)
        then, why = beside(run, options.update)
    except Failed as failed:
        print(f"instructions: {failed}", file=sys.stderr)
        return 1
    print(f"{'instructions for each':<72} {'now':>10} {'committed':>10}")
    for name, value in now.items():
        print(f"{name:<72} {value:>10.1f} {format(then[name], '>10.1f') if then and name in then else '':>10}")
    if options.update:
        print(f"- written to {write(run, now)}")
        return 0
    if then is None:
        print(f"- not compared: {why}")
        return NOTHING_TO_COMPARE
    lines, worse = compare.compare_counts(then, now)
    print("\n".join(lines))
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
