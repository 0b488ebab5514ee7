"""docs/perf/gateway.md and its plots from the raw samples in docs/perf/gateway/."""
import statistics

from suite.report import Page, bars, colour, goal, goals_section, names, noise, own, plt, save, servers_section, spread, table, values

PAGE = Page("gateway")
GROWTH_MB_MAX = 8


def added(raw):
    """Records of what each gateway adds to the upstream's own p50, round by round."""
    straight = {r["round"]: r["p50"] for r in raw["records"] if r["who"] == "direct"}
    return [{**r, "added": r["p50"] - straight[r["round"]]} for r in raw["records"] if r["who"] != "direct"]


def against(rival, key, digits=1, fit=lambda raw: raw["records"]):
    """Ratio to a rival, round by round, so that what slows the machine slows both."""
    def found(raw):
        records = fit(raw)
        ours, theirs = values(records, "gantry", key), values(records, rival, key)
        ratios = [a / b for a, b in zip(ours, theirs) if b > 0]
        return (statistics.median(ratios), spread(ours, digits), f"{spread(theirs, digits)} `{rival}`") if ratios else None
    return found


def of_gantry(key, digits=2, scale=1.0):
    return lambda raw: own([r for r in raw["records"] if key in r], key, digits, scale)


def growth(raw):
    """MB between the medians of the two halves, the first tenth left out."""
    run = next((r for r in raw["records"] if r["who"] == "gantry"), None)
    looks = [one["resident_mb"] for one in run["looks"]][len(run["looks"]) // 10:] if run else []
    if len(looks) < 4:
        return None
    half = len(looks) // 2
    grown = statistics.median(looks[half:]) - statistics.median(looks[:half])
    return grown, f"{grown:.1f} MB over {run['seconds'] / 60:.1f} min", ""


def p99_delay(raw):
    flat = [{"who": r["who"], "p99": r["delay_us"]["p99"] / 1000} for r in raw["records"]]
    return own(flat, "p99", 1)


def succeeded(raw):
    ours = [100 * r["answered"] / (r["answered"] + r["failed"]) for r in raw["records"] if r["who"] == "gantry"]
    return min(ours), f"{sum(r['answered'] for r in raw['records'] if r['who'] == 'gantry'):,} chats", ""


def lost(raws):
    """Of all experiments: requests that a client saw answered, or the gateway counted, and that no record is of."""
    found = [raw["usage"] for raw in raws.values()]
    missing = sum(max(0, u["answered"] - u["records"], u["counted"] - u["records"]) for u in found)
    return missing, f"{sum(u['records'] for u in found):,} records, {sum(u['answered'] for u in found):,} answers counted by clients", ""


def goals(raws):
    latency, throughput, streams, chats = (raws.get((name, "")) for name in ("latency", "throughput", "streams", "chats"))
    return [
        goal(latency, "added at p50, µs, one client: ratio to nginx's hop", 1.8, True, against("nginx", "added", fit=added)),
        goal(latency, "the same, ratio to vllm-router's", 0.4, True, against("vllm-router", "added", fit=added)),
        goal(throughput, "requests/s, 32 connections: ratio to nginx's one worker", 0.6, False, against("nginx", "rps", 0)),
        goal(throughput, "the same, ratio to vllm-router's", 1.3, False, against("vllm-router", "rps", 0)),
        goal(throughput, "CPU a request, µs: ratio to nginx's", 1.6, True, against("nginx", "cpu_us")),
        goal(streams, "2,000 streams of 20 events/s: p99 of the delay, ms", 50, True, p99_delay),
        goal(streams, "resident KB a stream", 24, True, of_gantry("kb_a_stream", 1)),
        goal(streams, "growth of memory while they run, MB", GROWTH_MB_MAX, True, growth),
        goal(streams, "user CPU an event, µs", 2, True, of_gantry("user_us")),
        goal(streams, "all CPU an event, µs", 8, True, of_gantry("cpu_us")),
        goal(chats, "512 chats at once, first event after 200 ms: % that succeeded", 100, False, succeeded),
        goal(chats, "their TTFT at p50, ms: ratio to direct", 1.05, True, against("direct", "ttft_p50_ms")),
        goal({"quick": any(raw["quick"] for raw in raws.values()), "raws": raws}, "answered requests without a usage record", 0, True,
             lambda all_of_them: lost(all_of_them["raws"])),
    ]


def stream_plot(raw):
    run = next(r for r in raw["records"] if r["who"] == "gantry")
    figure, (memory, delay) = plt.subplots(1, 2, figsize=(9, 2.8))
    memory.plot([one["t"] for one in run["looks"]], [one["resident_mb"] for one in run["looks"]], color=colour("gantry", 0))
    memory.set(xlabel="s", ylabel="resident, MB", ylim=(0, None))
    for i, r in enumerate(raw["records"]):
        delay.plot([one["t"] for one in r["looks"]], [one["delay_us"]["p99"] / 1000 for one in r["looks"]], color=colour(r["who"], i), label=r["who"])
    delay.set(xlabel="s", ylabel="p99 of the second's delays, ms", yscale="log")
    delay.legend()
    return save(PAGE, figure, "streams")


def sections(raws):
    def with_raw(experiment, title, make):
        raw = raws.get((experiment, ""))
        return f"\n### {title}{noise(raw)}\n{make(raw)}" if raw and raw["records"] else ""

    def rows(records, *columns):
        return [(f"`{who}`", *[spread(values([r for r in records if key in r], who, key), digits) for key, digits in columns]) for who in names(records)]

    def by(records, key):
        return {who: values(records, who, key) for who in names(records)}

    return "".join([
        with_raw("latency", "One client, keep-alive, 1 KB" + ("; the gateway on a CPU of its own" if raws.get(("latency", ""), {}).get("pinned") else ""), lambda raw: table(
            ["", "p50, µs", "p99, µs", "failed"], rows(raw["records"], ("p50", 1), ("p99", 1), ("failed", 0))) + "\n" + table(
            ["", "added at p50, µs"], rows(added(raw), ("added", 1))) + "\n" + bars(PAGE, "latency", [("added at p50, µs", by(added(raw), "added"))])),
        with_raw("throughput", "32 connections", lambda raw: table(
            ["", "requests/s", "p50, µs", "p99, µs", "CPU a request, µs", "user CPU, µs", "failed"],
            rows(raw["records"], ("rps", 0), ("p50_us", 0), ("p99_us", 0), ("cpu_us", 1), ("user_us", 1), ("failed", 0))) + "\n" + bars(
            PAGE, "throughput", [("requests/s", by(raw["records"], "rps")),
                                 ("CPU a request, µs", by([r for r in raw["records"] if r["who"] != "direct"], "cpu_us"))])),
        with_raw("streams", "2,000 streams of 20 events a second", lambda raw: table(
            ["", "s", "events", "delay p50, ms", "p99", "p99.9", "most", "CPU an event, µs", "user", "KB a stream", "resident before, most, after, MB", "failed", "out of order"],
            [(f"`{r['who']}`", r["seconds"], f"{r['events']:,}", *[f"{r['delay_us'][key] / 1000:.2f}" for key in ("p50", "p99", "p999", "max")],
              *[f"{r[key]:.2f}" if key in r else "–" for key in ("cpu_us", "user_us", "kb_a_stream")],
              f"{r['idle_mb']:.0f}, {max([one['resident_mb'] for one in r['looks']], default=0):.0f}, {r['after_mb']:.0f}", r["failed"], r["out_of_order"])
             for r in raw["records"]]) + "\n" + stream_plot(raw)),
        with_raw("chats", "512 users, first event after 200 ms", lambda raw: table(
            ["", "TTFT p50, ms", "mean", "p99", "chats", "failed"],
            rows(raw["records"], ("ttft_p50_ms", 1), ("ttft_mean_ms", 1), ("ttft_p99_ms", 1), ("answered", 0), ("failed", 0)))),
    ])


def write():
    raws = PAGE.raws()
    PAGE.write(
        "The gateway against its rivals",
        "Made by `./dev bench gateway` from the raw samples in `docs/perf/gateway/`; edit `docs/perf/gateway/notes.md`, not this page. One upstream "
        "for all, keep-alive, a chat\nof 1 KB; through Gantry with a key, usage recorded and the access log on. Rounds interleaved, one gateway "
        "running at a time. Latency is measured by `bench/gateway_load`,\nthroughput with `wrk -t1 -c32`; CPU is the gateway's own process, by the "
        "scheduler. But for latency clients and upstream share the machine's cores with what is measured.",
        goals_section(goals(raws)),
        "## Figures\n" + sections(raws) + "\n## Set-up\n" + servers_section(list(raws.values())))
