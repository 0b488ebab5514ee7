"""`gantry import gpustack`: a database as GPUStack 0.7.1 leaves it, with the tables of routes that 2.1 added (made by the columns of its migrations)."""
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile

import pytest

from conftest import GANTRY, SMOLLM2, Server, free_port

SCHEMA = """
CREATE TABLE models (deleted_at DATETIME, source VARCHAR(14) NOT NULL, huggingface_repo_id VARCHAR, huggingface_filename VARCHAR,
  ollama_library_model_name VARCHAR, model_scope_model_id VARCHAR, model_scope_file_path VARCHAR, local_path VARCHAR, name VARCHAR NOT NULL,
  description TEXT, replicas INTEGER NOT NULL, ready_replicas INTEGER NOT NULL, categories JSON, placement_strategy VARCHAR(7) NOT NULL,
  cpu_offloading BOOLEAN, worker_selector JSON, gpu_selector JSON, backend VARCHAR, backend_version VARCHAR, backend_parameters JSON, env JSON,
  restart_on_error BOOLEAN, id INTEGER NOT NULL PRIMARY KEY, created_at DATETIME NOT NULL, updated_at DATETIME NOT NULL);
CREATE TABLE users (deleted_at DATETIME, username VARCHAR NOT NULL, is_admin BOOLEAN NOT NULL, full_name VARCHAR, require_password_change BOOLEAN NOT NULL,
  source VARCHAR(255), is_active BOOLEAN, is_system BOOLEAN, id INTEGER NOT NULL PRIMARY KEY, hashed_password VARCHAR, created_at DATETIME NOT NULL,
  updated_at DATETIME NOT NULL);
CREATE TABLE api_keys (deleted_at DATETIME, name VARCHAR NOT NULL, id INTEGER NOT NULL PRIMARY KEY, access_key VARCHAR NOT NULL, hashed_secret_key VARCHAR NOT NULL,
  user_id INTEGER NOT NULL);
CREATE TABLE model_routes (id INTEGER PRIMARY KEY NOT NULL, name VARCHAR NOT NULL, deleted_at DATETIME);
CREATE TABLE model_route_targets (id INTEGER PRIMARY KEY NOT NULL, route_id INTEGER NOT NULL, model_id INTEGER, provider_id INTEGER, weight INTEGER,
  fallback_status_codes JSON, deleted_at DATETIME);
"""


def add(db, table, **row):
    columns = {"created_at": "2025-08-01 10:00:00", "updated_at": "2025-08-01 10:00:00", **row} if table in ("models", "users") else row
    db.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
               [json.dumps(v) if isinstance(v, (list, dict)) else v for v in columns.values()])


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "database.db"
    with sqlite3.connect(path) as db:
        db.executescript(SCHEMA)
        common = {"ready_replicas": 0, "placement_strategy": "SPREAD"}
        add(db, "models", id=1, name="small", source="LOCAL_PATH", local_path=str(SMOLLM2), replicas=1, backend="llama-box", cpu_offloading=1,
            backend_parameters=["--ctx-size=1024", "--flash-attn"], env={"A": "b"}, **common)
        add(db, "models", id=2, name="other", source="LOCAL_PATH", local_path=str(SMOLLM2), replicas=0, backend="llama-box", **common)
        add(db, "models", id=3, name="qwen", source="HUGGING_FACE", huggingface_repo_id="Qwen/Qwen2.5-7B-Instruct-GGUF", huggingface_filename="*q4_k_m*.gguf",
            replicas=2, worker_selector={"rack": "a"}, gpu_selector={"gpu_ids": ["w:cuda:0"]}, **{**common, "placement_strategy": "BINPACK"})
        add(db, "models", id=4, name="big", source="MODEL_SCOPE", model_scope_model_id="Qwen/Qwen3-32B", replicas=1, backend="vLLM",
            backend_parameters=["--max-model-len=8192"], **common)
        add(db, "models", id=5, name="llama3", source="OLLAMA_LIBRARY", ollama_library_model_name="llama3", replicas=1, backend="llama-box", **common)
        add(db, "models", id=6, name="voice", source="HUGGING_FACE", huggingface_repo_id="Systran/faster-whisper-small", replicas=1, backend="vox-box", **common)
        add(db, "models", id=7, name="gone", source="LOCAL_PATH", local_path="/x", replicas=1, deleted_at="2025-08-02 10:00:00", **common)
        user = {"require_password_change": 0, "hashed_password": "$argon2id$v=19$m=65536,t=3,p=4$AAAA$BBBB"}
        add(db, "users", id=1, username="admin", is_admin=1, **user)
        add(db, "users", id=2, username="ann", is_admin=0, **user)
        add(db, "users", id=3, username="ben", is_admin=1, **user)
        add(db, "users", id=4, username="old", is_admin=0, is_active=0, **user)
        add(db, "users", id=5, username="system/worker-1", is_admin=0, is_system=1, **user)
        add(db, "api_keys", id=1, name="k", access_key="a", hashed_secret_key="h", user_id=2)
        add(db, "model_routes", id=1, name="small")
        add(db, "model_route_targets", id=1, route_id=1, model_id=1, weight=100)
        add(db, "model_routes", id=2, name="both")
        add(db, "model_route_targets", id=2, route_id=2, model_id=1, weight=70)
        add(db, "model_route_targets", id=3, route_id=2, model_id=2, weight=0, fallback_status_codes=["5xx"])
        add(db, "model_routes", id=3, name="lost")
        add(db, "model_route_targets", id=4, route_id=3, model_id=5, weight=1)
    return path


