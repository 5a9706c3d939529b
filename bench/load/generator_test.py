#!/usr/bin/python3
"""Does the load generator notice what it is there to notice? A server that loses, repeats and delays on
purpose, byte by byte too.

usage: generator_test.py FOLDER_OF_PROGRAMS
"""

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # For the sample key of RFC 6455 1.3.
BENCH_EPOCH = 1_700_000_000_000_000_000  # common/clock.hpp
PROGRAMS = "."


def now():
    return BENCH_EPOCH + time.monotonic_ns()


def data(seq, at=None, key="SOL"):
    return (f'{{"type":"PriceUpdate","ch":"prices:{key}-USDC","seq":{seq},"input_mint":"USDC",'
            f'"output_mint":"SOL","price":142.3317,"volume":12,"timestamp":{at or now()}}}')


def gap(first, last):
    return (f'{{"type":"Gap","ch":"prices:SOL-USDC","epoch":1,"from":{first},"to":{last},'
            '"reason":"conflated"}')


def frame(text):
    payload = text.encode()
    head = bytes([0x81, len(payload)]) if len(payload) < 126 else struct.pack(">BBH", 0x81, 126, len(payload))
    return head + payload


class Liar:
    """One connection; what it sends behind the answer to the subscription is the test's."""

    def __init__(self, accept=ACCEPT):
        self.accept = accept
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def serve(self, send_all):
        with self.listener, self.listener.accept()[0] as connection:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += connection.recv(4096)
            connection.sendall((f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade"
                                f"\r\nSec-WebSocket-Accept: {self.accept}\r\n\r\n").encode())
            try:
                if not connection.recv(4096):
                    return
                connection.sendall(frame('{"type":"Subscribed","id":1,"results":[]}'))
                send_all(connection)
                # Until the generator has seen enough.
                while connection.recv(4096):
                    pass
            except OSError:
                pass


def run(send_all, *arguments, accept=ACCEPT):
    """(exit code, report or None, what it complained of)"""
    liar = Liar(accept)
    thread = threading.Thread(target=liar.serve, args=(send_all,))
    thread.start()
    done = subprocess.run([os.path.join(PROGRAMS, "bench_load_client"), "--port", str(liar.port), "--warmup",
                           "0", "--window", "0.4", *arguments], capture_output=True, text=True, check=False)
    thread.join()
    report = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None
    return done.returncode, report, done.stderr


def report_of(texts, *arguments):
    """What the generator says of these texts."""
    code, report, error = run(lambda c: c.sendall(b"".join(map(frame, texts))), *arguments)
    if code != 0:
        raise AssertionError(error)
    return report


