"""docs/perf/cluster.md from the raw samples in docs/perf/cluster/."""
import statistics

from suite.report import Page, goal, goals_section, names, noise, spread, table, values

PAGE = Page("cluster")
# What GPUStack's users reported of the same, by issue 7.
REPORTED = {"listing": "5,787 ms", "heartbeats": "exhausted its database at 50", "start": "over 300 s with 43", "death": "on a 10 s loop", "noticed": "150 s",
            "moved": "+ 300 s", "update": "not possible"}


def of(who, key, digits=1, theirs="", worst=False):
    """Our median of the rounds, or the worst of them."""
    def found(raw):
        ours = [r[key] for r in raw["records"] if key in r and (who is None or r["who"] in who)]
        return (max(ours) if worst else statistics.median(ours), spread(ours, digits), REPORTED.get(theirs, "")) if ours else None
    return found


def failed(raw):
    return raw["failed"], f"{raw['answered']:,} streams over {len(raw['records'])} updates", REPORTED["update"]


def goals(raws):
    listing, heartbeats, start, death, lost, update = (raws.get((name, "")) for name in ("listing", "heartbeats", "start", "death", "lost", "update"))
    return [
        goal(listing, "list 40 deployments on 40 workers, p99, ms", 10, True, of(["deployments"], "p99_ms", 2, "listing")),
        goal(heartbeats, "200 workers' heartbeats and status, % of a core", 5, True, of(["200 workers"], "share", 2, "heartbeats")),
        goal(start, "server start with 500 deployments, s", 0.5, True, of(["start"], "ready_s", 3, "start")),
        goal(death, "an engine's death is told to who watches, ms", 100, True, of(None, "noticed_ms", 1, "death", worst=True)),
        goal(lost, "a dead or cut off worker is noticed, s", 15, True, of(None, "noticed_s", 1, "noticed")),
        goal(lost, "its instances run elsewhere, s", 45, True, of(None, "moved_s", 1, "moved")),
        goal(update, "rolling updates under 200 streams: failed requests", 0, True, failed),
    ]


def sections(raws):
    def with_raw(experiment, title, make):
        raw = raws.get((experiment, ""))
        return f"\n### {title}{noise(raw)}\n{make(raw)}" if raw and raw["records"] else ""

    def rows(raw, *columns):
        return [(who, *[spread(values([r for r in raw["records"] if key in r], who, key), digits) for key, digits in columns]) for who in names(raw["records"])]

    return "".join([
        with_raw("listing", "Lists, one kept connection, each 1,000 times a round", lambda raw: table(
            ["`GET /api/v1/…`", "p50, ms", "p99, ms", "most, ms", "bytes"], rows(raw, ("p50_ms", 2), ("p99_ms", 2), ("max_ms", 1), ("bytes", 0)))),
        with_raw("heartbeats", "200 workers of 8 cards and an instance each, every figure another each second", lambda raw: table(
            ["", "% of a core", "reports/s"], rows(raw, ("share", 2), ("reports_per_s", 0)))),
        with_raw("start", "kill -9 and a start with 500 deployments on 40 workers", lambda raw: table(
            ["", "ready, s", "listed, s", "all run as before, s", "declared one by one, s"],
            rows(raw, ("ready_s", 3), ("listed_s", 3), ("running_s", 2), ("declared_s", 1)))),
        with_raw("death", "kill -9 of an engine", lambda raw: table(
            ["", "told, ms", "serves again, ms"], rows(raw, ("noticed_ms", 1), ("again_ms", 0)))),
        with_raw("lost", "A worker that is lost", lambda raw: table(
            ["", "unreachable, s", "its instance runs elsewhere, s", "the old one ended after it was back, s"],
            rows(raw, ("noticed_s", 2), ("moved_s", 2), ("stopped_s", 2)))),
        with_raw("update", "Rolling updates of 4 replicas under 200 streams", lambda raw: table(
            ["", "s", "streams then"], rows(raw, ("took_s", 1), ("streams", 0)))
            + f"\n{raw['answered']:,} streams of {raw['events']:,} events: {raw['failed']} failed, {raw['out_of_order']} events out of order.\n"),
    ])


def setup(raws):
    machine = raws[0]["machine"]
    dates = sorted({(raw["at"][:10], raw["commit"]) for raw in raws})
    return f"{machine['cores']} cores of {machine['cpu']}, Linux {machine['kernel']}; measured " + ", ".join(f"{date} at {commit}" for date, commit in dates) + ".\n"


def write():
    raws = PAGE.raws()
    PAGE.write(
        "A server and its workers",
        "Made by `./dev bench cluster` from the raw samples in `docs/perf/cluster/`; edit `docs/perf/cluster/notes.md`, not this page. Many workers are "
        "played by `bench/worker_load`\nover the real link (joined, mutual TLS, connections of data kept ready); where engines die or move, workers are "
        "`gantry worker`. CPU is the server's process, by the scheduler. What the rivals' column\nsays was reported by GPUStack's users, and not measured here.",
        goals_section(goals(raws)),
        "## Figures\n" + sections(raws) + "\n## Set-up\n" + setup(list(raws.values())))
