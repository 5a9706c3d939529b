#!/usr/bin/python3
"""Makes a page of plots (HTML with SVG, nothing loaded from elsewhere) and a Markdown table of a result:
the one file of './dev bench', or what bench/load/run.py alone has written.

usage: report.py FILE.json [--html FILE] [--markdown FILE]    (default: beside the JSON)

Exit codes: 0 done; 2 wrong usage, or the file is no such JSON.
"""

import argparse
import html
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("driver", "load"):
    sys.path.insert(0, os.path.join(os.path.dirname(HERE), folder))

import figures  # noqa: E402
import results  # noqa: E402
import svg  # noqa: E402

ORDER = ("stratwire", "stratwire_threads", "stratwire_2_io", "uws", "beast", "ws", "lws", "redis", "nats")
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
    limited = {c["name"] for c in cells if results.GENERATOR_LIMITS in c["remarks"]}
    bars = [name for name in names if not name.startswith("floor")]
    left, right = plot.x.at(place + 0.08), plot.x.at(place + 0.92)
    width = (right - left) / max(1, len(bars))
    for i, name in enumerate(bars):
        if name in by_name:
            plot.bar(name, left + i * width + 1, width - 2, *by_name[name])
        if name in limited:
            plot.doubt(left + (i + 0.5) * width, by_name[name][2])
    if "floor_log" in by_name:
        y = plot.y.at(by_name["floor_log"][0])
        plot.segment(left, y, right, y,
                     f'stroke="{svg.FLOOR_COLOUR}" stroke-width="2" stroke-dasharray="5 3"')
        if "floor_log" in limited:
            plot.doubt(right + 4, by_name["floor_log"][0])


def cost_of(cell):
    return cell["parts"].get("cpu")


def cost_plots(cells):
    """CPU time of the server for one delivery, against subscribers; a panel for each K."""
    cells = [c for c in cells if c["kind"] == "fan-out" and cost_of(c)]
    plots = []
    for k in sorted({c["k"] for c in cells}):
        of_k = [c for c in cells if c["k"] == k and c["name"] != "floor_send"]
        plots += marked_plot(f"K = {k}", "subscribers", "CPU-us per delivery", of_k, "connections",
                             lambda c: cost_of(c)[0])
    return plots


def channel_plots(cells):
    """The same against channels, where each connection is sent as much."""
    cells = [c for c in cells if c["kind"] == "channels"]
    priced = [c for c in cells if cost_of(c)]
    return marked_plot("1000 subscribers, each to at most 20 channels", "channels", "CPU-us per delivery",
                       priced, "channels", lambda c: cost_of(c)[0]) + marked_plot(
        "1000 subscribers, each to at most 20 channels", "channels", "deliveries per second", cells,
        "channels", lambda c: c["value"][0] * 1000)


def size_plots(cells):
    """Payload bytes per second, and what a delivery costs, against the size of a message."""
    cells = [c for c in cells if c["kind"] == "size"]
    priced = [c for c in cells if cost_of(c)]
    title, x_label = "100 subscribers, K = 16", "bytes of a message"
    return (marked_plot(title, x_label, "payload bytes per second", cells, "message_bytes",
                        lambda c: c["value"][0] * 1000 * c["message_bytes"]) +
            marked_plot(title, x_label, "deliveries per second", cells, "message_bytes",
                        lambda c: c["value"][0] * 1000) +
            marked_plot(title, x_label, "CPU-us per delivery", priced, "message_bytes",
                        lambda c: cost_of(c)[0]))


def marked_plot(title, x_label, y_label, cells, setting, y_of):
    """[a line plot with a mark at each value of the setting], or [] where there is only one."""
    values = sorted({c[setting] for c in cells})
    if len(values) < 2:
        return []
    plot = line_plot(title, x_label, y_label, cells, lambda c: (c[setting], y_of(c)))
    for value in values:
        plot.mark_x(value, f"{value:,}")
    return [plot.svg()]


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


