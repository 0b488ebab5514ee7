"""Devices, evaluation and placement: what fits where, and why; on this machine, and on a recorded one with eight NPUs."""
import json
import os
import pathlib
import stat
import threading
import time

import httpx
import pytest
from conftest import ROOT, SMOLLM2, TLS, Server, until

RECORDED = ROOT / "tests/data/devices"
MODELS = ROOT / "tests/data/models"


def evaluate(server, *words, code=0):
    done = server.cli("evaluate", *words, "--json", check=False)
    assert done.returncode == code, done.stderr + done.stdout
    return json.loads(done.stdout)


def test_devices_say_what_they_are_and_why_others_are_missing(server):
    [cpu] = [d for d in server.cli_json("devices")["items"] if d["vendor"] == "cpu"]
    assert cpu["memory_total_bytes"] >= cpu["memory_free_bytes"] > 1 << 28 and cpu["cores"] >= 1 and cpu["problem"] == ""
    [worker] = server.items("/api/v1/workers")
    assert worker["os"] == "linux" and worker["arch"] in ("x86_64", "aarch64")
    notes = " ".join(worker["device_notes"])
    for vendor in ("nvidia", "ascend", "cambricon"):
        assert vendor in notes
    shown = server.cli("devices")
    assert "cpu/0" in shown.stdout and "nvidia" in shown.stderr


def test_an_evaluation_is_a_sum_that_adds_up(server):
    found = evaluate(server, str(SMOLLM2), "--ctx", "4096")
    assert found["verdict"] == "fits" and found["model"]["architecture"] == "llama"
    estimate = found["estimate"]
    assert sum(term["bytes"] for term in estimate["terms"]) == estimate["total_bytes"] > SMOLLM2.stat().st_size * 0.9
    assert all(term["formula"] for term in estimate["terms"]) and estimate["unknown"] == []
    [claim] = found["placement"]["claims"]
    assert claim["device"] == "cpu/0" and claim["bytes"] >= estimate["total_bytes"] * 0.9
    assert found["placement"]["context_tokens"] == 4096
    [worker] = found["workers"]
    [device] = [d for d in worker["devices"] if d["device"] == "cpu/0"]
    assert device["chosen"] and device["allocatable_bytes"] >= device["needed_bytes"] > 0 and worker["scores"]
    more = evaluate(server, str(SMOLLM2), "--ctx", "8192")
    assert more["estimate"]["total_bytes"] > estimate["total_bytes"]
    page = server.cli("evaluate", str(SMOLLM2)).stdout
    for word in ("kv_cache", "weights", "cpu/0", "chosen", "fits", "layers"):
        assert word in page, page


def test_what_does_not_fit_says_what_would(server):
    found = evaluate(server, str(SMOLLM2), "--ctx", "60000000", code=1)
    assert found["verdict"] == "does_not_fit" and found["placement"] is None
    [device] = [d for d in found["workers"][0]["devices"] if d["device"] == "cpu/0"]
    assert device["rule"] == "capacity" and device["needed_bytes"] > device["allocatable_bytes"]
    [shorter] = [s for s in found["suggestions"] if s["change"] == "context_tokens"]
    assert evaluate(server, str(SMOLLM2), "--ctx", shorter["value"])["verdict"] == "fits"
    page = server.cli("evaluate", str(SMOLLM2), "--ctx", "60000000", check=False)
    assert page.returncode == 1 and "What would make it fit" in page.stdout


def test_backends_that_cannot_say_why(server):
    lines = server.cli("evaluate", str(SMOLLM2), "--backend", "all").stdout
    for backend in ("engine", "llama-server", "vllm", "sglang", "mindie"):
        assert backend in lines
    assert evaluate(server, str(SMOLLM2), "--backend", "mindie", code=1)["verdict"] == "incompatible"


