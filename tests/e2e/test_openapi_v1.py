"""The document of /v1 is true: requests that it allows are never a 5xx, those that it forbids are a 4xx in the documented shape, every status is
documented, and every answer is of its schema, with no field that the schema lacks. Requests are made from the document by Hypothesis, the same
ones in every run; GANTRY_OPENAPI_EXAMPLES=1000 makes more of them."""
import functools
import json
import os

import hypothesis
import httpx
import jsonschema
import pytest
from hypothesis import strategies as st

from conftest import ROOT
from openapi_values import values

DOCUMENT = json.loads((ROOT / "src/gateway/openapi.json").read_text().replace("#/components/schemas/", "#/$defs/"))
SCHEMAS = DOCUMENT["components"]["schemas"]
ALL_POSTS = [path for path, operations in DOCUMENT["paths"].items() if "post" in operations]
POSTS = [path for path in ALL_POSTS if "application/json" in DOCUMENT["paths"][path]["post"]["requestBody"]["content"]]
FORMS = [path for path in ALL_POSTS if "multipart/form-data" in DOCUMENT["paths"][path]["post"]["requestBody"]["content"]]
UNSERVED = {"/v1/audio/speech", "/v1/images/generations", "/v1/images/edits"}   # by any model here
EXAMPLES = int(os.environ.get("GANTRY_OPENAPI_EXAMPLES", "20"))
SETTINGS = hypothesis.settings(max_examples=EXAMPLES, derandomize=EXAMPLES <= 20, deadline=None, database=None,
                               suppress_health_check=list(hypothesis.HealthCheck))
WRITES = {"/v1/chat/completions": "max_completion_tokens", "/v1/responses": "max_output_tokens", "/v1/messages": "max_tokens",
          "/v1/completions": "max_tokens"}
# Values that fit few fields.
ODD = [None, True, False, 0, -1, 1.5, 1 << 31, 1 << 70, 1e300, "", "x", "\0", "x" * 300, [], {}, [None], [[]], [{}], [1, "a"], ["a"] * 5,
       {"a": 1}, {"type": "alien"}, {"role": "alien", "content": "x"}]


def whole(schema):
    return {"$defs": SCHEMAS, **schema}


