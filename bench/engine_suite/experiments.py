"""One function an experiment: it measures and returns raw records; report.py judges them. Rounds are interleaved, who is first
changes from round to round, prompts are fresh each round (the seed is of experiment, model and round)."""
import contextlib
import http.client
import json
import re
import subprocess
import sys
import time
import zlib

from common import environment
from engine_suite.servers import LLAMA_SERVER, client_words, fleet, gantry, llama, measure, record, vllm, vllm_ready, warm
from suite.report import say

SIX = {"equal": ["compare", "-n", 6], "different": ["bench", "-c", 6, "--requests", 6, "--prompt-tokens", 304]}   # 334 with the template
CANDIDATES = [[], ["-fa", "on"], ["-fa", "off"], ["-b", "512"], ["-ub", "128"], ["-ub", "1024"], ["-t", "1"], ["-t", "1", "-tb", "2"],
              ["--no-repack"], ["-no-kvu"], ["-cram", "0"], ["-bs"]]
SLO_TTFT_MS, SLO_TPOT_MS, SLO_SHARE = 2000, 100, 0.9


class Plan:
    """What to measure with: the model's file, how many rounds, the flags that suit the rival best."""

    def __init__(self, model, path, rounds, quick=False, best=None, use_vllm=True, gantry_flags=()):
        self.model, self.path, self.rounds, self.quick = model, path, rounds, quick
        self.best, self.gantry_flags = best or {}, gantry_flags
        self.use_vllm = use_vllm and not quick and vllm_ready(path)

    def six(self, server, case, *seed):
        return measure(server, *SIX[case], "--max-tokens", 16 if self.quick else 64, seed=self.seed(*seed))

    def seed(self, *words):
        return zlib.crc32(repr((self.model, *words)).encode()) + 1

    def gantry(self):
        return gantry(self.path, *self.gantry_flags)

    def rivals(self, case):
        """llama-server with the flags found best for the case's TTFT and throughput; its defaults where none were sought."""
        if not LLAMA_SERVER.exists():
            print(f"no llama-server at {LLAMA_SERVER}: measured without it", flush=True)
            return []
        chosen = []
        for flags in [self.best.get(case, {}).get(key, []) for key in ("ttft_ms", "tok_s")]:
            if flags not in chosen:
                chosen.append(flags)
        return [llama(self.path, *flags) for flags in chosen]


def rounds_of(plan, servers, each):
    """each(server, round) for every server in every round, in turns; its records."""
    records = []
    for n in range(plan.rounds):
        for turn in range(len(servers)):
            server = servers[(turn + n) % len(servers)]
            made = each(server, n)
            records += made if isinstance(made, list) else [made]
            last = records[-1]
            say(f"  round {n + 1}/{plan.rounds} {server.name}: TTFT {last['ttft_ms']:.0f} ms, {last['tok_s']:.1f} tok/s")
    return records


def result(servers, records, **more):
    return {"servers": {s.name: s.describe() for s in servers}, "records": records, **more}


def beside_rivals(plan, rivals, each):
    """each(server, round) of ours, of `rivals` and of vLLM where it is installed."""
    servers = [plan.gantry(), *rivals, *([vllm(plan.path)] if plan.use_vllm else [])]
    with fleet(servers) as up:
        for server in up:
            warm(server)
        return result(up, rounds_of(plan, up, each))


def six(plan, case):
    return beside_rivals(plan, plan.rivals(case), lambda s, n: record(s, plan.six(s, case, case, n), round=n))


def equal(plan):
    return six(plan, "equal")


def different(plan):
    return six(plan, "different")


def single(plan):
    """One prompt of as many tokens, with nobody else."""
    words = ["bench", "-c", 1, "--requests", 1, "--prompt-tokens", 304, "--max-tokens", 16]
    return beside_rivals(plan, plan.rivals("different")[:1],
                         lambda s, n: record(s, measure(s, *words, seed=plan.seed("single", n)), round=n))


