"""What summary.py makes of each kind of end that a test can have."""

import unittest
import xml.etree.ElementTree

import summary

GOOGLETEST = "[==========] 3 tests ran.\n[  PASSED  ] 3 tests.\n"
GOOGLETEST_BAD = "[  PASSED  ] 2 tests.\n[  FAILED  ] 1 test, listed below:\n[  FAILED  ] A.B\n"
GOOGLETEST_SKIP = "[  PASSED  ] 2 tests.\n[  SKIPPED ] 1 test, listed below:\n"
UNITTEST = "....\nRan 4 tests in 0.1s\n\nOK (skipped=1)\n"
UNITTEST_BAD = "....\nRan 4 tests in 0.1s\n\nFAILED (failures=1, errors=2)\n"


def summarise(*cases, status=0):
    root = xml.etree.ElementTree.Element("testsuite")
    for state, output, *message in cases:
        case = xml.etree.ElementTree.SubElement(root, "testcase", status=state)
        if message:
            xml.etree.ElementTree.SubElement(case, "skipped", message=message[0])
        xml.etree.ElementTree.SubElement(case, "system-out").text = output
    return summary.summarise(root, status)


class Summary(unittest.TestCase):
    def test_a_program_without_a_count_is_one_test(self):
        self.assertEqual(summarise(("run", "hello")), "1 passed, 0 failed")
        self.assertEqual(summarise(("fail", "hello"), status=8), "0 passed, 1 failed")

    def test_cases_are_counted(self):
        self.assertEqual(summarise(("run", GOOGLETEST), ("run", "")), "4 passed, 0 failed")
        self.assertEqual(summarise(("fail", GOOGLETEST_BAD), status=8), "2 passed, 1 failed")
        self.assertEqual(summarise(("run", GOOGLETEST_SKIP)), "2 passed, 0 failed, 1 skipped")
        self.assertEqual(summarise(("run", UNITTEST)), "3 passed, 0 failed, 1 skipped")
        self.assertEqual(summarise(("fail", UNITTEST_BAD), status=8), "1 passed, 3 failed")

    def test_a_crash_after_good_cases_is_a_failure(self):
        self.assertEqual(summarise(("fail", GOOGLETEST), status=8), "3 passed, 1 failed")

    def test_what_could_not_start_is_a_failure(self):
        missing = ("notrun", "", "Unable to find executable")
        self.assertEqual(summarise(missing, status=8), "0 passed, 1 failed")

    def test_what_says_that_it_skips_is_skipped(self):
        self.assertEqual(summarise(("notrun", "", "SKIP_RETURN_CODE=77")), "0 passed, 0 failed, 1 skipped")

    def test_a_failure_of_ctest_itself_shows(self):
        self.assertEqual(summarise(status=8), "0 passed, 1 failed")
        self.assertEqual(summarise(("run", ""), status=8), "1 passed, 1 failed")


if __name__ == "__main__":
    unittest.main()