def request_schema(path):
    return whole(DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"])


def closed(schema):
    """The same, but an object has no fields that are not named."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: closed(value) for key, value in schema.items()}
    if "properties" in out and isinstance(out["properties"], dict) and out.get("type") == "object":
        out.setdefault("additionalProperties", False)
    return out


CLOSED = closed(SCHEMAS)


@functools.cache
def answer_validator(path, method, status, kind):
    return jsonschema.Draft202012Validator({"$defs": CLOSED, **described_answer(path, method, status)["content"][kind]["schema"]})


def described_answer(path, method, status):
    described = DOCUMENT["paths"][path][method]["responses"][str(status)]
    return DOCUMENT["components"]["responses"][described["$ref"].rsplit("/", 1)[1]] if "$ref" in described else described


def check_answer(path, method, answer):
    assert str(answer.status_code) in DOCUMENT["paths"][path][method]["responses"], f"{answer.status_code} is not documented: {answer.text[:300]}"
    named = described_answer(path, method, answer.status_code)["headers"]
    ours = {name for name in answer.headers if name.startswith(("x-", "retry-", "request-")) or name == "www-authenticate"}
    assert "x-request-id" in ours and ours <= set(named) | {"x-content-type-options"}, f"{ours} but {set(named)} is documented"
    kind = answer.headers["content-type"].split(";")[0]
    validator = answer_validator(path, method, answer.status_code, kind)
    if kind == "application/json":
        validator.validate(answer.json())
    elif kind != "text/event-stream":   # a text, or sound
        validator.validate(answer.text)
    else:
        check_stream(path, validator, answer.text)


def check_stream(path, validator, text):
    """Every event is of the schema, none is an error, and the end is there."""
    events = [event.removesuffix("\n") for event in text.split("\n\n") if event and not event.startswith(":")]
    lines = [dict(line.split(": ", 1) for line in event.split("\n")) for event in events]
    if path.endswith("completions"):
        assert lines.pop() == {"data": "[DONE]"}
    assert lines
    for line in lines:
        event = json.loads(line["data"])
        validator.validate(event)
        assert "error" not in event and event.get("type") != "response.failed", event
        assert line.get("event") == event.get("type"), "an event's name is its type"


def plain(path):
    """A request that any model serves, but for the fields that are drawn."""
    if path == "/v1/responses":
        return {"input": "hi"}
    return {"messages": [{"role": "user", "content": "hi"}]}


def fitted(data, path):
    """A body by the schema, for a model that is there, and short. Half of those that write begin with what surely works, so that the
    other fields are reached."""
    body = data.draw(values(DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"], SCHEMAS), label="body")
    models = ["smollm2", "tools"] if path in WRITES else ["minilm", "reranker"]
    if "token" in path or path in UNSERVED:
        models = ["smollm2", "tools", "minilm"]
    body["model"] = data.draw(st.sampled_from(models + ["no-such-model"] * data.draw(st.booleans())))
    if path in WRITES:
        if path != "/v1/completions" and data.draw(st.booleans(), label="plain"):
            body.update(plain(path))
            for name in ("tools", "tool_choice", "response_format", "text", "system", "instructions"):
                body.pop(name, None)
        for name in ("max_tokens", "max_completion_tokens", "min_tokens"):
            body.pop(name, None)
        body[WRITES[path]] = data.draw(st.integers(1, 4))
        if data.draw(st.booleans(), label="stream"):
            body["stream"] = True
        body.pop("deadline_ms", None)   # which is to be a 504
        if body.get("n"):
            body["n"] = min(body["n"], 2)
    return body


@pytest.fixture(scope="module")
def client(tool_server, embedding_server):
    with httpx.Client(base_url=tool_server.url, headers={"Authorization": f"Bearer {tool_server.key}"}, timeout=60) as client:
        yield client


def test_it_is_what_is_served(client):
    assert client.get("/v1/openapi.json").json() == json.loads((ROOT / "src/gateway/openapi.json").read_text())


@pytest.mark.parametrize("path", POSTS)
def test_what_it_allows(client, path):
    validator = jsonschema.Draft202012Validator(request_schema(path))
    seen = {}

    @SETTINGS
    @hypothesis.given(st.data())
    def check(data):
        body = fitted(data, path)
        hypothesis.assume(validator.is_valid(body))
        answer = client.post(path, json=body)
        assert answer.status_code < 500, answer.text
        check_answer(path, "post", answer)
        kind = (answer.status_code, answer.headers["content-type"].split(";")[0])
        seen[kind] = seen.get(kind, 0) + 1

    check()
    wanted = {(400, "application/json")} if path in UNSERVED else {(200, kind) for kind in ["application/json", *["text/event-stream"] * (path in WRITES)]}
    assert wanted <= set(seen), f"not answered: {wanted - set(seen)} of {seen}"
    assert client.get("/readyz").status_code == 200


def places(value, path=()):
    """Every place in a body, as keys."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield (*path, index)
            yield from places(item, (*path, index))


@pytest.mark.parametrize("path", POSTS)
def test_what_it_forbids(client, path):
    validator = jsonschema.Draft202012Validator(request_schema(path))
    tried = 0

    @SETTINGS
    @hypothesis.given(st.data())
    def check(data):
        nonlocal tried
        body = fitted(data, path)
        *outer, last = data.draw(st.sampled_from(sorted(places(body), key=repr)), label="place")
        holder = body
        for key in outer:
            holder = holder[key]
        if data.draw(st.booleans(), label="left out") and isinstance(holder, dict):
            del holder[last]
        else:
            holder[last] = data.draw(st.sampled_from(ODD), label="odd")
        hypothesis.assume(not validator.is_valid(body))
        answer = client.post(path, json=body)
        assert 400 <= answer.status_code < 500, f"{answer.status_code}: {answer.text[:300]}"
        check_answer(path, "post", answer)
        tried += 1

    check()
    assert tried >= EXAMPLES // 2
    assert client.get("/readyz").status_code == 200


def form_of(body, schema):
    """The parts of a form with these values: strings that are binary as files."""
    parts = []
    for name, value in body.items():
        shape = schema["properties"].get(name, {})
        for item in value if isinstance(value, list) else [value]:
            text = json.dumps(item) if not isinstance(item, str) else item
            binary = (shape.get("items") or shape).get("format") == "binary"
            parts.append((name, ("a.wav", text.encode()) if binary else (None, text.encode())))
    return parts


@pytest.mark.parametrize("path", FORMS)
def test_forms_by_the_document(client, path):
    """The files in them are noise, so that no answer is a 200: those are test_speech.py's."""
    name = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]["$ref"].rsplit("/", 1)[1]
    seen = set()

    @SETTINGS
    @hypothesis.given(st.data())
    def check(data):
        body = data.draw(values(SCHEMAS[name], SCHEMAS), label="form")
        body["model"] = data.draw(st.sampled_from(["smollm2", "minilm", "no-such-model"]))
        if data.draw(st.booleans(), label="odd"):
            body[data.draw(st.sampled_from(sorted(SCHEMAS[name]["properties"])))] = data.draw(st.sampled_from(["", "x" * 9000, "\0", ["a", "b"]]))
        answer = client.post(path, files=form_of(body, SCHEMAS[name]))
        assert 400 <= answer.status_code < 500, answer.text
        check_answer(path, "post", answer)
        seen.add(answer.json()["error"]["code"])

    check()
    assert "unsupported_operation" in seen and len(seen) > 1, seen
    for content in (b"", b"--b", b"--b--", b"--b\r\n\r\n--b--", b"{}"):
        for kind in ("multipart/form-data; boundary=b", "multipart/form-data"):
            answer = client.post(path, content=content, headers={"Content-Type": kind})
            assert answer.status_code == 400, answer.text
            check_answer(path, "post", answer)
    assert client.get("/readyz").status_code == 200


