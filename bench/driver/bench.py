#!/usr/bin/python3
"""Runs every bench and writes one result, or compares with the committed one.

  ./dev bench [-- OPTIONS]                   everything, some 12 minutes: bench/results/<date>-<commit>.json,
                                             .html (a page of plots) and .md (a table)
  ./dev bench --check [NAME...] [-- OPTIONS] what guards, some 5 minutes; compares ratios to floors with the
                                             newest committed result of this machine kind, and instruction
                                             counts with the committed ones

Exit codes: 0 done, nothing slower; 1 something is slower, or failed; 2 wrong usage; 4 there is no
committed result of this machine kind, or no counts of this compiler, and nothing is worse; 130 interrupted.
"""

import argparse
import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("report", "load", "instructions"):
    sys.path.insert(0, os.path.join(os.path.dirname(HERE), folder))

import compare  # noqa: E402
import figures as load_figures  # noqa: E402
import instructions  # noqa: E402
import machine  # noqa: E402
import programs  # noqa: E402
import report  # noqa: E402
import results  # noqa: E402
import rows as load_rows  # noqa: E402

NOTHING_TO_COMPARE = 4
LOAD_S, LOAD_CHECK_S = 600, 110
# Google Benchmark programs begin no further round after so long.
PROGRAMS_S = 120
# Of the rows that are measured a second time.
LOAD_AGAIN_WINDOW_S = 1.0
END_S_MAX = 10


def say(text):
    print(text, flush=True)


def run_child(command, errors=None):
    """Whether it ended well; where its errors go to a file, the rest of what it says goes nowhere. It ends
    with this program, however that ends."""
    child = subprocess.Popen(command, stdout=errors and subprocess.DEVNULL, stderr=errors)
    try:
        return child.wait() == 0
    finally:
        if child.poll() is None:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(END_S_MAX)
            child.kill()


class Run:
    """One run: what is measured, and what came of it."""

    def __init__(self, options, scratch):
        self.options = options
        self.scratch = scratch
        self.failures = []
        self.begin = time.monotonic()

    def progress(self, text):
        say(f"- [{time.monotonic() - self.begin:4.0f} s] {text}")

    def fail(self, bench, why):
        self.failures.append({"row": bench, "name": "", "why": why})
        say(f"- {bench} failed: {why}")

    @property
    def failed(self):
        """Whether anything of ours has; a peer that can't do a row is only named."""
        return any(not f["name"] or load_rows.is_ours(f["name"]) for f in self.failures)

    def start(self, program):
        """What one start of a program has written, or None."""
        out = os.path.join(self.scratch, program.name + ".json")
        if os.path.exists(out):
            os.unlink(out)
        o = self.options
        command = program.command(o.build, out, o.check, o.rounds)
        with tempfile.TemporaryFile() as errors:
            if run_child(command, errors) and os.path.exists(out):
                return programs.read(out)
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip()[-300:]
        self.fail(program.name, f"{shlex.join(command)} ended badly: {said}")
        return None

    def measure_programs(self, names):
        """Rounds, not programs, follow one another, so that a disturbance does not hit one alone."""
        chosen = [program for program in programs.PROGRAMS if program.name in names]
        google = [program for program in chosen if program.google]
        documents = {program.name: [] for program in chosen}
        o = self.options
        rounds = o.rounds or programs.ROUNDS
        begin = time.monotonic()
        for number in range(rounds if google else 0):
            if not o.rounds and number >= compare.ROUNDS_MIN and time.monotonic() - begin > PROGRAMS_S:
                self.progress(f"{number} rounds are enough: the machine is busy")
                break
            self.progress(f"round {number + 1} of {rounds}: {', '.join(p.name for p in google)}")
            for program in google:
                documents[program.name].append(self.start(program))
        for program in chosen:
            if not program.google:
                self.progress(program.name)
                documents[program.name].append(self.start(program))
        return [figure for program in chosen
                for figure in programs.figures_of(program, documents[program.name])]

    def measure_load(self, only=None):
        """(run, figures)"""
        o = self.options
        out = os.path.join(self.scratch, "load.json")
        command = [sys.executable, "-B", os.path.join(HERE, os.pardir, "load", "run.py"), "--programs",
                   os.path.join(o.build, "bench", "load"), "--out", out, "--no-table",
                   "--budget", str(o.load_budget or (LOAD_CHECK_S if o.check else LOAD_S)),
                   "--check" if o.check else "--full"]
        if only:
            command += ["--rows", "^(" + "|".join(map(re.escape, only)) + ")$", "--window",
                        str(LOAD_AGAIN_WINDOW_S)]
        if o.rounds:
            command += ["--rounds", str(o.rounds)]
        self.progress("load")
        run_child(command + o.load_options)
        if not os.path.exists(out):
            self.fail("load", "it wrote nothing")
            return {}, []
        raw = programs.read(out)
        os.unlink(out)
        self.failures += raw["failures"]
        if load_rows.stream_broken(raw["measurements"]):
            self.fail("load", "a stream of stratwire's was broken")
        keys = ("rounds", "window_s", "warmup_s", "server_cpu", "client_cpu", "nice", "seed")
        return {key: raw["run"][key] for key in keys}, load_figures.summarize(raw["measurements"])

    def count_instructions(self):
        """{name: count}, or None."""
        self.progress("instructions")
        try:
            return instructions.count(self.options.build)
        except instructions.Failed as failed:
            self.fail("instructions", str(failed))
            return None


