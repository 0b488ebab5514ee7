"""Prints the closing line of ./dev test, "N passed, N failed, N skipped", from the logs of ctest and pytest."""
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

build = pathlib.Path(sys.argv[1])
passed = failed = skipped = 0
for log in sorted(build.glob("*/ctest.log")):
    text = log.read_text(errors="replace")
    passed += len(re.findall(r"^ *\d+/\d+ Test +#\d+: .*   Passed", text, re.M))
    skipped += len(re.findall(r"^ *\d+/\d+ Test +#\d+: .*\*\*\*Skipped", text, re.M))
    failed += len(re.findall(r"^ *\d+/\d+ Test +#\d+: .*\*\*\*(?!Skipped)", text, re.M))
report = build / "e2e.xml"
if report.exists():
    for suite in ElementTree.parse(report).iter("testsuite"):
        total, bad, skips = (int(suite.get(k, 0)) for k in ("tests", "failures", "skipped"))
        bad += int(suite.get("errors", 0))
        passed, failed, skipped = passed + total - bad - skips, failed + bad, skipped + skips
else:
    failed += 1
print(f"{passed} passed, {failed} failed, {skipped} skipped")
