"""Flags over environment over TOML file over defaults, and what a wrong setting gets."""

import pathlib
import tempfile
import unittest

from programs import Server, run, stats

USAGE = 2
CANNOT_LISTEN = 3


class Configuration(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="stratwire-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def toml(self, text):
        path = self.folder / "server.toml"
        path.write_text(text)
        return path

    def refused(self, *arguments, says, env=None, code=USAGE):
        program = run("stratwire-server", *arguments, env=env)
        self.assertEqual(program.code, code, program.transcript())
        self.assertEqual(len(program.err), 1, program.transcript())
        for word in says:
            self.assertIn(word, program.err[0])

    def refused_file(self, text, *says):
        self.refused("--config", self.toml(text), says=says)

    def test_order_of_sources(self):
        config = self.toml('demo = true\nseed = 1\nmessages = 3\nlog_level = "debug"\n'
                           'host = "256.0.0.1"\n')
        # The host of the file can't be listened on: the environment's must have won.
        with Server("--config", config, "--seed", 2, env={"WS_HOST": "127.0.0.2"}) as server:
            line = server.wait_for_line("listening on")
            self.assertIn("ws://127.0.0.2:", line)
            self.assertIn("seed 2", line)
            server.wait_for_line("the feed has ended")
            self.assertEqual(server.end(), 0)
            self.assertIn("published 3 messages", server.err[-1])

    def test_a_flag_takes_back_what_a_file_allows(self):
        config = self.toml("demo = true\nexit_at_end = true\nmessages = 1\n")
        with Server("--config", config, "--no-exit-at-end") as server:
            server.wait_for_line("serving on until SIGTERM")

    def test_the_feed_of_a_file_can_be_taken_back_with_all_that_belongs_to_it(self):
        config = self.toml("demo = true\n")
        with Server("--config", config, "--no-demo") as server:
            self.assertIn("no feed", server.wait_for_line("listening on"))
        with Server("--exit-at-end", "--no-exit-at-end") as server:
            self.assertIn("no feed", server.wait_for_line("listening on"))
        config = self.toml("demo = true\nspeed = 2\n")
        self.refused("--config", config, "--no-demo", says=["--speed", "--demo or --replay"])

    def test_ws_port_is_weightier_than_port(self):
        # Port 1 would be refused with another message than one that is no number.
        self.refused(env={"WS_PORT": "x", "PORT": "8080"}, says=["WS_PORT", "'x'", "WS_PORT=8080"])

    def test_environment_errors_name_the_variable(self):
        self.refused(env={"PORT": "http"}, says=["PORT", "'http'", "0 to 65535"])
        self.refused(env={"WS_PING_INTERVAL": "often"}, says=["WS_PING_INTERVAL", "'often'"])
        self.refused(env={"LOG_LEVEL": "loud"}, says=["LOG_LEVEL", "'loud'", "debug"])

    def test_file_errors_name_file_line_key_and_cure(self):
        self.refused_file("port = 80\nlane_byte = 3\n", "server.toml:2", "'lane_byte'", "--help")
        self.refused_file("\nport = 99999\n", "server.toml:2", "port", "'99999'", "port = 8080")
        self.refused_file('waiting = "sleep"\n', "server.toml:1", "'sleep'", 'waiting = "park"')
        self.refused_file("port = [1]\n", "server.toml:1", "port", "wrong type", "port = 8080")
        self.refused_file('[port]\nx = 1\n', "server.toml:1", "port")
        self.refused_file('port = 80\nhost = "a\n', "server.toml:2")
        self.refused_file('demo = true\nreplay = "x.csv"\n', "server.toml:1", "leave one out")
        self.refused("--config", self.folder / "none.toml", says=["none.toml", "--config"])
        self.refused("--config", self.folder, says=[str(self.folder), "directory", "--config"])

    def test_values_of_every_kind_are_read_from_a_file(self):
        config = self.toml('kinds = ["prices", "own"]\nlane_bytes = 65536\nspeed = 0.5\n'
                           'demo = true\n'
                           'handshake_timeout = "250ms"\nping_interval = 3\nallow_publish = true\n')
        with Server("--config", config) as server:
            program = run("stratwire", "sub", server.url, "trades:X", "--seconds", 30)
            self.assertEqual(program.code, 4, program.transcript())
            self.assertIn("unknown_channel_kind", "\n".join(program.err))
            program = run("stratwire", "pub", server.url, "own:X", input="1\n")
            self.assertEqual(program.code, 0, program.transcript())

    def test_the_epoch_is_the_one_that_was_given(self):
        with Server("--epoch", 1732094399000000) as server:
            self.assertEqual(stats(server)["epoch"], 1732094399000000)
        with Server("--config", self.toml("epoch = 7\n")) as server:
            self.assertEqual(stats(server)["epoch"], 7)
        with Server("--epoch", 0) as server:
            self.assertGreater(stats(server)["epoch"], 1732094399000000)

    def test_an_address_that_is_taken(self):
        with Server() as server:
            self.refused("--port", server.port, says=[str(server.port), "in use"],
                         code=CANNOT_LISTEN)

    def test_a_host_that_is_not_ours(self):
        self.refused("--port", "0", "--host", "no-such-host.invalid",
                     says=["no-such-host.invalid"], code=CANNOT_LISTEN)

    def test_a_port_file_that_can_not_be_written(self):
        program = run("stratwire-server", "--port", 0, "--port-file", "/no/such/folder/port")
        self.assertEqual(program.code, USAGE, program.transcript())
        self.assertIn("/no/such/folder/port", program.err[-1])


if __name__ == "__main__":
    unittest.main()
