#!/usr/bin/python3
"""What the guard says of results that were invented: slower, noise, missing, another machine; and how
the figures of programs are read."""

import contextlib
import io
import json
import os
import sys
import tempfile
import types
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import bench  # noqa: E402
import compare  # noqa: E402
import instructions  # noqa: E402
import programs  # noqa: E402
import results  # noqa: E402

RUN = {"machine": "AMD EPYC", "cores": 2, "started": "2026-11-21T10:00:00+00:00", "commit": "0123456789",
       "changed": False, "compiler": "g++ (Debian) 12.2.0", "flags": "-O3", "libc": "glibc-2.36"}


def figure(row="decode", values=(20.0, 21.0, 20.5), floor="memcpy", more=False, **more_fields):
    return {"bench": "codecs", "row": row, "unit": "ns", "more_is_better": more, "floor": floor,
            "values": list(values), **more_fields}


def with_floor(*figures, floor=(2.0, 2.0, 2.0)):
    return [figure("memcpy", floor, ""), *figures]


def verdicts(then, now, **options):
    return {(f.key, f.what): f.verdict for f in compare.compare(then, now, **options)}


class CompareTest(unittest.TestCase):
    def test_slower_beyond_a_tenth_and_beyond_both_noises_is_found(self):
        then = with_floor(figure(values=(20, 21, 20)))
        self.assertEqual(verdicts(then, with_floor(figure(values=(25, 24, 26)))), {("decode", "ns"): "slower"})
        self.assertEqual(verdicts(then, with_floor(figure(values=(15, 16, 15)))), {("decode", "ns"): "faster"})

    def test_where_more_is_better_less_is_slower(self):
        then = with_floor(figure(values=(100, 110, 105), more=True))
        self.assertEqual(verdicts(then, with_floor(figure(values=(80, 85, 82), more=True))),
                         {("decode", "ns"): "slower"})
        self.assertEqual(verdicts(then, with_floor(figure(values=(150, 140, 145), more=True))),
                         {("decode", "ns"): "faster"})

    def test_noise_is_not_slower(self):
        # Rounds of both runs overlap.
        then = with_floor(figure(values=(20, 30, 20)))
        self.assertEqual(verdicts(then, with_floor(figure(values=(29, 33, 31)))), {("decode", "ns"): "same"})
        # They do not, but it is less than a tenth.
        then = with_floor(figure(values=(20, 20, 20)))
        self.assertEqual(verdicts(then, with_floor(figure(values=(21.5, 21.6, 21.7)))),
                         {("decode", "ns"): "same"})

    def test_the_noise_of_two_rounds_is_not_known(self):
        then = with_floor(figure(values=(20, 20)))
        self.assertEqual(verdicts(then, with_floor(figure(values=(40, 40)))), {("decode", "ns"): "few"})
        half_failed = with_floor(figure(values=(20, None, 20)))
        self.assertEqual(verdicts(half_failed, with_floor(figure(values=(40, 40, 40)))),
                         {("decode", "ns"): "few"})

    def test_a_slower_machine_is_not_a_slower_program(self):
        then = with_floor(figure(values=(20, 21, 20)))
        now = with_floor(figure(values=(40, 42, 40)), floor=(4, 4, 4))
        self.assertEqual(verdicts(then, now), {("decode", "ns"): "same"})

    def test_the_ratio_is_formed_within_a_round(self):
        then = with_floor(figure(values=(20, 20, 20)))
        now = with_floor(figure(values=(40, 20, 80)), floor=(4, 2, 8))
        self.assertEqual(verdicts(then, now), {("decode", "ns"): "same"})

    def test_a_row_that_was_not_measured_is_said(self):
        then = with_floor(figure(), figure("encode"))
        self.assertEqual(verdicts(then, with_floor(figure()))["encode", "ns"], "missing")
        failed = with_floor(figure(), figure("encode", (None, None, None)))
        self.assertEqual(verdicts(then, failed)["encode", "ns"], "missing")
        no_floor = [figure(), figure("encode")]
        self.assertEqual(set(verdicts(then, no_floor).values()), {"missing"})
        self.assertIn("measured then, not now: codecs, encode", "\n".join(compare.lines(
            compare.compare(then, with_floor(figure())))))

    def test_a_row_that_was_not_wanted_is_not_missed(self):
        then = with_floor(figure(), figure("encode"))
        self.assertEqual(verdicts(then, with_floor(figure()), wanted=lambda f: f["row"] == "decode"),
                         {("decode", "ns"): "same"})

    def test_a_new_row_is_named(self):
        self.assertEqual(verdicts(with_floor(), with_floor(figure())), {("decode", "ns"): "new"})

    def test_peers_and_floors_are_not_guarded(self):
        def row(name, values):
            return figure("fan-out", values, "fan-out | floor_log", name=name)

        then = [row("floor_log", (2, 2, 2)), row("ws", (20, 20, 20)), row("stratwire", (4, 4, 4))]
        now = [row("floor_log", (2, 2, 2)), row("ws", (90, 90, 90)), row("stratwire", (4, 4, 4))]
        self.assertEqual(verdicts(then, now), {("fan-out | stratwire", "ns"): "same"})

    def test_of_a_rate_the_tail_and_the_cpu_are_guarded_too(self):
        def row(name, p99, cpu):
            return figure("rate", (2, 2, 2), "rate | floor", name=name, kind="rate",
                          parts={"p99": [p99] * 3, "cpu": [cpu] * 3})

        then = [row("floor", 4, 1), row("stratwire", 5, 1.1)]
        now = [row("floor", 4, 1), row("stratwire", 9, 1.1)]
        self.assertEqual(verdicts(then, now), {
            ("rate | stratwire", "ns"): "same", ("rate | stratwire", "us p99"): "slower",
            ("rate | stratwire", "CPU-s per million"): "same"})

    def test_where_the_generator_was_the_limit_nothing_is_judged(self):
        def row(values, *remarks):
            floor = figure("fan-out", (2, 2, 2), "fan-out | floor_log", name="floor_log")
            return [floor, figure("fan-out", values, "fan-out | floor_log", name="stratwire", remarks=remarks)]

        free, limited = row((4, 4, 4)), row((8, 8, 8), compare.results.GENERATOR_LIMITS)
        for then, now in ((free, limited), (limited, free), (limited, limited)):
            self.assertEqual(verdicts(then, now), {("fan-out | stratwire", "ns"): "limited"})
        text = "\n".join(compare.lines(compare.compare(free, limited)))
        self.assertIn("- generator is the limit, says little: codecs, fan-out, stratwire (ns), 2 (2..2) of the floor "
                      "then, 4 (4..4) now", text)
        self.assertIn("0 of 1 figures as they were", text)
        self.assertEqual(verdicts(free, row((8, 8, 8), "saturated")), {("fan-out | stratwire", "ns"): "slower"})

    def test_slower_counts_only_when_it_is_so_twice(self):
        then = with_floor(figure(), figure("encode"))
        slow = with_floor(figure(values=(30, 31, 32)), figure("encode", (30, 31, 32)))
        half = with_floor(figure(values=(20, 21, 20)), figure("encode", (30, 31, 32)))
        first, second = compare.compare(then, slow), compare.compare(then, half)
        self.assertEqual([f.verdict for f in compare.confirmed(first, second)], ["same", "slower"])
        # What could not be measured again stays what it was said to be.
        self.assertEqual([f.verdict for f in compare.confirmed(first, [])], ["slower", "slower"])

    def test_the_table_has_what_changed_and_counts_the_rest(self):
        then = with_floor(figure(), figure("encode"))
        now = with_floor(figure(values=(30, 31, 32)), figure("encode"))
        text = "\n".join(compare.lines(compare.compare(then, now)))
        self.assertRegex(text, r"\| codecs \| decode \| ns \| 10\.2 .* \| 15\.5 .* \| -34% \| slower \|")
        self.assertIn("1 of 2 figures as they were", text)