def test_a_deployment_gets_what_was_evaluated(server):
    promised = evaluate(server, str(SMOLLM2), "--ctx", "2048", "--max-sequences", "4")
    server.deploy("placed", "--ctx", "2048", "--max-sequences", "4")
    try:
        [instance] = server.running("placed")
        assert instance["placement"]["context_tokens"] == 2048
        assert instance["placement"]["estimate_bytes"] == promised["placement"]["estimate_bytes"]
        kept = server.api("GET", f"/api/v1/instances/{instance['id']}/decision").json()
        assert kept["verdict"] == "fits" and kept["placement"]["claims"] == instance["placement"]["claims"]
        assert kept["estimate"]["terms"] and kept["workers"]
        assert "cpu/0" in server.cli("ps").stdout
        # The process is there: what it took is measured, and no more than was promised.
        seen = until(lambda: (lambda i: i if i["memory_peak_bytes"] > 0 else None)(server.instances("placed")[0]), "its memory is measured")
        assert seen["memory_peak_bytes"] <= instance["placement"]["estimate_bytes"] * 1.05
    finally:
        server.cli("rm", "placed", "--yes")


def events(server, stop, out):
    with httpx.stream("GET", f"{server.url}/api/v1/watch?kinds=instances", headers={"Authorization": f"Bearer {server.key}"},
                      timeout=120, verify=TLS) as stream:
        name = None
        for line in stream.iter_lines():
            if line.startswith("event:"):
                name = line[6:].strip()
            if line.startswith("data:") and "object" in line:
                out.append((time.monotonic(), {"type": name, **json.loads(line[5:])}))
            if stop.is_set():
                return


