#!/usr/bin/python3
"""The way from raw measurements to figures, tables and plots."""

import contextlib
import io
import json
import os
import re
import sys
import tempfile
import unittest
import unittest.mock
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("driver", "load"):
    sys.path.insert(0, os.path.join(HERE, os.pardir, folder))

import figures  # noqa: E402
import report  # noqa: E402
import results  # noqa: E402
import rows  # noqa: E402
import svg  # noqa: E402


def measurement(name="stratwire", round_number=0, kind="fan-out", **result):
    whole = {"window_s": 1.0, "deliveries": 1000, "deliveries_per_s": 1000.0, "busy_share": 0.5,
             "cpu_share": 0.5, "server_cpu_s": 1.0, "lost": 0, "told": 0, "disordered": 0, "not_ours": 0,
             "disconnected": 0, "starved": 0,
             "upgrade_s": 0.1, "memory_per_connection": 512}
    whole.update(result)
    return {"row": f"row of {kind}", "name": name, "round": round_number, "kind": kind, "connections": 10,
            "k": 1, "rate": 100 if kind == "rate" else 0, "message_bytes": 159, "channels": 1,
            "per_connection": 1, "floor": "floor_log", "result": whole, "server": {}}


def latency(*values_us):
    ordered = sorted(values_us)
    return {"count": len(ordered), "mean": 0, "p50": ordered[len(ordered) // 2] * 1000,
            "p90": ordered[-1] * 1000, "p99": ordered[-1] * 1000, "p99.9": ordered[-1] * 1000,
            "max": ordered[-1] * 1000, "buckets": [[value * 1000, 1] for value in ordered]}


class FiguresTest(unittest.TestCase):
    def test_a_row_is_the_median_of_its_rounds(self):
        cell = results.cells(figures.summarize([measurement(round_number=i, deliveries_per_s=rate)
                                                for i, rate in enumerate((9000, 1000, 2000))]))[0]
        self.assertEqual(cell["value"], (2, 1, 9))

    def test_a_round_that_failed_leaves_its_place(self):
        figure = figures.summarize([measurement("ws", 0), measurement(round_number=2)])[1]
        self.assertEqual(figure["values"], [None, None, 1])

    def test_the_ratio_is_formed_within_a_round(self):
        # The second round is ten times slower for both: the ratio does not see it.
        cells = results.cells(figures.summarize([
            measurement("floor_log", 0, deliveries_per_s=1000), measurement(round_number=0, deliveries_per_s=500),
            measurement("floor_log", 1, deliveries_per_s=100), measurement(round_number=1, deliveries_per_s=50)]))
        self.assertEqual(cells[1]["ratio"], (0.5, 0.5, 0.5))

    def test_the_tail_has_a_ratio_of_its_own(self):
        cells = results.cells(figures.summarize([
            measurement(name, i, kind="rate", latency_ns=latency(10, tail))
            for i, slow in enumerate((1, 4)) for name, tail in (("floor_log", 100 * slow), ("stratwire", 150 * slow))]))
        self.assertEqual(cells[1]["tail_ratio"], (1.5, 1.5, 1.5))
        self.assertEqual(results.tail_of(cells[1], ("p99",)), "375 (p99 to floor 1.5)")
        self.assertEqual(results.tail_of(cells[0], ("p99",)), "250")

    def test_spinning_is_taken_off_the_cpu_time(self):
        spun = measurement(server_cpu_s=0.9, deliveries=1_000_000)
        spun["server"] = {"spin_share": 0.4}
        self.assertAlmostEqual(figures.cpu_s_per_million(spun), 0.5)
        self.assertIsNone(figures.cpu_s_per_million(measurement(deliveries=0)))

    def test_remarks(self):
        for result, text in (({"lost": 1}, "broken stream"), ({"disordered": 1}, "broken stream"),
                             ({"not_ours": 1}, "broken stream"), ({"starved": 1}, "1 left with nothing"),
                             ({"disconnected": 1}, "broken stream"), ({"told": 4}, "4 given up"),
                             ({"busy_share": 0.99, "cpu_share": 0.99}, "generator is the limit"),
                             ({"busy_share": 0.8, "cpu_share": 0.5}, "others used"),
                             ({"server_cpu_s": 0.5}, "server was off its core")):
            self.assertIn(text, "; ".join(figures.remarks(measurement(**result))), result)
        self.assertEqual(figures.remarks(measurement()), [])
        limited = figures.summarize([measurement(busy_share=0.99, cpu_share=0.99)])[0]
        self.assertIn(results.GENERATOR_LIMITS, limited["remarks"])

    def test_a_rate_that_is_not_reached_is_saturated(self):
        held = measurement(kind="rate", deliveries=1000, latency_ns=latency(1))
        fell = measurement(kind="rate", deliveries=900, latency_ns=latency(1))
        self.assertEqual(figures.remarks(held), [])
        self.assertIn("saturated: 90%", figures.remarks(fell)[0])


class PlanTest(unittest.TestCase):
    def test_every_row_has_its_floor_and_known_servers(self):
        known = {*rows.servers("."), "uws"}
        for row in rows.rows():
            self.assertIn(row.floor, row.servers, row.name)
            self.assertLessEqual(set(row.servers), known, row.name)
            self.assertIn(row.kind, rows.KINDS)
        self.assertEqual(len({row.name for row in rows.rows()}), len(rows.rows()))

    def test_rows_reach_from_one_to_ten_thousand(self):
        for kind, setting, low, high in (("fan-out", "connections", 1, 10_000), ("channels", "channels", 1, 10_000),
                                         ("size", "message_bytes", 73, 16_384)):
            values = [getattr(row, setting) for row in rows.rows() if row.kind == kind]
            self.assertEqual((min(values), max(values)), (low, high), kind)

    def test_what_guards_has_stratwire_and_its_floor(self):
        guarded = [row for row in rows.rows() if row.check]
        self.assertEqual({row.kind for row in guarded}, set(rows.KINDS) - {"size"})
        for row in guarded:
            self.assertLessEqual({"stratwire", row.floor}, set(row.servers), row.name)

    def test_the_page_says_rightly_who_stands_where(self):
        fan_out = [row for row in rows.rows() if row.kind == "fan-out" and row.connections > 1]
        for names, ks in ((("stratwire", "uws"), {1, 16, 64, 256}), (("beast", "ws", "lws"), {16}),
                          (("stratwire_threads",), {1, 64}), (("stratwire_2_io",), {64}),
                          (("redis", "nats"), {16, 64})):
            for name in names:
                self.assertEqual({row.k for row in fan_out if name in row.servers}, ks, name)
        peers = {"uws", "beast", "ws", "lws", "redis", "nats"}
        for kind, there in (("rate", {"uws", "beast", "ws", "lws"}), ("round-trip", {"uws", "beast", "ws"}),
                            ("channels", {"uws", "redis", "nats"}), ("size", {"uws"})):
            found = [row for row in rows.rows() if row.kind == kind]
            self.assertEqual(peers & {name for row in found for name in row.servers}, there, kind)

    def test_a_server_whose_program_is_not_there_says_what_to_install(self):
        absent = rows.Server("x", ("x",), needs="/no/such/program", package="some-package")
        self.assertIn("some-package", absent.missing)


class PlotTest(unittest.TestCase):
    def test_a_logarithmic_axis_has_decades_at_equal_distance(self):
        axis = svg.Axis(1, 1000, 0, 300, log=True)
        self.assertEqual([round(axis.at(value)) for value in (1, 10, 100, 1000)], [0, 100, 200, 300])

    def test_axes_have_a_few_ticks_inside_their_range(self):
        for low, high, log in ((0, 47e6, False), (0, 0.3, False), (2, 5, True), (1, 1e6, True)):
            ticks = svg.Axis(low, high, 0, 1, log).ticks()
            self.assertTrue(2 <= len(ticks) <= 9, (low, high, ticks))
            self.assertTrue(all(low <= tick <= high * 1.001 for tick in ticks), ticks)

    def test_a_long_legend_has_lines_and_stays_inside(self):
        names = [f"server_{i}" for i in range(9)]
        places = list(svg.legend_places(names))
        self.assertEqual([name for name, _, _ in places], names)
        self.assertGreater(len({y for _, _, y in places}), 1)
        for name, x, _ in places:
            self.assertLessEqual(x + 22 + 6.4 * len(name), svg.WIDTH)
        plot = svg.Plot("t", "x", "y", names)
        plot.set_y(0, 1)
        self.assertGreater(plot.y.end, max(y for _, _, y in places))

    def test_foreign_peers_have_colours_of_their_own(self):
        with unittest.mock.patch.dict(svg.given, clear=True):
            names = [f"peer:{i}" for i in range(len(svg.MORE_COLOURS))]
            colours = [svg.colour_of(name) for name in names]
            self.assertEqual(len({*colours, *svg.COLOURS.values(), svg.FLOOR_COLOUR}),
                             len(names) + len(svg.COLOURS) + 1)
            self.assertEqual([svg.colour_of(name) for name in names], colours)

    def test_percentiles_of_rounds_together(self):
        points = figures.percentile_points([latency(*range(1, 51)), latency(*range(51, 101))], 0.004)
        self.assertEqual(points[0], (1, 1))
        at_90 = min(points, key=lambda point: abs(point[0] - 10))
        self.assertAlmostEqual(at_90[1], 90, delta=2)


class PageTest(unittest.TestCase):
    RUN = {**dict.fromkeys(("machine", "cores", "kernel", "compiler", "flags", "commit", "command", "started",
                            "rounds", "window_s", "warmup_s"), "<x>"), "changed": False, "load_before": 0.0}

    def page_of(self, measurements):
        run = self.RUN
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "run.json")
            with open(path, "w", encoding="utf-8") as file:
                failures = [{"row": "r", "name": "ws", "round": 0, "why": "<gone>"}]
                json.dump({"run": run, "failures": failures, "measurements": measurements}, file)
            self.assertEqual(report.main([path]), 0)
            texts = []
            for end in ("html", "md"):
                with open(os.path.join(folder, "run." + end), encoding="utf-8") as file:
                    texts.append(file.read())
            return texts

    def test_every_kind_of_row_is_in_page_and_table_and_plots_are_well_formed(self):
        measurements = []
        for kind in rows.KINDS:
            for name in ("floor_log", "stratwire"):
                extra = {"latency_ns": latency(*range(1, 200))} if kind in ("rate", "round-trip") else {}
                for place in (1, 2):
                    one = measurement(name, kind=kind, **extra)
                    one.update(row=f"{kind} {place}", connections=10 ** place, message_bytes=159 * place,
                               channels=20 ** place)
                    measurements.append(one)
        page, markdown = self.page_of(measurements)
        plots = re.findall(r"<svg.*?</svg>", page, re.S)
        # Fan-out, two rows with latencies of two kinds, cost, channels, sizes.
        self.assertEqual(len(plots), 1 + 4 + 1 + 2 + 3)
        for plot in plots:
            xml.etree.ElementTree.fromstring(plot)
        for kind in rows.KINDS:
            self.assertIn(f"{kind} 2", page)
            self.assertIn(f"| {kind} 2 | stratwire |", markdown)
        self.assertIn("&lt;gone&gt;", page)
        self.assertNotIn("<x>", page)
        self.assertNotIn("src=", page)

    def test_a_run_of_floors_alone_has_a_page(self):
        page, _ = self.page_of([measurement("floor_log"), measurement("floor_send")])
        self.assertEqual(page.count("<svg"), 1)
        self.assertNotIn("<rect", page)

    def test_bars_that_the_generator_limits_have_a_star(self):
        limit = {"busy_share": 0.99, "cpu_share": 0.99}
        for ours, floor, stars in (({}, {}, 0), (limit, {}, 1), (limit, limit, 2)):
            page, _ = self.page_of([measurement("floor_log", **floor), measurement(**ours)])
            self.assertEqual(page.count(">*</text>"), stars)

    def test_what_is_no_result_is_wrong_usage(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.json")
            for text, why in ((None, "No such file"), ("{", "is no JSON"), ("[]", "is no result of format 1"),
                              ('{"format": 1}', "is no result of format 1"),
                              ('{"measurements": []}', "is not what this run.py writes"),
                              ('{"run": {}, "failures": [], "measurements": [{}]}', "is not what this run.py writes")):
                if text is not None:
                    with open(path, "w", encoding="utf-8") as file:
                        file.write(text)
                said = io.StringIO()
                with contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as end:
                    report.main([path])
                self.assertEqual(end.exception.code, 2)
                self.assertIn(why, said.getvalue())

    def test_other_benches_and_instructions_have_tables(self):
        def figure(row, floor, values):
            return {"bench": "codecs", "row": row, "unit": "ns", "more_is_better": False, "floor": floor,
                    "values": values}

        whole = {"run": self.RUN, "load": {}, "failures": [], "instructions": {"JSON <encode>": 842.5},
                 "figures": [figure("memcpy", "", [2, 2]), figure("decode <fast>", "memcpy", [20, 22])]}
        with tempfile.TemporaryDirectory() as folder:
            page, markdown = report.write(whole, os.path.join(folder, "x"))
            with open(page, encoding="utf-8") as file:
                self.assertRegex(file.read(), "decode &lt;fast&gt;.*>10.5<.*JSON &lt;encode&gt;.*842")
            with open(markdown, encoding="utf-8") as file:
                text = file.read()
        self.assertIn("| decode <fast> | 21 | ns | 20..22 | 10.5 |", text)
        self.assertIn("| JSON <encode> | 842 |", text)


if __name__ == "__main__":
    unittest.main()