class CountsTest(unittest.TestCase):
    def test_a_count_is_exact_but_for_half_a_percent(self):
        self.assertEqual(compare.compare_counts({"a": 1000}, {"a": 1004})[1], False)
        lines, worse = compare.compare_counts({"a": 1000, "b": 10}, {"a": 1006, "b": 9})
        self.assertTrue(worse)
        self.assertIn("- more instructions: a, 1000.0 then, 1006.0 now (+0.6%)", lines)
        self.assertIn("- fewer instructions: b, 10.0 then, 9.0 now (-10.0%)", lines)

    def test_fewer_and_new_are_said_and_no_fault_but_missing_is(self):
        self.assertEqual(compare.compare_counts({"a": 100}, {"a": 90, "b": 1})[1], False)
        lines, worse = compare.compare_counts({"a": 100}, {})
        self.assertEqual((lines, worse), (["- counted then, not now: a"], True))

    def test_where_some_differ_the_others_are_counted(self):
        self.assertEqual(compare.compare_counts({"a": 1, "b": 2}, {"a": 1, "b": 2})[0],
                         ["- all 2 counts as they were (to 0.5%)"])
        lines, _ = compare.compare_counts({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2, "c": 2, "d": 1})
        self.assertEqual(len(lines), 3)
        self.assertEqual(lines[-1], "- 2 other counts as they were (to 0.5%)")

    def test_a_broken_file_of_counts_is_said_to_be_that(self):
        there = {"compiler": RUN["compiler"], "flags": RUN["flags"], "libc": RUN["libc"]}
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(instructions, "ROOT", folder):
            path = instructions.write(RUN, {"a": 1})
            for text in ("{", "[]", "{}", json.dumps(there), json.dumps({**there, "counts": {"a": 0}}),
                         json.dumps({**there, "counts": {"a": "many"}})):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
                self.assertRaisesRegex(instructions.Failed, r"12\.2\.0\.json .*--update", instructions.committed, RUN)
                self.assertIsNone(instructions.beside(RUN, True)[0])
                self.assertRaises(instructions.Failed, instructions.beside, RUN, False)

    def test_other_compilers_and_flags_are_not_compared(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(instructions, "ROOT", folder):
            self.assertIn("no counts of this compiler", instructions.committed(RUN)[1])
            instructions.write(RUN, {"a": 1})
            self.assertEqual(os.listdir(os.path.join(folder, "bench", "results")),
                             ["instructions-g++-12.2.0.json"])
            self.assertEqual(instructions.committed(RUN), ({"a": 1}, ""))
            counts, why = instructions.committed({**RUN, "flags": "-O2"})
            self.assertIsNone(counts)
            self.assertIn("another flags: -O3, here -O2", why)


class ResultsTest(unittest.TestCase):
    def write(self, folder, name, **run):
        path = os.path.join(folder, name)
        results.write(path, {"run": {**RUN, **run}, "load": {}, "failures": [], "instructions": {},
                             "figures": with_floor(figure())})
        return path

    def test_the_newest_of_the_same_machine_kind_is_taken(self):
        with tempfile.TemporaryDirectory() as folder:
            paths = [self.write(folder, "a.json", started="2026-11-22"),
                     self.write(folder, "b.json", started="2026-11-20"),
                     self.write(folder, "c.json", started="2026-11-24", machine="Intel"),
                     self.write(folder, "d.json", started="2026-11-23", cores=64)]
            read = [(path, results.read(path)) for path in paths]
            self.assertEqual(results.newest_of_kind(read, RUN)[0], paths[0])
            self.assertIsNone(results.newest_of_kind(read, {**RUN, "machine": "ARM"}))

    def test_a_result_of_another_format_is_left_out_with_a_word(self):
        with tempfile.TemporaryDirectory() as folder:
            good, other = self.write(folder, "a.json"), os.path.join(folder, "b.json")
            with open(other, "w", encoding="utf-8") as file:
                file.write('{"format": 0}')
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                self.assertEqual([path for path, _ in results.readable([other, good])], [good])
            self.assertIn("b.json is no result of format 1", said.getvalue())

    def test_what_was_written_is_read_again_with_five_digits(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.json")
            results.write(path, {"run": RUN, "figures": [figure(values=(1 / 3, None, 2e6))]})
            self.assertEqual(results.read(path)["figures"][0]["values"], [0.33333, None, 2000000])
            with open(path, "w", encoding="utf-8") as file:
                json.dump({"figures": []}, file)
            self.assertRaises(ValueError, results.read, path)

    def test_a_tree_with_changes_shows_in_the_name(self):
        self.assertEqual(results.stem(RUN), "2026-11-21-0123456")
        self.assertEqual(results.stem({**RUN, "changed": True}), "2026-11-21-0123456-dirty")


class CheckTest(unittest.TestCase):
    """The whole check, with measurements that were invented."""

    def check(self, folder, rounds, names=("codecs",), run=None):
        """(exit code, output) of a check in which the nth measuring brings the nth of `rounds`."""
        path = os.path.join(folder, "then.json")
        results.write(path, {"run": RUN, "load": {}, "failures": [], "instructions": {},
                             "figures": with_floor(figure("BM_Decode_Json/fast"))})
        this = types.SimpleNamespace(options=types.SimpleNamespace(against=path), failures=[])
        this.measure_programs = mock.Mock(side_effect=rounds)
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = bench.check_times(this, run or RUN, names)
        return code, said.getvalue()

    def test_exit_codes(self):
        same = with_floor(figure("BM_Decode_Json/fast"))
        slow = with_floor(figure("BM_Decode_Json/fast", (30, 31, 32)))
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(self.check(folder, [same])[0], 0)
            self.assertEqual(self.check(folder, [slow, same])[0], 0)
            code, said = self.check(folder, [slow, slow])
            self.assertEqual(code, 1)
            self.assertIn("slower", said)
            self.assertEqual(self.check(folder, [with_floor(), with_floor()])[0], 1)

    def counts_code(self, folder, **run):
        """Exit code of a comparison of counts on a machine that differs so."""
        this = bench.Run(types.SimpleNamespace(build=folder), folder)
        said = io.StringIO()
        with mock.patch.object(instructions, "ROOT", folder), contextlib.redirect_stdout(said), \
                mock.patch.object(instructions, "count", return_value={"a": 2}):
            return bench.check_instructions(this, {**RUN, **run}), said.getvalue()

    def test_exit_codes_of_counts(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(instructions, "ROOT", folder):
            path = instructions.write(RUN, {"a": 2})
            self.assertEqual(self.counts_code(folder)[0], 0)
            code, said = self.counts_code(folder, libc="musl")
            self.assertEqual(code, bench.NOTHING_TO_COMPARE)
            self.assertIn("instructions are not compared: the committed counts have another libc", said)
            instructions.write(RUN, {"a": 1})
            self.assertEqual(self.counts_code(folder)[0], 1)
            with open(path, "w", encoding="utf-8") as file:
                file.write("{")
            code, said = self.counts_code(folder)
            self.assertEqual(code, 1)
            self.assertIn("is no JSON", said)

    def test_worse_counts_before_what_could_not_be_compared(self):
        for codes, worst in (([], 0), ([0, 0], 0), ([4, 0], 4), ([0, 4], 4), ([4, 1], 1), ([1, 0], 1)):
            self.assertEqual(bench.worst_of(codes), worst, codes)

    def test_another_machine_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            code, said = self.check(folder, [], run={**RUN, "machine": "Intel"})
        self.assertEqual(code, bench.NOTHING_TO_COMPARE)
        self.assertIn("of another machine: AMD EPYC, 2 cores; this is Intel, 2 cores", said)

    def test_without_a_result_it_says_how_to_make_one(self):
        said = io.StringIO()
        with mock.patch.object(results, "committed", return_value=[]), contextlib.redirect_stdout(said):
            self.assertIsNone(bench.find_committed(types.SimpleNamespace(against=None), RUN))
        self.assertIn("no committed result of this machine kind (AMD EPYC, 2 cores)", said.getvalue())
        self.assertIn("./dev bench", said.getvalue())


class LoadTest(unittest.TestCase):
    """What is made of a run of load, with measurements that were invented."""

    def measured(self, ended_well, failures=(), **result):
        whole = {"lost": 0, "told": 0, "disordered": 0, "not_ours": 0, "starved": 0,
                 "disconnected": 0, **result}
        raw = {"failures": [{"row": "r", "name": name, "round": 0, "why": "gone"} for name in failures],
               "run": dict.fromkeys(("rounds", "window_s", "warmup_s", "server_cpu", "client_cpu", "nice", "seed"), 1),
               "measurements": [{"name": "stratwire", "result": whole}]}
        with tempfile.TemporaryDirectory() as folder:
            options = types.SimpleNamespace(build=folder, load_budget=1, check=False, rounds=1, load_options=[])
            this = bench.Run(options, folder)

            def run_child(command):
                with open(command[command.index("--out") + 1], "w", encoding="utf-8") as file:
                    json.dump(raw, file)
                return ended_well

            with mock.patch.object(bench, "run_child", run_child), contextlib.redirect_stdout(io.StringIO()), \
                    mock.patch.object(bench.load_figures, "summarize", return_value=[]):
                this.measure_load()
        return this

    def test_a_broken_stream_is_seen_beside_a_peer_that_failed(self):
        for key in ("lost", "disordered", "not_ours"):
            this = self.measured(False, ["ws"], **{key: 1})
            self.assertIn("a stream of stratwire's was broken", [f["why"] for f in this.failures])
            self.assertTrue(this.failed)

    def test_a_peer_that_failed_is_named_and_no_failure(self):
        this = self.measured(True, ["ws", "peer:x"])
        self.assertEqual([f["name"] for f in this.failures], ["ws", "peer:x"])
        self.assertFalse(this.failed)
        self.assertTrue(self.measured(False, ["floor_log"]).failed)
        self.assertFalse(self.measured(True).failed)


class CommandLineTest(unittest.TestCase):
    def refused(self, *arguments):
        said = io.StringIO()
        with contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as end:
            bench.parse(arguments)
        self.assertEqual(end.exception.code, 2, arguments)
        return said.getvalue()

    def test_what_load_would_refuse_is_refused_before_anything_is_built(self):
        for arguments, text in ((["--peer", "foo"], "--peer takes NAME=COMMAND, not 'foo'"),
                                (["--peer", "x=a", "--peer", "x=b"], "--peer has x twice"),
                                (["--uws", "/nope"], "there is no src/App.h in '/nope'"),
                                (["--load-budget", "0"], "--load-budget is more than 0 seconds")):
            self.assertIn(text, self.refused("--understood", *arguments))

    def test_what_is_no_result_is_nothing_to_compare_with(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.json")
            self.assertIn("there is no file", self.refused("--check", "--against", path))
            for text, why in (("{", "is no JSON"), ("[]", "is no result of format 1"),
                              ('{"format": 1}', "is no result of format 1")):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
                self.assertIn(why, self.refused("--check", "--against", path))

    def test_what_is_committed_names_no_path(self):
        for arguments, said in (
                (["--uws", ".", "--load-budget", "1.5"], ["--uws", "CHECKOUT", "--load-budget", "1.5"]),
                (["--uws=/srv/mine/uws"], ["--uws=CHECKOUT"]),
                (["--peer", "x=/srv/mine/x --y=/z"], ["--peer", "x=COMMAND"]),
                (["--peer=x=/srv/mine/x"], ["--peer=x=COMMAND"]),
                (["--build", "/srv/mine/b", "--rounds=2"], ["--build", "FOLDER", "--rounds=2"])):
            self.assertEqual(bench.without_paths(arguments), said)
        # What is cut short would be overlooked.
        self.refused("--uw", ".")


class ProgramsTest(unittest.TestCase):
    def entry(self, name, value, **fields):
        return {"run_name": name, "run_type": "iteration", "real_time": value, "time_unit": "ns", **fields}

    def test_google_benchmark(self):
        def start(*times):
            ring = self.entry("BM_BareRing128_RoundTrip/bytes:64/iterations:3/manual_time", 1, p50_ns=200)
            return {"benchmarks": [ring, *(self.entry("BM_Spsc_RoundTrip/bytes:64/iterations:3/manual_time",
                                                      9, p50_ns=time) for time in times)]}

        found = programs.figures_of(programs.by_name("queue"), [start(210, 220, 900), None, start(230)])
        spsc = next(f for f in found if "Spsc" in f["row"])
        self.assertEqual(spsc["row"], "BM_Spsc_RoundTrip/bytes:64")
        self.assertEqual(spsc["floor"], "BM_BareRing128_RoundTrip/bytes:64")
        self.assertEqual(spsc["values"], [220, None, 230])
        self.assertEqual(next(f for f in found if "Bare" in f["row"])["floor"], "")

    def test_what_is_per_message_or_a_rate_is_taken_as_such(self):
        self.assertEqual(programs.value_of(self.entry("x", 5, per_frame=2e-9)), (2, "ns", False))
        self.assertEqual(programs.value_of(self.entry("x_Throughput", 5, items_per_second=3e6)),
                         (3, "M/s", True))
        self.assertEqual(programs.value_of(self.entry("x", 5, time_unit="us")), (5000, "ns", False))

    def test_tables_of_rig(self):
        document = {"unit": "us", "more_is_better": False, "columns": ["p50", "p99"], "rows": [
            {"row": "floor: bare", "floor": "", "rounds": [[6, 8], [7, 9]]},
            {"row": "ours", "floor": "floor: bare", "rounds": [[8, 11], [9, 12]]}]}
        floor, ours = programs.figures_of(programs.by_name("roundtrip"), [document])
        self.assertEqual((ours["values"], ours["parts"], ours["unit"]), ([8, 9], {"p99": [11, 12]}, "us p50"))
        self.assertEqual((floor["floor"], ours["floor"]), ("", "floor: bare"))

    def test_a_check_runs_floors_and_not_peers(self):
        queue = programs.by_name("queue")
        for row, part in (("BM_BareRing128_RoundTrip/bytes:64", True), ("BM_Spsc_PushPop/bytes:64", True),
                          ("BM_Floor_Copy/bytes:64", True), ("BM_BoostSpscQueue_PushPop/bytes:64", False)):
            self.assertEqual(queue.takes_part(row), part, row)
        self.assertFalse(programs.by_name("peer").takes_part("anything"))


if __name__ == "__main__":
    unittest.main()
