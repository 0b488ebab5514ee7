"""A day of a small cluster (issue 7): a server and three workers on machines of their own, one of them behind a router that lets nothing
in. Each step is checked by what users see: answers of /v1, `gantry ps` and `gantry workers`, the watch. Chats go on all day. What of them
fails is counted, and allowed are only: a stream that was on an engine or a machine when that was killed or cut off, and what was asked
while the server itself was killed."""
import contextlib
import json
import os
import pathlib
import signal
import sys
import threading
import time

import httpx
import pytest

import machines
from conftest import TLS, Server, alive, until
from remote_workers import RemoteWorker, new_token
from traffic import Outcome, Traffic, Watcher

CHEAP_ENGINE = pathlib.Path(__file__).resolve().parents[1] / "fakes/cheap_engine.py"
CHAT, MANY = 3, 6              # replicas of a real model and of an engine that costs nothing
UNREACHABLE_S, MOVED_S = 15, 45   # goals; a busy machine may take a third longer


class Day:
    def __init__(self, folder, stack):
        net = stack.enter_context(machines.Network())
        self.folder, self.net, self.began = folder, net, time.monotonic()
        self.office, alpha, beta, self.router = (net.machine(name) for name in ("office", "alpha", "beta", "router"))
        self.hidden = net.hidden_machine("gamma", self.router)
        self.server = Server(folder / "data", "--no-worker")
        self.server.host, self.server.address, self.server.prefix = "0.0.0.0", self.office.address, self.office.prefix
        stack.callback(self.server.stop)
        self.server.start()
        self.forwarder = net.forward(self.router, self.server.port, self.office.address)
        places = {"alpha": (self.server.url, alpha), "beta": (self.server.url, beta),
                  "gamma": (f"http://{machines.INSIDE}.1:{self.server.port}", self.hidden)}
        self.workers = {name: RemoteWorker(self.server, folder, name, url, machine.prefix) for name, (url, machine) in places.items()}
        self.addresses = {"alpha": alpha.address, "beta": beta.address, "gamma": self.router.address}
        for worker in self.workers.values():
            stack.callback(worker.stop)
        self.lost = []              # (id of an instance, when): a stream on it broke then, by our doing
        self.away = []              # (from, to): the server itself was killed
        self.notes, self.streams = {}, []
        self.traffic = Traffic(self.server, ["chat", "many"])
        self.watcher = Watcher(self.server)

    # ---- what users see
    def workers_seen(self):
        return {w["name"]: w for w in self.server.cli_json("workers")["items"]}

    def state(self, worker):
        return self.workers_seen()[worker]["state"]

    def instances(self, name):
        [deployment] = [d for d in self.server.cli_json("ps")["deployments"] if d["name"] == name]
        return deployment["instances"]

    def running(self, name, count):
        return until(lambda: (lambda found: found if len(found) == count and all(i["state"] == "running" for i in found) else None)(
            self.instances(name)), f"exactly {count} instances of {name} run", timeout=120, every=0.2)

    def all_run(self):
        return {i["id"]: i for i in [*self.running("chat", CHAT), *self.running("many", MANY)]}

    def on(self, worker):
        return [i for name in ("chat", "many") for i in self.instances(name) if i["worker_name"] == worker]

    def stream_on(self, worker):
        """A long stream on that worker; the balancer spreads those that are begun before it. One that was slow, as in a cut, is tried
        again when that is half forgotten, some ten seconds later."""
        def begun():
            long = LongStream(self, "chat", 900)
            return long if long.instance in {i["id"] for i in self.on(worker)} else None
        return until(begun, f"a stream comes to {worker}", timeout=60, every=2)

    def note(self, what, seconds):
        self.notes[what] = round(seconds, 2)


class LongStream:
    """A stream of its own that goes on for long; `instance` is where."""

    def __init__(self, day, model, tokens):
        self.day, self.outcome = day, Outcome(model, True, 0)
        self.thread = threading.Thread(target=self.run, args=(model, tokens))
        self.thread.start()
        self.instance = until(self.placed, "the long stream flows")

    def placed(self):
        known = {stream.id for stream in self.day.streams}
        for one in self.day.server.items("/api/v1/requests"):
            if one["stream"] and one["completion_tokens"] > 12 and one["id"] not in known:   # more than the traffic asks for
                self.id = one["id"]
                self.day.streams.append(self)
                return one["instance_id"]
        return None

    def run(self, model, tokens):
        with httpx.Client(timeout=120, verify=TLS) as client:
            self.outcome = self.day.traffic.ask(client, model, True, tokens)
        self.day.traffic.outcomes.append(self.outcome)

    def end(self):
        self.thread.join(120)
        return self.outcome


