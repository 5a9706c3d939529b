"""From raw measurements to the figures of a row: medians, spreads, ratios to the floor."""

import statistics

# A generator that sleeps less than this is what limits the row.
SLEEPS_AT_LEAST = 0.03
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
    if result["lost"] or result["disordered"] or result["not_ours"]:
        found.append(f"broken stream: {result['lost']} lost without a word, "
                     f"{result['disordered']} out of order, {result['not_ours']} not asked for")
    if result["told"]:
        found.append(f"{result['told']} given up, with gaps")
    if kind not in ("rate", "round-trip", "idle"):
        if 1 - result["busy_share"] < SLEEPS_AT_LEAST:
            found.append("generator is the limit")
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


def median_and_spread(values):
    """(median, smallest, largest); None where nothing was measured."""
    values = [value for value in values if value is not None]
    return (statistics.median(values), min(values), max(values)) if values else None


def summarize(measurements):
    """One entry for each row and server, in the order of the run."""
    cells = {}
    for m in measurements:
        cells.setdefault((m["row"], m["name"]), []).append(m)
    floors = {(m["row"], m["round"]): value_of(m["kind"], m["result"])[0]
              for m in measurements if m["name"] == m["floor"]}
    return [cell_of(row, name, of_cell, floors) for (row, name), of_cell in cells.items()]


def cell_of(row, name, measurements, floors):
    first = measurements[0]
    _, unit, more_is_better = value_of(first["kind"], first["result"])
    values = [value_of(m["kind"], m["result"])[0] for m in measurements]
    ratios = [value / floors[row, m["round"]] for value, m in zip(values, measurements)
              if floors.get((row, m["round"]))]
    keys = ("kind", "connections", "k", "rate", "message_bytes", "floor")
    cell = {"row": row, "name": name, "rounds": len(values), "unit": unit,
            "more_is_better": more_is_better, "value": median_and_spread(values),
            "ratio": median_and_spread(ratios),
            "cpu": median_and_spread([cpu_s_per_million(m) for m in measurements]),
            "upgrade_s": median_and_spread([m["result"]["upgrade_s"] for m in measurements]),
            "remarks": sorted({text.split(":")[0] for m in measurements for text in remarks(m)}),
            **{key: first[key] for key in keys}}
    if "latency_ns" in first["result"]:
        for rank in ("p50", "p90", "p99", "p99.9", "max"):
            cell[rank] = median_and_spread([m["result"]["latency_ns"][rank] for m in measurements])
    return cell


def text_of(value):
    """Three digits that mean something."""
    if value is None:
        return ""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table_lines(cells):
    """A Markdown table."""
    head = ("row", "server", "median", "unit", "spread", "to floor", "p99 / p99.9", "CPU-s per million",
            "remarks")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for cell in cells:
        value, low, high = cell["value"]
        tail = ""
        if "p99" in cell:
            tail = " / ".join(text_of(cell[rank][0] / 1000) for rank in ("p99", "p99.9"))
        elif cell["kind"] == "idle":
            tail = f"upgrades {text_of(cell['upgrade_s'][0])} s"
        lines.append("| " + " | ".join((
            cell["row"], cell["name"], text_of(value), cell["unit"],
            f"{text_of(low)}..{text_of(high)}", text_of(cell["ratio"] and cell["ratio"][0]), tail,
            text_of(cell["cpu"] and cell["cpu"][0]), "; ".join(cell["remarks"]))) + " |")
    return lines
