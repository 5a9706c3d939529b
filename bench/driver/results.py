"""The one file of a run: figures round by round, and what is read out of them.

{"format": 1, "run": {machine, commit, ...}, "load": {rounds, windows ...}, "failures": [...],
 "figures": [one a line]}

A figure: {"bench", "row", "name" (who stands in the row; only in load), "unit", "more_is_better",
"floor" (key of the figure of the same bench that is the floor; "" for floors), "values" (one for each
round, null where it failed)} and, where there are any, "parts" (p99, CPU ... by round as values are),
"curve" (latency against 1 / share beyond, rounds together), "remarks" and the settings of the row.
"""

import json
import math
import os
import statistics
import subprocess

import machine

FORMAT = 1
# The remark of load/figures.py after which a figure says what the generator can do.
GENERATOR_LIMITS = "generator is the limit"
FOLDER = os.path.join(machine.ROOT, "bench", "results")


def key_of(figure):
    """A figure's name within its bench."""
    return f"{figure['row']} | {figure['name']}" if figure.get("name") else figure["row"]


def median_and_spread(values):
    """(median, smallest, largest); None where nothing was measured."""
    values = [value for value in values if value is not None]
    return (statistics.median(values), min(values), max(values)) if values else None


def rounded(value, digits=5):
    """As many digits as mean something; whole structures too."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        value = float(f"{value:.{digits}g}")
        return int(value) if value.is_integer() and abs(value) < 1e15 else value
    if isinstance(value, dict):
        return {name: rounded(each, digits) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(each, digits) for each in value]
    return value


def by_key(figures):
    return {(figure["bench"], key_of(figure)): figure for figure in figures}


def ratios(values, floors):
    """Round by round, as far as both were measured."""
    return [value / floor for value, floor in zip(values, floors)
            if value is not None and floor is not None and floor > 0]


def cells(figures):
    """The figures with median and spread of themselves, of their parts and of the ratio to the floor."""
    known = by_key(figures)
    found = []
    for figure in figures:
        value = median_and_spread(figure["values"])
        if value is None:
            continue
        floor = known.get((figure["bench"], figure["floor"]))
        own = key_of(figure) == figure["floor"] or not figure["floor"]
        ratio = (1, 1, 1) if own else floor and median_and_spread(ratios(figure["values"], floor["values"]))
        parts = {name: median_and_spread(values) for name, values in figure.get("parts", {}).items()}
        tail_ratio = None if own or not floor else median_and_spread(
            ratios(figure.get("parts", {}).get("p99", ()), floor.get("parts", {}).get("p99", ())))
        found.append({**figure, "value": value, "ratio": ratio, "tail_ratio": tail_ratio, "parts": parts})
    return found


def text_of(value):
    """Three digits that mean something."""
    if value is None:
        return ""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def tail_of(cell, ranks):
    """Higher percentiles, or how long the upgrades took."""
    parts = cell["parts"]
    if "p99" in parts:
        text = " / ".join(text_of(parts[rank][0]) for rank in ranks if parts.get(rank))
        return text + (f" (p99 to floor {text_of(cell['tail_ratio'][0])})" if cell.get("tail_ratio") else "")
    if parts.get("upgrade_s") and cell.get("kind") == "idle":
        return f"upgrades in {text_of(parts['upgrade_s'][0])} s"
    return ""


def table_lines(of_cells):
    """Markdown tables: load's rows with the servers in them, then each other bench."""
    lines = []
    for bench in dict.fromkeys(cell["bench"] for cell in of_cells):
        of_bench = [cell for cell in of_cells if cell["bench"] == bench]
        served = any(cell.get("name") for cell in of_bench)
        head = ["row", *(["server"] if served else []), "median", "unit", "spread", "to floor"]
        tails = any(tail_of(cell, ("p99",)) for cell in of_bench)
        costs = any(cell["parts"].get("cpu") for cell in of_bench)
        head += ["p99 / p99.9"] * tails + ["CPU-s per million"] * costs + ["remarks"] * served
        lines += ["", f"## {bench}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        for cell in of_bench:
            value, low, high = cell["value"]
            texts = [cell["row"], *([cell["name"]] if served else []), text_of(value), cell["unit"],
                     f"{text_of(low)}..{text_of(high)}", text_of(cell["ratio"] and cell["ratio"][0])]
            texts += [tail_of(cell, ("p99", "p99.9"))] * tails
            cost = cell["parts"].get("cpu")
            texts += [text_of(cost and cost[0])] * costs + ["; ".join(cell.get("remarks", ()))] * served
            lines.append("| " + " | ".join(texts) + " |")
    return lines[1:]


# ---- Files


def stem(run):
    """<date>-<commit>, and whether something was changed since that commit."""
    return f"{run['started'][:10]}-{run['commit'][:7]}" + ("-dirty" if run["changed"] else "")


def write(path, whole):
    """One figure a line, so that versions can be compared."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    head = {name: value for name, value in whole.items() if name != "figures"}
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps({"format": FORMAT, **rounded(head)})[:-1] + ',\n"figures": [\n')
        file.write(",\n".join(json.dumps(rounded(figure), separators=(",", ":"))
                              for figure in whole["figures"]))
        file.write("\n]}\n")


def read_json(path):
    with open(path, encoding="utf-8") as file:
        try:
            return json.load(file)
        except ValueError as wrong:
            raise ValueError(f"{path} is no JSON: {wrong}") from None


def read(path):
    whole = read_json(path)
    if not isinstance(whole, dict) or whole.get("format") != FORMAT or not {"run", "figures"} <= whole.keys():
        raise ValueError(f"{path} is no result of format {FORMAT}")
    return whole


def same_kind(one, other):
    """Whether figures of one machine say anything about the other."""
    return (one["machine"], one["cores"]) == (other["machine"], other["cores"])


def committed():
    """Results that are in the repository, not those that somebody has just made."""
    listed = subprocess.run(["git", "ls-files", "--", "bench/results/*.json"], cwd=machine.ROOT,
                            capture_output=True, text=True, check=False)
    paths = [os.path.join(machine.ROOT, line) for line in listed.stdout.split("\n")
             if line and not os.path.basename(line).startswith("instructions-")]
    return list(readable(path for path in paths if os.path.exists(path)))


def readable(paths):
    """(path, whole) of each; says which are of another format."""
    for path in paths:
        try:
            yield path, read(path)
        except ValueError as wrong:
            print(f"- left out: {wrong}")


def newest_of_kind(results, run):
    """(path, whole) of the newest of [(path, whole)] of the same machine kind, or None."""
    fitting = [(path, whole) for path, whole in results if same_kind(whole["run"], run)]
    return max(fitting, key=lambda found: found[1]["run"]["started"], default=None)
