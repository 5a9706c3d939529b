"""The examples that talk to a server, and the README, which must show what was run here."""

import pathlib
import unittest

from programs import Program, Server, run

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Examples(unittest.TestCase):
    def test_01_subscribe(self):
        with Server("--demo", "--seed", 1) as server:
            with Program("example_subscribe", server.url) as strategy:
                # Its output is a pipe here: lines come by the block.
                strategy.wait_for_line(r"^\d+ \d+", strategy.out)
                first = int(strategy.out[0].split()[0])
                strategy.wait_for_line(rf"^{first + 20} \d+", strategy.out)
                self.assertEqual([int(line.split()[0]) for line in strategy.out[:20]],
                                 list(range(first, first + 20)))

    def test_02_poll_without_thread(self):
        with Server("--demo") as server:
            program = run("example_poll_without_thread", server.url)
            self.assertEqual(program.code, 0, program.transcript())
            self.assertIn("live", program.out)
            self.assertRegex(program.out[-1], r"^\d{4,} prices on this thread")

    def test_03_publish(self):
        with Program("example_publish", 0) as producer:
            url = producer.wait_for_line("^ws://", producer.out)
            program = run("stratwire", "sub", url, "prices:SOL-USDC", "--count", 10)
            self.assertEqual(program.code, 0, program.transcript())
            self.assertEqual(len(program.out), 10)


class Readme(unittest.TestCase):
    def test_shows_the_examples_as_they_are(self):
        readme = (ROOT / "README.md").read_text()
        for name in ("01_subscribe.cpp", "03_publish.cpp"):
            body = (ROOT / "examples" / name).read_text().split("\n", 1)[1].strip()
            self.assertIn(body, readme, f"README.md does not show examples/{name} as it is")


if __name__ == "__main__":
    unittest.main()