def median(values):
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if len(ordered) % 2 else sum(ordered[len(ordered) // 2 - 1:len(ordered) // 2 + 1]) / 2


def ranked(records, case, key):
    """Names of the candidates, the best of a case first."""
    names = {r["who"] for r in records if r["case"] == case}
    sign = 1 if key == "ttft_ms" else -1
    return sorted(names, key=lambda who: sign * median([r[key] for r in records if r["who"] == who and r["case"] == case]))


def try_flags(plan, up, records, n):
    for case in SIX:
        for server in up:
            run = plan.six(server, case, "flags", case, n)
            records.append(record(server, run, keep_tokens=False, case=case, round=n))
            say(f"  {case}, {server.name}: TTFT {records[-1]['ttft_ms']:.0f} ms, {records[-1]['tok_s']:.1f} tok/s")


def flags(plan):
    """Which flags suit llama-server best on this machine: all candidates once, then the best three of each figure again, and
    beside them the two best together."""
    candidates = {" ".join(["llama-server", *f]): f for f in (CANDIDATES[:3] if plan.quick else CANDIDATES)}
    records = []
    with fleet([llama(plan.path, *f) for f in candidates.values()]) as up:
        for server in up:
            warm(server)
        try_flags(plan, up, records, 0)
        finalists = {who for case in SIX for key in ("ttft_ms", "tok_s") for who in ranked(records, case, key)[:3]}
        both = []
        for who in ranked(records, "different", "tok_s")[:2]:
            both += candidates[who]
        name = " ".join(["llama-server", *both])
        with fleet([llama(plan.path, *both)] if name not in candidates else []) as combined:
            candidates[name] = both
            if not plan.quick:
                try_flags(plan, [s for s in up if s.name in finalists] + combined, records, 1)
        twice = records if plan.quick else [r for r in records if any(o["who"] == r["who"] and o["round"] == 1 for o in records)]
        best = {case: {key: candidates[ranked(twice, case, key)[0]] for key in ("ttft_ms", "tok_s")} for case in SIX}
        return result(up, records, best=best)


def late(plan):
    """Eight streams; three seconds later a prompt of 1,900 words."""
    words = ["bench", "-c", 8, "--prompt-tokens", 40, "--max-tokens", 24 if plan.quick else 160,
             "--late-tokens", 400 if plan.quick else 2124, "--late-after", 3]
    rivals = plan.rivals("different")[:1]
    with fleet([plan.gantry(), *rivals, *[llama(plan.path, "-b", "128") for _ in rivals]]) as up:
        for server in up:
            warm(server)
        return result(up, rounds_of(plan, up, lambda s, n: record(s, measure(s, *words, seed=plan.seed("late", n)), round=n)))


def at_rate(plan, server, rate, n):
    """One run of the open loop. SmolLM2's context of 8,192 tokens takes the longest of them."""
    run = measure(server, "bench", "--rate", round(rate, 4), "--requests", 12 if plan.quick else 40, "--prompt-tokens", "128-1024",
                  "--output-tokens", "64-256", "--shared-prefix", 400, "--shared-share", 0.5, "--slo-ttft", SLO_TTFT_MS,
                  "--slo-tpot", SLO_TPOT_MS, seed=plan.seed("poisson", n))
    made = record(server, run, keep_tokens=False, round=n, rate=rate, offered=run["offered_rate"], achieved=run["achieved_rate"],
                  share=run["goodput"]["share_met"], goodput=run["goodput"]["requests_per_s"])
    say(f"  {server.name}: {rate:.3f}/s offered, {made['achieved']:.3f}/s achieved, {made['share']:.0%} kept the SLO")
    return made


def next_rate(runs, start, step=1.6):
    """Where to look next: brackets by `step`, then halves in proportion. None: the bracket is within 12 %."""
    kept = [r["rate"] for r in runs if r["share"] >= SLO_SHARE]
    missed = [r["rate"] for r in runs if r["share"] < SLO_SHARE]
    if not runs:
        return start
    if not missed:
        return max(kept) * step
    low = max([rate for rate in kept if rate < min(missed)], default=None)
    if low is None:
        return min(missed) / step
    return None if min(missed) / low < 1.12 else (low * min(missed)) ** 0.5


def poisson(plan):
    """The highest rate at which 90 % keep the SLO; the search alternates between the servers. llama-server is tried with eight slots
    and with sixteen, and goes on with what kept the SLO more often."""
    flags = plan.best.get("different", {}).get("tok_s", [])
    rivals = [llama(plan.path, *flags, *more) for more in ([], ["-np", "16"])] if LLAMA_SERVER.exists() else []
    with fleet([plan.gantry(), *rivals]) as up:
        runs = {server.name: [] for server in up}
        for server in up:
            warm(server)
        searching = list(up)
        for n in range(2 if plan.quick else 5):
            for server in searching:
                rate = next_rate(runs[server.name], 0.8 if server.name == "gantry" else 0.5)
                if rate is not None:
                    runs[server.name].append(at_rate(plan, server, rate, n))
            if n == 0:
                searching.sort(key=lambda s: (s.name == "gantry", runs[s.name][0]["share"], -runs[s.name][0]["ttft_ms"]), reverse=True)
                searching = searching[:2]
        return result(up, sum(runs.values(), []), slo={"ttft_ms": SLO_TTFT_MS, "tpot_ms": SLO_TPOT_MS, "share": SLO_SHARE})


def chat_round(plan, server, n):
    """Eight users, six turns; then as many prompts that nobody has seen, of the lengths that turns 2 to 6 had, at the same load."""
    turns, users, first = (2, 2, 200) if plan.quick else (6, 8, 200)
    chat = measure(server, "bench", "--users", users, "--turns", turns, "--prompt-tokens", first, "--turn-tokens", 30, "--max-tokens", 32,
                   seed=plan.seed("chat", n))
    lengths = [s["prompt_tokens"] for s in chat["samples"] if s["turn"] > 0]
    scale = first / median([s["prompt_tokens"] for s in chat["samples"] if s["turn"] == 0])
    cold = measure(server, "bench", "-c", users, "--requests", users * 3, "--prompt-tokens",
                   f"{int(min(lengths) * scale)}-{int(max(lengths) * scale)}", "--max-tokens", 32, seed=plan.seed("cold", n))
    return [record(server, cold, keep_tokens=False, round=n, case="cold", users=users),
            record(server, chat, keep_tokens=False, round=n, case="chat", users=users)]


def chat(plan):
    with fleet([plan.gantry(), *plan.rivals("different")[:1]]) as up:
        for server in up:
            warm(server)
        # The goal is our own ratio: the rival's is only shown, so that two rounds of it do.
        return result(up, rounds_of(plan, up, lambda s, n: chat_round(plan, s, n) if s.name == "gantry" or n < 2 else []))


@contextlib.contextmanager
def busy_process():
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def busy_round(plan, server, n):
    words = ["bench", "-c", 6, "--requests", 6, "--prompt-tokens", 40, "--max-tokens", 16 if plan.quick else 64]
    quiet = record(server, measure(server, *words, seed=plan.seed("quiet", n)), keep_tokens=False, round=n, case="quiet")
    with busy_process():
        busy = record(server, measure(server, *words, seed=plan.seed("busy", n)), keep_tokens=False, round=n, case="busy")
    return [quiet, busy]


def busy(plan):
    with fleet([plan.gantry(), *plan.rivals("different")[-1:]]) as up:
        for server in up:
            warm(server)
        return result(up, rounds_of(plan, up, lambda s, n: busy_round(plan, s, n)))


def first_token_ms(server):
    """From exec to the first token of a short chat; asks until the engine answers."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4, "stream": True, "temperature": 0})
    begin = time.perf_counter()
    server.spawn()
    while time.perf_counter() - begin < 120:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            with contextlib.closing(connection):
                connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
                answer = connection.getresponse()
                for line in answer if answer.status == 200 else []:
                    text = line.decode(errors="replace")
                    if text.startswith("data: {") and any(c["delta"].get("content") for c in json.loads(text[6:])["choices"]):
                        return (time.perf_counter() - begin) * 1000
        time.sleep(0.002)
    raise RuntimeError(f"{server.name} gave no token within two minutes")


PACKED_KEPT_S = 8   # after a load: three until they are written, and the writing


def start(plan):
    """From exec to a first token. Not the first start: files are in the page cache, and Gantry has kept its packed weights."""
    plan.path.read_bytes()   # into the page cache
    records = []
    servers = [plan.gantry(), *plan.rivals("different")[:1]]
    try:
        first_token_ms(servers[0])
        time.sleep(PACKED_KEPT_S)
    finally:
        servers[0].stop()
    for n in range(plan.rounds + 2):
        for server in servers:
            try:
                taken = first_token_ms(server)
            finally:
                server.stop()
            records.append({"who": server.name, "round": n, "first_token_ms": round(taken, 1)})
            say(f"  {server.name}: {taken:.0f} ms")
    return result(servers, records)


def idle(plan):
    """CPU of an engine that has worked and now waits, in ticks of 10 ms over ten seconds."""
    records = []
    with fleet([plan.gantry(), *plan.rivals("different")[:1]]) as up:
        for server in up:
            warm(server)
            with server:
                time.sleep(2)
                before = server.cpu_ticks()
                time.sleep(2 if plan.quick else 10)
                records.append({"who": server.name, "ticks": server.cpu_ticks() - before, "seconds": 2 if plan.quick else 10})
            say(f"  {server.name}: {records[-1]['ticks']} ticks")
        return result(up, records)


def step_times(text):
    """Sum and count of a step's verbs, and how many sequences run and wait, from an engine's /metrics."""
    found = {}
    for kind, verb, value in re.findall(r'^gantry_engine_step_seconds_(sum|count)\{[^}]*verb="(\w+)"[^}]*\} (\S+)$', text, re.M):
        found.setdefault(verb, {})[kind] = float(value)
    count = {name: float(value) for name, value in re.findall(r"^gantry_engine_sequences_(running|waiting)(?:\{[^}]*\})? (\S+)$", text, re.M)}
    return {"verbs": found, **count}


def plan_cost(plan):
    """32 sequences decode; the steps between two looks at /metrics count when all 32 ran at both."""
    looks, lanes = [], 4 if plan.quick else 32
    with fleet([plan.gantry()]) as up:
        server = up[0]
        warm(server)
        with server:
            words = client_words(server, "bench", "-c", lanes, "--requests", lanes, "--prompt-tokens", 40, "--max-tokens", 64,
                                 seed=plan.seed("plan"))
            client = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
            while client.poll() is None:
                looks.append(step_times(server.get("/metrics")[1]))
                time.sleep(0.25)
        full = [(a, b) for a, b in zip(looks, looks[1:]) if a.get("running") == b.get("running") == lanes and not a["waiting"] + b["waiting"]]
        records = [{"steps": b["verbs"]["plan"]["count"] - a["verbs"]["plan"]["count"],
                    **{f"{verb}_us": (b["verbs"][verb]["sum"] - a["verbs"][verb]["sum"]) * 1e6 for verb in b["verbs"]}} for a, b in full]
        return result(up, [r for r in records if r["steps"] > 0], sequences=lanes)


EXPERIMENTS = {"flags": flags, "equal": equal, "different": different, "single": single, "late": late, "poisson": poisson, "chat": chat, "busy": busy,
               "start": start, "idle": idle, "plan": plan_cost}
