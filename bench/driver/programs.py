"""Every bench program but load: how it is run, and its figures out of what it writes.

A round of a Google Benchmark program is one start of it, so that rounds of different programs take
turns; the others have rounds of their own.
"""

import dataclasses
import json
import re
import statistics


@dataclasses.dataclass(frozen=True)
class Program:
    """`floors`: [(pattern of row, row that is its floor)], the first that fits; rows that are floors
    themselves, and what has none, have "" for it."""

    name: str
    google: bool
    arguments: tuple = ()
    floors: tuple = ()
    # In a check: instead of `arguments`, or nothing when it has no part in it.
    check: tuple | None = None

    def command(self, folder, out, check, rounds=None):
        """One start. The first of two `--rounds` counts."""
        program = f"{folder}/bench/{self.name}/bench_{self.name}"
        arguments = self.check if check else self.arguments
        if not self.google:
            return [program, "--json", out, *(["--rounds", str(rounds)] if rounds else []), *arguments]
        return [program, "--benchmark_enable_random_interleaving=true", "--benchmark_out_format=json",
                f"--benchmark_out={out}", *arguments]

    def takes_part(self, row):
        """Whether a check runs this row."""
        if self.check is None:
            return False
        found = [a.partition("=")[2] for a in self.check if a.startswith("--benchmark_filter=")]
        return all(re.search(pattern, row) for pattern in found)


# Windows so long that a round of all of them takes some 15 s on an idle machine.
SHORT = ("--benchmark_min_time=0.04", "--benchmark_repetitions=1")
RING = "BM_BareRing128"
BYTES = "/bytes:64"

PROGRAMS = (
    Program("codecs", True, SHORT, ((r"^BM_(Encode|Decode)", "BM_Baseline/memcpy_of_a_plain_struct"),),
            check=(*SHORT, "--benchmark_filter=fast|general|Baseline/")),
    Program("queue", True, SHORT,
            (("_RoundTrip", f"{RING}_RoundTrip{BYTES}"),
             ("_BatchThroughput", f"{RING}_BatchThroughput{BYTES}/batch:32"),
             ("_Throughput", f"{RING}_Throughput{BYTES}"), ("_PushPop", f"{RING}_PushPop{BYTES}"),
             ("ParkWait|Counter|Histogram", f"BM_Floor_Copy{BYTES}")),
            check=(*SHORT, "--benchmark_filter=BareRing128|_Spsc|_Mpmc|Floor|ParkWait|Counter|Histogram")),
    Program("transport", True, SHORT, ((".", "BM_Memcpy"),), check=SHORT),
    Program("session", True, SHORT, ((".", "BM_Memcpy"),), check=SHORT),
    Program("hub", True, SHORT, ((".", "BM_Hub_Copy"),), check=SHORT),
    Program("gate", True, SHORT, (("BM_Gate", "BM_Clock_Coarse"),), check=SHORT),
    Program("roundtrip", False, ("--rounds", "5", "--seconds", "15"),
            check=("--rounds", "5", "--seconds", "12")),
    Program("peer", False, ("--rounds", "5", "--seconds", "8")),
    Program("receive", False, ("--rounds", "5", "--seconds", "20"),
            check=("--rounds", "5", "--seconds", "16")),
    Program("publish", False, ("--rounds", "3", "--calls", "50000")),
    Program("stalled_readers", False, ("--rounds", "3", "--seconds", "18")),
)
# Starts of each Google Benchmark program.
ROUNDS = 5


def by_name(name):
    return next(program for program in PROGRAMS if program.name == name)


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def figures_of(program, documents):
    """`documents`: what each start has written; None where it failed."""
    if program.google:
        return figures_of_google(program, documents)
    return figures_of_table(program, documents)


# ---- Google Benchmark

PER_OPERATION = ("per_frame", "per_message")


def row_of(run_name):
    """Without what only says how it was measured."""
    return re.sub(r"/(iterations:\d+|real_time|manual_time)", "", run_name)


def value_of(entry):
    """(value, unit, whether more is better) of one repetition."""
    for name in PER_OPERATION:
        if name in entry:
            return entry[name] * 1e9, "ns", False
    if "p50_ns" in entry:
        return entry["p50_ns"], "ns p50", False
    if "_Throughput" in entry["run_name"] or "_BatchThroughput" in entry["run_name"]:
        return entry["items_per_second"] / 1e6, "M/s", True
    to_ns = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[entry["time_unit"]]
    return entry["real_time"] * to_ns, "ns", False


def figures_of_google(program, documents):
    figures = {}
    for number, document in enumerate(documents):
        groups = {}
        for entry in document["benchmarks"] if document else ():
            if entry["run_type"] == "iteration" and not entry.get("error_occurred"):
                groups.setdefault(row_of(entry["run_name"]), []).append(value_of(entry))
        for row, values in groups.items():
            _, unit, more_is_better = values[0]
            figure = figures.setdefault(row, {
                "bench": program.name, "row": row, "unit": unit, "more_is_better": more_is_better,
                "floor": floor_of(program, row), "values": [None] * len(documents)})
            figure["values"][number] = statistics.median(value for value, _, _ in values)
    return sorted(figures.values(), key=lambda figure: figure["row"])


def floor_of(program, row):
    found = next((floor for pattern, floor in program.floors if re.search(pattern, row)), "")
    return "" if found == row else found


# ---- Programs with a table (support/rig.hpp)


def figures_of_table(program, documents):
    figures = {}
    for document in documents:
        for row in document["rows"] if document else ():
            figure = figures.setdefault(row["row"], {
                "bench": program.name, "row": row["row"], "more_is_better": document["more_is_better"],
                "unit": document["unit"], "floor": row["floor"], "values": [],
                "parts": {name: [] for name in document["columns"][1:]}})
            figure["values"] += [figures_of_round[0] for figures_of_round in row["rounds"]]
            for place, part in enumerate(document["columns"][1:], 1):
                figure["parts"][part] += [figures_of_round[place] for figures_of_round in row["rounds"]]
    for figure in figures.values():
        if not figure["more_is_better"]:
            figure["unit"] += " p50"
    return list(figures.values())