# ---- Everything, into one file


def measure_all(options):
    run = machine.circumstances(options.build, shlex.join(["./dev", "bench", *options.said]))
    stem = os.path.join(results.FOLDER, results.stem(run))
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        this = Run(options, scratch)
        counts = this.count_instructions()
        found = this.measure_programs([program.name for program in programs.PROGRAMS])
        load, of_load = this.measure_load()
        run["seconds"] = round(time.monotonic() - this.begin)
        this.progress("done")
    whole = {"run": run, "load": load, "failures": this.failures, "instructions": counts or {},
             "figures": of_load + found}
    results.write(stem + ".json", whole)
    written = report.write(results.read(stem + ".json"), stem)
    with open(stem + ".md", encoding="utf-8") as table:
        say(table.read())
    for path in (stem + ".json", *written):
        say(f"- written: {os.path.relpath(path, machine.ROOT)}")
    return 1 if this.failed else 0


# ---- Only what guards, against the committed result

GUARDED = (*(program.name for program in programs.PROGRAMS if program.check is not None), "load",
           "instructions")


def check(options):
    names = options.names or GUARDED
    run = machine.circumstances(options.build, shlex.join(["./dev", "bench", *options.said]))
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        this = Run(options, scratch)
        codes = [check_instructions(this, run)] if "instructions" in names else []
        timed = [name for name in names if name != "instructions"]
        codes += [check_times(this, run, timed)] if timed else []
    return worst_of([*codes, 1] if this.failed else codes)


def worst_of(codes):
    """What is worse counts before what could not be compared."""
    return next((code for code in (1, NOTHING_TO_COMPARE) if code in codes), 0)


def check_instructions(this, run):
    counts = this.count_instructions()
    if counts is None:
        return 1
    try:
        then, why = instructions.committed(run)
    except instructions.Failed as failed:
        this.fail("instructions", str(failed))
        return 1
    if then is None:
        say(f"- instructions are not compared: {why}")
        return NOTHING_TO_COMPARE
    lines, worse = compare.compare_counts(then, counts)
    say("\n".join(lines))
    return 1 if worse else 0


def find_committed(options, run):
    if options.against:
        whole = results.read(options.against)
        if not results.same_kind(whole["run"], run):
            say(f"- {options.against} is of another machine: {kind_of(whole['run'])}; this is "
                f"{kind_of(run)}. Ratios to a floor do not move from one to the other.")
            return None
        return options.against, whole
    there = results.committed()
    found = results.newest_of_kind(there, run)
    if found is None:
        say(f"- no committed result of this machine kind ({kind_of(run)}): nothing to compare with.")
        kinds = sorted({kind_of(whole["run"]) for _, whole in there})
        say("  Committed are: " + ("; ".join(kinds) if kinds else "none") + ".")
        say("  To make one: './dev bench' on an idle machine and a clean tree, then commit the .json and .md "
            "that it names.")
    return found


def kind_of(run):
    return f"{run['machine']}, {run['cores']} cores"