# ---- the day
def join(day):
    token = new_token(day.server, "--uses", "3")
    day.token = token
    for name, worker in day.workers.items():
        worker.start(token, "--label", f"site={'home' if name == 'gamma' else 'hall'}")
    for worker in day.workers.values():
        until(worker.ready, f"{worker.name} reports")
    seen = day.workers_seen()
    assert {name: w["address"] for name, w in seen.items()} == day.addresses, "gamma is seen under its router's"
    assert machines.ip("route", "get", day.hidden.address, at=day.office.space, check=False).returncode != 0, "no way leads to it"
    assert not day.hidden.reaches(day.office.address, day.server.port), "nor from it, but through the router"


def deploy(day):
    day.server.deploy("chat", "--replicas", str(CHAT), "--ctx", "2048")
    command = f"{sys.executable} {CHEAP_ENGINE} {{{{port}}}}"
    day.server.deploy("many", "--replicas", str(MANY), "--backend", "custom", "--command", command)
    placed = day.all_run()
    assert {i["worker_name"] for i in placed.values() if i["deployment_name"] == "chat"} == set(day.workers)
    day.traffic.start()
    day.traffic.go_on(10)

    def all_asked():
        rows = day.server.items("/api/v1/usage/summary?group_by=instance&bucket=total&limit=200")
        return {row["instance_id"] for row in rows if row["requests"] > 0} >= set(placed)
    until(all_asked, "each instance answered somebody", timeout=60, every=0.5)


def a_short_cut_changes_nothing(day):
    before, began = day.all_run(), time.monotonic()
    reported = day.workers_seen()["beta"]["last_report_at"]
    day.net.cut("beta")
    broken = time.monotonic()
    day.lost += [(i["id"], broken) for i in day.on("beta")]
    for _ in range(3):   # four seconds without a report: the others have reported meanwhile
        seen = day.workers_seen()["alpha"]["last_report_at"]
        until(lambda: day.workers_seen()["alpha"]["last_report_at"] > seen, "alpha reports")
    day.net.heal("beta")
    until(lambda: day.workers_seen()["beta"]["last_report_at"] > reported, "beta reports again", timeout=60, every=0.2)
    day.traffic.go_on(2)
    assert {i: one["pid"] for i, one in day.all_run().items()} == {i: one["pid"] for i, one in before.items()}
    assert set(day.watcher.states("workers", "beta", began)) <= {"ready"}


def partition_and_heal(day):
    mine, stream = day.on("beta"), day.stream_on("beta")
    began = time.monotonic()
    day.net.cut("beta")
    cut = time.monotonic()   # what was begun before it was on that machine
    day.lost += [(i["id"], cut) for i in mine]
    until(lambda: day.state("beta") == "unreachable", "no sign of it", timeout=UNREACHABLE_S * 4 / 3, every=0.1)
    day.note("partition noticed, s", time.monotonic() - began)
    assert {i["state"] for i in day.on("beta")} == {"unreachable"}, "nothing is placed anew yet: it may come back"
    day.traffic.go_on(2)

    def moved():
        return all(len([i for i in day.instances(name) if i["state"] == "running" and i["worker_name"] != "beta"]) == count
                   for name, count in (("chat", CHAT), ("many", MANY)))
    until(moved, "all its instances run elsewhere", timeout=MOVED_S * 4 / 3 - UNREACHABLE_S, every=0.2)
    day.note("its instances run elsewhere, s", time.monotonic() - began)
    assert all(alive(i["pid"]) for i in mine), "what can't be told runs on"
    assert '"error"' in stream.end().error, "a stream that was on it has an end, too"
    day.note("a stream on it ends with an error, s", stream.outcome.ended - began)
    day.traffic.go_on(2)
    healed = time.monotonic()
    day.net.heal("beta")
    until(lambda: day.state("beta") == "ready", "it is back", timeout=60, every=0.1)
    until(lambda: not any(alive(i["pid"]) for i in mine), "it learnt that its instances are others' now", timeout=60)
    day.note("healed until fenced, s", time.monotonic() - healed)
    assert not set(day.all_run()) & {i["id"] for i in mine}
    assert day.watcher.states("workers", "beta", began)[-2:] == ["unreachable", "ready"]


def drain(day):
    assert day.on("alpha")
    done = day.server.cli("drain", "alpha", "--deadline", "5m", timeout=400)
    assert "is empty" in done.stderr
    assert day.on("alpha") == [] and day.state("alpha") == "draining"
    day.all_run()
    day.traffic.go_on(2)
    day.server.cli("workers", "uncordon", "alpha")
    until(lambda: day.state("alpha") == "ready", "it takes instances again")


