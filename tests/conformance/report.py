"""Runs cases and says what came of them."""

import contextlib
import pathlib
import signal
import subprocess
import sys
import time

import cases_close
import cases_frames
import cases_size
import cases_utf8
from case import FAILED, NON_STRICT, NOTHING_CAME, OK, Verdict
from wire import DEADLINE_S


def all_cases():
    for part in (cases_frames, cases_utf8, cases_close, cases_size):
        yield from part.cases()


# A peer that stays silent costs a deadline in each case; more of these say nothing new.
SILENT_MAX = 5


class Report:
    """Counts verdicts, prints the failed ones at once, and ends with a line and an exit code."""

    def __init__(self, title):
        self.title = title
        self.counts = {OK: 0, NON_STRICT: 0, FAILED: 0}
        self.silent = 0
        self.started = time.monotonic()

    def add(self, verdict, where=""):
        self.counts[verdict.result] += 1
        if verdict.result == FAILED:
            case = verdict.case
            print(f"FAILED {case.number} {where} {case.about}: {verdict.why}", flush=True)
            self.silent += NOTHING_CAME in verdict.why
            if self.silent == SILENT_MAX:
                self.finish(at_least=0)

    def check(self, case, run, where=""):
        """Adds what `run` comes to: nothing, or why it failed."""
        try:
            why = run()
        except (OSError, ValueError, TimeoutError, AssertionError) as error:
            why = f"{type(error).__name__}: {error}"
        except Exception as error:  # WrongFrame, a text that is no UTF-8.
            why = str(error)
        self.add(Verdict(case, FAILED if why else OK, why), where)

    def finish(self, at_least):
        total = sum(self.counts.values())
        words = ", ".join(f"{count} {result}" for result, count in self.counts.items())
        print(f"{self.title}: {total} cases, {words}, {time.monotonic() - self.started:.1f} s")
        if total < at_least:
            print(f"FAILED: only {total} of at least {at_least} cases were run")
        sys.exit(1 if self.counts[FAILED] or total < at_least else 0)


@contextlib.contextmanager
def program(*arguments):
    """A program whose first line can be read; it must end well when it is asked to."""
    process = subprocess.Popen([*map(str, arguments)], stdout=subprocess.PIPE, text=True)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        code = process.wait(DEADLINE_S)
        if code != 0:
            raise SystemExit(f"FAILED: {pathlib.Path(arguments[0]).name} ended with exit code {code}")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(DEADLINE_S)
        process.stdout.close()