def test_a_freed_device_is_used_at_once(fresh_server):
    server = fresh_server.start()
    room = evaluate(server, str(SMOLLM2), "--ctx", "2048")["workers"][0]["devices"][0]["allocatable_bytes"]
    per_token = evaluate(server, str(SMOLLM2), "--ctx", "2048")["estimate"]["bytes_per_token"]
    context = str(int(room * 0.6 / per_token) // 512 * 512)    # two do not fit
    server.deploy("first", "--ctx", context)
    server.cli("deploy", "second", "--source", str(SMOLLM2), "--ctx", context)
    waiting = until(lambda: (lambda i: i if i and i[0]["reason"] else None)(server.instances("second")), "it waits with a reason")[0]
    assert waiting["state"] == "pending" and "first" in waiting["reason"], waiting["reason"]
    decision = server.api("GET", f"/api/v1/instances/{waiting['id']}/decision").json()
    assert any(s["change"] == "stop" and s["value"] == "first" for s in decision["suggestions"]), decision["suggestions"]

    stop, seen = threading.Event(), []
    watcher = threading.Thread(target=events, args=(server, stop, seen), daemon=True)
    watcher.start()
    until(lambda: seen, "the watch has begun")
    first = server.instances("first")[0]["id"]
    server.cli("rm", "first", "--yes")
    server.running("second")
    stop.set()
    gone = next(at for at, event in seen if event["type"] == "deleted" and event["object"]["id"] == first)
    placed = next(at for at, event in seen if event["object"]["id"] == waiting["id"] and event["object"]["worker_id"])
    assert placed - gone < 0.1, f"{placed - gone:.3f} s from gone to placed"


def test_labels_choose_workers(fresh_server):
    server = fresh_server.start()
    server.cli("deploy", "lab", "--source", str(SMOLLM2), "--ctx", "1024", "--worker-label", "room=lab")
    waiting = until(lambda: (lambda i: i if i and i[0]["reason"] else None)(server.instances("lab")), "it waits with a reason")[0]
    assert "room=lab" in waiting["reason"]
    worker = server.items("/api/v1/workers")[0]["name"]
    server.cli("workers", "label", worker, "room=lab", "disk=ssd")
    server.running("lab")
    server.cli("workers", "label", worker, "disk-")
    assert server.items("/api/v1/workers")[0]["labels"] == {"room": "lab"}
    assert server.cli("workers", "label", worker, "nonsense", check=False).returncode == 2


def recorded_tool(folder, vendor, case, program):
    """A program of that name that answers as the recorded one did: for each command line its recorded output, else status 1."""
    lines = ["#!/bin/sh", 'name=$(printf %s "$(basename "$0")${*:+_}$*" | tr -c "A-Za-z0-9.=,-" _)', f'file="{RECORDED / vendor / case}/$name"',
             '[ -f "$file" ] || { echo "not recorded: $name" >&2; exit 1; }', "sed '1,/^---$/d' \"$file\""]
    path = folder / program
    path.write_text("\n".join(lines) + "\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def ascend_case():
    """A recorded machine with healthy 910B cards of 64 GB."""
    for case in sorted((RECORDED / "ascend").glob("*")):
        text = (case / "npu-smi_info").read_text() if (case / "npu-smi_info").exists() else ""
        if "910B" in text and "/ 65536" in text and "No running processes" in text:
            return case.name
    pytest.fail("no recorded npu-smi output of idle 910B cards with 64 GB")


def test_the_field_reports_models_on_a_recorded_machine_with_npus(tmp_path):
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    recorded_tool(bin_folder, "ascend", ascend_case(), "npu-smi")
    server = Server(tmp_path / "data")
    server.environment_more = {"PATH": f"{bin_folder}:{os.environ['PATH']}"}
    server.start()
    try:
        npus = until(lambda: [d for d in server.cli_json("devices")["items"] if d["vendor"] == "ascend"], "the NPUs are listed")
        assert all(d["chip"] == "910B" and d["memory_total_bytes"] == 65536 << 20 for d in npus)
        for model, cards in (("DeepSeek-R1-Distill-Qwen-7B", 1), ("DeepSeek-R1-Distill-Qwen-14B", 1), ("DeepSeek-R1-Distill-Qwen-32B", 2),
                             ("Qwen3-14B", 1), ("Qwen3-32B", 2)):
            [folder] = [f for f in MODELS.iterdir() if f.name.endswith(model)]
            for backend in ("mindie", "vllm"):
                found = evaluate(server, str(folder), "--backend", backend, "--device-type", "910B")
                used = [c["device"] for c in found["placement"]["claims"] if c["device"].startswith("ascend/")]
                assert len(used) == cards, (model, backend, used, found["reason"])
        folder = next(f for f in MODELS.iterdir() if f.name.endswith("DeepSeek-R1-Distill-Qwen-7B"))
        forced = evaluate(server, str(folder), "--backend", "vllm", "--device-type", "910B", "--device-count", "2")
        assert len([c for c in forced["placement"]["claims"] if c["device"].startswith("ascend/")]) == 2
        by_hand = evaluate(server, str(folder), "--backend", "mindie", "--devices", f"ascend/{npus[-1]['index']}")
        assert by_hand["placement"]["claims"][0]["device"] == f"ascend/{npus[-1]['index']}"
    finally:
        server.stop()


def test_a_fleet_that_is_not_there(server, tmp_path):
    card = {"vendor": "ascend", "name": "Ascend 310P3", "chip": "310P", "memory_total_bytes": 21 << 30}
    cpu = {"vendor": "cpu", "index": 0, "name": "Kunpeng-920", "memory_total_bytes": 256 << 30, "cores": 64}
    fleet = tmp_path / "fleet.json"
    fleet.write_text(json.dumps({"items": [{"name": f"npu-{n}", "os": "linux", "arch": "aarch64",
                                            "devices": [cpu, *({**card, "index": i} for i in range(8))]} for n in range(200)]}))
    folder = next(f for f in MODELS.iterdir() if f.name.endswith("DeepSeek-R1-Distill-Qwen-7B"))
    found = evaluate(server, str(folder), "--fleet", str(fleet), "--backend", "vllm", "--device-type", "310P", code=1)
    assert found["verdict"] == "incompatible" and "310P" in found["reason"], found["reason"]
    assert len(found["workers"]) == 200
    assert server.cli("evaluate", str(folder), "--fleet", str(tmp_path / "none.json"), check=False).returncode == 1
