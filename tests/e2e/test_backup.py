"""What `gantry backup` wrote, `gantry restore` brings back: while serving, on a stopped server's folder, and never half."""
import contextlib
import json
import pathlib
import sqlite3
import threading

import pytest

from changes import Changes, all_of
from conftest import Server, until
from fake_engines import FakeEngines


def keys(server):
    return {key["name"] for key in server.items("/api/v1/keys")}


@pytest.mark.parametrize("serving", [True, False])
def test_a_backup_comes_back(fresh_server, serving):
    server = fresh_server.start()
    server.cli("keys", "create", "before")
    if not serving:
        server.stop()
    made = json.loads(server.cli("backup", "--json").stdout)
    backup = pathlib.Path(made["path"])
    assert (backup.stat().st_size, backup.stat().st_mode & 0o777) == (made["bytes"], 0o600)
    if not serving:
        server.start()
    server.cli("keys", "create", "after")
    refused = server.cli("restore", str(backup), check=False)
    assert refused.returncode == 1 and "stop it first" in refused.stderr, refused.stderr
    server.stop()
    server.cli("restore", str(backup))
    server.start()
    assert "before" in keys(server) and "after" not in keys(server)


def test_what_is_no_backup_changes_nothing(fresh_server, tmp_path):
    server = fresh_server.start()
    server.cli("keys", "create", "mine")
    backup = pathlib.Path(json.loads(server.cli("backup", "--json").stdout)["path"])
    server.stop()
    damaged = tmp_path / "damaged.db"
    whole = backup.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    text = tmp_path / "text.db"
    text.write_text("no database\n" * 1000)
    for wrong in (damaged, text, tmp_path / "absent.db", tmp_path):
        refused = server.cli("restore", str(wrong), check=False)
        assert refused.returncode == 1 and "gantry: " in refused.stderr, refused.stderr
    server.start()
    assert "mine" in keys(server)


def rows(path):
    """Every row of every table, sorted: {table: rows}."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        tables = [name for name, in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]
        return {t: sorted(db.execute(f"SELECT * FROM {t}"), key=repr) for t in tables}


def test_f8_a_backup_under_load_and_changes_is_restored_elsewhere_record_by_record(tmp_path):
    server = Server(tmp_path / "data").start()
    changes = Changes(server)
    over, asked = threading.Event(), []
    try:
        engines = FakeEngines(server, tmp_path).deploy()
        engines.behave(delay_s=0.02)

        def ask():
            while not over.is_set():
                answer = engines.ask(stream=len(asked) % 2 == 0)
                assert answer.status_code == 200
                asked.append(answer.headers["x-request-id"])
        threads = [threading.Thread(target=run) for run in (changes.run, ask, ask)]
        for thread in threads:
            thread.start()
        until(lambda: changes.made >= 30 and len(asked) >= 30, "there is something to keep")
        until(lambda: {r["request_id"] for r in all_of(server, "/api/v1/usage")} >= set(asked[:20]), "usage is in its table")
        # What was acknowledged before the backup began is in it; what was not wanted yet when it was done is not.
        known = {"keys": dict(changes.secrets), "deployments": dict(changes.wanted), "usage": list(asked[:20])}
        made = server.cli_json("backup")
        later = {"keys": set(changes.secrets), "deployments": set(changes.wanted), "gone": set(changes.deleted),
                 "begun": {changes.latest, changes.latest_key}}
        at_least = changes.made + 10
        until(lambda: changes.made >= at_least or changes.failed, "changes go on behind it")
        over.set()
        changes.over.set()
        for thread in threads:
            thread.join()
        assert changes.failed is None, changes.failed
    finally:
        over.set()
        changes.over.set()
        server.stop()
    elsewhere = Server(tmp_path / "elsewhere")
    elsewhere.cli("restore", made["path"])
    backup = rows(made["path"])
    assert len(backup.pop("backup_info")) > 0
    files = dict(backup.pop("backup_files"))
    assert files and {name: (elsewhere.data_dir / name).read_text() for name in files} == files
    control, usage = rows(elsewhere.data_dir / "gantry.db"), rows(elsewhere.data_dir / "usage.db")
    restored = {**control, **usage}
    assert sum(len(r) for r in backup.values()) > 100
    assert {t: r for t, r in backup.items() if r != restored.get(t)} == {}, "each record as it was"
    elsewhere.start()
    try:
        deployments = {d["name"]: d for d in all_of(elsewhere, "/api/v1/deployments")}
        names = {name for name in known["deployments"] if name not in later["gone"]}
        assert names <= set(deployments) <= later["deployments"] | later["gone"] | later["begun"] | {engines.name}
        assert all(deployments[name]["replicas"] == known["deployments"][name] for name in names)
        for name, secret in known["keys"].items():
            assert elsewhere.api("GET", "/api/v1/auth/me", key=secret).status_code == 200, name
        assert {k["name"] for k in all_of(elsewhere, "/api/v1/keys")} <= later["keys"] | later["begun"] | {"e2e"}
        records = [r["request_id"] for r in all_of(elsewhere, "/api/v1/usage")]
        assert set(known["usage"]) <= set(records) and len(records) == len(set(records))
        until(lambda: engines.ask_at(elsewhere).status_code == 200, "what was deployed serves there")
    finally:
        elsewhere.stop()
