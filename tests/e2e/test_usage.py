"""Usage and the audit log, of real requests: sums, CSV, who sees what, and what a kill, a restart and time do to them."""
import csv
import datetime
import io
import json
import sqlite3

import httpx
import pytest

from conftest import serving_smollm2, until

PROMPT = [{"role": "user", "content": "Complete the sentence: The capital of France is"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    yield from serving_smollm2(tmp_path_factory.mktemp("usage"))


def add_user(server, name, key_name="key"):
    assert server.api("POST", "/api/v1/users", json={"name": name, "password": "correct horse", "role": "user"}).status_code == 201
    made = server.api("POST", "/api/v1/keys", json={"name": key_name, "user_id": name})
    assert made.status_code == 201, made.text
    return made.json()["secret"]


def chat(server, key):
    answer = server.api("POST", "/v1/chat/completions", key=key, json={"model": "smollm2", "messages": PROMPT, "max_tokens": 8})
    assert answer.status_code == 200, answer.text
    return answer.json()["usage"]


def leave_early(server, key):
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", timeout=60, headers={"Authorization": f"Bearer {key}"},
                      json={"model": "smollm2", "messages": PROMPT, "max_tokens": 4000, "stream": True, "ignore_eos": True}) as answer:
        lines = answer.iter_lines()   # kept: httpx closes the answer with its iterator
        next(lines)


def summary(server, query, key=None):
    answer = server.api("GET", f"/api/v1/usage/summary?{query}", key=key)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def requests_of(server, user):
    return sum(item["requests"] for item in summary(server, f"bucket=total&user={user}"))


def as_csv(text):
    assert text.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_usage_of_two_users(server):
    ann, bob = add_user(server, "ann"), add_user(server, "bob")
    used = [chat(server, ann) for _ in range(3)]
    chat(server, bob)
    leave_early(server, bob)
    until(lambda: requests_of(server, "ann") == 3 and requests_of(server, "bob") == 2, "all is counted", timeout=20)

    by_user = {item["user_name"]: item for item in summary(server, "bucket=total&group_by=user,model")}
    assert set(by_user) == {"ann", "bob"}
    for field in ("prompt_tokens", "completion_tokens"):
        assert by_user["ann"][field] == sum(u[field] for u in used)
    assert (by_user["ann"]["aborted"], by_user["ann"]["failed"], by_user["ann"]["model"]) == (0, 0, "smollm2")
    assert (by_user["bob"]["aborted"], by_user["bob"]["failed"]) == (1, 0)
    assert by_user["bob"]["completion_tokens"] > 0, "what the one who left had got is counted"
    assert by_user["ann"]["key_id"] is None and by_user["ann"]["bucket"] is None

    total = {field: value for field, value in summary(server, "bucket=total")[0].items() if isinstance(value, int)}
    records = server.items("/api/v1/usage")
    assert total["requests"] == len(records) == 5
    assert total["completion_tokens"] == sum(r["completion_tokens"] for r in records)
    for bucket in ("hour", "day"):
        items = summary(server, f"bucket={bucket}&group_by=user,key,model,instance,operation")
        assert {field: sum(item[field] for item in items) for field in total} == total
        assert all(item["instance_id"] and item["operation"] == "chat" and item["key_name"] == "key" for item in items)

    # Nobody but an admin sees another's.
    assert [item["user_name"] for item in summary(server, "bucket=total&group_by=user", key=ann)] == ["ann"]
    assert {r["user_name"] for r in server.api("GET", "/api/v1/usage", key=bob).json()["items"]} == {"bob"}
    for path in ("/api/v1/usage", "/api/v1/usage/summary"):
        assert server.api("GET", f"{path}?user=bob", key=ann).status_code == 404
        assert server.api("GET", f"{path}?user=bob&format=csv", key=ann).status_code == 404
        assert "ann" not in server.api("GET", f"{path}?group_by=user&format=csv", key=bob).text


def test_csv_says_what_json_says(server):
    key = add_user(server, "eve", key_name='=cmd("x"),1')
    chat(server, key)
    until(lambda: requests_of(server, "eve") == 1, "it is counted", timeout=20)
    for path in ("/api/v1/usage?order=asc", "/api/v1/usage/summary?bucket=hour&group_by=user,key,model"):
        answer = server.api("GET", path, headers={"Accept": "text/csv"})
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/csv")
        assert "attachment" in answer.headers["content-disposition"]
        rows, items = as_csv(answer.text), server.items(path)
        assert len(rows) == len(items)
        for row, item in zip(rows, items):
            assert list(row) == list(item)
            for field, value in item.items():
                shown = "" if value is None else json.dumps(value) if not isinstance(value, str) else value
                assert row[field] == ("'" if shown.startswith("=") else "") + shown
        assert '\'=cmd("x"),1' in [row["key_name"] for row in rows]


def test_the_command_line(server):
    items = server.cli_json("usage", "--by", "user,model")["items"]
    assert {item["user_name"] for item in items} >= {"ann", "bob"}
    table = server.cli("usage", "--by", "user", "--bucket", "day", "--from", "1d").stdout
    assert table.splitlines()[0].split()[:3] == ["DAY", "USER", "REQUESTS"]
    assert any(line.split()[1] == "ann" for line in table.splitlines()[1:])
    rows = list(csv.DictReader(io.StringIO(server.cli("usage", "--records", "--csv").stdout)))   # line ends as Python reads them
    assert len(rows) == len(server.items("/api/v1/usage?limit=500"))
    nothing = server.cli("usage", "--to", "2001-01-01")
    assert nothing.stdout == "" and "no usage" in nothing.stderr
    assert server.cli("usage", "--from", "tomorrow", check=False).returncode == 1
    assert "usage" in server.cli("completion", "bash").stdout


def test_changes_are_recorded(server):
    server.cli("scale", "smollm2", "1")                                   # as it is: nothing changed
    server.cli("users", "create", "mallory", "--generate", "--quiet")
    secret = server.cli("keys", "create", "spare", "--quiet").stdout.strip()
    made = server.api("POST", "/api/v1/deployments", json={"name": "idle", "source": "file:/nowhere.gguf", "stopped": True,
                                                           "options": {"env": {"HF_TOKEN": "hf_very_secret"}}})
    assert made.status_code == 201
    server.cli("scale", "idle", "2")
    server.cli("rm", "idle", "--yes")
    login = httpx.post(f"{server.url}/api/v1/auth/login", json={"name": "mallory", "password": "wrong password"}, timeout=30)
    assert login.status_code == 401
    server.cli("reset-password", "mallory")

    events = server.api("GET", "/api/v1/audit?order=desc&limit=500").json()["items"]
    reset, failed, deleted, scaled, created, key, user = events[:7]
    assert (user["action"], user["object_kind"], user["object_name"], user["via"]) == ("create", "user", "mallory", "admin socket")
    assert {"field": "role", "from": None, "to": "user"} in user["changes"]
    assert {"field": "password", "from": None, "to": None} in user["changes"]
    assert (key["object_kind"], key["object_name"]) == ("key", "spare")
    assert (created["object_kind"], created["via"][:4], created["peer"]) == ("deployment", "key_", "127.0.0.1")
    assert created["request_id"] == made.headers["x-request-id"] and created["status"] == 201
    assert scaled["changes"] == [{"field": "replicas", "from": "1", "to": "2"}]
    assert (deleted["action"], deleted["object_name"]) == ("delete", "idle")
    assert (failed["action"], failed["status"], failed["actor_id"], failed["actor_name"]) == ("login", 401, "", "mallory")
    assert {"field": "password", "from": None, "to": None} in reset["changes"]
    text = server.api("GET", "/api/v1/audit?format=csv").text
    for hidden in ("hf_very_secret", secret, "wrong password", "argon2"):
        assert hidden not in text and hidden not in json.dumps(events)
    assert len(as_csv(text)) == len(events)

    lines = server.cli("audit", "--kind", "deployment", "--limit", "2").stdout.splitlines()
    assert lines[0].split()[:3] == ["TIME", "WHO", "VIA"] and "delete" in lines[1] and "replicas: 1 -> 2" in lines[2]
    assert len(server.cli_json("audit", "--object", "idle")["items"]) == 3
    ann = server.api("POST", "/api/v1/keys", json={"name": "k", "user_id": "ann"}).json()["secret"]
    assert server.api("GET", "/api/v1/audit", key=ann).status_code == 403


def test_a_kill_counts_nothing_twice(server):
    key = server.api("POST", "/api/v1/keys", json={"name": "k2", "user_id": "ann"}).json()["secret"]
    before = requests_of(server, "ann")
    chat(server, key)
    until(lambda: requests_of(server, "ann") == before + 1, "it is counted", timeout=20)
    server.kill9()
    server.start()
    server.running("smollm2")
    chat(server, key)                                                     # counted behind what the journal had before
    until(lambda: requests_of(server, "ann") >= before + 2, "the new one is counted", timeout=20)
    assert requests_of(server, "ann") == before + 2


def test_old_records_go_and_their_sums_stay(server):
    """A file of the time before there were sums, with a record of half a year ago in it."""
    server.stop()
    long_ago = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=180)
    with sqlite3.connect(server.data_dir / "usage.db") as db:
        fresh = db.execute("SELECT count(*) FROM usage_records").fetchone()[0]
        for newer in ("audio_ms", "images"):
            db.execute(f"ALTER TABLE usage_records DROP COLUMN {newer}")
        db.execute("INSERT INTO usage_records VALUES ('old', ?, 'usr_gone', '', 'bygone', 'ins_x', 'chat', 200, 0, 0, 7, 0, 9, 0, 0, 5)",
                   (int(long_ago.timestamp() * 1000),))
        db.execute("DROP TABLE usage_hours")
        db.execute("PRAGMA user_version = 1")
    db.close()
    server.start()
    half = f"to={(long_ago + datetime.timedelta(days=30)).date()}"
    until(lambda: server.items(f"/api/v1/usage?{half}") == [], "the old record is gone", timeout=30)
    old = summary(server, f"bucket=day&group_by=user,model&{half}")
    assert [(o["bucket"][:10], o["user_id"], o["user_name"], o["model"], o["requests"], o["completion_tokens"]) for o in old] == [
        (str(long_ago.date()), "usr_gone", "", "bygone", 1, 9)]
    assert sum(item["requests"] for item in summary(server, "bucket=total")) == fresh + 1
    assert len(as_csv(server.api("GET", "/api/v1/usage?format=csv").text)) == fresh
    until(lambda: "1 records older than 90 days deleted" in server.log(), "the line of the log, which lingers", timeout=5)