def latency_plots(cells):
    """Latency against percentile, one plot for each row, rounds together."""
    plots = []
    for row in dict.fromkeys(c["row"] for c in cells if c.get("curve")):
        curves = {c["name"]: c["curve"] for c in cells if c["row"] == row and c.get("curve")}
        lines = {name: curves[name] for name in in_order(curves)}
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


# ---- The page


SECTIONS = (
    ("Fan-out, flat out", fan_out_plots,
     "Deliveries per second that the generator read. The dashed line is the floor: a bare program that "
     "keeps one log and does one send() per connection and turn. Bars are medians, the thin line over "
     "them reaches from the worst to the best round. A star over a bar, or at the end of the floor's line: the "
     "generator was the limit, so the server may be quicker than it shows. stratwire and, where it was asked for, "
     "uws stand in every panel. beast, ws and lws write one message per call, K changes nothing for them: they "
     "stand at K = 16 only. redis and nats stand at K = 64, with 10,000 subscribers at K = 16, so that a turn is "
     "short against the window. stratwire_threads stands at K = 1 and 64, stratwire_2_io at 64 with 100 and 1000 "
     "subscribers; 1 subscriber is there for stratwire and the floor alone."),
    ("Latency", latency_plots,
     "From the intended time of a publish to the return of the recv() that brought it, so that waiting "
     "counts; every message of every round. The generator never sleeps. redis and nats "
     "have no part in it, lws none in the round trip."),
    ("Cost of a delivery against subscribers", cost_plots,
     "Time of the server's core for one delivery. On loopback it includes the receiver's TCP work. The panels "
     "have the servers that they have above, for the same reasons."),
    ("Cost of a delivery against channels", channel_plots,
     "Every connection is sent 6 messages per turn, however many channels there are: K grows with them, and "
     "the more channels, the fewer connections share the work of a publish. Of the peers, "
     "uws, redis and nats stand here, at 200 channels only."),
    ("Message size", size_plots,
     "Below 159 bytes the message is an Event, the shortest that JSON has; uws publishes PriceUpdates, so it "
     "begins there. Other peers have no part in it."),
)


def table_html(cells):
    """Of load: the servers of each row below it."""
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


def numbers_of(cell):
    text = results.text_of
    value, low, high = cell["value"]
    return (text(value), cell["unit"], f"{text(low)}..{text(high)}",
            text(cell["ratio"] and cell["ratio"][0]))


def row_html(cell):
    cost = cost_of(cell)
    numbers = (*numbers_of(cell), results.tail_of(cell, ("p90", "p99", "p99.9", "max")),
               results.text_of(cost and cost[0]))
    ours = ' class="ours"' if cell["name"].startswith("stratwire") else ""
    return (f"<tr{ours}><td>{html.escape(cell['name'])}</td>" +
            "".join(f"<td{NUMBER}>{html.escape(number)}</td>" for number in numbers) +
            f'<td class="doubt">{html.escape("; ".join(cell["remarks"]))}</td></tr>')


def bench_html(bench, cells):
    """Of any other bench."""
    tails = any("p99" in c["parts"] for c in cells)
    head = ("row", "median", "unit", "spread", "to floor") + ("p99 / p99.9",) * tails
    rows = []
    for cell in cells:
        numbers = numbers_of(cell) + (results.tail_of(cell, ("p99", "p99.9")),) * tails
        rows.append(f"<tr><td>{html.escape(cell['row'])}</td>" +
                    "".join(f"<td{NUMBER}>{html.escape(number)}</td>" for number in numbers) + "</tr>")
    titles = "".join(f'<th{NUMBER if i else ""}>{text}</th>' for i, text in enumerate(head))
    return f"<h2>{html.escape(bench)}</h2><table><tr>{titles}</tr>{''.join(rows)}</table>"


def instructions_lines(counts):
    return [f"| {name} | {results.text_of(count)} |" for name, count in counts.items()]


