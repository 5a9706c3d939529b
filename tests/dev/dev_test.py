"""./dev as a person meets it: help, wrong usage, missing packages. Nothing is installed or built here."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
VERBS = "demo test build bench chaos sim asan tsan fuzz coverage format tidy deps clean".split()


def dev(*arguments, **options):
    return subprocess.run([str(ROOT / "dev"), *arguments], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, check=False, **options)


class Usage(unittest.TestCase):
    def test_help_lists_every_verb(self):
        for arguments in ([], ["help"], ["--help"], ["-h"], ["test", "--help"]):
            result = dev(*arguments)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            for verb in VERBS:
                self.assertRegex(result.stdout, rf"\b{verb}\b")

    def test_help_of_the_demo_lists_its_options(self):
        result = dev("demo", "--help")
        self.assertEqual(result.returncode, 0)
        for option in ("--chaos", "--seconds", "--speed", "--codec"):
            self.assertIn(option, result.stdout)

    def test_wrong_usage_says_what_and_ends_with_2(self):
        for arguments, words in ((["dmeo"], "no verb 'dmeo'"),
                                 (["--fast"], "no option '--fast'"),
                                 (["demo", "--slow"], "no option '--slow'"),
                                 (["demo", "--seconds"], "--seconds needs a number, not ''"),
                                 (["demo", "--speed", "-1"], "--speed needs a number, not '-1'"),
                                 (["demo", "--codec", "xml"], "not 'xml'"),
                                 (["demo", "--chaos", "--speed", "0"], "--chaos needs a pace"),
                                 (["format", "--chekc"], "no option '--chekc'"),
                                 (["fuzz", "--seconds", "x"], "--seconds needs a number, not 'x'"),
                                 (["bench", "fast"], "no bench 'fast'; there are: "),
                                 (["bench", "--fast"], "no option '--fast'"),
                                 (["bench", "--", "--fast"], "unrecognized arguments: --fast"),
                                 (["bench", "--check", "peer"], "--check has no part of bench 'peer'"),
                                 (["bench", "--", "--peer", "foo"], "--peer takes NAME=COMMAND, not 'foo'"),
                                 (["bench", "--", "--uws", "/nope"], "there is no src/App.h in '/nope'"),
                                 (["bench", "--check", "--", "--against", "no.json"], "no file no.json"),
                                 (["deps", "dmeo"], "'dmeo' is no verb"),
                                 (["clean", "-a"], "--all or nothing")):
            with self.subTest(arguments=arguments):
                result = dev(*arguments)
                self.assertEqual(result.returncode, 2, result.stdout)
                self.assertIn(words, result.stderr)
                self.assertEqual(result.stdout, "")

    def test_it_works_from_any_folder_and_through_a_link(self):
        with tempfile.TemporaryDirectory() as folder:
            link = pathlib.Path(folder) / "dev"
            link.symlink_to(ROOT / "dev")
            result = subprocess.run([str(link), "deps", "nothing"], cwd=folder, capture_output=True,
                                    text=True, check=False)
        self.assertIn("'nothing' is no verb", result.stderr)


class Packages(unittest.TestCase):
    """A system that lacks ninja, played by a PATH with everything but."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        self.path.chmod(0o755)
        for program in pathlib.Path("/usr/bin").iterdir():
            if program.name not in ("ninja", "apt-get"):
                (self.path / program.name).symlink_to(program)

    def run_without_ninja(self, **options):
        return dev("deps", "build", env=os.environ | {"PATH": str(self.path)}, **options)

    def check_refusal(self, result, reason):
        self.assertEqual(result.returncode, 3, result.stdout + result.stderr)
        self.assertRegex(result.stderr, r"missing packages: .*\bninja-build\b")
        self.assertIn(reason, result.stderr)
        line = re.search(r"^  apt-get update && apt-get install .*$", result.stderr, re.M)
        self.assertIn("ninja-build", line[0])

    def test_without_apt_it_names_them_and_stops(self):
        self.check_refusal(self.run_without_ninja(), "no apt-get")

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "needs root, to not be it")
    def test_without_root_it_names_them_and_stops(self):
        (self.path / "apt-get").symlink_to("/bin/false")
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        reachable = subprocess.run([*nobody, "test", "-r", str(ROOT / "dev")], check=False)
        if reachable.returncode != 0:
            self.skipTest("this checkout is in a folder that only root can enter")
        result = subprocess.run([*nobody, str(ROOT / "dev"), "deps", "build"], text=True,
                                env=os.environ | {"PATH": str(self.path)}, capture_output=True, check=False)
        self.check_refusal(result, "Not root")


if __name__ == "__main__":
    unittest.main()
