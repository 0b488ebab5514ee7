"""The parts of a page of docs/perf/ that is made of raw samples. They measure nothing, so that a page can be made anew at any time,
from however many experiments there are. What a person adds stands in notes.md among the samples and is copied in."""
import json
import os
import platform
import statistics
import subprocess
import time

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

from common import ROOT  # noqa: E402

plt.rcParams.update({"svg.hashsalt": "gantry", "svg.fonttype": "none", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3,
                     "axes.spines.top": False, "axes.spines.right": False})


class Page:
    """docs/perf/NAME.md and the folder of its samples and plots."""

    def __init__(self, name):
        self.folder = ROOT / "docs/perf" / name

    def only_try(self):
        """A smoke test's samples and page do not go beside what was measured."""
        self.folder = ROOT / "build/bench" / self.folder.name

    def keep(self, experiment, measure, model="", **more):
        """Raw samples of one experiment, with where and when: measure() gives them."""
        load, begin = os.getloadavg()[0], time.monotonic()
        raw = measure()
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
        raw = {"experiment": experiment, "model": model, **more, "commit": commit, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
               "seconds": round(time.monotonic() - begin), "machine": machine(load), **raw}
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{experiment}.{model}.json" if model else f"{experiment}.json"
        (self.folder / name).write_text(json.dumps(raw, separators=(",", ":")).replace('{"who"', '\n{"who"') + "\n")
        say(f"{experiment}: {raw['seconds']} s")

    def raws(self):
        found = {}
        for path in sorted(self.folder.glob("*.json")):
            raw = json.loads(path.read_text())
            found[raw["experiment"], raw["model"]] = raw
        if not found:
            raise SystemExit(f"no raw samples in {self.folder}: measure first")
        return found

    def write(self, title, about, goals, sections):
        notes, path = self.folder / "notes.md", self.folder.with_suffix(".md")
        path.write_text(f"# {title}\n\n{about}\n\n{goals}" + ("\n" + notes.read_text() if notes.exists() else "") + "\n" + sections)
        print(f"wrote {path.relative_to(ROOT)}")


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def machine(load_before):
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    return {"cpu": cpu, "cores": os.cpu_count(), "kernel": platform.release(), "load_before": load_before, "load_after": os.getloadavg()[0]}


def values(records, who, key, case=None):
    return [r[key] for r in records if r["who"] == who and r.get("case") == case]


def names(records):
    return list(dict.fromkeys(sorted((r["who"] for r in records), key=lambda who: (who != "gantry", who))))


def spread(found, digits=0):
    if not found:
        return "–"
    return f"{statistics.median(found):,.{digits}f} ({min(found):,.{digits}f}–{max(found):,.{digits}f}, {len(found)})"


def goal(raw, what, target, at_most, found):
    """One line of the table of goals. `found`: (value, ours, theirs) from an experiment's raw samples, if there are any; None where they
    lack a part."""
    measured = found(raw) if raw else None
    row = {"what": what, "goal": f"{'≤' if at_most else '≥'} {target:g}", "value": None, "quick": raw and raw["quick"]}
    if measured:
        value, row["ours"], row["theirs"] = measured
        missed = (value / target if at_most else target / value if value else float("inf")) if target else 1 + value
        row.update(value=value, factor=missed)
    return row


def own(records, key, digits=2, scale=1.0):
    """A goal on our own figure; the rivals' beside it."""
    ours = [v * scale for v in values(records, "gantry", key)]
    theirs = ", ".join(f"{statistics.median(values(records, who, key)) * scale:.{digits}f} `{who}`" for who in names(records) if who != "gantry")
    return (statistics.median(ours), spread(ours, digits), theirs) if ours else None


# ---- plots -------------------------------------------------------------------------------------------------------------------
def save(page, figure, name):
    figure.tight_layout()
    figure.savefig(page.folder / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)
    return f"![{name}]({page.folder.name}/{name}.svg)\n"


def colour(who, order):
    return "#0f766e" if who == "gantry" else plt.get_cmap("tab10")((1 + order) % 10)


def bars(page, name, panels):
    """panels: (title, {who: values}); a bar is the median, the dots are the rounds."""
    figure, axes = plt.subplots(1, len(panels), figsize=(4.6 * len(panels), 2.6), squeeze=False)
    for axis, (title, by) in zip(axes[0], panels):
        for i, (who, found) in enumerate(by.items()):
            axis.barh(i, statistics.median(found), color=colour(who, i), alpha=0.75)
            axis.plot(found, [i] * len(found), "k.", markersize=4)
        axis.set_yticks(range(len(by)), list(by))
        axis.invert_yaxis()
        axis.set_title(title)
    return save(page, figure, name)


# ---- tables ------------------------------------------------------------------------------------------------------------------
def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]) + "\n"


def verdict(row):
    if row["value"] is None:
        return "not measured"
    if row["factor"] <= 1:
        return "met"
    return f"**missed by {row['factor']:.2f}×**"


def goals_section(rows):
    cells = [(r["what"], r["goal"], f"**{r['value']:.2f}**" if r["value"] is not None else "–", r.get("ours", "–"), r.get("theirs", "–"),
              verdict(r) + (" (smoke test)" if r["quick"] else "")) for r in rows]
    text = table(["experiment", "goal", "measured", "Gantry", "rival", ""], cells)
    missed = [r for r in rows if r["value"] is not None and r["factor"] > 1]
    text += "\nRatios are medians of the rounds' own ratios; figures are median (least–most, rounds).\n\n## Goals missed\n"
    for r in missed:
        more = "; by over a third, so that the issue stays open" if r["factor"] > 4 / 3 else ""
        text += f"- {r['what']}: {r['value']:.2f} instead of {r['goal']}, a factor of {r['factor']:.2f}{more}.\n"
    return text + ("" if missed else "None of those measured.\n")


def noise(raw):
    if raw["quick"]:
        return " (smoke test: not a measurement)"
    return f" (load {raw['machine']['load_before']:.1f} before it began: others computed too)" if raw["machine"]["load_before"] > 0.7 else ""


def servers_section(raws):
    commands = {}
    for raw in raws:
        for who, told in raw["servers"].items():
            commands.setdefault(who, told["command"])
    machine = raws[0]["machine"]
    dates = sorted({(raw["at"][:10], raw["commit"]) for raw in raws})
    return (f"{machine['cores']} cores of {machine['cpu']}, Linux {machine['kernel']}; measured "
            + ", ".join(f"{date} at {commit}" for date, commit in dates) + ".\n\n" + table(
                ["server", "started as"], [(f"`{who}`", f"`{command}`") for who, command in sorted(commands.items())]))
