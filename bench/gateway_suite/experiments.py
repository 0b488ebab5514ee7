"""One function an experiment: it measures and returns raw records; report.py judges them. Rounds are interleaved, who is first
changes from round to round."""
import json
import pathlib
import subprocess
import time

from common import environment, resident_mb, workspace
from gateway_suite.servers import ROUTER, apart, client, client_words, gateways, wrk
from suite.report import say
from suite.servers import cpu_of

ROUNDS = {"latency": 15, "throughput": 7, "streams": 1, "chats": 5}
RATE, STREAMS, CHATS = 20, 2000, 512


class Plan:
    def __init__(self, rounds, quick, minutes):
        self.rounds, self.quick, self.minutes = rounds, quick, minutes

    def rivals(self):
        if not ROUTER.exists():
            say(f"no vllm-router at {ROUTER}: measured without it")
        return ["nginx", *(["vllm-router"] if ROUTER.exists() else [])]


def rounds_of(plan, servers, each):
    """each(server) for every server in every round, in turns; its records."""
    records = []
    for n in range(plan.rounds):
        for turn in range(len(servers)):
            server = servers[(turn + n) % len(servers)]
            records.append({"who": server.name, "round": n, **each(server)})
    return records


def result(servers, records, **more):
    """Called when the servers have ended: Gantry tells then what it has recorded, to be compared with what clients counted."""
    gantry = next(s for s in servers if s.name == "gantry")
    answered = sum(r["answered"] for r in records if r["who"] == "gantry") + gantry.warmed
    return {"servers": {s.name: s.describe() for s in servers}, "records": records, "usage": {"answered": answered, **gantry.usage}, **more}


def warm(servers, *flags):
    for server in servers:
        run = client(server, *flags)
        server.warmed = run["answered"]
        if run["failed"]:
            raise RuntimeError(f"{server.name} does not answer: {run['failures']}")


def latency(plan):
    """One client, keep-alive: how much later an answer comes than straight from the upstream."""
    seconds = 0.4 if plan.quick else 2

    def each(server):
        run = client(server, "--seconds", seconds)
        say(f"  {server.name}: p50 {run['whole_us']['p50']:.1f} µs")
        return {**{key: run[key] for key in ("answered", "failed", "failures", "cpu_s", "user_s", "client_cpu_s")}, **run["whole_us"]}

    with gateways("mock", *plan.rivals()) as up:
        with apart(up) as pinned:
            warm(up, "--chats", 500)
            records = rounds_of(plan, up, each)
    return result(up, records, pinned=pinned)


def throughput(plan):
    """32 connections that ask as fast as they are answered."""
    seconds = 2 if plan.quick else 5
    with workspace() as scripts:
        def each(server):
            run = wrk(pathlib.Path(scripts), server, 32, seconds)
            run["rps"] = run["answered"] / run["seconds"]
            run["cpu_us"], run["user_us"] = (run[key] / run["answered"] * 1e6 for key in ("cpu_s", "user_s"))
            say(f"  {server.name}: {run['rps']:,.0f} requests/s, {run['cpu_us']:.1f} µs of CPU a request ({run['user_us']:.1f} user)")
            return run

        with gateways("mock", *plan.rivals()) as up:
            warm(up, "-c", 32, "--chats", 50)
            records = rounds_of(plan, up, each)
    return result(up, records, connections=32)


def look(server):
    pids = server.processes()
    return {"at": time.monotonic(), "resident_mb": sum(resident_mb(pid) for pid in pids), **{f"{key}_s": value for key, value in cpu_of(pids).items()}}


def stream_run(server, streams, seconds):
    """Starts all streams, looks at the gateway with each line of progress, returns looks and the client's last word."""
    words = client_words(server, "-c", streams, "--stream", "--events", seconds * RATE, "--ramp-ms", streams, "--progress")
    looks = []
    with server:
        idle = look(server)
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment()) as process:
            for line in process.stdout:
                told = json.loads(line)
                if "answered" in told:
                    last = told
                else:
                    looks.append({**told, **look(server)})
        after = look(server)
    return idle, looks, after, last


def streams(plan):
    """2,000 streams of 20 events a second, and the gateway's memory and CPU over the time in which all of them run."""
    def each(server):
        seconds = 12 if plan.quick else round(plan.minutes * 60) if server.name == "gantry" else min(60, round(plan.minutes * 60))
        idle, looks, after, last = stream_run(server, STREAMS, seconds)
        steady = [one for one in looks if one["steady"]]
        record = {"seconds": seconds, "streams": STREAMS, **{key: last[key] for key in ("answered", "failed", "failures", "events", "out_of_order")},
                  "delay_us": last["steady_delay_us"], "first_event_us": last["first_event_us"], "idle_mb": idle["resident_mb"], "after_mb": after["resident_mb"],
                  "client_cpu_s": last["client_cpu_s"], "looks": steady}
        if len(steady) > 1 and server.processes():
            first, end = steady[0], steady[-1]
            events = end["events"] - first["events"]
            record.update(cpu_us=(end["all_s"] - first["all_s"]) / events * 1e6, user_us=(end["user_s"] - first["user_s"]) / events * 1e6,
                          kb_a_stream=(max(one["resident_mb"] for one in steady) - idle["resident_mb"]) * 1024 / STREAMS)
        say(f"  {server.name}: p99 {record['delay_us']['p99'] / 1000:.1f} ms, {record.get('cpu_us', 0):.2f} µs of CPU an event "
            f"({record.get('user_us', 0):.2f} user), {record.get('kb_a_stream', 0):.1f} KB a stream, {record['failed']} failed")
        return record

    with gateways("stream", "nginx") as up:
        warm(up, "-c", 8, "--stream", "--events", 20)
        records = rounds_of(plan, up, each)
    return result(up, records, rate=RATE)


def chats(plan):
    """512 users, each with a few chats one after the other, the first event after 200 ms."""
    def each(server):
        run = client(server, "-c", CHATS, "--stream", "--events", 8, "--chats", 2 if plan.quick else 6, "--ramp-ms", 550)
        say(f"  {server.name}: first event p50 {run['first_event_us']['p50'] / 1000:.1f} ms, p99 {run['first_event_us']['p99'] / 1000:.1f} ms, "
            f"{run['failed']} failed of {run['answered'] + run['failed']}")
        return {**{key: run[key] for key in ("answered", "failed", "failures", "cpu_s", "user_s", "client_cpu_s", "events", "out_of_order")},
                **{f"ttft_{key}_ms": run["first_event_us"][key] / 1000 for key in ("mean", "p50", "p99")}}

    with gateways("slow", "nginx") as up:
        warm(up, "-c", 8, "--stream", "--events", 4)
        records = rounds_of(plan, up, each)
    return result(up, records, users=CHATS)


EXPERIMENTS = {"latency": latency, "throughput": throughput, "streams": streams, "chats": chats}
