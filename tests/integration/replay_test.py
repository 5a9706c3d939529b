"""A recording flat out through the server to readers: every message, in order, in both codecs, over TCP
and AF_UNIX."""

import collections
import csv
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

from programs import BIN, Program, Server, run, stats, summary_of, ticks, wait_until, write_csv

CODECS = ("json", "msgpack")
# A real recording, where there is one beside the checkout.
REAL_TICKS = pathlib.Path(os.environ["STRATWIRE_TICKS"])


def expected(path):
    """Per channel what a reader must see, in order."""
    channels = collections.defaultdict(list)
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            channels[f"prices:{row['venue']}:{row['symbol']}"].append(
                (row["symbol"], row["kind"], float(row["price"]),
                 round(float(row["size"]) * 100_000_000)))
    return channels


class Replay(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="stratwire-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.csv = self.folder / "ticks.csv"

    def serve(self, path, *arguments):
        """Over TCP and AF_UNIX, flat out, once two readers are there."""
        socket = self.folder / "server.sock"
        server = Server("--replay", path, "--speed", 0, "--unix-path", socket, "--exit-at-end",
                        *arguments)
        self.addCleanup(server.stop)
        return server, {"tcp": server.url, "unix": f"ws+unix://{socket}"}

    def read_all(self, path, codec, *arguments):
        server, urls = self.serve(path, "--wait-subscribers", 2)
        readers = {}
        for name, url in urls.items():
            readers[name] = Program("stratwire", "sub", url, "prices:*", "--codec", codec,
                                    "--exit-on-close", *arguments)
            self.addCleanup(readers[name].stop)
        for reader in readers.values():
            self.assertEqual(reader.finish(), 0, reader.transcript() + "\n" + server.transcript())
        self.assertEqual(server.finish(), 0, server.transcript())
        return server, readers

    def check_messages(self, path, codec):
        wanted = expected(path)
        server, readers = self.read_all(path, codec)
        for name, reader in readers.items():
            with self.subTest(codec=codec, stream=name):
                seen = collections.defaultdict(list)
                for line in reader.out:
                    message = json.loads(line)
                    self.assertEqual(message["type"], "PriceUpdate", line)
                    self.assertGreater(message["timestamp"], 1_600_000_000_000_000_000)
                    self.assertGreaterEqual(message["received_at"], message["timestamp"])
                    channel = seen[message["ch"]]
                    channel.append((message["output_mint"], message["input_mint"], message["price"],
                                    message["volume"]))
                    self.assertEqual(message["seq"], len(channel), line)
                self.assertEqual(seen, wanted)
        self.assertIn("0 gaps", server.err[-1])

    def test_every_message_in_order(self):
        write_csv(self.csv, ticks(2_000))
        for codec in CODECS:
            self.check_messages(self.csv, codec)

    def test_summary_of_many(self):
        write_csv(self.csv, ticks(50_000))
        for codec in CODECS:
            _, readers = self.read_all(self.csv, codec, "--stats")
            for name, reader in readers.items():
                with self.subTest(codec=codec, stream=name):
                    self.check_summary(summary_of(reader), 50_000, 15)

    def check_summary(self, summary, messages, channels):
        self.assertEqual(summary["received"], messages)
        self.assertEqual(summary["channels"], channels)
        for nothing in ("gaps", "missed", "unannounced", "duplicates", "out_of_order",
                        "decode_errors", "reconnects"):
            self.assertEqual(summary[nothing], 0, summary)
        latency = summary["latency_ns"]
        self.assertEqual(latency["count"] + latency["clock_skew"], messages)
        values = [latency[name] for name in ("p50", "p90", "p99", "p999", "max")]
        self.assertEqual(values, sorted(values))
        self.assertGreater(values[0], 0)
        self.assertGreater(summary["rate"], 0)

    def test_real_ticks(self):
        if not REAL_TICKS.exists():
            print(f"{REAL_TICKS} is not there; the generated recordings stand for it")
            return
        wanted = expected(REAL_TICKS)
        for codec in CODECS:
            self.check_messages(REAL_TICKS, codec)
            _, readers = self.read_all(REAL_TICKS, codec, "--stats")
            for name, reader in readers.items():
                summary = summary_of(reader)
                self.check_summary(summary, sum(map(len, wanted.values())), len(wanted))
                print(f"real ticks flat out, {codec} over {name}: {summary['received']} messages, "
                      f"{summary['rate']:.0f}/s, p50 {summary['latency_ns']['p50'] / 1e3:.0f} us, "
                      f"p99 {summary['latency_ns']['p99'] / 1e3:.0f} us, 0 lost")

    def test_a_reader_that_stops_for_a_while_loses_nothing(self):
        # More than all buffers on the way hold, so that the replay must wait.
        write_csv(self.csv, ticks(200_000))
        server, urls = self.serve(self.csv, "--wait-subscribers", 1, "--lane-bytes", 65536)
        reader = subprocess.Popen([BIN / "stratwire", "sub", urls["tcp"], "prices:*",
                                   "--exit-on-close"], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)
        self.addCleanup(reader.stdout.close)
        self.addCleanup(reader.wait)
        self.addCleanup(reader.kill)
        # Nobody takes its output until the server had to wait for it.
        wait_until(lambda: stats(server)["publish_back_pressured"] > 100)
        self.assertLess(stats(server)["published"], 200_000)
        lines = reader.stdout.read().splitlines()
        self.assertEqual(reader.wait(), 0)
        self.assertEqual(server.finish(), 0, server.transcript())
        self.assertEqual(len(lines), 200_000)
        self.assertIn("0 gaps", server.err[-1])

    def test_a_reader_that_was_closed_as_too_slow_shows_on_both_sides(self):
        write_csv(self.csv, ticks(400_000))
        server, urls = self.serve(self.csv, "--wait-subscribers", 1, "--lane-bytes", 65536,
                                  "--stall", "500ms")
        with Program("stratwire", "sub", urls["tcp"], "prices:*", "--stats",
                     "--exit-on-close") as reader:
            reader.wait_for_line("connected to")
            reader.signal(signal.SIGSTOP)
            server.wait_for_line("slow consumer")
            reader.signal(signal.SIGCONT)
            self.assertEqual(reader.finish(), 1, reader.transcript())
            self.assertIn("cut off", reader.err[-1])
        self.assertEqual(server.finish(), 1, server.transcript())
        self.assertLess(summary_of(reader)["received"], 400_000)

    def test_the_recorded_pace_and_speed(self):
        rows = [f"{i * 100_000_000},v,s,bid,{i + 1},1,0" for i in range(6)]  # Half a second.
        write_csv(self.csv, rows)
        with Server("--replay", self.csv, "--speed", 2.5, "--wait-subscribers", 1,
                    "--exit-at-end") as server:
            program = run("stratwire", "sub", server.url, "prices:v:s", "--exit-on-close")
            self.assertEqual(server.finish(), 0, server.transcript())
        times = [json.loads(line)["timestamp"] for line in program.out]
        self.assertEqual(len(times), 6, program.transcript())
        # Never early; how late depends on the machine.
        for before, after in zip(times, times[1:]):
            self.assertGreater(after, before)
        self.assertGreaterEqual(times[-1] - times[0], 199_000_000)


class Demo(unittest.TestCase):
    def prices(self, *arguments):
        with Server("--demo", "--messages", 500, "--speed", 0, "--wait-subscribers", 1,
                    "--exit-at-end", *arguments) as server:
            program = run("stratwire", "sub", server.url, "prices:*", "--exit-on-close")
            self.assertEqual(server.finish(), 0, server.transcript())
            self.assertEqual(program.code, 0, program.transcript())
        messages = map(json.loads, program.out)
        return server, [(m["ch"], m["seq"], m["price"], m["volume"]) for m in messages]

    def test_the_seed_gives_the_prices(self):
        _, first = self.prices("--seed", 7)
        _, second = self.prices("--seed", 7)
        _, third = self.prices("--seed", 8)
        self.assertEqual(len(first), 500)
        self.assertEqual(first, second)
        self.assertNotEqual(first, third)

    def test_a_drawn_seed_is_said(self):
        server, first = self.prices()
        seed = server.wait_for_line("seed").split("seed ")[1].split(",")[0]
        _, second = self.prices("--seed", seed)
        self.assertEqual(first, second)

    def test_the_rate_is_kept(self):
        with Server("--demo", "--rate", 2_000, "--messages", 600, "--wait-subscribers", 1,
                    "--exit-at-end") as server:
            program = run("stratwire", "sub", server.url, "prices:*", "--stats", "--exit-on-close")
        self.assertEqual(summary_of(program)["received"], 600)
        self.assertGreaterEqual(summary_of(program)["seconds"], 0.29)


if __name__ == "__main__":
    unittest.main()