class GeneratorTest(unittest.TestCase):
    def test_an_unbroken_stream_has_no_findings(self):
        report = report_of([data(seq) for seq in range(1, 501)])
        self.assertEqual((report["messages"], report["lost"], report["disordered"], report["told"]),
                         (500, 0, 0, 0))

    def test_a_jump_is_a_loss(self):
        report = report_of([data(seq) for seq in (1, 2, 3, 7, 8)])
        self.assertEqual((report["messages"], report["lost"]), (5, 3))

    def test_a_gap_that_names_the_range_is_no_loss(self):
        report = report_of([data(1), gap(2, 6), data(7)])
        self.assertEqual((report["lost"], report["gaps"], report["told"], report["disordered"]), (0, 1, 5, 0))

    def test_a_gap_that_names_another_range_is_a_fault(self):
        self.assertEqual(report_of([data(1), gap(3, 6), data(7)])["disordered"], 1)

    def test_a_repeated_message_and_an_older_one_are_faults(self):
        self.assertEqual(report_of([data(1), data(2), data(2), data(1), data(3)])["disordered"], 2)

    def test_channels_are_numbered_apart(self):
        report = report_of([data(seq, key=key) for seq in (1, 2, 4) for key in ("000", "001")],
                           "--channels", "2", "--per-connection", "2")
        self.assertEqual((report["messages"], report["lost"], report["not_ours"]), (6, 2, 0))

    def test_above_a_thousand_channels_keys_are_to_base_36(self):
        report = report_of([data(seq, key=key) for seq in (1, 2, 4) for key in ("00A", "1JJ")],
                           "--channels", "2000", "--per-connection", "2000")
        self.assertEqual((report["messages"], report["lost"], report["not_ours"]), (6, 2, 0))

    def test_events_are_counted_as_prices_are(self):
        events = [f'{{"type":"Event","ch":"prices:SOL-USDC","seq":{seq},"event":"T","data":1}}'
                  for seq in (1, 2, 5)]
        report = report_of(events)
        self.assertEqual((report["messages"], report["lost"], report["disordered"]), (3, 2, 0))

    def test_a_channel_that_was_not_asked_for_is_a_fault(self):
        report = report_of([data(1, key=key) for key in ("000", "001", "002")], "--channels", "3",
                           "--per-connection", "1")
        self.assertEqual(report["not_ours"], 2)

    def test_a_first_message_that_is_not_the_first_of_its_channel_is_a_loss(self):
        report = report_of([data(seq) for seq in (5, 6)])
        self.assertEqual((report["messages"], report["lost"]), (2, 4))

    def test_a_gap_that_ends_before_it_begins_is_a_fault_and_hides_no_repeat(self):
        report = report_of([data(1), data(2), gap(3, 1), data(2), data(3)])
        self.assertEqual((report["disordered"], report["told"]), (2, 0))

    def test_who_gets_nothing_is_starved(self):
        def later(connection):
            connection.sendall(frame(data(1)))
            time.sleep(0.1)
            connection.sendall(frame(data(2)))

        # The first message ends the wait for it, and is before the window.
        self.assertEqual(run(later)[1]["starved"], 0)
        self.assertEqual(report_of([data(1)])["starved"], 1)

    def test_who_is_closed_is_disconnected(self):
        def closing(connection):
            connection.sendall(frame(data(1)))
            time.sleep(0.1)
            connection.sendall(b"\x88\x02\x03\xe8")

        self.assertEqual(run(closing)[1]["disconnected"], 1)

    def test_a_heartbeat_is_no_answer_to_a_ping(self):
        def slow(connection):
            while connection.recv(4096):
                connection.sendall(frame('{"type":"Heartbeat","timestamp":1}'))
                time.sleep(0.02)
                connection.sendall(frame('{"type":"Pong","t1":1,"t2":2,"t3":3}'))

        report = run(slow, "--mode", "round_trip")[1]
        self.assertGreaterEqual(report["latency_ns"]["buckets"][0][0], 20_000_000)

    def test_frames_in_pieces_are_the_same(self):
        def byte_by_byte(connection):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in b"".join(frame(data(seq)) for seq in (1, 2, 3, 5)):
                connection.sendall(bytes([byte]))

        code, report, error = run(byte_by_byte)
        self.assertEqual(code, 0, error)
        self.assertEqual((report["messages"], report["lost"]), (4, 1))

    def test_waiting_counts_as_latency(self):
        def late(connection):
            connection.sendall(frame(data(1)))
            time.sleep(0.1)
            due = now() - 250_000_000
            connection.sendall(b"".join(frame(data(seq, due)) for seq in range(2, 102)))

        _, report, error = run(late, "--latency")
        latency = report["latency_ns"]
        self.assertGreaterEqual(latency["p50"], 250_000_000, error)
        self.assertGreaterEqual(latency["count"], 100)
        self.assertEqual(sum(count for _, count in latency["buckets"]), latency["count"])

    def test_a_wrong_answer_to_the_upgrade_ends_it(self):
        code, _, error = run(lambda c: None, accept="wrong")
        self.assertEqual(code, 1)
        self.assertIn("upgrade", error)

    def test_a_masked_frame_of_a_server_ends_it(self):
        code, _, error = run(lambda c: c.sendall(b"\x81\xfe\x00\x80" + b"x" * 132))
        self.assertEqual(code, 1)
        self.assertIn("can't be parsed", error)


if __name__ == "__main__":
    PROGRAMS = sys.argv.pop()
    unittest.main()
