"""Hostile requests, rows 1 to 29 of the checklist in shared/reference/trust.md B3: what a client sends wrong or with intent gets a clean
answer, and harms nobody. After each case the server is alive and nothing is in flight; after each row memory is back and the log holds no
secret. What the HTTP edge does with each byte of a bad head is `src/http/server_hostile_test.cc`'s; here the whole product is behind it.

Left out: row 15 (no HTTP/2 here), and what waits for images, JWT and workers of other machines (rows 30 to 43, 46, 53 to 55)."""
import concurrent.futures
import gzip
import json
import resource
import time

import pytest

from conftest import MINILM, Server, until
from hostile import MIB, Watch, connect, post, raw, read_answer, request, run_row

CHAT, COMPLETIONS, EMBEDDINGS, RERANK = "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank"
PROMPT_SECRET = "correct-horse-battery"   # prompts are not for the log
PROMPT = [{"role": "user", "content": f"Say hi. {PROMPT_SECRET}"}]
BODY_MAX = 32 << 20
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer KEY\r\n"
GET = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer KEY\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def body(**fields):
    return {"model": "smollm2", "messages": PROMPT, "max_tokens": 2, **fields}


def chat(name, status, param=None, code=None, **fields):
    return post(name, status, CHAT, body(**fields), param, code)


def message(name, status, value, param):
    return chat(name, status, param, messages=[value])