def rolling_update(day):
    before, long = day.all_run(), LongStream(day, "chat", 900)
    file = day.folder / "fleet.json"
    fleet = json.loads(day.server.cli("export").stdout)
    for deployment in fleet["deployments"]:
        deployment["options"]["max_sequences" if deployment["name"] == "chat" else "env"] = 5 if deployment["name"] == "chat" else {"COLOUR": "green"}
    file.write_text(json.dumps(fleet))
    day.server.cli("apply", "-f", str(file), "--wait", timeout=400)
    assert long.end().error == "", "a stream on an old instance ends in its own time"
    after = day.all_run()
    assert not {i["pid"] for i in after.values()} & {i["pid"] for i in before.values()}
    day.traffic.go_on(2)


def a_bad_update_reverts(day):
    before = {i: one["pid"] for i, one in day.all_run().items()}
    wanted = json.loads(day.server.cli("export").stdout)
    bad = json.loads(json.dumps(wanted))
    for deployment in bad["deployments"]:
        if deployment["name"] == "chat":
            deployment["options"]["extra_args"] = ["--chat-template", "/nonexistent/of-a-model.jinja"]
    file = day.folder / "bad.json"
    file.write_text(json.dumps(bad))
    done = day.server.cli("apply", "-f", str(file), "--wait", check=False, timeout=400)
    assert done.returncode == 1 and "did not become ready" in done.stderr, done.stderr
    assert {i: one["pid"] for i, one in day.all_run().items()} == before, "what served was not touched"
    assert json.loads(day.server.cli("export").stdout) == wanted
    day.traffic.go_on(2)


def kill_an_engine(day):
    long = LongStream(day, "chat", 900)
    victim = day.all_run()[long.instance]
    day.lost.append((long.instance, time.monotonic()))
    os.kill(victim["pid"], signal.SIGKILL)
    assert '"error"' in long.end().error and "engine_crashed" in long.outcome.error, "its stream says so, and ends"
    until(lambda: (lambda now: now and now["pid"] != victim["pid"])(day.all_run().get(victim["id"])), "it was started again")
    day.note("engine killed until it serves again, s", time.monotonic() - day.lost[-1][1])
    day.traffic.go_on(2)


def kill_a_worker(day):
    """The process alone: its engines serve on, and are adopted."""
    before = {i["id"]: i["pid"] for i in day.on("gamma")}
    assert before
    now = time.monotonic()
    day.lost += [(one, now) for one in before]
    day.workers["gamma"].kill9()
    day.traffic.go_on(2)
    assert all(alive(pid) for pid in before.values())
    day.workers["gamma"].start()
    until(day.workers["gamma"].ready, "it reports")
    day.all_run()
    assert {i["id"]: i["pid"] for i in day.on("gamma")} == before, "the same processes"
    day.traffic.go_on(2)


def lose_a_machine(day):
    """Power off and on: the worker and all its engines at once."""
    lost = next(name for name in ("beta", "alpha") if day.on(name))
    before = {i["id"]: i["pid"] for i in day.on(lost)}
    now = time.monotonic()
    day.lost += [(one, now) for one in before]
    day.workers[lost].process.kill()
    for pid in before.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    day.workers[lost].process.wait()
    day.traffic.go_on(2)
    day.workers[lost].start()
    until(day.workers[lost].ready, "it reports")
    day.all_run()

    def anew():   # it is reached a moment before its first report
        after = {i["id"]: i["pid"] for i in day.on(lost)}
        return set(after) == set(before) and not set(after.values()) & set(before.values())
    until(anew, "its instances run in new processes")
    day.all_run()
    day.traffic.go_on(2)


def kill_the_router(day):
    before = {i["id"]: i["pid"] for i in day.on("gamma")}
    now = time.monotonic()
    day.lost += [(one, now) for one in before]
    day.forwarder.kill()
    day.forwarder.wait()
    day.traffic.go_on(2)
    reported = day.workers_seen()["gamma"]["last_report_at"]
    day.forwarder = day.net.forward(day.router, day.server.port, day.office.address)
    until(lambda: day.workers_seen()["gamma"]["last_report_at"] > reported, "it comes back", every=0.2)
    day.all_run()
    assert {i["id"]: i["pid"] for i in day.on("gamma")} == before
    day.traffic.go_on(2)


