"""docs/perf/engine.md and its plots from the raw samples in docs/perf/engine/."""
import math
import statistics

from suite.report import (Page, bars, colour, goal, goals_section, names, noise, own, plt, save, servers_section, spread, table,
                          values)

PAGE = Page("engine")
MAIN, SMALL = "qwen2.5-coder-0.5b", "smollm2-135m"
VLLM = "vllm bf16"


def rival_of(records, key, lowest, case=None):
    """The llama-server that is best by this figure's median."""
    rivals = [who for who in names(records) if who.startswith("llama-server")]
    return (min if lowest else max)(rivals, key=lambda who: statistics.median(values(records, who, key, case)), default=None)


def against(key, lowest, digits=0, fit=lambda records: records, rival=None):
    """Ratio to the best llama-server, or to `rival`, round by round, so that what slows the machine slows both."""
    def found(raw):
        records = fit(raw["records"])
        who = rival_of(records, key, lowest) if rival is None else rival if rival in names(records) else None
        if not who:
            return None
        ours, theirs = values(records, "gantry", key), values(records, who, key)
        ratios = [a / b for a, b in zip(ours, theirs) if b]
        return ratios and (statistics.median(ratios), spread(ours, digits), f"{spread(theirs, digits)} `{who}`")
    return found


def late_records(raw):
    """Of each run: the streams' median gap before the long prompt was sent, their worst one until its first token, its TTFT."""
    made = []
    for r in raw["records"]:
        late = max(r["samples"], key=lambda s: s["start_s"])
        due, first = late["start_s"] * 1000, late["start_s"] * 1000 + late["ttft_ms"]
        before, during = [], []
        for s in r["samples"]:
            times = [s["start_s"] * 1000 + t for t in s["token_ms"]]
            for a, b in zip(times, times[1:]) if s is not late else ():
                before += [b - a] if b <= due else []
                during += [b - a] if b > due and a < first else []
        if before and during and late["ok"]:
            steady = statistics.median(before)
            made.append({"who": r["who"], "steady_ms": steady, "worst_ms": max(during), "worst": max(during) / steady,
                         "late_ttft_ms": late["ttft_ms"]})
    return made


def late_goal(raw):
    records = late_records(raw)
    ours = values(records, "gantry", "worst")
    theirs = ", ".join(f"{statistics.median(values(records, who, 'worst')):.1f} `{who}`" for who in names(records) if who != "gantry")
    return (statistics.median(ours), spread(ours, 1), theirs) if ours else None


def late_ttft(raw):
    """Against llama-server as it comes: small batches are its own trade of one for the other."""
    plain = {**raw, "records": [r for r in raw["records"] if "-b 128" not in r["who"]]}
    return against("late_ttft_ms", True)({"records": late_records(plain)})


def highest_rate(records, who):
    """The highest rate that kept the SLO below the lowest that missed it; and that lowest one, if one was found."""
    missed = min((r["rate"] for r in records if r["who"] == who and r["share"] < 0.9), default=None)
    kept = [r["rate"] for r in records if r["who"] == who and r["share"] >= 0.9 and (missed is None or r["rate"] < missed)]
    return max(kept, default=0), missed


def rate_goal(raw):
    found = {who: highest_rate(raw["records"], who) for who in names(raw["records"])}
    text = {who: f"{f'{kept:.2f}/s' if kept else 'none'} kept, {f'{missed:.2f}/s' if missed else 'none'} missed"
            for who, (kept, missed) in found.items()}
    # A rival that kept no rate it was tried at: the ratio to the lowest it missed, which is too small.
    rival = max((who for who in found if who != "gantry"), key=lambda who: (found[who][0], found[who][1] or math.inf), default=None)
    return (found["gantry"][0] / (found[rival][0] or found[rival][1]), text["gantry"], f"{text[rival]} `{rival}`") if rival else None


def chat_records(raw):
    made = []
    for warm, cold in zip([r for r in raw["records"] if r["case"] == "chat"], [r for r in raw["records"] if r["case"] == "cold"]):
        turns = {}
        for s in warm["samples"]:
            turns.setdefault(s["turn"], []).append(s["ttft_ms"])
        later = statistics.median(t for turn, found in turns.items() if turn for t in found)
        # The first ones of the cold run all come at once, as no turn after the first does.
        fresh = statistics.median(s["ttft_ms"] for s in cold["samples"][cold["users"]:])
        made.append({"who": warm["who"], "later_ms": later, "cold_ms": fresh, "ratio": later / fresh,
                     "turns": [statistics.median(turns[t]) for t in sorted(turns)]})
    return made


def busy_records(raw):
    made = []
    for who in names(raw["records"]):
        pairs = zip(values(raw["records"], who, "tok_s", "quiet"), values(raw["records"], who, "tok_s", "busy"))
        made += [{"who": who, "quiet": quiet, "busy": busy, "kept": busy / quiet} for quiet, busy in pairs if quiet]
    return made


