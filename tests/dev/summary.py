"""CTest's JUnit file as one line, "N passed, N failed[, N skipped]".

    summary.py FILE STATUS

Programs that count their own cases (GoogleTest, Python's unittest) are counted by case, others as one.
STATUS is ctest's exit code: when it says failed and no test explains it, that counts as a failure.
"""

import re
import sys
import xml.etree.ElementTree


def number(pattern, text):
    return sum(int(found) for found in re.findall(pattern, text, re.M))


def count_cases(output):
    """(passed, failed, skipped) by the program's own count; all 0 when it does not count."""
    passed = number(r"^\[  PASSED  \] (\d+) tests?\.", output)
    failed = number(r"^\[  FAILED  \] (\d+) tests?, listed", output)
    skipped = number(r"^\[  SKIPPED \] (\d+) tests?, listed", output)
    ran = number(r"^Ran (\d+) tests? in ", output)
    if ran:
        result = re.findall(r"^(?:OK|FAILED)(?: \((.*)\))?$", output, re.M)
        details = " ".join(result)
        failed += number(r"\b(?:failures|errors|unexpected successes)=(\d+)", details)
        skipped_here = number(r"\bskipped=(\d+)", details)
        skipped += skipped_here
        passed += max(0, ran - skipped_here - number(r"\b(?:failures|errors)=(\d+)", details))
    return passed, failed, skipped


def count_test(case):
    """(passed, failed, skipped) of one CTest entry."""
    passed, failed, skipped = count_cases(case.findtext("system-out") or "")
    status = case.get("status")
    if status == "run":
        return (passed, 0, skipped) if passed or skipped else (1, 0, 0)
    if status == "disabled":
        return 0, 0, 1
    if status == "notrun" and case.find("skipped").get("message", "").startswith("SKIP_"):
        return 0, 0, 1
    return passed, max(failed, 1), skipped


def summarise(root, status):
    total = [sum(column) for column in zip((0, 0, 0), *map(count_test, root.iter("testcase")))]
    if status != 0 and total[1] == 0:
        total[1] = 1
    return f"{total[0]} passed, {total[1]} failed" + (f", {total[2]} skipped" if total[2] else "")


def main():
    path, status = sys.argv[1], int(sys.argv[2])
    try:
        root = xml.etree.ElementTree.parse(path).getroot()
    except (OSError, xml.etree.ElementTree.ParseError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        root, status = xml.etree.ElementTree.Element("none"), status or 1
    print(summarise(root, status))


if __name__ == "__main__":
    main()
