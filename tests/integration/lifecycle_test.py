"""Servers that end, orderly and not, and what their readers see."""

import asyncio
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import websockets

from programs import BIN, Program, Server, run, stats, summary_of, ticks, wait_until, write_csv

GOING_AWAY = 1001


class Ending(unittest.TestCase):
    def test_sigterm_and_sigint_close_with_1001(self):
        for which in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=which), Server("--demo", "--rate", 2_000) as server:
                code, messages = asyncio.run(self.read_until_closed(server, which))
                self.assertEqual(code, GOING_AWAY, server.transcript())
                self.assertGreaterEqual(messages, 10)
                self.assertEqual(server.finish(), 0, server.transcript())
                self.assertIn("feed published", server.err[-1])

    @staticmethod
    async def read_until_closed(server, which):
        messages = 0
        async with websockets.connect(server.url, subprotocols=["stratwire.v1.json"]) as client:
            await client.send('{"type":"Subscribe","channels":["prices:*"]}')
            try:
                async for text in client:
                    if '"PriceUpdate"' not in text:
                        continue
                    messages += 1
                    if messages == 10:
                        server.signal(which)
            except websockets.ConnectionClosed:
                pass
            return client.close_code, messages

    def test_everything_published_before_the_end_arrives(self):
        with Server("--demo", "--messages", 20_000, "--speed", 0, "--wait-subscribers",
                    1) as server:
            reader = Program("stratwire", "sub", server.url, "prices:*", "--stats",
                             "--exit-on-close")
            with reader:
                server.wait_for_line("the feed has ended")
                self.assertEqual(server.end(), 0, server.transcript())
                self.assertEqual(reader.finish(), 0, reader.transcript())
            self.assertEqual(summary_of(reader)["received"], 20_000)

    def test_the_last_line_counts_readers_not_visitors(self):
        with Server("--demo", "--messages", 10, "--speed", 0, "--wait-subscribers", 1) as server:
            stats(server)  # A page,
            with socket.create_connection(("127.0.0.1", server.port)):
                pass  # somebody who says nothing,
            with socket.create_connection(("127.0.0.1", server.port)) as peer:
                peer.sendall(b"nonsense\r\n\r\n")
                self.assertIn(b" 400 ", peer.recv(4096))  # and somebody who is refused.
            reader = run("stratwire", "sub", server.url, "prices:*", "--count", 10)
            self.assertEqual(reader.code, 0, reader.transcript())
            self.assertEqual(server.end(), 0, server.transcript())
        self.assertIn(" to 1 connections;", server.err[-1])

    def test_a_second_signal_ends_at_once(self):
        # A reader that takes nothing keeps the drain waiting for its whole deadline.
        with Server("--demo", "--speed", 0, "--drain-timeout", "600s", "--wait-subscribers",
                    1) as server:
            reader = subprocess.Popen([BIN / "stratwire", "sub", server.url, "prices:*"],
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self.addCleanup(reader.stdout.close)
            self.addCleanup(reader.wait)
            self.addCleanup(reader.kill)
            wait_until(lambda: stats(server)["publish_back_pressured"] > 100)
            server.signal(signal.SIGTERM)
            server.wait_for_line("asked to end")
            self.assertIsNone(server.process.poll())
            server.signal(signal.SIGTERM)
            self.assertEqual(server.finish(), 128 + signal.SIGTERM, server.transcript())

    def test_without_a_feed_it_serves_until_asked(self):
        with Server() as server:
            self.assertIn("no feed", server.wait_for_line("listening on"))
            self.assertEqual(server.end(), 0, server.transcript())


class Killed(unittest.TestCase):
    """kill -9 in the middle of a replay, a new server on the same port."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="stratwire-")
        self.addCleanup(folder.cleanup)
        self.csv = write_csv(pathlib.Path(folder.name) / "ticks.csv", ticks(20_000))

    def serve(self, port):
        # A fifth of the recorded pace of 1 us: the replay takes 100 ms, and is cut within.
        server = Server("--replay", self.csv, "--speed", 0.02, "--wait-subscribers", 1, port=port)
        self.addCleanup(server.stop)
        return server

    def test_the_reader_is_back_by_itself(self):
        for codec in ("json", "msgpack"):
            with self.subTest(codec=codec):
                self.kill_and_restart(codec)

    def kill_and_restart(self, codec):
        first = self.serve(0)
        reader = Program("stratwire", "sub", first.url, "prices:*", "--codec", codec)
        self.addCleanup(reader.stop)
        reader.wait_for_line('"PriceUpdate"', reader.out)
        first.process.kill()
        first.process.wait()
        reader.wait_for_line("connection lost")
        second = self.serve(first.port)
        listening_at = time.monotonic()
        # The feed waits for its subscriber: a message of the new epoch shows that it is back.
        wait_until(lambda: stats(second)["subscribers"] == 1)
        back_after = time.monotonic() - listening_at
        reader.wait_for_line("connected again")
        # What the first server had published and this reader not seen is lost, and said to be.
        reader.wait_for_line('"Gap"', reader.out)
        reader.wait_for_line(rf'"PriceUpdate".*"epoch":{stats(second)["epoch"]}', reader.out)
        reader.signal(signal.SIGINT)
        self.assertEqual(reader.finish(), 1, reader.transcript())
        print(f"{codec}: back and subscribed {back_after * 1e3:.0f} ms after the port was open")

    def test_summary_counts_the_reconnect(self):
        first = self.serve(0)
        reader = Program("stratwire", "sub", first.url, "prices:*", "--stats")
        self.addCleanup(reader.stop)
        wait_until(lambda: stats(first)["delivered"] > 10)
        first.process.kill()
        first.process.wait()
        second = self.serve(first.port)
        wait_until(lambda: stats(second)["delivered"] > 10)
        reader.signal(signal.SIGINT)
        reader.finish()
        summary = summary_of(reader)
        self.assertEqual(summary["reconnects"], 1)
        self.assertEqual((summary["duplicates"], summary["out_of_order"], summary["unannounced"]),
                         (0, 0, 0), summary)


class Resuming(unittest.TestCase):
    def test_since_goes_on_where_an_earlier_run_ended(self):
        with Server("--allow-publish") as server:
            def publish(numbers):
                lines = "".join(f"{number}\n" for number in numbers)
                self.assertEqual(run("stratwire", "pub", server.url, "trades:X", input=lines).code, 0)

            publish(range(5))
            first = run("stratwire", "sub", server.url, "trades:X", "--latest", "--count", 1)
            last = json.loads(first.out[-1])
            self.assertEqual((last["seq"], last["data"]), (5, 4), first.transcript())
            publish(range(5, 10))
            point = f"{last['ch']}@{last['epoch']}:{last['seq']}"
            with Program("stratwire", "sub", server.url, "trades:X", "--since", point) as second:
                second.wait_for_line("everything that could be recovered has come")
                second.signal(signal.SIGINT)
                self.assertEqual(second.finish(), 0, second.transcript())
            self.assertEqual([json.loads(line)["data"] for line in second.out], list(range(5, 10)),
                             second.transcript())

    def test_a_gap_is_told_with_its_reason(self):
        with Server("--allow-publish") as server:
            self.assertEqual(run("stratwire", "pub", server.url, "trades:X", input="1\n").code, 0)
            program = run("stratwire", "sub", server.url, "trades:X", "--since", "trades:X@1:7",
                          "--count", 1)
            self.assertEqual(program.code, 1, program.transcript())
            self.assertIn("stratwire: gap: trades:X lacks what came after 7 (epoch_change)",
                          program.err)

    def test_another_server_is_found_when_one_goes(self):
        with Server("--demo") as first, Server("--demo") as second, \
                Program("stratwire", "sub", first.url, "prices:*", "--also", second.url) as reader:
            reader.wait_for_line("connected to .* and " + second.url)
            epoch = stats(second)["epoch"]
            first.process.kill()
            reader.wait_for_line("connection lost")
            reader.wait_for_line("connected again")
            reader.wait_for_line(f'"PriceUpdate".*"epoch":{epoch}', reader.out)


    def test_a_server_that_leaves_hands_over_to_the_one_it_names(self):
        with Server("--demo") as second, \
                Server("--demo", "--drain-alternatives", second.url, "--drain-go-away-deadline",
                       "20s", "--drain-timeout", "60s") as first, \
                Program("stratwire", "sub", first.url, "prices:*", "--stats") as reader:
            reader.wait_for_line("connected to")
            wait_until(lambda: stats(first)["delivered"] > 200)
            first.signal(signal.SIGTERM)
            reader.wait_for_line("moved to the server that the other one named")
            self.assertNotIn("lost", "\n".join(reader.err))
            delivered = stats(second)["delivered"]
            wait_until(lambda: stats(second)["delivered"] > delivered + 200)
            reader.signal(signal.SIGINT)
            reader.finish()
            summary = summary_of(reader)
            # What the one that left still sent is dropped and counts as duplicates: how much is
            # up to the machine.
            self.assertEqual((summary["out_of_order"], summary["unannounced"],
                              summary["reconnects"]), (0, 0, 0))

    def test_alternatives_alone_give_time_to_change_over(self):
        for arguments, deadline_ms in (([], 5_000), (["--drain-timeout", "4s"], 2_000),
                                       (["--drain-go-away-deadline", "20s"], 20_000)):
            with self.subTest(arguments=arguments), \
                    Server("--demo", "--drain-alternatives", "ws://127.0.0.1:1",
                           *arguments) as server:
                told, data_behind = asyncio.run(self.read_behind_go_away(server))
                self.assertEqual(told["deadline_ms"], deadline_ms)
                self.assertEqual(told["alternatives"], ["ws://127.0.0.1:1"])
                self.assertGreaterEqual(data_behind, 50, "the feed goes on")
                # Its only reader has left: it does not wait for its deadline.
                self.assertEqual(server.finish(), 0, server.transcript())

    @staticmethod
    async def read_behind_go_away(server):
        told, asked, data_behind = None, False, 0
        async with websockets.connect(server.url, subprotocols=["stratwire.v1.json"]) as client:
            await client.send('{"type":"Subscribe","channels":["prices:*"]}')
            try:
                async for text in client:
                    message = json.loads(text)
                    if message["type"] == "GoAway":
                        told = message
                    elif message["type"] != "PriceUpdate":
                        continue
                    elif not asked:
                        asked = True
                        server.signal(signal.SIGTERM)
                    elif told is not None:
                        data_behind += 1
                        if data_behind == 50:
                            break
            except websockets.ConnectionClosed:
                pass
        return told, data_behind

    def test_nothing_is_lost_between_servers_of_one_epoch(self):
        with Server("--allow-publish", "--epoch", 7) as second, \
                Server("--allow-publish", "--epoch", 7, "--drain-alternatives",
                       second.url) as first, \
                Program("stratwire", "sub", first.url, "trades:X", "--stats") as reader:
            reader.wait_for_line("connected to")
            lines = "".join(f"{i}\n" for i in range(5))
            for server in (first, second):
                self.assertEqual(run("stratwire", "pub", server.url, "trades:X",
                                     input=lines).code, 0)
            wait_until(lambda: stats(first)["delivered"] == 5)
            first.signal(signal.SIGTERM)
            reader.wait_for_line("moved to the server that the other one named")
            self.assertEqual(first.finish(), 0, first.transcript())
            self.assertEqual(run("stratwire", "pub", second.url, "trades:X", input="5\n").code, 0)
            wait_until(lambda: stats(second)["delivered"] == 1)
            reader.signal(signal.SIGINT)
            # Nothing was lost, nothing came twice.
            self.assertEqual(reader.finish(), 0, reader.transcript())
            self.assertNotIn("gap", "\n".join(reader.err))
            summary = summary_of(reader)
            self.assertEqual((summary["received"], summary["duplicates"], summary["reconnects"]),
                             (6, 0, 0))

    def test_every_hop_is_measured(self):
        with Server("--demo", "--rate", 20_000, "--heartbeat-interval", "50ms") as server:
            with Program("stratwire", "sub", server.url, "prices:*", "--stats") as reader:
                reader.wait_for_line("connected to")
                wait_until(lambda: stats(server)["delivered"] > 20_000)
                reader.signal(signal.SIGINT)
                self.assertEqual(reader.finish(), 0, reader.transcript())
            summary = summary_of(reader)
        hops = summary["hops_ns"]
        self.assertGreater(hops["server"]["count"], 50, summary)
        self.assertGreater(hops["strategy"]["count"], 50, summary)
        self.assertEqual(hops["network"]["count"] + hops["uncertain"], hops["server"]["count"])
        # One host, one clock.
        self.assertLessEqual(abs(summary["clock_ns"]["offset"]), summary["clock_ns"]["error"])


class Readers(unittest.TestCase):
    def test_a_pipe_that_ends(self):
        # `stratwire sub ... | head -n 3`
        with Server("--demo", "--rate", 2_000) as server:
            reader = subprocess.Popen([BIN / "stratwire", "sub", server.url, "prices:*"],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(3):
                self.assertIn(b"PriceUpdate", reader.stdout.readline())
            reader.stdout.close()
            self.assertEqual(reader.wait(60), 0)
            reader.stderr.close()

    def test_a_pipe_that_ends_while_nothing_comes(self):
        with Server() as server:
            reader = subprocess.Popen([BIN / "stratwire", "sub", server.url, "prices:*"],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertIn(b"connected to", reader.stderr.readline())
            reader.stdout.close()
            self.assertEqual(reader.wait(60), 0)
            reader.stderr.close()

    def test_count_seconds_and_interrupt(self):
        with Server("--demo") as server:
            program = run("stratwire", "sub", server.url, "prices:*", "--count", 7)
            self.assertEqual((program.code, len(program.out)), (0, 7), program.transcript())
            program = run("stratwire", "sub", server.url, "prices:*", "--seconds", 0.2, "--stats")
            self.assertEqual(program.code, 0, program.transcript())
            self.assertGreater(summary_of(program)["received"], 0)
            with Program("stratwire", "sub", server.url, "prices:*", "--stats") as reader:
                reader.wait_for_line("connected to")
                reader.signal(signal.SIGINT)
                self.assertEqual(reader.finish(), 0, reader.transcript())
                self.assertEqual(len(reader.out), 1)

    def test_a_killed_reader_harms_nobody(self):
        with Server("--demo", "--messages", 5_000, "--rate", 20_000, "--wait-subscribers", 2,
                    "--exit-at-end") as server:
            with Program("stratwire", "sub", server.url, "prices:*") as victim, \
                    Program("stratwire", "sub", server.url, "prices:*", "--stats",
                            "--exit-on-close") as other:
                victim.wait_for_line("PriceUpdate", victim.out)
                os.kill(victim.process.pid, signal.SIGKILL)
                self.assertEqual(other.finish(), 0, other.transcript())
                self.assertEqual(summary_of(other)["received"], 5_000)
                self.assertEqual(server.finish(), 0, server.transcript())


if __name__ == "__main__":
    unittest.main()
