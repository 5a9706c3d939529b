"""stratwire-chaos as a person runs it: help, wrong usage, a plan that is printed and replayed, a cut."""

import signal
import socket
import threading
import unittest

from programs import Program, run


class Usage(unittest.TestCase):
    def test_help_names_every_option_and_every_fault(self):
        program = run("stratwire-chaos", "--help")
        self.assertEqual((program.code, program.err), (0, []))
        text = "\n".join(program.out)
        for word in ("--target", "--listen", "--fault", "--plan", "--random", "--seed", "--bytes", "--print",
                     "cut", "reset", "half_close", "black_hole", "throttle", "split", "stall", "delay"):
            self.assertIn(word, text)

    def test_wrong_usage_says_what_and_ends_with_2(self):
        for arguments, words in (([], "--target is missing"),
                                 (["--target", "x"], "'x'"),
                                 (["--traget", "x"], "no option '--traget'"),
                                 (["--target"], "lacks its value"),
                                 (["--target", "127.0.0.1:1", "--fault", "1 down cut"], "'1 down cut' is no fault"),
                                 (["--target", "127.0.0.1:1", "--plan", "no such file"], "can't be read"),
                                 (["--target", "127.0.0.1:1", "--seed", "5"], "belong to --random"),
                                 (["--random", "--seed", "x"], "takes a number"),
                                 (["--random", "--fault", "1 down 1 cut"], "neither")):
            with self.subTest(arguments=arguments):
                program = run("stratwire-chaos", *arguments)
                self.assertEqual(program.code, 2)
                self.assertIn(words, "\n".join(program.err))

    def test_the_same_seed_prints_the_same_plan(self):
        first, again, other = (run("stratwire-chaos", "--random", "--seed", seed, "--print", 50).out
                               for seed in (1, 1, 2))
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)
        self.assertGreaterEqual(len(first), 50)


class Proxy(unittest.TestCase):
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
        with Program("stratwire-chaos", "--target", f"127.0.0.1:{server.getsockname()[1]}",
                     "--fault", "1 down 4 cut") as proxy:
            url = proxy.wait_for_line("listening on ws://", proxy.out).split()[-1]
            with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as client:
                got = b""
                while chunk := client.recv(100):
                    got += chunk
            self.assertEqual(got, b"0123")
            serving.join()
            proxy.signal(signal.SIGTERM)
            self.assertEqual(proxy.finish(), 0)
        self.assertIn("1 cut", proxy.out)
        self.assertTrue(any(line.startswith("1 connections, 0 refused") for line in proxy.out))


if __name__ == "__main__":
    unittest.main(verbosity=2)