# Where Debian has the server's programs; they refuse to run as root.
POSTGRESQL = next(iter(sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@pytest.fixture
def postgresql(database):
    """The same in a PostgreSQL of the test's own, by the columns' types: its URL, and a function that runs SQL there."""
    if POSTGRESQL is None:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    as_other = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
    folder = pathlib.Path(tempfile.mkdtemp(prefix="gantry-pg-", dir="/tmp"))   # short, for its socket; nobody may go there
    if as_other:
        shutil.chown(folder, "nobody")

    def program(name, *words, **more):
        return subprocess.run([*as_other, POSTGRESQL / name, *map(str, words)], cwd=folder, check=True, capture_output=True, text=True, **more)
    port = free_port()
    program("initdb", "-D", folder / "data", "-U", "gpustack", "-A", "trust", "-E", "UTF8", "--no-sync")
    program("pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w", "-o",
            f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off", "start")

    def sql(text):
        return program("psql", "-h", folder, "-p", port, "-U", "gpustack", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-qtA", input=text).stdout
    try:
        sql(SCHEMA.replace("DATETIME", "TIMESTAMP"))
        with sqlite3.connect(database) as source:
            for table, in source.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                columns = source.execute(f"PRAGMA table_info({table})").fetchall()
                for row in source.execute(f"SELECT * FROM {table}").fetchall():
                    values = [sql_text(value, column[2]) for column, value in zip(columns, row)]
                    sql(f"INSERT INTO {table} ({', '.join(c[1] for c in columns)}) VALUES ({', '.join(values)});")
        yield f"postgresql://gpustack@127.0.0.1:{port}/postgres", sql
    finally:
        program("pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
        shutil.rmtree(folder)


def sql_text(value, kind):
    if value is None:
        return "NULL"
    if kind == "BOOLEAN":
        return "TRUE" if value else "FALSE"
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def run(*words):
    return subprocess.run([GANTRY, "import", "gpustack", *map(str, words)], capture_output=True, text=True, timeout=60)


def test_what_comes_along_and_what_does_not(database):
    before = database.read_bytes()
    plan = json.loads(run("--database", database, "--json").stdout)
    made = {d["name"]: d for d in plan["deployments"]}
    assert {name: (d["source"], d["backend"], d["replicas"], d["stopped"]) for name, d in made.items()} == {
        "small": (f"file:{SMOLLM2}", "engine", 1, True), "other": (f"file:{SMOLLM2}", "engine", 1, True),
        "qwen": ("hf:Qwen/Qwen2.5-7B-Instruct-GGUF:Q4_K_M", "engine", 2, True), "big": ("modelscope:Qwen/Qwen3-32B", "vllm", 1, True)}
    assert made["small"]["options"] == {"context_tokens": 1024, "env": {"A": "b"}}
    assert made["big"]["options"] == {"extra_args": ["--max-model-len=8192"]}
    assert made["qwen"]["placement"] == {"strategy": "binpack", "worker_labels": {"rack": "a"}}
    assert [(u["name"], u["role"]) for u in plan["users"]] == [("admin", "admin"), ("ann", "user"), ("ben", "admin")]
    assert plan["routes"] == [{"name": "both", "fallback": "other", "targets": [{"model": "small", "weight": 70}]}]
    notes = "\n".join(plan["notes"])
    for said in ("small: its arguments for llama-box are left out: --flash-attn", "qwen: its GPUs were chosen by hand",
                 "llama3: not carried over: its source, ollama_library", "voice: not carried over: no backend here is vox-box",
                 "old: not carried over: this user is not active", "lost: not carried over", "1 API keys: not carried over"):
        assert said in notes, notes
    assert "gone" not in notes and database.read_bytes() == before
    started = json.loads(run("--database", database, "--json", "--start").stdout)
    assert {d["name"]: d["stopped"] for d in started["deployments"]} == {"small": False, "other": True, "qwen": False, "big": False}


def test_into_a_server(database, tmp_path):
    with sqlite3.connect(database) as db:      # no hub is asked by this test
        db.execute("DELETE FROM models WHERE id IN (3, 4)")
    server = Server(tmp_path / "data").start()
    try:
        assert "+ deployment small" in server.cli("import", "gpustack", "--database", str(database), "--dry-run").stdout
        assert not server.items("/api/v1/deployments")
        done = server.cli("import", "gpustack", "--database", str(database))
        passwords = dict(line.split() for line in done.stdout.splitlines())
        assert set(passwords) == {"ann", "ben"} and "user admin is there already" in done.stderr
        assert sorted(d["name"] for d in server.items("/api/v1/deployments")) == ["other", "small"]
        assert [r["name"] for r in server.items("/api/v1/routes")] == ["both"]
        server.cli("start", "small", "--wait")
        assert server.openai().chat.completions.create(model="both", messages=[{"role": "user", "content": "Hi"}], max_tokens=2).choices
        login = server.request("POST", "/api/v1/auth/login", json={"name": "ann", "password": passwords["ann"]})
        assert login.status_code == 200, login.text
        again = server.cli("import", "gpustack", "--database", str(database))
        assert again.stdout == "" and again.stderr.count("is there already") == 6
    finally:
        server.stop()


def test_postgresql_holds_the_same(database, postgresql):
    url, sql = postgresql
    here, there = run("--database", database, "--json"), run("--database", url, "--json")
    assert there.returncode == 0, there.stderr
    assert json.loads(there.stdout) == json.loads(here.stdout)
    sql("CREATE TABLE principals (id INTEGER, kind VARCHAR, name VARCHAR, is_admin BOOLEAN); INSERT INTO principals VALUES (1, 'USER', 'eva', TRUE);"
        "DROP TABLE model_routes;")
    later = json.loads(run("--database", url, "--json").stdout)
    assert {"name": "eva", "role": "admin", "must_change_password": True} in later["users"] and later["routes"] == []
    sql("DROP TABLE models;")
    refused = run("--database", url)
    assert refused.returncode == 1 and "no database of GPUStack's" in refused.stderr, refused.stderr
    away = run("--database", f"postgresql://gpustack:secret@127.0.0.1:{free_port()}/postgres")
    assert away.returncode == 1 and "refused" in away.stderr and "secret" not in away.stderr, away.stderr


def test_what_is_no_such_file(tmp_path):
    (tmp_path / "no.db").write_bytes(b"no database at all, but long enough to look at it twice" * 40)
    refused = run("--database", tmp_path / "no.db")
    assert refused.returncode == 1 and "cannot be read as GPUStack's database" in refused.stderr
    sqlite3.connect(tmp_path / "empty.db").execute("CREATE TABLE x (y)").connection.close()
    refused = run("--database", tmp_path / "empty.db")
    assert refused.returncode == 1 and "no database of GPUStack's" in refused.stderr
    assert run("--database", tmp_path / "none.db").returncode == 1
