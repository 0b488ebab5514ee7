"""The command line as a person uses it."""
import json
import subprocess
import time

from conftest import GANTRY, LLAMA_SERVER, SMOLLM2, until


def test_lists(server):
    assert "smollm2" in server.cli("ps").stdout
    assert any(d["name"] == "smollm2" for d in server.cli_json("ps")["deployments"])
    devices = server.cli_json("devices")["items"]
    assert devices and devices[0]["vendor"] == "cpu" and devices[0]["memory_total_bytes"] > 1 << 30
    models = server.cli_json("ls")["items"]
    assert models[0]["meta"]["architecture"] == "llama" and models[0]["meta"]["quantization"] == "Q4_1"
    assert server.cli("workers").stdout


def test_run_answers_a_prompt(server):
    # Sampled at the server's default temperature: the words are not for a test to know, and nor is their end.
    assert server.cli("run", "smollm2", "Complete the sentence: The capital of France is", "--max-tokens", "32").stdout.strip()


def test_compare_json(server):
    report = json.loads(server.cli("compare", "smollm2", "-n", "1,6", "--max-tokens", "16", "--json").stdout)
    assert report["version"] == 1 and report["machine"]
    target = report["targets"][0]
    assert target["name"] == "smollm2" and [run["concurrency"] for run in target["runs"]] == [1, 6]
    six = target["runs"][1]
    assert six["requests_ok"] == 6 and six["requests_failed"] == 0 and six["output_tokens"] == 6 * 16
    assert six["throughput_tok_s"] > 0 and six["ttft_ms"]["mean"] > 0 and len(six["samples"]) == 6
    for name in ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms"):
        assert set(six[name]) == {"mean", "p50", "p90", "p99", "max"}


def test_compare_table(server):
    table = server.cli("compare", "smollm2", "-n", "1", "--max-tokens", "8").stdout
    for word in ("TTFT", "TPOT", "ITL", "smollm2"):
        assert word in table


def test_wrong_usage_and_missing_things(server):
    assert server.cli("frobnicate", check=False).returncode == 2
    gone = server.cli("stop", "smollm3", check=False)
    assert gone.returncode == 1 and "smollm3" in gone.stderr and "smollm2" in gone.stderr   # did you mean
    assert server.cli("version").stdout.strip()
    assert "complete" in server.cli("completion", "bash").stdout


def test_no_server_says_what_to_do(tmp_path):
    done = subprocess.run([GANTRY, "ps"], capture_output=True, text=True,
                          env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "GANTRY_DATA_DIR": str(tmp_path)})
    assert done.returncode == 1 and "gantry serve" in done.stderr


def test_life_of_a_deployment(server):
    server.deploy("life", "--ctx", "2048")
    [first] = server.running("life")
    server.cli("scale", "life", "2")
    both = server.running("life", 2)
    assert first["id"] in [i["id"] for i in both]
    server.cli("scale", "life", "1")
    until(lambda: len(server.instances("life")) == 1, "one instance is left")
    assert "ready: " in server.cli("logs", "life").stdout
    server.cli("stop", "life")
    until(lambda: not server.instances("life"), "no instance is left")
    answer = server.api("POST", "/v1/chat/completions", json={"model": "life", "messages": [{"role": "user", "content": "x"}]})
    assert answer.status_code == 503 and "stopped" in answer.json()["error"]["message"]
    server.cli("start", "life", "--wait")
    server.running("life")
    server.cli("rm", "life", "--yes")
    until(lambda: all(i["deployment_name"] != "life" for i in server.items("/api/v1/instances")), "no instance is left")
    assert "life" not in server.cli("ps").stdout


