"""What a person who watches a server sees: metrics, the dashboard, the log, requests in flight."""
import json
import re
import subprocess
import threading

import pytest

from conftest import GANTRY, ROOT, until

DASHBOARD = json.loads((ROOT / "docs/grafana/gantry.json").read_text())
# There only once it has happened (docs/monitoring.md).
EVENTS = {"gantry_gateway_usage_lost_total", "gantry_audit_lost_total", "gantry_reconcile_errors_total"}


def expressions():
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def metrics_of(expression):
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"gantry_[a-z0-9_]+", expression)}


def test_the_dashboard_names_only_metrics_that_are_documented():
    documented = set(re.findall(r"`(gantry_[a-z0-9_]+)`", (ROOT / "docs/metrics.md").read_text()))
    for title, expression in expressions():
        assert metrics_of(expression), title
        assert metrics_of(expression) <= documented, title


def test_the_dashboard_can_be_imported_anywhere():
    variables = {v["name"]: v for v in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and variables["model"]["type"] == "query"
    assert DASHBOARD["schemaVersion"] and DASHBOARD["uid"] and "id" not in DASHBOARD
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in DASHBOARD["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
            assert all(t["datasource"]["uid"] == "${datasource}" for t in panel["targets"])
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Traffic", "Latency by model", "Tokens", "Errors and refusals", "Instances, workers, devices", "Engine"]


@pytest.fixture(scope="module")
def scrape(server):
    """After one stream, one refusal by a limit and one by authentication, by a key that can do nothing else."""
    client = server.openai()
    chunks = list(client.chat.completions.create(model="smollm2", messages=[{"role": "user", "content": "Count to nine."}],
                                                 max_tokens=12, stream=True))
    assert len(chunks) > 2
    limited = server.cli("keys", "create", "limited", "--rpm", "1", "--quiet").stdout.strip()
    body = {"model": "smollm2", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1}
    assert server.api("POST", "/v1/chat/completions", key=limited, json=body).status_code == 200
    assert server.api("POST", "/v1/chat/completions", key=limited, json=body).status_code == 429
    assert server.api("GET", "/v1/models", key="gtk_wrong").status_code == 401
    assert server.request("POST", "/api/v1/auth/login", json={"name": "admin", "password": "wrong"}).status_code == 401
    server.cli("users", "create", "prometheus", "--generate")
    key = server.cli("keys", "create", "scrape", "--user", "prometheus", "--scope", "management", "--quiet").stdout.strip()
    answer = server.api("GET", "/metrics", key=key)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return answer.text


def test_the_dashboard_finds_its_metrics_in_a_real_scrape(scrape):
    families = set(re.findall(r"^# TYPE (\S+) ", scrape, re.M))
    for title, expression in expressions():
        assert metrics_of(expression) - EVENTS <= families, title


def test_a_scrape_is_well_formed(scrape):
    """Each family once, all its samples together, as the format demands."""
    types = re.findall(r"^# TYPE (\S+) ", scrape, re.M)
    assert len(types) == len(set(types))
    family = None
    for line in scrape.splitlines():
        if line.startswith("# TYPE "):
            family = line.split()[2]
        elif not line.startswith("#"):
            assert re.fullmatch(r'[a-z_0-9]+(\{([a-z_]+="([^"\\]|\\.)*",?)*\})? \S+', line), line
            assert re.sub(r"_(bucket|sum|count)$", "", line.split("{")[0].split(" ")[0]) in (family, re.sub(r"_count$", "", family)), line


def test_what_a_client_waits_for_is_told_apart(scrape):
    def value(series):
        return float(re.search(rf"^{re.escape(series)} (\S+)", scrape, re.M).group(1))

    for name in ("time_to_first_token", "request", "queue", "prefill", "decode"):
        assert value(f'gantry_gateway_{name}_seconds_count{{model="smollm2"}}') >= 2, name
    assert value('gantry_gateway_inter_token_seconds_count{model="smollm2"}') >= 2
    assert value('gantry_gateway_decode_seconds_sum{model="smollm2"}') > 0
    assert re.search(r'^gantry_engine_steps_total\{model="smollm2",engine="ins_\w+"\} [1-9]', scrape, re.M)


def test_a_request_is_one_line_of_the_log(server):
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = server.api("POST", "/v1/chat/completions", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"},
                        json={"model": "smollm2", "messages": [{"role": "user", "content": "Zanzibar?"}], "max_tokens": 4})
    assert answer.status_code == 200
    log = server.data_dir / "logs/gantry.log"
    request_id = answer.headers["x-request-id"]
    until(lambda: request_id in log.read_text(), "the line is written")
    [line] = [line for line in log.read_text().splitlines() if request_id in line]
    usage = answer.json()["usage"]
    for part in (f"trace={trace} ", "user=admin ", "model=smollm2 instance=ins_", "op=chat ",
                 f"tokens={usage['prompt_tokens']}+{usage['completion_tokens']}"):
        assert part in line, line
    assert "Zanzibar" not in log.read_text()


class LongStream:
    """A stream that goes on until somebody ends it, read by a thread."""

    def __init__(self, server, key=None):
        self.chunks, self.error = [], None
        client = server.openai().with_options(api_key=key) if key else server.openai()
        self.first = threading.Event()
        self.thread = threading.Thread(target=self.read, args=(client,))
        self.thread.start()
        assert self.first.wait(60)

    def read(self, client):
        try:
            for chunk in client.chat.completions.create(model="smollm2", messages=[{"role": "user", "content": "Tell a long story."}],
                                                        max_tokens=4000, stream=True, extra_body={"ignore_eos": True}):
                self.chunks.append(chunk)
                self.first.set()
        except Exception as error:   # the client's own types differ by version
            self.error = error
        self.first.set()


def test_requests_in_flight_are_listed_and_cancelled(server):
    server.cli("users", "create", "eve", "--generate")
    eves = server.cli("keys", "create", "eves", "--user", "eve", "--quiet").stdout.strip()
    mine, hers = LongStream(server), LongStream(server, key=eves)
    try:
        listed = until(lambda: (lambda found: found if len(found) == 2 else None)(
            [r for r in server.items("/api/v1/requests?model=smollm2") if r["state"] == "streaming"]), "both are listed")
        [of_eve] = [r for r in listed if r["user_name"] == "eve"]
        assert of_eve["key_name"] == "eves" and of_eve["peer"] == "127.0.0.1" and of_eve["stream"] and of_eve["operation"] == "chat"
        assert of_eve["instance_id"] in [i["id"] for i in server.instances("smollm2")]
        until(lambda: next(r for r in server.items("/api/v1/requests") if r["id"] == of_eve["id"])["completion_tokens"]
              > of_eve["completion_tokens"], "its tokens are counted")
        # Each sees the own; another's can't be cancelled.
        seen = server.api("GET", "/api/v1/requests", key=eves).json()["items"]
        assert [r["id"] for r in seen] == [of_eve["id"]] and seen[0]["peer"] is None
        [of_admin] = [r for r in listed if r["user_name"] != "eve"]
        assert server.api("DELETE", f"/api/v1/requests/{of_admin['id']}", key=eves).status_code == 404

        table = server.cli("requests").stdout
        assert "REQUEST" in table and of_eve["id"] in table and "streaming" in table
        assert {r["id"] for r in server.cli_json("requests")["items"]} == {of_eve["id"], of_admin["id"]}
        watcher = subprocess.Popen([GANTRY, "requests", "--watch", "-q"], stdout=subprocess.PIPE, text=True, env=server.environment())
        looks = [watcher.stdout.readline().strip() for _ in range(4)]   # two looks at two requests
        watcher.terminate()
        watcher.wait()
        assert set(looks) == {of_eve["id"], of_admin["id"]}

        server.cli("requests", "cancel", of_eve["id"])
        hers.thread.join(30)
        assert "cancelled_by_admin" in str(hers.error) or "administrator cancelled" in str(hers.error), hers.error
        assert server.api("DELETE", f"/api/v1/requests/{of_admin['id']}").status_code == 200
        mine.thread.join(30)
        assert "cancelled by its own user" in str(mine.error) or "cancelled_by_user" in str(mine.error), mine.error
        assert server.cli("requests", "cancel", of_eve["id"], check=False).returncode == 1
    finally:
        for request in server.items("/api/v1/requests"):
            server.api("DELETE", f"/api/v1/requests/{request['id']}")
    until(lambda: server.in_flight() == 0, "nothing is in flight")
    record = until(lambda: next((r for r in server.items("/api/v1/usage?order=desc") if r["request_id"] == of_eve["id"]), None), "its record")
    assert record["aborted"] and record["completion_tokens"] >= of_eve["completion_tokens"] and record["user_name"] == "eve"
    [entry] = [e for e in server.items("/api/v1/audit?kind=request") if e["object_id"] == of_eve["id"]]
    assert entry["action"] == "cancel" and entry["object_name"] == "eve"


def test_completion_asks_the_server(server, tmp_path):
    script = tmp_path / "gantry.bash"
    script.write_text(server.cli("completion", "bash").stdout + f'gantry() {{ {GANTRY} "$@"; }}\n'
                      'COMP_WORDS=(gantry logs smol); COMP_CWORD=2; _gantry; echo "${COMPREPLY[*]}"\n')
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, env=server.environment(), timeout=30)
    assert done.stdout.split() == ["smollm2"], done.stderr
