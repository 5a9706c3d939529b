"""The live table, on a terminal and elsewhere."""

import os
import pty
import signal
import struct
import subprocess
import fcntl
import termios
import unittest

from programs import BIN, Program, Server, run, stats


class LiveTable(unittest.TestCase):
    def test_ends_with_the_feed_and_says_that_nothing_was_lost(self):
        for codec in ("json", "msgpack"):
            with self.subTest(codec=codec), \
                    Server("--demo", "--messages", 3_000, "--rate", 10_000, "--wait-subscribers", 1,
                           "--exit-at-end") as server:
                program = run("example_live_table", "--url", server.url, "--codec", codec)
                self.assertEqual(program.code, 0, program.transcript())
                self.assertIn("nothing was lost", program.out[-1])
                self.assertRegex(program.out[-3], "^3000 messages .* 20 instruments")
                self.assertRegex(program.out[-2],
                                 "^0 gaps  0 missed  0 decode errors  0 reconnects  0 replayed$")
                rows = [line.split() for line in program.out if "-USDC" in line]
                self.assertEqual(len(rows), 20)
                self.assertEqual(sum(int(row[2]) for row in rows), 3_000)
                for row in rows:  # messages = sequence number: from the first one on, none missing
                    self.assertEqual(row[2], row[4], row)

    def test_seconds_and_interrupt(self):
        with Server("--demo") as server:
            program = run("example_live_table", "--url", server.url, "--seconds", 0.3)
            self.assertEqual(program.code, 0, program.transcript())
            with Program("example_live_table", "--url", server.url) as table:
                table.wait_for_line("live .* messages", table.out)
                table.wait_for_line("[1-9][0-9]* messages", table.out)
                table.signal(signal.SIGINT)
                self.assertEqual(table.finish(), 0, table.transcript())

    def test_a_server_that_is_killed_is_no_success(self):
        with Server("--demo", "--wait-subscribers", 1) as server, \
                Program("example_live_table", "--url", server.url) as table:
            table.wait_for_line("[1-9][0-9]* messages", table.out)
            server.process.kill()
            table.wait_for_line("backing_off|connecting", table.out)
            table.signal(signal.SIGINT)
            self.assertEqual(table.finish(), 1, table.transcript())
            self.assertIn("NOT complete", table.out[-1])

    def test_cuts_are_counted_and_nothing_is_lost(self):
        with Server("--demo", "--rate", 2_000) as server, \
                Program("stratwire", "chaos", "--to", server.url, "--cut", "--reset", "--every", 0.4) as proxy:
            url = proxy.wait_for_line("listening on", proxy.out).split(",")[0].split()[-1]
            with Program("example_live_table", "--url", url, "--seconds", 2) as table:
                self.assertEqual(table.finish(), 0, table.transcript())
            replayed = stats(server)["replayed"]
        self.assertIn("nothing was lost", table.out[-1])
        totals = table.out[-2]
        self.assertRegex(totals, r"^0 gaps  0 missed  0 decode errors  [1-9]\d* reconnects  [1-9]\d* replayed$")
        # What a cut takes from a replay is sent again.
        self.assertLessEqual(int(totals.split()[-2]), replayed)

    def test_a_cut_without_a_replay_that_is_cut_counts_what_the_server_sent_again(self):
        with Server("--demo", "--rate", 2_000) as server, \
                Program("stratwire", "chaos", "--to", server.url, "--fault", "1 down 20000 cut") as proxy:
            url = proxy.wait_for_line("listening on", proxy.out).split(",")[0].split()[-1]
            with Program("example_live_table", "--url", url, "--seconds", 1.5) as table:
                self.assertEqual(table.finish(), 0, table.transcript())
            replayed = stats(server)["replayed"]
        self.assertGreater(replayed, 0)
        self.assertRegex(table.out[-2], rf" 1 reconnects  {replayed} replayed$")

    def test_no_message_is_no_success(self):
        with Server() as server:
            program = run("example_live_table", "--url", server.url, "--seconds", 0.2)
            self.assertEqual(program.code, 1, program.transcript())
            self.assertIn("no message came", program.out[-1])

    def test_a_server_that_is_not_there(self):
        program = run("example_live_table", "--url", "ws+unix:///no/such/file.sock")
        self.assertEqual(program.code, 1, program.transcript())
        self.assertIn("/no/such/file.sock", "\n".join(program.out))

    def test_on_a_terminal_it_fits_and_gives_the_cursor_back(self):
        rows, columns = 12, 80
        with Server("--demo", "--seed", 1) as server:
            master, slave = pty.openpty()
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            table = subprocess.Popen([BIN / "example_live_table", "--url", server.url],
                                     stdout=slave, stderr=slave, stdin=slave)
            os.close(slave)
            screen = self.read(master, lambda text: text.count("\x1b[H") >= 3 and "-USDC" in text)
            table.send_signal(signal.SIGINT)
            screen += self.read(master, lambda _: False)
            self.assertEqual(table.wait(60), 0, screen)
            os.close(master)
        self.assertTrue(screen.startswith("\x1b[?1049h\x1b[?25l"), repr(screen[:40]))
        before, after = screen.split("\x1b[?25h\x1b[?1049l")
        page = before.split("\x1b[H")[-1].split("\x1b[J")[0].replace("\r", "").split("\n")
        self.assertEqual(len(page), rows)
        for line in page:
            self.assertLessEqual(len(line.removesuffix("\x1b[K")), columns)
        self.assertRegex(page[0], "live.*ws://.*msgpack")
        self.assertRegex(page[-1], r"\.\.\. and \d+ more")
        self.assertIn("nothing was lost", after)

    @staticmethod
    def read(master, enough):
        text = ""
        while not enough(text):
            try:
                piece = os.read(master, 65536)
            except OSError:  # The other end is closed.
                break
            if not piece:
                break
            text += piece.decode()
        return text


if __name__ == "__main__":
    unittest.main()