def check_times(this, run, names):
    found = find_committed(this.options, run)
    if found is None:
        return NOTHING_TO_COMPARE
    path, whole = found
    say(f"- compared with {os.path.relpath(path, machine.ROOT)}, {whole['run']['compiler']}, "
        f"{whole['run']['flags']}")
    wanted = guarded_figures(names)
    findings = compare.compare(whole["figures"], measure(this, names), wanted)
    doubtful = [f for f in findings if f.verdict in compare.BAD]
    if doubtful:
        benches = sorted({f.bench for f in doubtful})
        say(f"- {len(doubtful)} seem slower or are missing: {', '.join(benches)} once more")
        rows = sorted({f.key.split(" | ")[0] for f in doubtful if f.bench == "load"})
        again = compare.compare(whole["figures"], measure(this, benches, rows), wanted)
        findings = compare.confirmed(findings, again)
    say("\n".join(compare.lines(findings)))
    return 1 if any(f.verdict in compare.BAD for f in findings) else 0


def measure(this, names, load_only=None):
    found = this.measure_programs(names)
    return found + (this.measure_load(load_only)[1] if "load" in names else [])


def guarded_figures(names):
    """Which of the committed figures a check measures."""
    load = {row.name for row in load_rows.rows() if row.check}

    def wanted(figure):
        if figure["bench"] not in names:
            return False
        if figure["bench"] == "load":
            return figure["row"] in load and figure["name"] == "stratwire"
        return programs.by_name(figure["bench"]).takes_part(figure["row"])

    return wanted


# ---- The command line

# The result is committed: where somebody keeps a checkout or a server is nobody's business.
HIDDEN = {"--build": "FOLDER", "--peer": "COMMAND", "--uws": "CHECKOUT"}


def without_paths(arguments):
    out, before = [], ""
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if before in HIDDEN:
            out.append(hidden(before, argument))
        elif equals and option in HIDDEN:
            out.append(f"{option}={hidden(option, value)}")
        else:
            out.append(argument)
        before = argument
    return out


def hidden(option, value):
    name = value.partition("=")[0] + "=" if option == "--peer" else ""
    return name + HIDDEN[option]


def parse(arguments):
    # An option that is cut short would not be found among the hidden ones.
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter,
                                     usage="./dev bench [--check [NAME...]] [-- OPTIONS]")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--against", metavar="FILE", help="compare with this result, not the newest committed")
    parser.add_argument("--build", default=os.path.join(machine.ROOT, "build-bench"), help="build folder")
    parser.add_argument("--load-budget", type=float, metavar="SECONDS",
                        help=f"for all rows of load; default {LOAD_S}, with --check {LOAD_CHECK_S}")
    parser.add_argument("--nice", type=int, help="of load's programs; negative for root on a machine that is not idle")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND",
                        help="a server of your own in every row of load")
    parser.add_argument("--rounds", type=int, help="of everything; default 5, of load 3")
    parser.add_argument("--understood", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--uws", metavar="CHECKOUT", help="uWebSockets in load")
    options = parser.parse_args(arguments)
    options.said = without_paths(arguments)
    for name in options.names:
        if name not in GUARDED:
            parser.error(f"--check has no part of bench '{name}'; it has: {' '.join(GUARDED)}")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds is 1 at least")
    if options.load_budget is not None and not options.load_budget > 0:
        parser.error("--load-budget is more than 0 seconds")
    if options.names and not options.check:
        parser.error("names go with --check")
    if options.against and not options.check:
        parser.error("--against goes with --check")
    if options.against and not os.path.exists(options.against):
        parser.error(f"there is no file {options.against}")
    try:
        if options.against:
            results.read(options.against)
        load_rows.peers_of(options.peer)
        if options.uws is not None:
            load_rows.check_checkout(options.uws)
    except (OSError, ValueError, load_rows.WrongUsage) as wrong:
        parser.error(str(wrong))
    options.load_options = [f"--nice={options.nice}"] * (options.nice is not None)
    options.load_options += [f"--peer={peer}" for peer in options.peer]
    options.load_options += [f"--uws={options.uws}"] * (options.uws is not None)
    return options


def end_by_signal(*_):
    raise KeyboardInterrupt


def main(arguments):
    options = parse(arguments)
    if options.understood:
        return 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_by_signal)
    try:
        return check(options) if options.check else measure_all(options)
    except KeyboardInterrupt:
        say("\ninterrupted; nothing was written")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
