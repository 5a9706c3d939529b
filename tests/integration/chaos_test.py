"""stratwire chaos as a person runs it: help, wrong usage, a plan, a schedule, lines as they happen."""

import json
import signal
import socket
import subprocess
import threading
import unittest

from programs import BIN, Program, Server, run, summary_of, wait_until

USAGE = 2
COULD_NOT = 3


def json_lines(program):
    return [json.loads(line) for line in program.out]


class Usage(unittest.TestCase):
    def test_help_names_every_option_and_every_fault(self):
        program = run("stratwire", "chaos", "--help")
        self.assertEqual((program.code, program.err), (0, []))
        text = "\n".join(program.out)
        for word in ("--to", "--listen", "--every", "--jitter", "--seed", "--json", "--seconds", "--direction",
                     "--cut", "--reset", "--half-close", "--black-hole", "--throttle", "--split", "--stall",
                     "--delay", "--fault", "--plan", "--random", "--bytes", "--print", "half_close", "Exit codes"):
            self.assertIn(word, text)

    def test_wrong_usage_says_what_and_how(self):
        to = ["--to", "ws://127.0.0.1:1"]
        for arguments, words in (([], "--to is missing"),
                                 (["--to", "x"], "target 'x': write ws://HOST:PORT"),
                                 (["--to", "wss://127.0.0.1:1"], "'wss://127.0.0.1:1'"),
                                 ([*to, "--listen", "nowhere"], "listen 'nowhere': write 127.0.0.1:PORT"),
                                 (["--ot", "x"], "--ot"),
                                 ([*to, "--fault", "1 down cut"], "'1 down cut' is no fault"),
                                 ([*to, "--plan", "no such file"], "can't be read"),
                                 ([*to, "--bytes", "5"], "--random"),
                                 ([*to, "--every", "0"], "--every: '0' is not a number of seconds from"),
                                 ([*to, "--jitter", "101"], "--jitter: '101' is not a whole number"),
                                 ([*to, "--throttle", "fast"], "--throttle: 'fast' is not a whole number"),
                                 ([*to, "--direction", "sideways"], "--direction"),
                                 (["--random", "--fault", "1 down 1 cut"], "neither")):
            with self.subTest(arguments=arguments):
                program = run("stratwire", "chaos", *arguments)
                self.assertEqual((program.code, program.out), (USAGE, []), program.transcript())
                self.assertEqual(len(program.err), 1)
                self.assertIn(words, program.err[0])

    def test_an_address_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            program = run("stratwire", "chaos", "--to", "ws://127.0.0.1:1", "--listen", address)
        self.assertEqual((program.code, program.out), (COULD_NOT, []), program.transcript())
        self.assertIn(address, program.err[0])

    def test_the_same_seed_prints_the_same_plan(self):
        first, again, other = (run("stratwire", "chaos", "--random", "--seed", seed, "--print", 50).out
                               for seed in (1, 1, 2))
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)
        self.assertGreaterEqual(len(first), 50)


class Plan(unittest.TestCase):
    def test_cuts_at_the_byte_and_counts(self):
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"0123456789")
                connection.recv(1)

        serving = threading.Thread(target=serve)
        serving.start()
        with Program("stratwire", "chaos", "--to", f"ws://127.0.0.1:{server.getsockname()[1]}",
                     "--fault", "1 down 4 cut") as proxy:
            url = proxy.wait_for_line("listening on ws://", proxy.out).split(",")[0].split()[-1]
            with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as client:
                got = b""
                while chunk := client.recv(100):
                    got += chunk
            self.assertEqual(got, b"0123")
            serving.join()
            proxy.wait_for_line("connection 1 ended", proxy.out)
            proxy.signal(signal.SIGTERM)
            self.assertEqual(proxy.finish(), 0)
        self.assertTrue(any("connection 1 cut after 0 bytes up and 4 down" in line for line in proxy.out))
        self.assertRegex(proxy.out[-1], "1 connections, 0 refused, 0 bytes up, 4 bytes down; 1 cut")


