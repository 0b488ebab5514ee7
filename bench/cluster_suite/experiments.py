"""One function an experiment: it measures and returns raw records, each of a round of somebody (`who`); report.py judges them."""
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import threading
import time

from cluster_suite.servers import CHEAP, LOADS, UPSTREAM, Watch, all_running, declare, played, server_in, workers
from common import SMOLLM2, environment, until
from conftest import alive
from fault_proxy import FaultProxy
from remote_workers import RemoteWorker, new_token
from suite.report import say
from suite.servers import cpu_of

WORKERS, LIST, DEPLOYMENTS, STREAMS = 200, 40, 500, 200


class Plan:
    def __init__(self, quick):
        self.quick = quick

    def rounds(self, full, quick=1):
        return quick if self.quick else full


def record(who, **more):
    told = ", ".join(f"{key} {value:.4g}" for key, value in more.items() if isinstance(value, (int, float)))
    say(f"  {who}: {told}")
    return {"who": who, **more}


# ---- answers of the management API
class Asker:
    """One kept connection, as a console has one."""

    def __init__(self, server):
        self.server = server
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)

    def get(self, path):
        """(milliseconds, body)"""
        begin = time.perf_counter()
        self.connection.request("GET", path, headers={"Authorization": f"Bearer {self.server.key}"})
        answer = self.connection.getresponse()
        body = answer.read()
        took = (time.perf_counter() - begin) * 1e3
        assert answer.status == 200, body
        return took, body


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def listing(plan):
    """40 deployments on 40 workers that report all the while; each list 1,000 times over."""
    records = []
    with server_in("--no-worker") as server, played(server, LIST):
        declare(server, [f"model-{n:03}" for n in range(LIST)], CHEAP)
        all_running(server, LIST)
        asker = Asker(server)
        for n in range(plan.rounds(5)):
            for path in ("deployments", "instances", "workers"):
                times, size = [], 0
                for _ in range(plan.rounds(1000, 200)):
                    took, body = asker.get(f"/api/v1/{path}?limit=100")
                    times.append(took)
                    size = len(body)
                assert len(json.loads(body)["items"]) == LIST
                records.append(record(path, round=n, p50_ms=quantile(times, 0.5), p99_ms=quantile(times, 0.99), max_ms=max(times), bytes=size, n=len(times)))
    return {"records": records, "workers": LIST, "deployments": LIST}


# ---- the cost of workers
def share_of_core(server, seconds):
    before, begin = cpu_of([server.process.pid])["all"], time.monotonic()
    time.sleep(seconds)   # a measurement's own time, nothing is waited for
    return 100 * (cpu_of([server.process.pid])["all"] - before) / (time.monotonic() - begin)


def reports_taken(server):
    return float(re.search(r"^gantry_worker_reports_total (\S+)", server.api("GET", "/metrics").text, re.M).group(1))


