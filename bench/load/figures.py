"""From raw measurements to the figures of a row, as driver/results.py has them."""

import math

import results
import rows

# A generator that sleeps less than this is what limits the row.
SLEEPS_AT_LEAST = 0.03
# The last percentile of a curve is the one with so many values beyond it.
VALUES_BEYOND = 5
# Points of a curve to a decade: 33, closer than a plot can show.
CURVE_DISTANCE = 0.03
RANKS = ("p50", "p90", "p99", "p99.9", "max")
SETTINGS = ("kind", "connections", "k", "rate", "channels", "per_connection", "message_bytes")
# More of its time than this taken by others: the machine was not ours.
OTHERS_AT_MOST = 0.15


def value_of(kind, result):
    """The one figure that a row is about, as (value, unit, whether more is better)."""
    if kind == "rate":
        return result["latency_ns"]["p50"] / 1000, "us p50", False
    if kind == "round-trip":
        return result["latency_ns"]["p50"] / 1000, "us p50", False
    if kind == "idle":
        return result["memory_per_connection"] / 1024, "KiB/connection", False
    return result["deliveries_per_s"] / 1000, "k/s", True


def cpu_s_per_million(measurement):
    """Of the server, without what it spun away while it waited for the next message."""
    result = measurement["result"]
    if not result.get("deliveries"):
        return None
    spun = measurement.get("server", {}).get("spin_share", 0) * result["window_s"]
    return max(0.0, result["server_cpu_s"] - spun) / result["deliveries"] * 1e6


def remarks(measurement):
    """What is to be known before a figure is believed."""
    result, kind = measurement["result"], measurement["kind"]
    found = []
    if rows.is_broken(result):
        found.append(f"broken stream: {result['lost']} lost without a word, "
                     f"{result['disordered']} out of order, {result['not_ours']} not asked for, "
                     f"{result['disconnected']} readers closed, {result['starved']} left with nothing")
    if result["told"]:
        found.append(f"{result['told']} given up, with gaps")
    if kind not in ("rate", "round-trip", "idle"):
        if 1 - result["busy_share"] < SLEEPS_AT_LEAST:
            found.append(results.GENERATOR_LIMITS)
        if result["busy_share"] - result["cpu_share"] > OTHERS_AT_MOST:
            found.append("others used the generator's core")
        if result["server_cpu_s"] < (1 - OTHERS_AT_MOST) * result["window_s"] and (
                1 - result["busy_share"] >= SLEEPS_AT_LEAST):
            found.append("server was off its core")
    if kind == "rate":
        expected = measurement["rate"] * measurement["connections"] * result["window_s"]
        if result["deliveries"] < 0.98 * expected:
            found.append(f"saturated: {result['deliveries'] / expected:.0%} of the rate")
    return found


def percentile_points(histograms, distance):
    """[(1 / share beyond, us)] of all of them together, as far as VALUES_BEYOND reaches; points lie at
    least so far apart, in decades."""
    counts = {}
    for histogram in histograms:
        for upper, count in histogram["buckets"]:
            counts[upper] = counts.get(upper, 0) + count
    total, seen, points = sum(counts.values()), 0, []
    for upper, count in sorted(counts.items()):
        x = total / (total - seen)
        if not points or math.log10(x) - math.log10(points[-1][0]) > distance:
            points.append((x, upper / 1000))
        seen += count
        if total - seen < VALUES_BEYOND:
            break
    return points


def summarize(measurements):
    """A figure (driver/results.py) for each row and server, in the order of the run."""
    rounds = 1 + max((m["round"] for m in measurements), default=0)
    groups = {}
    for m in measurements:
        groups.setdefault((m["row"], m["name"]), [None] * rounds)[m["round"]] = m
    return [figure_of(row, name, group) for (row, name), group in groups.items()]


def figure_of(row, name, group):
    """`group`: the measurement of each round, None where it failed."""
    there = [m for m in group if m]
    first = there[0]
    _, unit, more_is_better = value_of(first["kind"], first["result"])

    def rounds(read):
        return [read(m) if m else None for m in group]

    parts = {"cpu": rounds(cpu_s_per_million), "upgrade_s": rounds(lambda m: m["result"]["upgrade_s"])}
    figure = {"bench": "load", "row": row, "name": name, "unit": unit, "more_is_better": more_is_better,
              "floor": f"{row} | {first['floor']}",
              "values": rounds(lambda m: value_of(m["kind"], m["result"])[0]),
              "remarks": sorted({text.split(":")[0] for m in there for text in remarks(m)}),
              **{key: first[key] for key in SETTINGS}}
    if "latency_ns" in first["result"]:
        latencies = [m["result"]["latency_ns"] for m in there]
        for rank in RANKS:
            parts[rank] = rounds(lambda m, of=rank: m["result"]["latency_ns"][of] / 1000)
        figure["curve"] = percentile_points(latencies, CURVE_DISTANCE)
    figure["parts"] = {part: values for part, values in parts.items()
                       if any(value is not None for value in values)
                       and (part != "upgrade_s" or first["kind"] == "idle")}
    return figure