def kill_the_server(day):
    before = {i: one["pid"] for i, one in day.all_run().items()}
    down = time.monotonic()
    day.server.kill9()
    assert all(alive(pid) for pid in before.values())
    day.server.start()
    day.away.append((down, time.monotonic()))
    day.note("server killed until it is ready again, s", day.away[-1][1] - down)
    day.traffic.go_on(2)   # who asks while the workers come back waits
    until(lambda: {i: one["pid"] for i, one in day.all_run().items()} == before, "all are there as they were")


def rotate_tokens(day):
    """The join token, and the users' key."""
    fresh = new_token(day.server)
    day.server.cli("workers", "token", "revoke", day.token.split("_")[1])
    delta = RemoteWorker(day.server, day.folder, "delta", prefix=day.net.machine("delta").prefix)
    delta.start(day.token)
    assert delta.process.wait(60) == 1 and "revoked" in delta.log(), delta.log()
    delta.start(fresh)
    try:
        until(lambda: day.workers_seen().get("delta", {}).get("state") == "ready", "it joined with the new one", every=0.2)
        assert all(w["state"] == "ready" for w in day.workers_seen().values()), "who joined with the old one stays"
        old = day.traffic.key
        day.traffic.key = day.server.cli("keys", "create", "e2e-2", "--quiet").stdout.strip()
        day.traffic.go_on(1)   # so that nobody has one in flight under the old
        day.server.cli("keys", "rm", "e2e")
        assert day.server.api("GET", "/v1/models", key=old).status_code == 401
        day.server.key = day.traffic.key
        day.traffic.go_on(2)
        assert day.server.cli("drain", "delta", "--deadline", "2m", timeout=200).returncode == 0
        day.server.cli("workers", "rm", "delta")
        assert delta.process.wait(60) == 1 and "removed" in delta.log()
    finally:
        delta.stop()


# ---- its end
def while_away(day, outcome):
    return any(outcome.began <= up and outcome.ended >= down for down, up in day.away)


def allowed(day, outcome, instance_of):
    """Why a failed request may have failed; "": it may not."""
    if while_away(day, outcome):
        return "asked while the server was killed"
    instance = instance_of.get(outcome.id)
    if outcome.stream and any(instance == lost and outcome.lasted_over(at) for lost, at in day.lost):
        return "a stream on what was killed or cut off"
    return ""


def instances_of_requests(day, ids):
    """Where each was, by the usage records, once they have all of them."""
    def looked_up():
        found, cursor = {}, ""
        while True:
            page = day.server.api("GET", f"/api/v1/usage?limit=500{cursor}").json()
            found.update({r["request_id"]: r["instance_id"] for r in page["items"]})
            if not page.get("next_cursor"):
                break
            cursor = f"&cursor={page['next_cursor']}"
        return found if ids <= set(found) else None
    return until(looked_up, "the usage records are written", timeout=30, every=1)


def evening(day):
    """Nobody failed who may not, nothing is left over, and who watched saw what there is."""
    day.traffic.stop()
    failed = day.traffic.failed()
    instance_of = instances_of_requests(day, {o.id for o in failed if o.id and not while_away(day, o)})
    why = [(allowed(day, o, instance_of), o) for o in failed]
    there = day.all_run()
    until(lambda: {i for kind, i in day.watcher.now if kind == "instances"} == set(there), "the watch shows what there is")
    report = {"requests": len(day.traffic.outcomes), "failed": {reason: len([1 for r, _ in why if r == reason]) for reason in {r for r, _ in why}},
              "longest_s": round(max(o.ended - o.began for o in day.traffic.outcomes), 1), **day.notes}
    print(json.dumps(report, indent=1))
    for reason, outcome in why:
        print(f"{outcome.model} {'stream' if outcome.stream else 'whole'} at {outcome.began - day.began:.1f} s for {outcome.ended - outcome.began:.1f} s: "
              f"{outcome.error[:160]} ({reason or 'NOT ALLOWED'})")
    assert [(o, instance_of.get(o.id)) for reason, o in why if not reason] == []


STEPS = [join, deploy, a_short_cut_changes_nothing, partition_and_heal, drain, rolling_update, a_bad_update_reverts, kill_an_engine, kill_a_worker,
         lose_a_machine, kill_the_router, kill_the_server, rotate_tokens, evening]


def test_a_day(tmp_path):
    if reason := machines.why_not():
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        day = Day(tmp_path, stack)
        stack.enter_context(day.watcher)
        stack.callback(day.traffic.stop)
        for step in STEPS:
            began = time.monotonic()
            step(day)
            print(f"{began - day.began:.1f} s {step.__name__}: {time.monotonic() - began:.1f} s, {len(day.traffic.outcomes)} requests, {len(day.traffic.failed())} failed", flush=True)