def heartbeats(plan):
    """200 workers of 8 cards and an instance each, all of their figures changing each second; then with somebody who watches."""
    seconds, records = plan.rounds(30, 8), []
    with server_in("--no-worker") as server:
        records.append(record("nobody", round=0, share=share_of_core(server, seconds)))
        with played(server, WORKERS):
            declare(server, [f"model-{n:03}" for n in range(LIST)], CHEAP, replicas=WORKERS // LIST)
            all_running(server, WORKERS)
            time.sleep(5)   # what came of the start has passed
            for n in range(plan.rounds(3)):
                for who, watch in (("200 workers", contextlib.nullcontext()), ("and a watcher", Watch(server))):
                    with watch:
                        before, begin = reports_taken(server), time.monotonic()
                        share = share_of_core(server, seconds)
                        rate = (reports_taken(server) - before) / (time.monotonic() - begin)
                    records.append(record(who, round=n, share=share, reports_per_s=rate))
    return {"records": records, "workers": WORKERS, "instances": WORKERS, "seconds": seconds}


# ---- a start with much to do
def start(plan):
    """500 deployments, an instance each, on 40 workers: from the server's exec to its /readyz, to the first list of all, to all of them
    running as before."""
    records = []
    with server_in("--no-worker") as server, played(server, LIST, accelerators=0):
        begin = time.monotonic()
        declare(server, [f"model-{n:03}" for n in range(DEPLOYMENTS)], CHEAP)
        declared = time.monotonic()
        all_running(server, DEPLOYMENTS)
        records.append(record("declared", round=0, declared_s=declared - begin, running_s=time.monotonic() - begin))
        for n in range(plan.rounds(10, 2)):
            server.kill9()
            begin = time.monotonic()
            server.start(wait=False)
            until(server.ready, "it is ready", every=0.002)
            ready = time.monotonic() - begin
            items = server.items("/api/v1/deployments?limit=500")
            assert len(items) == DEPLOYMENTS
            listed = time.monotonic() - begin
            all_running(server, DEPLOYMENTS)
            records.append(record("start", round=n, ready_s=ready, listed_s=listed, running_s=time.monotonic() - begin))
    return {"records": records, "deployments": DEPLOYMENTS, "workers": LIST}


# ---- deaths
def death(plan):
    """kill -9 of an engine, on the server's own machine and on a worker elsewhere: until who watches is told, and until it serves again.
    Each round has a deployment of its own, so that each is a first failure."""
    records = []
    with server_in() as server, workers(server, 1), Watch(server) as watch:
        elsewhere, here = "worker-0", next(w["name"] for w in server.items("/api/v1/workers") if w["name"] != "worker-0")
        for name, told in ((here, "site=here"), (elsewhere, "site=there")):
            server.cli("workers", "label", name, told)
        for n in range(plan.rounds(7, 2)):
            for where in ("here", "there"):
                for what, flags in (("cheap engine", ["--backend", "custom", "--command", CHEAP]), ("SmolLM2", ["--ctx", "1024"])):
                    name = f"victim-{where}-{n}"
                    server.deploy(name, "--worker-label", f"site={where}", *flags)
                    [victim] = server.running(name)
                    begin = time.monotonic()
                    os.kill(victim["pid"], signal.SIGKILL)

                    def is_it(kind, thing, id=victim["id"]):
                        return kind == "instances" and thing["id"] == id
                    noticed, _ = watch.wait("its death is told", begin, lambda kind, thing, _, it=is_it: it(kind, thing) and thing["state"] != "running")
                    again, _ = watch.wait("it runs again", noticed, lambda kind, thing, _, it=is_it: it(kind, thing) and thing["state"] == "running")
                    records.append(record(f"{what}, {'own machine' if where == 'here' else 'worker elsewhere'}", round=n,
                                          noticed_ms=(noticed - begin) * 1e3, again_ms=(again - begin) * 1e3))
                    server.cli("rm", name, "--yes")
                    until(lambda name=name: not server.instances(name), "it is gone") if server.api("GET", f"/api/v1/deployments/{name}").status_code == 200 else None
    return {"records": records}


def lost(plan):
    """Workers that die at once (kill -9 of worker and engine), and such that are cut off by a wire that freezes: until it is told, until their
    instances run elsewhere, and, the wire mended, until the old engine is no more. All victims of a round within the same minute."""
    records, each = [], plan.rounds(3, 1)
    with server_in("--no-worker") as server, workers(server, 1) as [refuge], contextlib.ExitStack() as stack:
        wires = {}
        for n in range(2 * each):
            how = "killed" if n % 2 == 0 else "cut off"
            wire = wires[f"victim-{n}"] = FaultProxy(server.port)
            victim = RemoteWorker(server, server.folder, f"victim-{n}", wire.url).start(new_token(server), "--label", f"victim={n}")
            stack.callback(victim.stop)
            stack.callback(wire.thaw)
            until(victim.ready, f"{victim.name} reports")
            # Alone in taking instances, so that it gets the one.
            for name in [refuge.name, *wires]:
                server.cli("workers", "uncordon" if name == victim.name else "cordon", name)
            declare(server, [f"model-{n}"], CHEAP)
            all_running(server, n + 1)
            [instance] = [i for i in server.items("/api/v1/instances") if i["worker_name"] == victim.name]
            records.append({"who": how, "round": n // 2, "worker": victim, "instance": instance})
        server.cli("workers", "cordon", *wires)
        server.cli("workers", "uncordon", refuge.name)
        watch = stack.enter_context(Watch(server))
        threads = [threading.Thread(target=lose, args=(server, watch, wires, one, 0.37 * n)) for n, one in enumerate(records)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in records:
            del one["worker"], one["instance"]
    return {"records": records}


def lose(server, watch, wires, one, delay):
    time.sleep(delay)   # the victims one by one, at different times of the server's second
    worker, instance = one["worker"], one["instance"]
    begin = time.monotonic()
    if one["who"] == "killed":
        worker.process.kill()
        os.kill(instance["pid"], signal.SIGKILL)
    else:
        wires[worker.name].freeze()
    noticed, _ = watch.wait("it is unreachable", begin, lambda kind, thing, _: kind == "workers" and thing["name"] == worker.name and thing["state"] == "unreachable")
    moved, _ = watch.wait("its instance runs elsewhere", begin, lambda kind, thing, _: kind == "instances" and thing["id"] != instance["id"] and
                          thing["deployment_name"] == instance["deployment_name"] and thing["state"] == "running")
    told = {"noticed_s": noticed - begin, "moved_s": moved - begin}
    if one["who"] == "cut off":
        assert alive(instance["pid"])
        healed = time.monotonic()
        wires[worker.name].thaw()
        until(lambda: not alive(instance["pid"]), "the old engine is stopped")
        told["stopped_s"] = time.monotonic() - healed
    one.update(record(one["who"], round=one["round"], **told))


# ---- updates under load
def update(plan):
    """200 streams of 20 events a second on 4 replicas, one after the other on each of 200 connections; update after update meanwhile."""
    seconds, records = plan.rounds(60, 25), []
    with server_in() as server:
        server.deploy("mock", "--replicas", "4", "--backend", "custom", "--command", UPSTREAM)
        words = [LOADS / "gateway_load", "client", "--port", server.port, "--key", server.key, "-c", STREAMS, "--stream", "--events", 60, "--ramp-ms", 3000,
                 "--seconds", seconds, "--progress"]
        with subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True, env=environment()) as client:
            begin = time.monotonic()
            until(lambda: server.in_flight() >= STREAMS * 0.9, "all streams flow")
            while time.monotonic() - begin < seconds - 12:
                wanted = server.api("GET", "/api/v1/deployments/mock").json()
                options = {**wanted["options"], "env": {"ROUND": str(len(records))}}
                started = time.monotonic()
                answer = server.api("PATCH", "/api/v1/deployments/mock", json={"options": options})
                assert answer.status_code == 200, answer.text
                server.cli("rollout", "status", "mock", "--wait", "--wait-seconds", "120")
                until(lambda: {i["generation"] for i in server.instances("mock")} == {answer.json()["generation"]}, "only the new are left", timeout=120)
                records.append(record("update", round=len(records), took_s=time.monotonic() - started, streams=server.in_flight()))
            out, _ = client.communicate(timeout=120)
        last = json.loads(out.splitlines()[-1])
    say(f"  {last['answered']} streams answered, {last['failed']} failed {last['failures'] or ''}")
    return {"records": records, "streams": STREAMS, **{key: last[key] for key in ("answered", "failed", "failures", "events", "out_of_order")}}


EXPERIMENTS = {"listing": listing, "heartbeats": heartbeats, "start": start, "death": death, "lost": lost, "update": update}