def test_bodies_that_are_no_objects(client):
    for path in POSTS:
        for content in (b"", b"null", b"[]", b'"x"', b"5", b"{", b"{}", b'{"model":1e999}'):
            answer = client.post(path, content=content)
            assert answer.status_code == 400, (path, content, answer.text)
            check_answer(path, "post", answer)


def test_no_number_becomes_infinity(client):
    """Which is no JSON: it would come back in what an answer repeats of the request."""
    answer = client.post("/v1/responses", content=b'{"model":"smollm2","input":"hi","max_output_tokens":1,"metadata":{"a":1e999}}')
    assert answer.status_code == 400 and "too large" in answer.json()["error"]["message"]


def test_the_rest(client):
    for path, url in [("/v1/models", "/v1/models"), ("/v1/models", "/v1/models?all=1"), ("/v1/models/{id}", "/v1/models/smollm2"),
                      ("/v1/models/{id}", "/v1/models/minilm"), ("/v1/models/{id}", "/v1/models/no/such"), ("/v1/openapi.json", "/v1/openapi.json")]:
        check_answer(path, "get", client.get(url))
    for path in ALL_POSTS:
        for headers, status in [({"Content-Encoding": "gzip"}, 415), ({"Host": "evil.example"}, 421)]:
            answer = client.post(path, json={}, headers=headers)
            assert answer.status_code == status, (path, answer.text)
            check_answer(path, "post", answer)
    for path in ("/v1/chat/completions", "/v1/messages/count_tokens"):
        answer = client.post(path, json={}, headers={"Authorization": "Bearer gtk_no"})
        assert answer.status_code in (401, 429)
        check_answer(path, "post", answer)


def refused(server, key, path, status, code):
    answer = server.api("POST", path, key=key, json={"model": "smollm2", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]})
    assert answer.status_code == status, answer.text
    check_answer(path, "post", answer)
    if path == "/v1/chat/completions":
        assert answer.json()["error"]["code"] == code
    return answer


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_what_keys_may_not(server, path):
    def key(*flags):
        name = "-".join(["openapi", path.rsplit("/", 1)[1], *flags]).replace("--", "")
        return server.cli("keys", "create", name, "--quiet", *flags).stdout.strip()

    refused(server, key("--model", "other"), path, 403, "model_not_allowed")
    refused(server, key("--scope", "management"), path, 403, "insufficient_scope")
    hurried = key("--rpm", "1")
    first = server.api("POST", path, key=hurried, json={"model": "smollm2"})   # wrong ones count
    check_answer(path, "post", first)
    assert first.headers["x-ratelimit-remaining-requests"] == "0"
    assert int(refused(server, hurried, path, 429, "rate_limit_exceeded").headers["retry-after"]) > 0
