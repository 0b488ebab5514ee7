"""What `gantry backup` wrote, `gantry restore` brings back: while serving, on a stopped server's folder, and never half."""
import json
import pathlib

import pytest


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
