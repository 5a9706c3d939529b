"""Bad URLs, peers, channels and files: one clear error that names the input and the cure."""

import http.server
import pathlib
import socket
import subprocess
import tempfile
import threading
import unittest

from programs import BIN, HEADER, Server, run, summary_of, ticks, write_csv

LOST, USAGE, NOT_CONNECTED, REFUSED = 1, 2, 3, 4
CANNOT_LISTEN = 3


class Urls(unittest.TestCase):
    def check(self, url, code, *says):
        for command in (["sub"], ["pub"]):
            program = run("stratwire", *command, url, "prices:A", input="1\n")
            self.assertEqual(program.code, code, program.transcript())
            self.assertEqual(program.out, [])
            for word in says:
                self.assertIn(word, "\n".join(program.err), program.transcript())

    def test_that_are_none(self):
        self.check("localhost:8080", USAGE, "localhost:8080", "ws://")
        self.check("http://localhost:8080", USAGE, "http", "ws://")
        self.check("ws://", USAGE, "ws://")
        self.check("ws://localhost:99999", USAGE, "99999")
        self.check("ws://localhost:http", USAGE, "ws://localhost:http")
        self.check("ws+unix://", USAGE, "ws+unix://")

    def test_where_nobody_listens(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # Bound, not listening: refused for sure.
            url = f"ws://127.0.0.1:{taken.getsockname()[1]}"
            self.check(url, NOT_CONNECTED, url, "connect_failed")

    def test_where_nobody_listens_is_tried_as_often_as_asked(self):
        for arguments, tries in (([], 3), (["--retry", 5], 5), (["--retry", 1], 1)):
            program = run("stratwire", "sub", "ws+unix:///no/such/file.sock", "prices:A", *arguments)
            self.assertEqual(program.code, NOT_CONNECTED, program.transcript())
            self.assertEqual(len(program.err), tries, program.transcript())
            self.assertIn(f"in {tries} tr", program.err[-1])

    def test_of_a_host_that_does_not_exist(self):
        self.check("ws://no-such-host.invalid:8080", NOT_CONNECTED, "no-such-host.invalid",
                   "resolve_failed")

    def test_of_a_socket_file_that_does_not_exist(self):
        self.check("ws+unix:///no/such/file.sock", NOT_CONNECTED, "No such file",
                   "--unix-path /no/such/file.sock")

    def test_of_a_file_that_nobody_listens_on(self):
        with tempfile.NamedTemporaryFile(prefix="stratwire-") as file:
            self.check(f"ws+unix://{file.name}", NOT_CONNECTED, file.name,
                       "no server listens on that file")

    def test_a_socket_file_that_can_not_be_made(self):
        program = run("stratwire-server", "--port", 0, "--unix-path", "/no/such/folder/x.sock")
        self.assertEqual(program.code, CANNOT_LISTEN, program.transcript())
        self.assertIn("/no/such/folder/x.sock", program.err[-1])
        self.assertIn("make the folder first", program.err[-1])

    def test_of_a_web_server(self):
        with http.server.ThreadingHTTPServer(
                ("127.0.0.1", 0), type("Quiet", (http.server.SimpleHTTPRequestHandler,),
                                       {"log_message": lambda *_: None})) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                self.check(f"ws://127.0.0.1:{server.server_port}", NOT_CONNECTED, "not_websocket")
            finally:
                server.shutdown()
                thread.join()

    def test_of_a_server_that_speaks_something_else(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            def greet():
                while True:
                    try:
                        peer, _ = listener.accept()
                    except OSError:
                        return
                    with peer:
                        peer.sendall(b"220 mail.example.org ESMTP\r\n")
                        peer.recv(4096)
            thread = threading.Thread(target=greet)
            thread.start()
            self.check(f"ws://127.0.0.1:{listener.getsockname()[1]}", NOT_CONNECTED,
                       "could not connect")
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


class Channels(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--demo")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_names_that_are_none(self):
        for name, says in (("x" * 10_000, "128"), ("", "empty"), ("a b", "not allowed"),
                           ("prices:\x07", "not allowed"), ("prices:*x", "wildcard"),
                           ('prices:"', "not allowed"), ("prices:", "empty")):
            with self.subTest(name=name[:20]):
                program = run("stratwire", "sub", self.server.url, name)
                self.assertEqual(program.code, USAGE, program.transcript())
                self.assertIn("invalid_channel_name", program.err[-1])
                self.assertIn(says, program.err[-1])
                self.assertLess(len(program.err[-1]), 400)

    def test_a_kind_without_a_key_gets_a_hint(self):
        program = run("stratwire", "sub", self.server.url, "prices", "--seconds", 0.3)
        self.assertEqual(program.code, 0, program.transcript())
        self.assertEqual(sum("'prices:*'" in line for line in program.err), 1, program.transcript())
        program = run("stratwire", "sub", self.server.url, "prices:*", "--count", 1)
        self.assertNotIn("so far", "\n".join(program.err))

    def test_more_than_allowed(self):
        names = [f"prices:{i}" for i in range(10_000)]
        program = run("stratwire", "sub", self.server.url, *names)
        self.assertIn(program.code, (USAGE, REFUSED), program.transcript())
        self.assertIn("too_many_channels", "\n".join(program.err))
        self.assertIn("1024", "\n".join(program.err))

    def test_output_that_can_not_be_written_is_told(self):
        for more in ([], ["--stats"]):
            with self.subTest(more=more), open("/dev/full", "w", encoding="ascii") as full:
                program = subprocess.run(
                    [BIN / "stratwire", "sub", self.server.url, "prices:*", "--count", "10", *more],
                    stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
                self.assertEqual(program.returncode, 1, program.stderr)
                self.assertIn("No space left on device", program.stderr)

    def test_of_an_unknown_kind(self):
        program = run("stratwire", "sub", self.server.url, "weather:rain")
        self.assertEqual(program.code, REFUSED, program.transcript())
        self.assertIn("unknown_channel_kind", "\n".join(program.err))
        self.assertIn("weather:rain", "\n".join(program.err))

    def test_a_refused_one_does_not_harm_the_others(self):
        program = run("stratwire", "sub", self.server.url, "weather:rain", "prices:*", "--count", 5)
        self.assertEqual(program.code, REFUSED, program.transcript())
        self.assertEqual(len(program.out), 5)


class Recordings(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="stratwire-")
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "ticks.csv"

    def test_a_bad_row_is_told_and_skipped(self):
        rows = ticks(30)
        bad = {
            4: ("1,a,b,trade,1", ["5 column(s)", "write 7"]),
            6: ("1,a,b,trade,abc,1,0", ["column 5 (price)", "'abc'", "142.33"]),
            8: ("1,a,b,trade,nan,1,0", ["column 5 (price)", "'nan'"]),
            10: ("1,a,b,trade,1,-1,0", ["column 6 (size)", "'-1'"]),
            12: ("-5,a,b,trade,1,1,0", ["column 1 (offset_ns)", "'-5'"]),
            14: ("1,a,b,swap,1,1,0", ["column 4 (kind)", "'swap'", "trade, bid, ask"]),
            16: ("1,a,b c,trade,1,1,0", ["invalid_channel_name", "prices:a:b c"]),
            18: ("1,,b,trade,1,1,0", ["column 2 (venue)", "empty"]),
            20: ("1,a,b,trade,1,1,now", ["column 7 (exchange_time_ns)", "'now'"]),
            22: ("1,a,b,trade,1,1e300,0", ["column 6 (size)", "1e300"]),
            24: ("1,a," + "x" * 5000 + ",trade,1,1,0", ["5016 bytes"]),
        }
        for line, (row, _) in bad.items():
            rows.insert(line - 2, row)
        write_csv(self.path, rows)
        with open(self.path, "ab") as file:
            file.write(b"1,a,\xff\xfe,trade,1,1,0\n")
        bad[len(rows) + 2] = ("", ["not UTF-8"])
        with Server("--replay", self.path, "--speed", 0, "--wait-subscribers", 1,
                    "--exit-at-end") as server:
            program = run("stratwire", "sub", server.url, "prices:*", "--stats", "--exit-on-close")
            self.assertEqual(server.finish(), 0, server.transcript())
        self.assertEqual(program.code, 0, program.transcript())
        self.assertEqual(summary_of(program)["received"], 30)
        warnings = [line for line in server.err if "the row is skipped" in line]
        self.assertEqual(len(warnings), len(bad), server.transcript())
        for (line, (_, says)), warning in zip(sorted(bad.items()), warnings):
            for word in [f"ticks.csv:{line}:", *says]:
                self.assertIn(word, warning)
        self.assertIn(f"{len(bad)} rows skipped", server.err[-1])

    def test_many_bad_rows_do_not_flood_the_log(self):
        write_csv(self.path, ticks(3) + ["bad"] * 1000)
        with Server("--replay", self.path, "--speed", 0, "--exit-at-end") as server:
            self.assertEqual(server.finish(), 0, server.transcript())
        self.assertLess(len(server.err), 40)
        self.assertIn("980 further rows", "\n".join(server.err))
        self.assertIn("1000 rows skipped", server.err[-1])

    def refused(self, *says):
        program = run("stratwire-server", "--port", 0, "--replay", self.path)
        self.assertEqual(program.code, USAGE, program.transcript())
        self.assertEqual(program.out, [])
        for word in says:
            self.assertIn(word, program.err[-1])
        self.assertNotIn("listening", "\n".join(program.err))

    def test_files_that_are_no_recording(self):
        self.refused("ticks.csv", "No such file", "--replay")
        self.path.write_text("")
        self.refused("ticks.csv:1", HEADER)
        self.path.write_text("a,b,c\n1,2,3\n")
        self.refused("ticks.csv:1", "'a,b,c'", HEADER)
        self.path.write_text("\n".join(ticks(2)))
        self.refused("ticks.csv:1", HEADER)
        write_csv(self.path, [])
        self.refused("ticks.csv", "no row")
        write_csv(self.path, ["bad"] * 3)
        self.refused("ticks.csv", "3 bad")
        self.path.unlink()
        self.path.mkdir()
        self.refused("ticks.csv", "directory")

    def test_windows_line_ends_and_a_byte_order_mark(self):
        self.path.write_bytes(("\ufeff" + "\r\n".join([HEADER, *ticks(5), ""])).encode())
        with Server("--replay", self.path, "--speed", 0, "--exit-at-end") as server:
            self.assertEqual(server.finish(), 0, server.transcript())
        self.assertIn("published 5 messages", server.err[-1])
        self.assertIn("0 rows skipped", server.err[-1])


if __name__ == "__main__":
    unittest.main()
