#!/usr/bin/python3
"""What run.py does with wrong usage, with programs that can't be started, and with what came of a run."""

import contextlib
import io
import os
import sys
import tempfile
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import rows  # noqa: E402
import run  # noqa: E402


def checkout(folder, *files):
    for file in files:
        path = os.path.join(folder, file)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as text:
            text.write("#error no such thing\n")
    return folder


class UsageTest(unittest.TestCase):
    def refused(self, *arguments):
        """What is said of wrong usage."""
        said = io.StringIO()
        with contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as end:
            run.parse(arguments)
        self.assertEqual(end.exception.code, 2, arguments)
        return said.getvalue()

    def test_wrong_usage_is_refused_with_the_cure(self):
        for arguments, text in (
                (["--peer", "foo"], "--peer takes NAME=COMMAND, not 'foo'"),
                (["--peer", "=foo"], "--peer takes NAME=COMMAND, not '=foo'"),
                (["--peer", "x= "], "--peer takes NAME=COMMAND, not 'x= '"),
                (["--peer", "x='foo"], "No closing quotation"),
                (["--peer", "x=a", "--peer", "x=b"], "--peer has x twice"),
                (["--servers", "stratwire,foo"], "--servers has no 'foo'; it has: floor_send,"),
                (["--servers", "uws"], "(uws with --uws CHECKOUT)"),
                (["--rows", "("], "'(' is no regular expression"),
                (["--rows", "no such row"], "finds no row; --list --full names them"),
                (["--rows", "bytes, K=16", "--check"], "--list --check those that guard"),
                (["--rounds", "0"], "--rounds is 1 at least"),
                (["--budget", "0"], "--budget is more than 0 seconds"),
                (["--window", "-1"], "--window is more than 0 seconds"),
                (["--window", "nan"], "--window is more than 0 seconds")):
            self.assertIn(text, self.refused(*arguments))

    def test_a_core_that_is_not_there_is_refused(self):
        before = os.sched_getaffinity(0)
        # With one core alone, nobody is put anywhere.
        with mock.patch.object(os, "cpu_count", return_value=max(2, max(before) + 1)):
            for cpu in ("99999", "-1"):
                said = self.refused(f"--server-cpu={cpu}", f"--client-cpu={max(before)}")
                self.assertRegex(said, rf"--server-cpu: there is no core {cpu} here to run on; there are: .*\d")
        self.assertEqual(os.sched_getaffinity(0), before)

    def test_a_checkout_that_is_none_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertIn("there is no src/App.h in '/nope'", self.refused("--uws", "/nope"))
            self.assertIn("there is no src/App.h", self.refused("--uws", folder))
            checkout(folder, "src/App.h")
            self.assertIn("submodule update --init uSockets", self.refused("--uws", folder))

    def test_a_checkout_that_does_not_compile_is_said_to_be_that(self):
        with tempfile.TemporaryDirectory() as folder:
            checkout(folder, "src/App.h", "uSockets/src/eventing/epoll.c", "uSockets/src/bsd.c")
            with mock.patch.object(rows.subprocess, "run",
                                   side_effect=rows.subprocess.CalledProcessError(1, ["cc", "-c"])):
                self.assertRaisesRegex(rows.WrongUsage, "does not compile, cc says above why",
                                       rows.build_uws, folder, folder)
            with mock.patch.object(rows.subprocess, "run", side_effect=FileNotFoundError(2, "not there", "cc")):
                self.assertRaisesRegex(rows.WrongUsage, "can't be compiled: .*'cc'", rows.build_uws, folder, folder)

    def test_what_is_right_is_understood(self):
        cpu = str(max(os.sched_getaffinity(0)))
        options = run.parse(["--peer", "x=node 'a b.js'", "--servers", "stratwire,peer:x", "--rows", "round trip",
                             "--server-cpu", cpu, "--client-cpu", cpu])
        self.assertEqual([row.name for row in run.rows_of(options)], ["round trip, spinning"])
        self.assertEqual((options.rounds, options.budget), (2, run.QUICK_S))
        servers = run.servers_of(options)
        self.assertEqual(servers["peer:x"].command, ("node", "a b.js"))
        self.assertNotIn("beast", servers)


class ProcessTest(unittest.TestCase):
    def test_what_can_not_be_started_has_failed(self):
        with self.assertRaisesRegex(run.Failed, "can't be started: .*'/no/such'"):
            run.Process(["/no/such"], None, 0)
        with self.assertRaisesRegex(run.Failed, "can't be started: no core 99999"):
            run.Process(["true"], 99999, 0)

    def test_a_peer_that_can_not_be_started_leaves_the_others(self):
        cpu = str(max(os.sched_getaffinity(0)))
        options = run.parse(["--rows", "round trip", "--rounds", "1", "--server-cpu", cpu, "--client-cpu", cpu])
        bench = run.Bench(options, rows.peers_of(["x=/no/such", "y=/nor/this"]), run.rows_of(options))
        with contextlib.redirect_stdout(io.StringIO()):
            measurements, failures = bench.run()
        bench.folder.cleanup()
        self.assertEqual(measurements, [])
        self.assertEqual([f["name"] for f in failures], ["peer:x", "peer:y"])
        self.assertRegex(failures[0]["why"], "can't be started: .*'/no/such'")


class ExitTest(unittest.TestCase):
    def code(self, name, failures=(), **result):
        return run.exit_code([{"name": name, "result": {"lost": 0, "disordered": 0, "not_ours": 0, "starved": 0,
                                                            "disconnected": 0, **result}}],
                             [{"name": failed} for failed in failures])

    def test_a_broken_stream_of_ours_is_a_failure(self):
        self.assertEqual(self.code("stratwire"), 0)
        for key in ("lost", "disordered", "not_ours", "starved", "disconnected"):
            self.assertEqual(self.code("stratwire_threads", **{key: 1}), 1, key)
            self.assertEqual(self.code("ws", **{key: 1}), 0, key)

    def test_a_program_of_ours_that_failed_is_a_failure_and_a_peer_is_not(self):
        self.assertEqual(self.code("stratwire", ["ws", "peer:x"]), 0)
        self.assertEqual(self.code("stratwire", ["ws", "floor_log"]), 1)
        self.assertEqual(self.code("ws", ["stratwire_2_io"]), 1)


if __name__ == "__main__":
    unittest.main()