def instructions_html(counts):
    rows = "".join(f"<tr><td>{html.escape(name)}</td><td{NUMBER}>{results.text_of(count)}</td></tr>"
                   for name, count in counts.items())
    return f"<h2>Instructions for each operation</h2><table>{rows}</table>"


def circumstances(whole):
    run, load = whole["run"], whole["load"]
    changed = ", with changes" if run["changed"] else ""
    out = {"machine": f"{run['machine']}, {run['cores']} cores, Linux {run['kernel']}",
           "compiler": f"{run['compiler']}, {run['flags']}", "commit": run["commit"] + changed,
           "command": run["command"], "started": run["started"],
           "load average before": f"{run['load_before']:.2f}"}
    if load:
        out["load"] = f"{load['rounds']} rounds, windows of {load['window_s']} s after {load['warmup_s']} s"
    return out


def page(whole, cells):
    of_load = [c for c in cells if c["bench"] == "load"]
    body = ["<h1>Where stratwire stands</h1>",
            "<p>Compare within this page: absolute figures move from machine to machine. Differences "
            "below 15 % are a tie.</p><dl>"]
    body += [f"<dt>{name}</dt><dd>{html.escape(str(value))}</dd>"
             for name, value in circumstances(whole).items()]
    body.append("</dl>")
    for title, plots_of, text in SECTIONS:
        plots = plots_of(of_load)
        if plots:
            body.append(f'<h2>{title}</h2><p>{text}</p><div class="plots">{"".join(plots)}</div>')
    if of_load:
        body.append("<h2>load, all rows</h2>" + table_html(of_load))
    for bench in dict.fromkeys(c["bench"] for c in cells if c["bench"] != "load"):
        body.append(bench_html(bench, [c for c in cells if c["bench"] == bench]))
    if whole["instructions"]:
        body.append(instructions_html(whole["instructions"]))
    if whole["failures"]:
        body.append("<h2>Not measured</h2><ul>" + "".join(
            f"<li>{html.escape(f['row'])} {html.escape(f['name'])}: {html.escape(f['why'])}</li>"
            for f in whole["failures"]) + "</ul>")
    return ("<!doctype html><html lang=en><meta charset=utf-8><title>stratwire, benches</title>"
            f"<style>{STYLE}</style>{''.join(body)}</html>\n")


def markdown(whole, cells):
    lines = [f"* {name}: {value}" for name, value in circumstances(whole).items()]
    lines += ["", *results.table_lines(cells)]
    if whole["instructions"]:
        lines += ["", "## instructions", "", "| operation | instructions |", "|---|---|",
                  *instructions_lines(whole["instructions"])]
    return "\n".join(lines) + "\n"


def read(path):
    """A result; out of what run.py alone has written, one with nothing but load in it."""
    raw = results.read_json(path)
    if not isinstance(raw, dict) or "measurements" not in raw:
        return results.read(path)
    try:
        return {"run": raw["run"], "load": raw["run"], "failures": raw["failures"], "instructions": {},
                "figures": figures.summarize(raw["measurements"])}
    except (KeyError, TypeError) as wrong:
        raise ValueError(f"{path} is not what this run.py writes: {wrong!r}") from None


def write(whole, stem, html_path=None, markdown_path=None):
    """Page and table; their paths."""
    cells = results.cells(whole["figures"])
    paths = (html_path or stem + ".html", markdown_path or stem + ".md")
    for path, text in zip(paths, (page(whole, cells), markdown(whole, cells))):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    return paths


def main(arguments):
    parser = argparse.ArgumentParser(description="Plots and a table of a result.")
    parser.add_argument("json")
    parser.add_argument("--html")
    parser.add_argument("--markdown")
    options = parser.parse_args(arguments)
    try:
        written = write(read(options.json), os.path.splitext(options.json)[0], options.html, options.markdown)
    except (OSError, ValueError) as wrong:
        parser.error(str(wrong))
    print("\n".join(written))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
