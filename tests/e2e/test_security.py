"""Every route behind authentication; first login; roles; keys; the OpenAPI document against what the server does."""
import json
import re

import httpx
import jsonschema

PUBLIC = {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/"), ("POST", "/api/v1/auth/login")}


def document(server):
    answer = server.api("GET", "/api/v1/openapi.json")
    assert answer.status_code == 200
    return answer.json()


def operations(server):
    for path, methods in document(server)["paths"].items():
        for method in methods:
            if method in ("get", "post", "put", "patch", "delete"):
                yield method.upper(), path


def test_no_route_answers_without_credentials(server):
    walked = 0
    v1 = [("POST", "/v1/chat/completions"), ("POST", "/v1/completions"), ("GET", "/v1/models"), ("GET", "/v1/models/x"),
          ("GET", "/v1-openai/models"), ("GET", "/metrics")]
    for method, path in [*operations(server), *v1]:
        if (method, path) in PUBLIC:
            continue
        answer = httpx.request(method, server.url + re.sub(r"\{[^}]*\}", "x", path), json={} if method != "GET" else None)
        assert answer.status_code == 401, (method, path, answer.status_code)
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        walked += 1
    assert walked > 30


def test_answers_match_the_document(server):
    spec = document(server)
    text = json.dumps(spec["components"]["schemas"]).replace("#/components/schemas/", "#/$defs/")
    definitions = {"$defs": json.loads(text)}

    def check(path, answer):
        operation = spec["paths"][path]["get"]
        status = str(answer.status_code)
        assert status in operation["responses"], (path, status)
        schema = operation["responses"][status]["content"]["application/json"]["schema"]
        local = json.loads(json.dumps(schema).replace("#/components/schemas/", "#/$defs/"))
        jsonschema.validate(answer.json(), {**definitions, **local})

    for path in ("/api/v1/deployments", "/api/v1/instances", "/api/v1/workers", "/api/v1/devices", "/api/v1/models",
                 "/api/v1/users", "/api/v1/keys", "/api/v1/usage", "/api/v1/usage/summary", "/api/v1/audit"):
        answer = server.api("GET", path)
        check(path, answer)
        assert answer.json()["items"] or path.startswith("/api/v1/usage")
        one = f"{path}/{{id}}"
        if one in spec["paths"] and "get" in spec["paths"][one]:
            check(one, server.api("GET", f"{path}/{answer.json()['items'][0]['id']}"))
    check("/api/v1/server", server.api("GET", "/api/v1/server"))
    check("/api/v1/auth/me", server.api("GET", "/api/v1/auth/me"))


def test_first_login(fresh_server):
    server = fresh_server.start()
    file = server.data_dir / "initial_admin_password"
    assert file.stat().st_mode & 0o777 == 0o600
    password = file.read_text().strip()
    with httpx.Client(base_url=server.url, timeout=30) as browser:
        origin = {"Origin": server.url}
        assert browser.post("/api/v1/auth/login", json={"name": "admin", "password": "wrong"}, headers=origin).status_code == 401
        answer = browser.post("/api/v1/auth/login", json={"name": "admin", "password": password}, headers=origin)
        assert answer.status_code == 200 and answer.json()["must_change_password"]
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
        assert browser.get("/api/v1/deployments").status_code == 403          # first the password
        changed = browser.post("/api/v1/auth/password", headers=origin,
                               json={"current_password": password, "new_password": "a better password"})
        assert changed.status_code in (200, 204)
        assert browser.get("/api/v1/deployments").status_code == 200
        assert not file.exists()
        foreign = browser.post("/api/v1/keys", json={"name": "k"}, headers={"Origin": "http://evil.example"})
        assert foreign.status_code == 403
        assert browser.post("/api/v1/auth/logout", headers=origin).status_code == 204
        assert browser.get("/api/v1/deployments").status_code == 401


def test_reset_password(fresh_server):
    server = fresh_server.start()
    new = server.cli("reset-password", "admin").stdout.strip().split()[-1]
    answer = httpx.post(f"{server.url}/api/v1/auth/login", json={"name": "admin", "password": new}, timeout=30)
    assert answer.status_code == 200, answer.text


def test_revocation(server):
    assert server.api("POST", "/api/v1/users", json={"name": "ada", "password": "correct horse", "role": "user"}).status_code == 201
    made = server.api("POST", "/api/v1/keys", json={"name": "ada-key", "user_id": server.api("GET", "/api/v1/users/ada").json()["id"]})
    assert made.status_code == 201
    key, key_id = made.json()["secret"], made.json()["id"]
    assert server.api("GET", "/v1/models", key=key).status_code == 200
    assert server.api("GET", "/api/v1/deployments", key=key).status_code == 200
    assert server.api("DELETE", f"/api/v1/keys/{key_id}").status_code == 204
    assert server.api("GET", "/v1/models", key=key).status_code == 401


def test_optimistic_edits(server):
    made = server.api("POST", "/api/v1/deployments", json={"name": "edit", "source": "file:/nowhere.gguf", "replicas": 0,
                                                           "stopped": True}).json()
    first = server.api("PATCH", "/api/v1/deployments/edit", json={"replicas": 2, "version": made["version"]})
    assert first.status_code == 200 and first.json()["version"] > made["version"]
    assert server.api("PATCH", "/api/v1/deployments/edit", json={"replicas": 3, "version": made["version"]}).status_code == 409
    assert server.api("PATCH", "/api/v1/deployments/edit", json={"replicsa": 3}).status_code == 400
    assert server.api("POST", "/api/v1/deployments", json={"name": "edit", "source": "file:/x"}).status_code == 409
    assert server.api("DELETE", "/api/v1/deployments/edit").status_code == 204
    assert server.api("GET", "/api/v1/deployments/edit").status_code == 404


def test_watch_tells_of_changes(server):
    with httpx.stream("GET", f"{server.url}/api/v1/watch?kinds=deployments", timeout=30,
                      headers={"Authorization": f"Bearer {server.key}"}) as stream:
        lines = stream.iter_lines()
        for line in lines:
            if line == "event: synced":
                break
        server.api("POST", "/api/v1/deployments", json={"name": "seen", "source": "file:/nowhere.gguf", "stopped": True})
        server.api("DELETE", "/api/v1/deployments/seen")
        events, current = [], None
        for line in lines:
            if line.startswith("event: "):
                current = line[7:]
            elif line.startswith("data: ") and current in ("added", "modified", "deleted"):
                change = json.loads(line[6:])
                if change["object"]["name"] == "seen":
                    events.append(current)
            if events and events[-1] == "deleted":
                break
    assert events[0] == "added" and events[-1] == "deleted"


def test_status_page_and_health(server):
    page = httpx.get(f"{server.url}/")
    assert page.status_code == 200 and "Gantry" in page.text and "content-security-policy" in page.headers
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    assert httpx.get(f"{server.url}/readyz").status_code == 200
