"""The rules of STYLE.md that a program can check, as a test of the source tree: ./dev tidy. Prints what is wrong, exits 1.

A line that must break a rule carries `tidy: ok` with its reason.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINE_MAX = 150          # written to fit 100 to 120; tables and messages may run a little over
FILE_MAX = 800
FUNCTION_MAX = 110

BANNED = [
    (r"\busing namespace std\s*;", "name what you use"),
    (r"\b(strcpy|strcat|sprintf|gets|tmpnam)\s*\(", "bounded functions or fmt"),
    (r"(?<![\w:.>])(system|popen)\s*\(", "base/platform/process.h: argv, never a shell"),
    (r"\bstd::regex\b", "RE2: std::regex recurses on the input"),
    (r"#include \"\.\./", "\"folder/file.h\": the layer rule works by include paths"),
    (r"\bdetach\s*\(\)", "a thread is joined by who started it"),
    (r"\bstd::async\b", "BlockingPool or a thread with an owner"),
    (r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\))", "TODO(#issue): or do it now"),
]
BANNED_IN_TESTS = [(r"\bsleep_for\s*\(std::chrono::seconds", "tests wait for events, never for time")]
SQL = re.compile(r"\"\s*(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM)\b")

problems = []


def problem(path, line, text):
    problems.append(f"{path.relative_to(ROOT)}:{line}: {text}")


def tracked(*patterns):
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
                            cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [ROOT / name for name in sorted(set(listed)) if (ROOT / name).is_file()]


def check_source(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    if len(lines) > FILE_MAX:
        problem(path, len(lines), f"{len(lines)} lines; split it at {FILE_MAX}")
    is_test = path.stem.endswith(("_test", "_fuzz", "_bench"))
    start = None
    for number, line in enumerate(lines, 1):
        if "tidy: ok" in line:
            continue
        if len(line) > LINE_MAX and "R\"" not in line:
            problem(path, number, f"{len(line)} columns, {LINE_MAX} at most")
        if "\t" in line:
            problem(path, number, "a tab")
        if line != line.rstrip():
            problem(path, number, "white space at the end")
        code = line.split("//")[0] if "\"" not in line else line
        for pattern, instead in BANNED + (BANNED_IN_TESTS if is_test else []):
            if re.search(pattern, line if "TODO" in pattern else code):
                problem(path, number, f"/{pattern}/ is not used here: {instead}")
        if SQL.search(code) and "src/store" not in str(path):
            problem(path, number, "SQL belongs in src/store")
        if not is_test:
            if re.match(r"^[A-Za-z].*\)[^;]*\{$", line) and not line.startswith(("namespace", "class", "struct", "enum")):
                start = number
            elif line.startswith("}") and start is not None:
                if number - start > FUNCTION_MAX:
                    problem(path, start, f"a function of {number - start} lines; {FUNCTION_MAX} at most")
                start = None
    if path.suffix == ".h" and "#pragma once" not in lines[:3]:
        problem(path, 1, "a header starts with #pragma once")


def check_fuzz_corpora():
    for path in tracked("src/*_fuzz.cc"):
        corpus = ROOT / "tests/data/corpus" / path.stem
        if not corpus.is_dir() or not any(corpus.iterdir()):
            problem(path, 1, f"no corpus in tests/data/corpus/{path.stem}")


def check_documents():
    for path in tracked("*.md"):
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"`((?:src|tests|tools|docs|bench|cmake|third_party|packaging|console)/[\w./*{},-]+)`", text):
            name = match.group(1)
            if any(c in name for c in "*{}") or path.name == "CHANGELOG.md":
                continue
            if not (ROOT / name).exists():
                problem(path, text[:match.start()].count("\n") + 1, f"{name} does not exist")


def check_metrics():
    document = (ROOT / "docs/metrics.md").read_text() if (ROOT / "docs/metrics.md").exists() else ""
    for path in tracked("src/*.cc"):
        if path.stem.endswith("_test"):
            continue
        for name in re.findall(r"\"(gantry_[a-z_]+(?:_total|_seconds|_bytes|s|_ratio|g|e))\"", path.read_text(encoding="utf-8")):
            if name not in document and name not in ("gantry_session",):
                problem(path, 1, f"the metric {name} is not in docs/metrics.md")


def check_layers():
    """What the build enforces by include paths, said by name: each include is of a layer at or below its own."""
    order = re.search(r"foreach\(layer ([^)]*)\)", (ROOT / "src/CMakeLists.txt").read_text()).group(1).split()
    rank = {name: i for i, name in enumerate(order)}
    for path in tracked("src/*.cc", "src/*.h"):
        layer = path.relative_to(ROOT / "src").parts[0]
        if layer not in rank:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found = re.match(r"#include \"(\w+)/", line)
            if found and found.group(1) in rank and rank[found.group(1)] > rank[layer]:
                problem(path, number, f"{layer} is below {found.group(1)} and may not include it")


for source in tracked("src/*.cc", "src/*.h", "tests/*.cc", "tests/*.h"):
    check_source(source)
check_fuzz_corpora()
check_documents()
check_metrics()
check_layers()
print("\n".join(problems))
print(f"tidy: {len(problems)} problems" if problems else "tidy: clean")
sys.exit(1 if problems else 0)