def plan_records(raw):
    return [{"who": "gantry", "us": (r["plan_us"] + r.get("admit_us", 0)) / r["steps"]} for r in raw["records"]]


def goals(raws):
    return [
        goal(raws.get(("equal", MAIN)), "6 equal prompts: mean TTFT, ratio to llama-server", 0.20, True, against("ttft_ms", True)),
        goal(raws.get(("equal", MAIN)), "6 equal prompts: throughput, ratio", 1.9, False, against("tok_s", False, 1)),
        goal(raws.get(("different", MAIN)), "6 different prompts: mean TTFT, ratio", 0.67, True, against("ttft_ms", True)),
        goal(raws.get(("different", MAIN)), "6 different prompts: throughput, ratio", 1.05, False, against("tok_s", False, 1)),
        goal(raws.get(("single", MAIN)), "a prompt of 334 tokens: TTFT, ratio to llama-server", 0.25, True, against("ttft_ms", True)),
        goal(raws.get(("single", MAIN)), "the same, ratio to vLLM", 0.75, True, against("ttft_ms", True, rival=VLLM)),
        goal(raws.get(("equal", MAIN)), "6 equal prompts: mean TTFT, ratio to vLLM", 0.45, True, against("ttft_ms", True, rival=VLLM)),
        goal(raws.get(("equal", MAIN)), "6 equal prompts: throughput, ratio to vLLM", 2.4, False, against("tok_s", False, 1, rival=VLLM)),
        goal(raws.get(("different", MAIN)), "6 different prompts: mean TTFT, ratio to vLLM", 0.65, True, against("ttft_ms", True, rival=VLLM)),
        goal(raws.get(("different", MAIN)), "6 different prompts: throughput, ratio to vLLM", 1.8, False, against("tok_s", False, 1, rival=VLLM)),
        goal(raws.get(("late", MAIN)), "8 streams, then 1,900 words: worst ITL ÷ median", 2.5, True, late_goal),
        goal(raws.get(("late", MAIN)), "the long prompt's TTFT, ratio", 1.25, True, late_ttft),
        goal(raws.get(("poisson", SMALL)), "highest rate with 90 % within TTFT 2 s and TPOT 100 ms, ratio", 1.5, False, rate_goal),
        goal(raws.get(("chat", MAIN)), "TTFT of turns 2–6 ÷ cold prompt's", 0.25, True, lambda raw: own(chat_records(raw), "ratio")),
        goal(raws.get(("busy", MAIN)), "share of throughput kept beside a busy process", 0.5, False, lambda raw: own(busy_records(raw), "kept")),
        goal(raws.get(("start", MAIN)), "exec to first token, ratio", 0.6, True, against("first_token_ms", True)),
        goal(raws.get(("idle", MAIN)), "idle engine: ticks of CPU over ten seconds", 0, True, lambda raw: own(raw["records"], "ticks", 0)),
        goal(raws.get(("plan", MAIN)), "planning at 32 sequences, µs a step", 100, True, lambda raw: own(plan_records(raw), "us", 1)),
    ]


# ---- plots ------------------------------------------------------------------------------------------------------------------
def late_plot(raw):
    figure, axis = plt.subplots(figsize=(8, 3))
    for i, who in enumerate(names(raw["records"])):
        run = next(r for r in raw["records"] if r["who"] == who)
        late = max(run["samples"], key=lambda s: s["start_s"])
        points = [(s["start_s"] + b / 1000, b - a) for s in run["samples"] if s is not late for a, b in zip(s["token_ms"], s["token_ms"][1:])]
        axis.scatter(*zip(*points), s=4, color=colour(who, i), label=who, rasterized=True)
        axis.axvline(late["start_s"] + late["ttft_ms"] / 1000, color=colour(who, i), linestyle=":")
    axis.set(yscale="log", xlabel="s since the run began (dotted: the long prompt's first token)", ylabel="gap between tokens, ms")
    axis.legend()
    return save(PAGE, figure, "late")


def rate_plot(raw):
    figure, axis = plt.subplots(figsize=(6, 3))
    for i, who in enumerate(names(raw["records"])):
        points = sorted((r["rate"], 100 * r["share"]) for r in raw["records"] if r["who"] == who)
        axis.plot(*zip(*points), "o-", color=colour(who, i), label=who)
    axis.axhline(90, color="grey", linestyle=":")
    axis.set(xlabel="requests a second offered", ylabel="% that kept the SLO", ylim=(0, 103))
    axis.legend()
    return save(PAGE, figure, "poisson")


def chat_plot(raw):
    figure, axis = plt.subplots(figsize=(6, 3))
    for i, who in enumerate(names(raw["records"])):
        runs = [r for r in chat_records(raw) if r["who"] == who]
        turns = [statistics.median(found) for found in zip(*(r["turns"] for r in runs))]
        axis.plot(range(1, len(turns) + 1), turns, "o-", color=colour(who, i), label=who)
        axis.axhline(statistics.median(r["cold_ms"] for r in runs), color=colour(who, i), linestyle=":", label=f"{who}, cold")
    axis.set(xlabel="turn", ylabel="TTFT, ms", ylim=(0, None))
    axis.legend()
    return save(PAGE, figure, "chat")


