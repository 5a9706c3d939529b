"""The models of this folder hold in every reachable state, and each of them stops to hold when one of its rules is
broken by a macro. One line per run.

    model_test.py [NAME...]     only the runs whose name contains one of these
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SPIN = os.environ.get("STRATWIRE_SPIN", "spin")
CC = os.environ.get("CC", "gcc")
# A whole run needs about a quarter of the memory; a model that outgrows these fails, it is not cut short.
MEMORY_MB, DEPTH, DEADLINE_S = 1024, 100_000, 120

# What a run may do, small enough to see everything of it.
BUDGETS = {
    "resume.pml": {
        "reconnect": ("PUBLISHES=3", "LOSSES=2", "RESTARTS=1", "HANDOVERS=0"),
        "restarts": ("PUBLISHES=3", "LOSSES=1", "RESTARTS=2", "HANDOVERS=0"),
        "hand-over": ("PUBLISHES=2", "LOSSES=1", "RESTARTS=1", "HANDOVERS=1"),
    },
}
RULE = re.compile(r"^#(?:ifdef|ifndef)\s+(\w+)|defined\((\w+)\)", re.MULTILINE)
SIZES = {"PUBLISHES", "LOSSES", "RESTARTS", "HANDOVERS"}


def rules_of(model):
    """Every macro that the model knows and that is not a budget breaks one rule."""
    names = (a or b for a, b in RULE.findall((HERE / model).read_text()))
    return sorted(set(names) - SIZES)


def explore(model, macros, optimise):
    """The first error, or None when every state was seen; the number of states; seconds."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="stratwire-") as folder:
        def run(*command):
            return subprocess.run(command, cwd=folder, capture_output=True, text=True,
                                  timeout=DEADLINE_S, check=True).stdout
        run(SPIN, "-a", *(f"-D{macro}" for macro in macros), str(HERE / model))
        run(CC, optimise, "-w", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MB}", "-o", "pan", "pan.c")
        # -a: cycles in which the property never becomes true count as errors, as do assertions.
        out = run("./pan", "-a", "-n", f"-m{DEPTH}")
    error = re.search(r"^pan:1: (.*?)(?: \(at depth \d+\))?$", out, re.MULTILINE)
    states = re.search(r"(\S+) states, stored", out)
    count = re.search(r"errors: (\d+)$", out, re.MULTILINE)
    if not states or not count or "Search not completed" in out and not error:
        raise RuntimeError(f"{model} {macros}: not searched to its end\n{out}")
    if (error is not None) != (count[1] != "0"):
        raise RuntimeError(f"{model} {macros}: unclear result\n{out}")
    return error and error[1], int(float(states[1])), time.monotonic() - began


def check_whole(model, budget, macros):
    error, states, seconds = explore(model, macros, "-O1")
    print(f"{'ok  ' if not error else 'FAIL'} {model} {budget}: "
          f"{error or 'holds'}, {states} states, {seconds:.1f} s", flush=True)
    return not error


def check_broken(model, rule):
    for budget, macros in BUDGETS[model].items():
        # An error is found early: compiling costs more than searching.
        error, states, seconds = explore(model, (*macros, rule), "-O0")
        if error:
            # That nothing can move is an error of the model itself, not a rule that it defends.
            found = not error.startswith("invalid end state")
            kind = "never complete" if "acceptance" in error else error
            print(f"{'ok  ' if found else 'FAIL'} {model} {rule} ({budget}): noticed, {kind}, "
                  f"{states} states, {seconds:.1f} s", flush=True)
            return found
    print(f"FAIL {model} {rule}: broken, and nothing noticed it", flush=True)
    return False


def main(names):
    wanted = [
        (f"{model} {what}", check)
        for model, budgets in BUDGETS.items()
        for what, check in (
            [(budget, lambda m=model, b=budget, a=macros: check_whole(m, b, a))
             for budget, macros in budgets.items()] +
            [(rule, lambda m=model, r=rule: check_broken(m, r)) for rule in rules_of(model)])
        if not names or any(name in f"{model} {what}" for name in names)]
    results = [check() for _, check in wanted]
    print(f"{sum(results)} of {len(results)} as they should be")
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