def schema(name, value, code=None):
    return chat(name, 400, "response_format.json_schema.schema", code,
                response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": value}})


def tool(**fields):
    return {"type": "function", "function": {"name": "f", **fields}}


def nested(depth, inner):
    value = inner
    for _ in range(depth):
        value = {"type": "object", "properties": {"a": value}, "required": ["a"], "additionalProperties": False}
    return value


def embed(name, status, param=None, **fields):
    return post(name, status, EMBEDDINGS, {"model": "minilm", "input": "a", **fields}, param)


def rank(name, status, param=None, **fields):
    return post(name, status, RERANK, {"model": "minilm", "query": "q", "documents": ["a", "b"], **fields}, param)


def padded(size):
    """A valid request of exactly so many bytes."""
    text = json.dumps(body()).encode()
    return lambda: text[:-1] + b" " * (size - len(text)) + b"}"


SMALL = json.dumps(body()).encode()
TRUNCATED = SMALL[:40]

ROWS = {
    "1 no JSON": [
        post(name, 400, CHAT, content) for name, content in {
            "truncated": TRUNCATED, "trailing comma": SMALL[:-1] + b",}", "single quotes": b"{'model': 'smollm2'}", "empty": b"",
            "null": b"null", "array": b"[]", "string": b'"x"', "NaN": b'{"temperature": NaN}', "Infinity": b'{"temperature": Infinity}',
            "two values": SMALL + SMALL, "comment": b"/**/" + SMALL, "1e999": SMALL[:-1] + b',"temperature":1e999}',
            "byte order mark": b"\xef\xbb\xbf" + SMALL, "UTF-16": json.dumps(body()).encode("utf-16"),
            "form": b"model=smollm2&messages=hi"}.items()
    ] + [post("duplicate keys: the last wins", 400, CHAT, SMALL[:-1] + b',"n":1,"n":0}', "n")],
    "2 nesting": [
        post(f"{name} of {depth}", 400, path, opening * depth, within_s=1.0)
        for name, opening in {"arrays": b"[", "objects": b'{"a":'}.items() for depth in (65, 100_000, 5_000_000)
        for path in (CHAT, RERANK)
    ],
    "3 no UTF-8": [
        post(name, 400, CHAT, SMALL.replace(b"Say hi", content)) for name, content in {
            "lone lead byte": b"\xc3", "overlong slash": b"\xc0\xaf", "surrogate as bytes": b"\xed\xa0\x80", "over U+10FFFF": b"\xf5\x80\x80\x80",
            "lone surrogate escape": rb"\ud800", "swapped surrogates": rb"\udc00\ud800"}.items()
    ] + [
        post("U+0000", {200, 400}, CHAT, SMALL.replace(b"Say hi", rb"a\u0000b")),
        post("in a name of a model", 400, CHAT, SMALL.replace(b"smollm2", b"\xff")),
        post("in a header", 200, CHAT, SMALL, headers={"X-Thing": b"\xc3\x28"}),
    ],
    "4 wrong types": [
        chat("messages a text", 400, "messages", messages="x"), chat("messages an object", 400, "messages", messages={}),
        chat("no messages", 400, "messages", messages=[]), chat("a message a text", 400, "messages[0]", messages=["x"]),
        chat("stream", 400, "stream", stream="yes"), chat("max_tokens", 400, "max_tokens", max_tokens="10"),
        chat("temperature", 400, "temperature", temperature={}), chat("model a number", 400, "model", model=5),
        chat("model null", 400, "model", model=None), chat("stop a number", 400, "stop", stop=5),
        chat("stream_options", 400, "stream_options", stream=True, stream_options="usage"),
        message("unknown role", 400, {"role": "alien", "content": "x"}, "messages[0].role"),
        message("no role", 400, {"content": "x"}, "messages[0].role"),
        message("content null", 400, {"role": "user", "content": None}, "messages[0].content"),
        message("assistant without content or calls", 400, {"role": "assistant", "content": None}, "messages[0].content"),
        message("content a number", 400, {"role": "user", "content": 5}, "messages[0].content"),
        message("no parts", 400, {"role": "user", "content": []}, "messages[0].content"),
        message("a part of no kind", 400, {"role": "user", "content": [{"type": "hologram"}]}, "messages[0].content[0].type"),
        message("a part without text", 400, {"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0].text"),
        message("an image for a text model", 400, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]},
                "messages[0].content[0]"),
        post("prompt an object", 400, COMPLETIONS, {"model": "smollm2", "prompt": {}}, "prompt"),
        post("prompt of a mixture", 400, COMPLETIONS, {"model": "smollm2", "prompt": ["a", 5]}, "prompt[1]"),
    ],
    "5 unknown fields": [
        chat("what SDKs send", 200, user="u", store=True, metadata={"a": "b"}, service_tier="auto", verbosity="low", safety_identifier="s",
             prompt_cache_key="k", prediction=None, modalities=["text"], web_search_options={}, moderation={}, reasoning_effort="low"),
        post("of embeddings", 200, EMBEDDINGS, {"model": "minilm", "input": "a", "user": "u", "truncate": "END", "task": "x"}),
        post("of rerank", 200, RERANK, {"model": "minilm", "query": "q", "documents": ["a"], "rank_fields": ["t"], "max_chunks_per_doc": 3}),
        post("ten thousand of them", 200, CHAT, lambda: {**body(), **{f"x{i}": i for i in range(10_000)}}),
    ],
    "6 lengths": [
        post("at the limit", 200, CHAT, padded(BODY_MAX)), post("one more", 413, CHAT, padded(BODY_MAX + 1)),
        raw("10 GiB declared", 413, HEAD + b"Content-Length: 10737418240\r\n\r\n{"),
        raw("endless chunks", 413, lambda: CHUNKED + (b"100000\r\n" + b" " * 0x100000 + b"\r\n") * 40),
        raw("-1", 400, HEAD + b"Content-Length: -1\r\n\r\n"), raw("abc", 400, HEAD + b"Content-Length: abc\r\n\r\n"),
        raw("two that differ", 400, HEAD + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde"),
        raw("a list", 400, HEAD + b"Content-Length: 3, 3\r\n\r\nabc"),
        raw("overflow", 400, HEAD + b"Content-Length: 18446744073709551617\r\n\r\nabc"),
        raw("a GET with a body", 413, GET + b"Content-Length: 1000000\r\n\r\nabc"),
    ],
    "7 smuggling": [
        raw(name, 400, content) for name, content in {
            "length and chunks": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
            "chunks and length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            "xchunked": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            "chunked, identity": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            "two encodings": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
            "tab before chunked": HEAD + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
            "folded": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
            "space before the colon": HEAD + b"Content-Length : 3\r\n\r\nabc",
            "space before a name": HEAD + b" Content-Length: 3\r\n\r\nabc",
            "bare LF": b"GET /v1/models HTTP/1.1\nHost: localhost\nAuthorization: Bearer KEY\n\n",
            "bare LF in a field": GET + b"A: b\nContent-Length: 3\r\n\r\n", "bare CR": GET + b"A: b\rContent-Length: 3\r\n\r\n",
            "NUL": GET + b"A: b\0c\r\n\r\n", "NUL in a name": GET + b"A\0: b\r\n\r\n", "no colon": GET + b"nothing\r\n\r\n",
            "chunks in HTTP/1.0": HEAD.replace(b"1.1", b"1.0", 1) + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "LF in the request line": b"GET /v1/models\nX: HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "two spaces in the request line": b"GET  /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n"}.items()   # TLS on this port: src/http/mutual_tls_test.cc
    ],
    "8 chunks": [
        raw("-2", 400, CHUNKED + b"-2\r\nab\r\n0\r\n\r\n"), raw("ffffffffffffffff", {400, 413}, CHUNKED + b"ffffffffffffffff\r\nab"),
        raw("over 64 bits", 400, CHUNKED + b"1ffffffffffffffff\r\nab"), raw("0x3", 400, CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n"),
        raw("no size", 400, CHUNKED + b"\r\nabc\r\n0\r\n\r\n"), raw("too short", 400, CHUNKED + b"2\r\nabc\r\n0\r\n\r\n"),
        raw("bare LF", 400, CHUNKED + b"3\nabc\n0\n\n\r\n"), raw("an endless extension", 400, CHUNKED + b"3;" + b"a" * 20_000),
        raw("endless trailers", 400, CHUNKED + b"0\r\nA: " + b"a" * 200_000),
        raw("three million of a byte", 400, lambda: CHUNKED + b"1\r\n \r\n" * 3_000_000 + b"0\r\n\r\n", closes=False),
    ],
    "9 large heads": [
        raw("a field of 64 KiB", 431, GET + b"A: " + b"a" * 65_536 + b"\r\n\r\n"), raw("10,000 fields", 431, GET + b"A: b\r\n" * 10_000 + b"\r\n"),
        raw("a URL of 1 MiB", 414, b"GET /v1/models?" + b"a" * MIB + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        raw("a key of 1 MiB", 431, b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + b"a" * MIB + b"\r\n\r\n"),
        raw("an endless method", 400, b"A" * 100_000),
    ],
    "12 codings": [
        post("a bomb", 415, CHAT, lambda: gzip.compress(b" " * (1 << 28), 9), headers={"Content-Encoding": "gzip"}),
        post("unknown", 415, CHAT, SMALL, headers={"Content-Encoding": "snappy"}),
        post("two", 415, CHAT, SMALL, headers={"Content-Encoding": "identity, br"}),
        post("a form", 415, CHAT, b"--b\r\n\r\n--b--", headers={"Content-Type": "multipart/form-data; boundary=b"}),
    ],
    "14 expect": [
        raw("a bad key", 401, b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer gtk_no\r\nExpect: 100-continue\r\n"
                              b"Content-Length: 20000000\r\n\r\n"),
        raw("too large", 413, HEAD + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"),
    ],
    "16 hosts": [
        request("foreign", 421, "GET", "/v1/models", {"Host": "evil.example"}), request("foreign, public", 421, "GET", "/healthz", {"Host": "evil.example"}),
        request("like ours", 421, "GET", "/healthz", {"Host": "localhost.evil.example"}),
        request("with user", {400, 421}, "GET", "/healthz", {"Host": "localhost@evil.example"}),
        raw("absent", 400, b"GET /healthz HTTP/1.1\r\n\r\n"), raw("two", 400, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"),
        raw("absolute form", 400, b"GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", closes=False),
        raw("CONNECT", {400, 404, 405}, b"CONNECT evil.example:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", closes=False),
    ],
    "17 forwarded": [
        request(f"{name}: {value}", 401, "GET", path, {name: value}, key=False) for name, value in {
            "X-Forwarded-For": "127.0.0.1", "X-Real-IP": "::1", "Forwarded": "for=127.0.0.1;proto=https", "X-Forwarded-User": "admin",
            "X-Remote-User": "admin"}.items() for path in ("/v1/models", "/api/v1/users")
    ] + [
        request("X-Original-URL", 200, "GET", "/healthz", {"X-Original-URL": "/api/v1/users", "X-Rewrite-URL": "/api/v1/users"}, key=False),
        request("X-HTTP-Method-Override", 200, "GET", "/v1/models", {"X-HTTP-Method-Override": "DELETE"}),
    ],
    "18 internal headers": [
        request(name, 401, "GET", "/v1/models", {name: "1"}, key=False)
        for name in ("X-Gantry-User", "X-Gantry-Key", "X-User-Id", "X-Worker-Id", "X-Instance-Id", "X-Internal", "Gantry-Principal")
    ],
    "19 tokens": [
        chat(f"{field} {value}", 400, field, **{"max_tokens": None, field: value})
        for field in ("max_tokens", "max_completion_tokens", "min_tokens")
        for value in (-1, 1.5, 1 << 31, 1 << 63, 1 << 64, 1e300, "2", [2], True)
    ] + [
        chat("zero", 400, "max_tokens", max_tokens=0), chat("min over max", 400, "min_tokens", min_tokens=3),
        chat("the context's end is the answer's", 200, max_tokens=(1 << 31) - 1, stop=["e", "a", "i", "o"]),
    ],
    "20 choices": [chat(f"n {value}", 400, "n", n=value) for value in (0, 9, 129, 10**12, -1, 1.5, "2", [])] + [
        post(f"best_of {value}", 400, COMPLETIONS, {"model": "smollm2", "prompt": "a", "best_of": value}, "best_of") for value in (0, 2, 21, 10**12)],
    "21 sampling": [
        chat(f"{field} {value}", 400, field, **{field: value}) for field, value in [
            ("temperature", -1), ("temperature", 3), ("top_p", -0.1), ("top_p", 1.1), ("presence_penalty", 2.1), ("presence_penalty", -2.1),
            ("frequency_penalty", 2.1), ("frequency_penalty", -2.1), ("min_p", 2), ("top_k", -2), ("top_k", 1 << 40), ("repetition_penalty", 0),
            ("repetition_penalty", 11), ("top_logprobs", 21), ("top_logprobs", 3), ("seed", 1.5), ("seed", "x"), ("seed", 1e30),
            ("logprobs", 3), ("deadline_ms", 0), ("priority", 1 << 40), ("cache_salt", ""), ("cache_salt", "x" * 257), ("service_tier", "gold")]
    ] + [post("logprobs 6", 400, COMPLETIONS, {"model": "smollm2", "prompt": "a", "logprobs": 6}, "logprobs")],
    "22 stop": [
        chat(name, 400, "stop", stop=value) for name, value in {
            "five": ["a"] * 5, "empty": "", "an empty one": ["a", ""], "1 MiB": "x" * MIB, "10,000": ["a"] * 10_000, "a number": [5]}.items()
    ] + [chat("65 ids", 400, "stop_token_ids", stop_token_ids=list(range(65))), chat("a negative id", 400, "stop_token_ids", stop_token_ids=[-1])],
    "23 logit_bias": [
        chat(name, 400, "logit_bias", logit_bias=value) for name, value in {
            "200,000": {str(i): 1 for i in range(200_000)}, "abc": {"abc": 1}, "-1": {"-1": 1}, "1e9": {"5": 1e9}, "a text": {"5": "1"},
            "no id of the vocabulary": {"2000000": 1}, "an array": [1], "leading zero twice": {"5": 1, "05": 1}}.items()
    ],
    "24 tools": [
        chat(name, 400, param, tools=tools, **more) for name, param, tools, more in [
            ("129", "tools", [tool(name=f"f{i}") for i in range(129)], {}), ("a name of 65", "tools[0].function.name", [tool(name="x" * 65)], {}),
            ("a name with a dot", "tools[0].function.name", [tool(name="a.b")], {}), ("an empty name", "tools[0].function.name", [tool(name="")], {}),
            ("a description of 1 MiB", "tools[0].function.description", [tool(description="x" * MIB)], {}),
            ("one name twice", "tools[1].function.name", [tool(), tool()], {}),
            ("a kind of its own", "tools[0].type", [{"type": "retrieval"}], {}), ("parameters a text", "tools[0].function.parameters", [tool(parameters="x")], {}),
            ("a choice that is none", "tool_choice", [tool()], {"tool_choice": {"type": "function", "function": {"name": "g"}}}),
            ("required without any", "tool_choice", [], {"tool_choice": "required"}), ("a choice of no kind", "tool_choice", [tool()], {"tool_choice": "any"})]
    ] + [
        chat("an answer to no call", 400, "messages[1].tool_call_id", messages=[*PROMPT, {"role": "tool", "tool_call_id": "call_9", "content": "x"}]),
        chat("a call without a name", 400, "messages[1].tool_calls[0]", messages=[*PROMPT, {"role": "assistant", "tool_calls": [
            {"id": "c", "type": "function", "function": {"arguments": "{}"}}]}]),
        chat("functions", 400, "functions", functions=[{"name": "f"}]),
    ],
    "25 schemas": [
        post("depth 200", 400, CHAT, {**body(), "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": nested(200, {})}}}),
        schema("10,000 properties", {"type": "object", "properties": {f"p{i}": {} for i in range(10_000)}}),
        schema("a ref to itself", {"$ref": "#"}), schema("two refs in a circle", {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
        schema("a remote ref", {"$ref": "http://127.0.0.1:1/x.json"}), schema("a file", {"$ref": "file:///etc/passwd"}), schema("a ref to nothing", {"$ref": "#/$defs/x"}),
        schema("allOf of many", {"allOf": [{"anyOf": [{"type": "string"}, {"type": "integer"}]}] * 20}),
        schema("an enum of 100,000", {"enum": list(range(100_000))}), schema("lookbehind", {"type": "string", "pattern": "(?<=a)b"}),
        schema("a back reference", {"type": "string", "pattern": r"(a)\1"}), schema("repetitions of repetitions", {"type": "string", "pattern": "((a{99}){99}){99}"}),
        schema("a broken pattern", {"type": "string", "pattern": "([a"}), schema("minLength 10^9", {"type": "string", "minLength": 10**9}),
        schema("maxItems 10^9", {"type": "array", "items": {"type": "null"}, "minItems": 10**9}),
        schema("no type of any kind", {"type": "alien"}), schema("impossible", {"type": "integer", "minimum": 2, "maximum": 1}), schema("not", {"not": {}}),
        chat("no schema", 400, "response_format.json_schema", response_format={"type": "json_schema"}),
        chat("a schema that is a text", 400, "response_format.json_schema.schema",
             response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": "x"}}),
        chat("a name with spaces", 400, "response_format.json_schema.name",
             response_format={"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}),
        chat("an unknown format", 400, "response_format.type", response_format={"type": "grammar"}),
    ],
    "26 engine internals": [
        chat("dropped", 200, grammar='root ::= "no"', n_discard=-1, slot_id=-5, id_slot=1 << 40, cache_prompt="x", chat_template="{{ x }}", chat_parser="x",
             lora=[{"id": 0}], lora_path="/etc/passwd", prompt_embeds="AAAA", mm_processor_kwargs={}, multi_modal_uuids={}, n_predict=-1, samplers=[],
             guided_json={"type": "alien"}, structured_outputs={"grammar": "x"}, truncate_prompt_tokens=-1, kv_transfer_params={"a": 1}),
        chat("an unknown keyword for the template", 200, chat_template_kwargs={"add_generation_prompt": False, "tools": [1], "messages": []}),
        chat("thinking a text", 400, "chat_template_kwargs.enable_thinking", chat_template_kwargs={"enable_thinking": "yes"}),
    ],
    "27 long prompts": [
        post("30 MB of spaces", {400, 413}, CHAT, lambda: body(messages=[{"role": "user", "content": " " * 30_000_000}]), within_s=30),
        post("a letter 30 million times", {400, 413}, CHAT, lambda: body(messages=[{"role": "user", "content": "a" * 30_000_000}]), within_s=30),
        post("a word 5 million times", {400, 413}, CHAT, lambda: body(messages=[{"role": "user", "content": "word " * 5_000_000}]), within_s=30),
        post("a million messages", {400, 413}, CHAT, lambda: body(messages=[{"role": "user", "content": ""}] * 1_000_000)),
        post("20,000 messages", 400, CHAT, lambda: body(messages=PROMPT * 20_000), "messages"),
        post("two million values", {400, 413}, CHAT, lambda: b'{"model":"smollm2","messages":[' + b"0," * 2_000_000 + b"0]}"),
        post("a million ids", {400, 413}, COMPLETIONS, lambda: {"model": "smollm2", "prompt": [5] * 900_000}, "prompt"),
        post("an id of no token", 400, COMPLETIONS, {"model": "smollm2", "prompt": [1 << 30]}, "prompt"),
        post("17 prompts", 400, COMPLETIONS, {"model": "smollm2", "prompt": ["a"] * 17}, "prompt"),
        post("an input of 30 MB", {400, 413}, EMBEDDINGS, lambda: {"model": "minilm", "input": "word " * 6_000_000}, "input", within_s=30),
    ],
    "29 vectors": [
        embed("none", 400, "input", input=[]), embed("10,000", 400, "input", input=["a"] * 10_000), embed("empty", 400, "input", input=""),
        embed("an empty one", 400, "input[1]", input=["a", ""]), embed("empty ids", 400, "input", input=[[]]), embed("null", 400, "input", input=None),
        embed("an id of no token", 400, "input", input=[1 << 30]), embed("a negative id", 400, "input", input=[-1]), embed("objects", 400, "input", input=[{}]),
        embed("dimensions 0", 400, "dimensions", dimensions=0), embed("dimensions 10^9", 400, "dimensions", dimensions=10**9),
        embed("dimensions over the model's", 400, "dimensions", dimensions=385), embed("hex", 400, "encoding_format", encoding_format="hex"),
        embed("a user of no kind", 400, "user", user={}), embed("of a model that writes", 400, model="smollm2"),
        rank("no documents", 400, "documents", documents=[]), rank("200,000 documents", 400, "documents", documents=["a"] * 200_000),
        rank("an empty document", 400, "documents[1]", documents=["a", ""]), rank("a document of no kind", 400, "documents[0]", documents=[5]),
        rank("no query", 400, "query", query=""), rank("top_n -1", 400, "top_n", top_n=-1), rank("top_n 0", 400, "top_n", top_n=0),
        rank("top_n over all is all", 200, top_n=1000), rank("return_documents", 400, "return_documents", return_documents="yes"),
        rank("of a model that writes", 400, model="smollm2"), chat("words of a model for vectors", 400, model="minilm"),
    ],
}


@pytest.fixture(scope="module")
def watch(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("hostile") / "data").start()
    server.deploy("smollm2")
    server.deploy("minilm", source=f"file:{MINILM}")
    # What a first time costs for good is no leak: one request of each kind, and one as large as may be.
    for case in (*ROWS["5 unknown fields"], ROWS["6 lengths"][0], *ROWS["27 long prompts"][:3]):
        case.send(server)
    yield Watch(server, secrets=[PROMPT_SECRET])
    server.stop()


@pytest.mark.parametrize("row", ROWS)
def test_row(watch, row):
    before = engine_requests(watch.server)
    run_row(watch, ROWS[row])
    if row.startswith("7 "):
        assert engine_requests(watch.server) == before, "nothing of it reached a model"
    watch.assert_memory_back(24)


def engine_requests(server):
    lines = server.api("GET", "/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("gantry_gateway_requests_total"))


def ask(server, **fields):
    answer = server.api("POST", CHAT, json=body(temperature=0, **fields))
    assert answer.status_code == 200, answer.text
    return answer.json()


# Row 10. What happens to each such connection in time is `server_hostile_test.cc`'s.
def test_slow_heads_do_not_keep_others_waiting(watch):
    server = watch.server
    slow = [connect(server) for _ in range(500)]
    try:
        for sock in slow:
            sock.sendall(b"GET /v1/models HTTP/1.1\r\nX: ")
        until(lambda: len(ask(server)["choices"]) == 1, "others are served", timeout=5)

        def gone(sock):
            sock.sendall(b"a")   # a byte now and then makes it no better
            sock.setblocking(False)
            try:
                return sock.recv(65536) is not None
            except BlockingIOError:
                return False
            except ConnectionError:
                return True
            finally:
                sock.setblocking(True)

        def still_there():
            slow[:] = [sock for sock in slow if not left(sock, gone)]
            return slow
        until(lambda: not still_there(), "all of them are turned away", timeout=25, every=0.5)
    finally:
        for sock in slow:
            sock.close()
    watch.assert_well()
    watch.assert_memory_back(24)


def left(sock, gone):
    try:
        if not gone(sock):
            return False
    except OSError:
        pass
    sock.close()
    return True


# Row 11: over the limit of connections the public port pauses, the administrator's socket goes on, and all is well afterwards.
def test_more_connections_than_may_be(watch):
    server, crowd = watch.server, []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 12_000), hard))
    try:
        for _ in range(8_300):
            crowd.append(connect(server))
        assert server.cli("ps").returncode == 0, "by the administrator's socket"
        assert server.process.poll() is None
    finally:
        for sock in crowd:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    until(lambda: ask(server)["choices"], "the port serves again", timeout=30)
    watch.assert_well()
    watch.assert_log_clean()
    watch.assert_memory_back(24)


# Row 13.
def test_pipelined_requests_are_answered_in_order(watch):
    server = watch.server

    def get(path):
        return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.key}\r\n\r\n".encode()
    length = len(SMALL)
    first = HEAD.replace(b"KEY", server.key.encode()) + b"Content-Length: %d\r\n\r\n" % length + SMALL
    with connect(server) as sock:
        sock.sendall(first + get("/v1/models/nope") + get("/v1/models/smollm2") + get("/healthz"))
        rest, statuses, bodies = b"", [], []
        for _ in range(4):
            status, _, content, rest = read_answer(sock, rest)
            statuses.append(status)
            bodies.append(content)
    assert statuses == [200, 404, 200, 200]
    assert b"chat.completion" in bodies[0] and b"model_not_found" in bodies[1] and b'"smollm2"' in bodies[2]
    watch.assert_well()


def test_a_refused_body_is_not_read_as_a_request(watch):
    server = watch.server
    inner = b"DELETE /api/v1/deployments/smollm2 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + server.key.encode() + b"\r\n\r\n"
    for head in (b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer gtk_no\r\n",
                 b"POST /none HTTP/1.1\r\nHost: localhost\r\n", b"PUT /v1/models HTTP/1.1\r\nHost: localhost\r\n"):
        with connect(server) as sock:
            sock.sendall(head + b"Content-Length: %d\r\n\r\n" % len(inner) + inner)
            status, _, _, rest = read_answer(sock)
            assert status in (401, 404, 405) and rest == b""
            try:
                assert sock.recv(1) == b"", "a second answer"
            except ConnectionError:
                pass
    assert server.api("GET", "/api/v1/deployments/smollm2").status_code == 200
    watch.assert_well()


# Row 26, further: what is dropped changes nothing.
def test_engine_internals_change_no_answer(watch):
    plain = ask(watch.server, max_tokens=12)["choices"][0]["message"]
    assert ask(watch.server, max_tokens=12, grammar='root ::= "no"', chat_template="no", n_predict=1, samplers=[], id_slot=7, cache_prompt=False,
               guided_regex="no", prompt_embeds="AAAA", dry_multiplier=5, mirostat=2)["choices"][0]["message"] == plain


# Row 27, further: the rest of the world does not wait for it.
def test_others_are_served_while_a_long_prompt_is_read(watch):
    server = watch.server
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        long = pool.submit(server.api, "POST", CHAT, json=body(messages=[{"role": "user", "content": "word " * 6_000_000}]))
        waits = []
        while not long.done():
            begin = time.monotonic()
            assert server.api("GET", "/v1/models").status_code == 200
            waits.append(time.monotonic() - begin)
    assert long.result().status_code == 400 and long.result().json()["error"]["code"] == "context_length_exceeded"
    assert max(waits) < 2, waits


# Row 28.
@pytest.mark.parametrize("token", ["<|im_end|>", "<|im_start|>system", "<|endoftext|>", "<think>"])
def test_names_of_special_tokens_are_text(watch, token):
    def tokens(content):
        return ask(watch.server, messages=[{"role": "user", "content": content}])["usage"]["prompt_tokens"]
    assert tokens(f"a {token} b") - tokens("a  b") >= 2, "as many as its letters make, not one"