class Schedule(unittest.TestCase):
    def test_a_subscriber_loses_nothing_and_every_fault_is_a_line(self):
        with Server("--demo", "--rate", 500) as server, \
                Program("stratwire", "chaos", "--to", server.url, "--cut", "--reset", "--half-close", "--every", 0.2,
                        "--seed", 7, "--json") as proxy:
            proxy.wait_for_line('"listening"', proxy.out)
            start = json.loads(proxy.out[0])
            self.assertEqual((start["event"], start["seed"], start["to"]), ("listening", 7, server.url))
            with Program("stratwire", "sub", start["url"], "prices:*", "--stats") as sub:
                for number in (1, 2, 3, 4):
                    proxy.wait_for_line(f'"opened".*"connection":{number},', proxy.out)
                sub.wait_for_line("connected again")
                proxy.signal(signal.SIGINT)
                self.assertEqual(proxy.finish(), 0)
                sub.signal(signal.SIGINT)
                self.assertEqual(sub.finish(), 0, sub.transcript())
        lines = json_lines(proxy)
        faults = [line for line in lines if line["event"] == "fault"]
        summary = lines[-1]
        self.assertEqual(summary["event"], "summary")
        self.assertGreaterEqual(summary["connections"], 4)
        self.assertEqual(sum(summary["faults"].values()), len(faults))
        for kind in ("cut", "reset", "half_close"):
            self.assertEqual(summary["faults"][kind], sum(line["kind"] == kind for line in faults))
        seen = summary_of(sub)
        self.assertGreater(seen["reconnects"], 0)
        self.assertEqual((seen["gaps"], seen["unannounced"], seen["duplicates"], seen["out_of_order"]), (0, 0, 0, 0))

    def faults_of_an_open_connection(self, *arguments, until):
        """The fault events that one connection meets, until the last of them matches."""
        with socket.create_server(("127.0.0.1", 0)) as server, \
                Program("stratwire", "chaos", "--to", f"127.0.0.1:{server.getsockname()[1]}", "--every", 0.05,
                        "--json", *arguments) as proxy:
            proxy.wait_for_line('"listening"', proxy.out)
            port = int(json.loads(proxy.out[0])["url"].rsplit(":", 1)[1])
            with socket.create_connection(("127.0.0.1", port)):
                proxy.wait_for_line(until, proxy.out)
                proxy.signal(signal.SIGINT)
                self.assertEqual(proxy.finish(), 0)
        return [(line["kind"], line["direction"], line["amount"]) for line in json_lines(proxy)
                if line["event"] == "fault"]

    def test_a_throttle_lasts_until_the_next_one(self):
        faults = self.faults_of_an_open_connection("--throttle", 1000, until='"amount":0')
        self.assertEqual(faults[:4], [("throttle", "up", 1000), ("throttle", "down", 1000),
                                      ("throttle", "up", 0), ("throttle", "down", 0)])

    def test_the_direction_is_the_one_that_is_asked_for(self):
        faults = self.faults_of_an_open_connection("--stall", 1, "--split", 10, "--direction", "up",
                                                   until='"kind":"split"')
        self.assertEqual({direction for _, direction, _ in faults}, {"up"})
        self.assertLessEqual({(kind, amount) for kind, _, amount in faults}, {("stall", 1), ("split", 10)})
        faults = self.faults_of_an_open_connection("--half-close", "--direction", "down", until="half_close")
        self.assertEqual(faults[0], ("half_close", "down", 0))

    def test_a_black_hole_swallows_once(self):
        with socket.create_server(("127.0.0.1", 0)) as server, \
                Program("stratwire", "chaos", "--to", f"127.0.0.1:{server.getsockname()[1]}", "--black-hole",
                        "--every", 0.02, "--seconds", 0.5) as proxy:
            url = proxy.wait_for_line("listening on", proxy.out).split(",")[0].split()[-1]
            with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as client:
                proxy.wait_for_line("connection 1 black-hole", proxy.out)
                client.sendall(b"x")
                self.assertEqual(proxy.finish(), 0)
        self.assertIn("; 1 black-hole", proxy.out[-1])

    def test_the_same_seed_does_the_same(self):
        def kinds(seed):
            with socket.create_server(("127.0.0.1", 0)) as server, \
                    Program("stratwire", "chaos", "--to", f"127.0.0.1:{server.getsockname()[1]}", "--cut", "--reset",
                            "--black-hole", "--every", 0.01, "--seed", seed) as proxy:
                wait_until(lambda: sum("nobody" in line for line in proxy.out) >= 12)
                proxy.signal(signal.SIGINT)
                self.assertEqual(proxy.finish(), 0)
            return [line.split()[2] for line in proxy.out if "nobody" in line][:12]

        self.assertEqual(kinds(5), kinds(5))
        self.assertNotEqual(kinds(5), kinds(6))

    def test_ends_by_itself(self):
        program = run("stratwire", "chaos", "--to", "ws://127.0.0.1:1", "--seconds", 0.1)
        self.assertEqual(program.code, 0, program.transcript())
        self.assertIn("0 connections", program.out[-1])

    def test_ends_when_nobody_reads(self):
        proxy = subprocess.Popen([BIN / "stratwire", "chaos", "--to", "ws://127.0.0.1:1", "--every", "0.01"],
                                 stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.assertIn(b"listening", proxy.stdout.readline())
        proxy.stdout.close()
        self.assertEqual(proxy.wait(60), 0)

    def test_a_server_that_is_away_is_told(self):
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        with Program("stratwire", "chaos", "--to", f"ws://127.0.0.1:{port}") as proxy:
            url = proxy.wait_for_line("listening on ws://", proxy.out).split(",")[0].split()[-1]
            with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as client:
                with self.assertRaises(ConnectionResetError):
                    if client.recv(1) == b"":
                        raise ConnectionResetError
            proxy.wait_for_line("connection 1 (refused|ended)", proxy.out)


if __name__ == "__main__":
    unittest.main(verbosity=2)