def test_what_instances_went_through_and_do(server):
    server.deploy("seen", "--ctx", "1024")
    [instance] = server.running("seen")
    events = server.cli_json("instances", "events", "seen")["items"]
    assert [e["state"] for e in events][-1] == "running" and "starting" in [e["state"] for e in events]
    assert {e["instance_id"] for e in events} == {instance["id"]} and events == sorted(events, key=lambda e: e["at"])
    assert server.items(f"/api/v1/instances/{instance['id']}/events") == [{k: v for k, v in e.items() if k != "instance_id"} for e in events]
    table = server.cli("instances", "events", instance["id"]).stdout
    assert table.splitlines()[0].split() == ["TIME", "INSTANCE", "STATE", "RESTARTS", "REASON"] and "running" in table.splitlines()[-1]

    why = server.cli("instances", "why", instance["id"]).stdout
    assert "verdict  fits" in why and "chosen" in why and instance["worker_name"] in why
    assert server.cli_json("instances", "why", instance["id"])["verdict"] == "fits"

    assert server.api("POST", "/v1/chat/completions", json={"model": "seen", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}).status_code == 200
    [figures] = server.cli_json("instances", "metrics", "seen")["items"]
    assert figures["instance_id"] == instance["id"] and figures["generated_tokens_total"] >= 1 and figures["first_token_count"] == 1
    shown = server.cli("instances", "metrics", "seen").stdout
    assert instance["id"] in shown and "MEAN TTFT" in shown and " s" in shown.splitlines()[1]
    follower = subprocess.Popen([GANTRY, "instances", "metrics", "seen", "--follow", "--json"], stdout=subprocess.PIPE, text=True, env=server.environment())
    try:
        looks = [json.loads(follower.stdout.readline()) for _ in range(2)]
        assert looks[0]["at"] < looks[1]["at"] and looks[1]["items"][0]["instance_id"] == instance["id"]

        server.cli("instances", "restart", instance["id"])
        [other] = until(lambda: [i for i in server.running("seen") if i["id"] != instance["id"]], "another takes its place")
        assert server.cli("instances", "events", instance["id"], check=False).returncode == 1
        assert other["id"] in server.cli("instances", "events", "seen").stdout
        server.cli("rm", "seen", "--yes")
        assert follower.wait(30) == 0, "it ends with the deployment"
    finally:
        follower.kill()
    assert server.cli("instances", "metrics", "sean", check=False).returncode == 1


def test_logs_follow(server):
    follower = subprocess.Popen([GANTRY, "logs", "-f", "smollm2"], stdout=subprocess.PIPE, text=True, env=server.environment())
    try:
        assert follower.stdout.readline()
        assert follower.poll() is None   # it goes on following
    finally:
        follower.terminate()
        follower.wait()


def test_two_backends_side_by_side(server):
    """The field report's experiment: one model, two backends, six panels."""
    server.deploy("rival", "--backend", "llama-server", "--binary", LLAMA_SERVER, "--ctx", "8192", "--max-sequences", "8")
    try:
        answer = server.openai().chat.completions.create(
            model="rival", messages=[{"role": "user", "content": "Complete the sentence: The capital of France is"}], temperature=0, max_tokens=24)
        assert "Paris" in answer.choices[0].message.content and answer.model == "rival"
        report = json.loads(server.cli("compare", "smollm2", "rival", "-n", "6", "--max-tokens", "8", "--json").stdout)
        assert [t["backend"] for t in report["targets"]] == ["engine", "llama-server"]
        assert all(t["runs"][0]["requests_ok"] == 6 for t in report["targets"])
    finally:
        server.cli("rm", "rival", "--yes")


def test_custom_backend(server):
    command = f"{LLAMA_SERVER} -m {{{{model}}}} --port {{{{port}}}} --alias {{{{name}}}} --host 127.0.0.1 -c 4096 -np 2 -t 1"
    server.deploy("own", "--backend", "custom", "--command", command, "--health-path", "/health", "--env", "LLAMA_ARG_VERBOSITY=1")
    try:
        chunks = list(server.openai().chat.completions.create(
            model="own", messages=[{"role": "user", "content": "Say hello."}], max_tokens=8, stream=True))
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert {c.model for c in chunks} == {"own"}
    finally:
        server.cli("rm", "own", "--yes")


def test_backend_that_cannot_start_says_why(server):
    done = server.cli("deploy", "broken", "--source", f"file:{SMOLLM2}", "--backend", "llama-server", "--binary",
                      "/no/such/llama-server", "--wait", check=False)
    assert done.returncode == 1 and "/no/such/llama-server" in done.stderr
    server.cli("rm", "broken", "--yes")
    opened = server.cli("deploy", "open", "--source", f"file:{SMOLLM2}", "--backend", "custom", "--command", "/bin/true {{what}}",
                        "--wait", check=False)
    assert opened.returncode == 1 and "{{what}}" in opened.stderr
    server.cli("rm", "open", "--yes", check=False)


def test_first_token_soon_after_deploy(server):
    """A smoke bound, far above the goal of 1 s that `./dev bench start` measures."""
    begin = time.monotonic()
    server.deploy("quick", "--ctx", "2048")
    server.openai().chat.completions.create(model="quick", messages=[{"role": "user", "content": "Hi"}], max_tokens=1)
    server.cli("rm", "quick", "--yes")
    assert time.monotonic() - begin < 30
