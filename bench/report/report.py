#!/usr/bin/python3
"""Makes a page of plots (HTML with SVG, nothing loaded from elsewhere) and a Markdown table of the JSON
that bench/load/run.py writes.

usage: report.py FILE.json [--html FILE] [--markdown FILE]    (default: beside the JSON)
"""

import argparse
import html
import json
import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "load"))

import figures  # noqa: E402
import svg  # noqa: E402

ORDER = ("stratwire", "stratwire_threads", "uws", "beast", "ws", "lws", "redis", "nats")
# The last percentile that a plot shows is the one with so many values beyond it.
VALUES_BEYOND = 5
NUMBER = ' class="n"'

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 2rem auto;
       max-width: 1180px; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin: 2.2rem 0 .3rem }
p { max-width: 75ch } .plots { display: flex; flex-wrap: wrap; gap: 12px }
svg { font-family: inherit; max-width: 100%; height: auto; border: 1px solid #e4e4e4 }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
td, th { padding: 2px 9px; border-bottom: 1px solid #e4e4e4; text-align: left; vertical-align: top }
td.n, th.n { text-align: right } tr.ours td { font-weight: 600 } .doubt { color: #a33 }
dl { display: grid; grid-template-columns: max-content auto; gap: 0 1rem; font-size: 13px }
dt { color: #666 } dd { margin: 0 }
"""


def in_order(names):
    """Floors first, then ours, then peers."""
    def place(name):
        if name.startswith("floor"):
            return (0, name)
        return (1 + ORDER.index(name), name) if name in ORDER else (99, name)

    return sorted(set(names), key=place)


# ---- Plots: cells of one kind -> list of SVG texts


def fan_out_plots(cells):
    """Deliveries per second; a panel for each K, a group for each number of subscribers."""
    cells = [c for c in cells if c["kind"] == "fan-out"]
    plots = []
    for k in sorted({c["k"] for c in cells}):
        of_k = [c for c in cells if c["k"] == k]
        groups = sorted({c["connections"] for c in of_k})
        names = in_order(c["name"] for c in of_k if not c["name"].startswith("floor_send"))
        plot = svg.Plot(f"K = {k} publishes per turn", "subscribers", "deliveries per second", names)
        plot.set_x(0, len(groups))
        plot.set_y(0, max(c["value"][2] for c in of_k) * 1000 * 1.05)
        plot.grid_y()
        for place, group in enumerate(groups):
            draw_group(plot, place, [c for c in of_k if c["connections"] == group], names)
            plot.mark_x(place + 0.5, f"{group:,}")
        plots.append(plot.svg())
    return plots


def draw_group(plot, place, cells, names):
    """Bars beside one another; the floor is a line over the whole group."""
    by_name = {c["name"]: [value * 1000 for value in c["value"]] for c in cells}
    bars = [name for name in names if not name.startswith("floor")]
    left, right = plot.x.at(place + 0.08), plot.x.at(place + 0.92)
    width = (right - left) / len(bars)
    for i, name in enumerate(bars):
        if name in by_name:
            plot.bar(name, left + i * width + 1, width - 2, *by_name[name])
    if "floor_log" in by_name:
        y = plot.y.at(by_name["floor_log"][0])
        plot.segment(left, y, right, y,
                     f'stroke="{svg.FLOOR_COLOUR}" stroke-width="2" stroke-dasharray="5 3"')


def cost_plots(cells):
    """CPU time of the server for one delivery, against subscribers; a panel for each K."""
    cells = [c for c in cells if c["kind"] == "fan-out" and c["cpu"]]
    plots = []
    for k in sorted({c["k"] for c in cells}):
        of_k = [c for c in cells if c["k"] == k and c["name"] != "floor_send"]
        subscribers = sorted({c["connections"] for c in of_k})
        if len(subscribers) < 2:
            continue
        plot = line_plot(f"K = {k}", "subscribers", "CPU-us per delivery", of_k,
                         lambda c: (c["connections"], c["cpu"][0]))
        for value in subscribers:
            plot.mark_x(value, f"{value:,}")
        plots.append(plot.svg())
    return plots


def size_plots(cells):
    """Payload bytes per second against the size of a message."""
    cells = [c for c in cells if c["kind"] == "size"]
    sizes = sorted({c["message_bytes"] for c in cells})
    if len(sizes) < 2:
        return []
    plots = []
    for label, factor in (("payload bytes per second", True), ("deliveries per second", False)):
        plot = line_plot("100 subscribers, K = 16", "bytes of a message", label, cells,
                         lambda c, by_size=factor: (
                             c["message_bytes"],
                             c["value"][0] * 1000 * (c["message_bytes"] if by_size else 1)))
        for value in sizes:
            plot.mark_x(value, f"{value:,}")
        plots.append(plot.svg())
    return plots


def line_plot(title, x_label, y_label, cells, point_of):
    """Both axes by logarithm; a line for each server."""
    lines = {name: sorted(point_of(c) for c in cells if c["name"] == name)
             for name in in_order(c["name"] for c in cells)}
    xs = [x for points in lines.values() for x, _ in points]
    plot = svg.Plot(title, x_label, y_label, list(lines))
    plot.set_x(min(xs) / 1.25, max(xs) * 1.25, log=True)
    plot.set_y(*svg.log_range([max(y, 1e-6) for points in lines.values() for _, y in points]), log=True)
    plot.grid_y()
    for name, points in lines.items():
        plot.line(name, points)
    return plot


def latency_plots(measurements):
    """Latency against percentile, one plot for each row, rounds together."""
    plots = []
    rows = {}
    for m in measurements:
        if "latency_ns" in m["result"]:
            rows.setdefault(m["row"], {}).setdefault(m["name"], []).append(m["result"]["latency_ns"])
    for row, servers in rows.items():
        lines = {name: percentile_points(servers[name]) for name in in_order(servers)}
        deepest = max(points[-1][0] for points in lines.values())
        plot = svg.Plot(row, "percentile", "latency, us", list(lines))
        plot.set_x(1, max(deepest, 10), log=True)
        plot.set_y(*svg.log_range([y for points in lines.values() for _, y in points if y > 0]), log=True)
        plot.grid_y()
        for percent in ("0", "50", "90", "99", "99.9", "99.99", "99.999", "99.9999"):
            beyond = 100 / (100 - float(percent))
            if beyond <= plot.x.high:
                plot.mark_x(beyond, percent)
        for name, points in lines.items():
            plot.line(name, points, dots=False)
        plots.append(plot.svg())
    return plots


def percentile_points(histograms):
    """[(1 / share beyond, us)], as far as VALUES_BEYOND reaches."""
    counts = {}
    for histogram in histograms:
        for upper, count in histogram["buckets"]:
            counts[upper] = counts.get(upper, 0) + count
    total, seen, points = sum(counts.values()), 0, []
    for upper, count in sorted(counts.items()):
        x = total / (total - seen)
        # Thousands of points that lie on one another draw nothing more.
        if not points or math.log10(x) - math.log10(points[-1][0]) > 0.004:
            points.append((x, upper / 1000))
        seen += count
        if total - seen < VALUES_BEYOND:
            break
    return points


# ---- The page


SECTIONS = (
    ("Fan-out, flat out", lambda cells, _: fan_out_plots(cells),
     "Deliveries per second that the generator read. The dashed line is the floor: a bare program that "
     "keeps one log and does one send() per connection and turn. Bars are medians, the thin line over "
     "them reaches from the worst to the best round."),
    ("Cost of a delivery", lambda cells, _: cost_plots(cells),
     "Time of the server's core for one delivery. On loopback it includes the receiver's TCP work."),
    ("Latency", lambda _, measurements: latency_plots(measurements),
     "From the intended time of a publish to the return of the recv() that brought it, so that waiting "
     "counts; every message of every round. The generator never sleeps."),
    ("Message size", lambda cells, _: size_plots(cells), ""),
)


def table_html(cells):
    head = ("server", "median", "unit", "spread", "to floor", "p90 / p99 / p99.9 / max, us",
            "CPU-s per million", "remarks")
    out = []
    for row in dict.fromkeys(c["row"] for c in cells):
        out.append(f"<tr><th colspan={len(head)}>{html.escape(row)}</th></tr>")
        of_row = [c for c in cells if c["row"] == row]
        for name in in_order(c["name"] for c in of_row):
            out.append(row_html(next(c for c in of_row if c["name"] == name)))
    titles = "".join(f'<th{NUMBER if 0 < i < 7 else ""}>{text}</th>' for i, text in enumerate(head))
    return f'<table><tr>{titles}</tr>{"".join(out)}</table>'


def row_html(cell):
    text = figures.text_of
    value, low, high = cell["value"]
    tail = ""
    if "p99" in cell:
        tail = " / ".join(text(cell[rank][0] / 1000) for rank in ("p90", "p99", "p99.9", "max"))
    elif cell["kind"] == "idle":
        tail = f"upgrades in {text(cell['upgrade_s'][0])} s"
    numbers = (text(value), cell["unit"], f"{text(low)}..{text(high)}",
               text(cell["ratio"] and cell["ratio"][0]), tail, text(cell["cpu"] and cell["cpu"][0]))
    ours = ' class="ours"' if cell["name"].startswith("stratwire") else ""
    return (f"<tr{ours}><td>{html.escape(cell['name'])}</td>" +
            "".join(f"<td{NUMBER}>{html.escape(number)}</td>" for number in numbers) +
            f'<td class="doubt">{html.escape("; ".join(cell["remarks"]))}</td></tr>')


def circumstances(run):
    changed = ", with changes" if run["changed"] else ""
    return {"machine": f"{run['machine']}, {run['cores']} cores, Linux {run['kernel']}",
            "compiler": f"{run['compiler']}, {run['flags']}", "commit": run["commit"] + changed,
            "command": run["command"], "started": run["started"],
            "rounds": f"{run['rounds']}, windows of {run['window_s']} s after {run['warmup_s']} s",
            "load average before": f"{run['load_before']:.2f}"}


def page(data, cells):
    run = data["run"]
    body = ["<h1>Where stratwire's server stands</h1>",
            "<p>Compare within this page: absolute figures move from machine to machine. Differences "
            "below 15 % are a tie.</p><dl>"]
    body += [f"<dt>{name}</dt><dd>{html.escape(str(value))}</dd>"
             for name, value in circumstances(run).items()]
    body.append("</dl>")
    for title, plots_of, text in SECTIONS:
        plots = plots_of(cells, data["measurements"])
        if plots:
            body.append(f'<h2>{title}</h2><p>{text}</p><div class="plots">{"".join(plots)}</div>')
    body.append("<h2>All rows</h2>" + table_html(cells))
    if data["failures"]:
        body.append("<h2>Not measured</h2><ul>" + "".join(
            f"<li>{html.escape(f['row'])}, {html.escape(f['name'])}: {html.escape(f['why'])}</li>"
            for f in data["failures"]) + "</ul>")
    return ("<!doctype html><html lang=en><meta charset=utf-8><title>stratwire, load bench</title>"
            f"<style>{STYLE}</style>{''.join(body)}</html>\n")


def markdown(data, cells):
    lines = [f"* {name}: {value}" for name, value in circumstances(data["run"]).items()]
    return "\n".join(lines + [""] + figures.table_lines(cells)) + "\n"


def main(arguments):
    parser = argparse.ArgumentParser(description="Plots and a table of a run of the load bench.")
    parser.add_argument("json")
    parser.add_argument("--html")
    parser.add_argument("--markdown")
    options = parser.parse_args(arguments)
    with open(options.json, encoding="utf-8") as file:
        data = json.load(file)
    cells = figures.summarize(data["measurements"])
    stem = os.path.splitext(options.json)[0]
    for path, text in ((options.html or stem + ".html", page(data, cells)),
                       (options.markdown or stem + ".md", markdown(data, cells))):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