# ---- the page ---------------------------------------------------------------------------------------------------------------
def six_section(raws, case, title, prompts=6):
    text = ""
    for (experiment, model), raw in sorted(raws.items()):
        if experiment != case:
            continue
        records = raw["records"]
        rows = [(f"`{who}`", spread(values(records, who, "ttft_ms")), spread(values(records, who, "tpot_ms"), 1),
                 spread(values(records, who, "tok_s"), 1), statistics.median(values(records, who, "prompt_tokens")) / prompts,
                 f"{100 * sum(values(records, who, 'client_cpu_s')) / sum(values(records, who, 'wall_s')):.1f} %", sum(values(records, who, "failed")))
                for who in names(records)]
        text += f"\n### {title}: {model}{noise(raw)}\n" + table(["", "mean TTFT, ms", "TPOT, ms", "tok/s", "tokens in", "client's CPU", "failed"], rows)
        text += "\n" + bars(PAGE, f"{case}.{model}", [(f"mean TTFT, ms ({model})", {w: values(records, w, "ttft_ms") for w in names(records)}),
                                                 ("tok/s", {w: values(records, w, "tok_s") for w in names(records)})])
    return text


def other_sections(raws):
    def with_raw(experiment, model, title, make):
        raw = raws.get((experiment, model))
        return f"\n### {title}{noise(raw)}\n{make(raw)}" if raw and raw["records"] else ""

    def rows(records, *columns):
        return [(f"`{who}`", *[spread(values(records, who, key), digits) for key, digits in columns]) for who in names(records)]

    return "".join([
        with_raw("late", MAIN, "Eight streams, then a prompt of 1,900 words", lambda raw: table(
            ["", "median ITL before, ms", "worst ITL until its first token, ms", "worst ÷ median", "its TTFT, ms"],
            rows(late_records(raw), ("steady_ms", 1), ("worst_ms", 0), ("worst", 1), ("late_ttft_ms", 0))) + "\n" + late_plot(raw)),
        with_raw("poisson", SMALL, "Arrivals at random, SmolLM2: SLO TTFT 2,000 ms and TPOT 100 ms", lambda raw: table(
            ["", "offered by plan, /s", "really offered", "achieved", "kept the SLO", "goodput, /s", "client late at most, ms", "failed"],
            [(f"`{r['who']}`", f"{r['rate']:.3f}", f"{r['offered']:.3f}", f"{r['achieved']:.3f}", f"{r['share']:.0%}", f"{r['goodput']:.3f}",
              f"{max(s['late_ms'] for s in r['samples']):.1f}", r["failed"]) for r in raw["records"]]) + "\n" + rate_plot(raw)),
        with_raw("chat", MAIN, "Chats: eight users, six turns", lambda raw: table(
            ["", "TTFT of turns 2–6, ms", "cold, the same lengths and load, ms", "ratio"],
            rows(chat_records(raw), ("later_ms", 0), ("cold_ms", 0), ("ratio", 2))) + "\n" + chat_plot(raw)),
        with_raw("busy", MAIN, "Beside one busy process, six clients", lambda raw: table(
            ["", "alone, tok/s", "beside it, tok/s", "kept"], rows(busy_records(raw), ("quiet", 1), ("busy", 1), ("kept", 2)))),
        with_raw("start", MAIN, "From exec to the first token, file in the page cache", lambda raw: table(
            ["", "ms"], rows(raw["records"], ("first_token_ms", 0)))),
        with_raw("flags", MAIN, "Flags of llama-server that were tried", lambda raw: table(
            ["", "equal: TTFT, ms", "equal: tok/s", "different: TTFT, ms", "different: tok/s"],
            [(f"`{who}`", *[spread(values(raw["records"], who, key, case), 1) for case in ("equal", "different") for key in ("ttft_ms", "tok_s")])
             for who in names(raw["records"])]) + "\nBest, and used below: " + "; ".join(
                 f"{case} {key}: `{' '.join(found) or 'defaults'}`" for case, by in raw["best"].items() for key, found in by.items()) + ".\n"),
    ])


def write():
    raws = PAGE.raws()
    PAGE.write(
        "The engine against its rivals",
        "Made by `./dev bench engine` from the raw samples in `docs/perf/engine/`; edit `docs/perf/engine/notes.md`, not this page. Same "
        "files, one client, one\nserver computing at a time, rounds interleaved, fresh prompts each round, temperature 0.7, a seed each, no "
        "merging of equal streams.\nMain model: Qwen2.5-Coder-0.5B-Instruct Q4_K_M as packaged.",
        goals_section(goals(raws)),
        "## Figures\n" + six_section(raws, "equal", "Six equal prompts") + six_section(raws, "different", "Six different prompts")
        + six_section(raws, "single", "One prompt", 1)
        + other_sections(raws) + "\n## Set-up (commands without model and port)\n" + servers_section(list(raws.values())))
