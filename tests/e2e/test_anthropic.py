"""Anthropic's Python client against /v1/messages."""
import anthropic
import httpx
import pytest

from conftest import until

PROMPT = [{"role": "user", "content": "Complete the sentence: The capital of France is"}]
QUESTION = [{"role": "user", "content": "How is the weather in Rome?"}]
WEATHER = {"name": "weather", "description": "The weather of a city", "input_schema": {
    "type": "object", "properties": {"city": {"type": "string", "maxLength": 20}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"], "additionalProperties": False}}


def client_of(server, **options):
    return anthropic.Anthropic(**{"base_url": server.url, "api_key": server.key, "max_retries": 0, "timeout": 120, **options})


@pytest.fixture
def client(server):
    return client_of(server)


GREEDY = {"temperature": 0}   # which the client's own parameters no longer have


def ask(client, **fields):
    return client.messages.create(**{"model": "smollm2", "messages": PROMPT, "max_tokens": 24, "extra_body": GREEDY, **fields})


def test_message(client):
    answer = ask(client)
    assert answer.type == "message" and answer.role == "assistant" and answer.model == "smollm2" and answer.id.startswith("msg_")
    block, = answer.content
    assert block.type == "text" and "Paris" in block.text
    assert answer.stop_reason in ("end_turn", "max_tokens") and answer.stop_sequence is None
    assert 0 < answer.usage.output_tokens <= 24
    assert answer.usage.input_tokens + answer.usage.cache_read_input_tokens > 0
    assert answer._request_id


def test_system_and_blocks(client):
    plain = ask(client, system="Answer in one word.")
    blocks = ask(client, system=[{"type": "text", "text": "Answer in one word.", "cache_control": {"type": "ephemeral"}}],
                 messages=[{"role": "user", "content": [{"type": "text", "text": PROMPT[0]["content"]}]}])
    assert blocks.content[0].text == plain.content[0].text
    without = ask(client)
    read = [a.usage.input_tokens + a.usage.cache_read_input_tokens for a in (plain, without)]
    assert read[0] != read[1], "the system's words are read"


def test_a_conversation_and_what_the_answer_begins_with(client):
    answer = ask(client, messages=[*PROMPT, {"role": "assistant", "content": [{"type": "text", "text": "Paris."}]},
                                   {"role": "user", "content": "And of Italy?"}])
    assert answer.content[0].text


def test_why_it_stopped(client):
    cut = ask(client, max_tokens=3)
    assert cut.stop_reason == "max_tokens" and cut.usage.output_tokens == 3
    stopped = ask(client, stop_sequences=["Paris", "zzz"])
    assert stopped.stop_reason == "stop_sequence" and stopped.stop_sequence == "Paris"
    assert not stopped.content or "Paris" not in stopped.content[0].text


def test_stream_of_events(client):
    events = list(ask(client, stream=True))
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
    inner = [kind for kind in kinds[1:-2] if kind != "ping"]
    assert inner[0] == "content_block_start" and inner[-1] == "content_block_stop"
    assert set(inner[1:-1]) == {"content_block_delta"}
    started = events[0].message
    assert started.content == [] and started.stop_reason is None and started.model == "smollm2"
    deltas = [event for event in events if event.type == "content_block_delta"]
    assert len(deltas) > 3 and all(event.index == 0 and event.delta.type == "text_delta" for event in deltas)
    assert "".join(event.delta.text for event in deltas) == ask(client).content[0].text
    end = events[-2]
    assert end.delta.stop_reason in ("end_turn", "max_tokens") and end.usage.output_tokens > 0


def test_stream_as_it_goes_over_the_wire(server):
    with httpx.stream("POST", f"{server.url}/v1/messages", timeout=60, headers={"x-api-key": server.key, "anthropic-version": "2023-06-01"},
                      json={"model": "smollm2", "messages": PROMPT, "max_tokens": 4, "stream": True}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        body = answer.read().decode()
    events = [event.split("\n") for event in body.strip().split("\n\n")]
    assert all(name.startswith("event: ") and data.startswith("data: ") for name, data in events)
    assert all(f'"type":"{name[7:]}"' in data for name, data in events), "an event's name is its type"
    assert "[DONE]" not in body


def test_stream_helper(client):
    with client.messages.stream(model="smollm2", messages=PROMPT, max_tokens=24, extra_body=GREEDY) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert "Paris" in text and final.content[0].text == text
    assert final.usage.output_tokens > 0


def test_tools_there_and_back(tool_server):
    client = client_of(tool_server)
    first = ask(client, model="tools", messages=QUESTION, tools=[WEATHER], tool_choice={"type": "tool", "name": "weather"}, max_tokens=200)
    assert first.stop_reason == "tool_use"
    use, = [block for block in first.content if block.type == "tool_use"]
    assert use.name == "weather" and set(use.input) == {"city", "days"} and 1 <= use.input["days"] <= 9
    second = ask(client, model="tools", tools=[WEATHER], messages=[
        *QUESTION, {"role": "assistant", "content": [block.to_dict() for block in first.content]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": "sunny"}]},
                                     {"type": "text", "text": "And tomorrow?"}]}], tool_choice={"type": "none"})
    assert second.content[0].type == "text" and second.stop_reason in ("end_turn", "max_tokens")


def test_streamed_tools(tool_server):
    client = client_of(tool_server)
    options = {"model": "tools", "messages": QUESTION, "tools": [WEATHER], "tool_choice": {"type": "any"}, "max_tokens": 200, "extra_body": GREEDY}
    events = list(client.messages.create(stream=True, **options))
    start, = [event for event in events if event.type == "content_block_start" and event.content_block.type == "tool_use"]
    assert start.content_block.name == "weather" and start.content_block.input == {} and start.content_block.id
    pieces = [event.delta for event in events if event.type == "content_block_delta" and event.index == start.index]
    assert len(pieces) > 2 and all(piece.type == "input_json_delta" for piece in pieces)
    assert [event.delta.stop_reason for event in events if event.type == "message_delta"] == ["tool_use"]
    with client.messages.stream(**options) as stream:
        use, = [block for block in stream.get_final_message().content if block.type == "tool_use"]
    assert set(use.input) == {"city", "days"}


def test_count_tokens(client):
    counted = client.messages.count_tokens(model="smollm2", messages=PROMPT, system="Be brief.").input_tokens
    usage = ask(client, system="Be brief.", max_tokens=1).usage
    assert counted == usage.input_tokens + usage.cache_read_input_tokens
    longer = [*PROMPT, {"role": "assistant", "content": "Paris."}, *PROMPT]
    assert client.messages.count_tokens(model="smollm2", messages=longer, system="Be brief.").input_tokens > counted


def test_models(client):
    assert "smollm2" in [model.id for model in client.models.list()]


def shape(error):
    body = error.response.json()
    assert set(body) == {"type", "error"} and body["type"] == "error" and set(body["error"]) == {"type", "message"}
    assert error.response.headers["x-request-id"]   # request-id is the name that their clients know
    assert error.request_id in (None, error.response.headers["x-request-id"])
    return body["error"]["type"]


def test_errors(server, client):
    with pytest.raises(anthropic.NotFoundError) as unknown:
        ask(client, model="nope")
    assert shape(unknown.value) == "not_found_error"
    with pytest.raises(anthropic.AuthenticationError) as stranger:
        ask(client_of(server, api_key="gtk_wrong"))
    assert shape(stranger.value) == "authentication_error"
    with pytest.raises(anthropic.NotFoundError) as counted:
        client.messages.count_tokens(model="nope", messages=PROMPT)
    assert shape(counted.value) == "not_found_error"


@pytest.mark.parametrize("change, named", [
    ({"max_tokens": 0}, "max_tokens"), ({"max_tokens": "many"}, "max_tokens"), ({"temperature": 3}, "temperature"), ({"messages": []}, "messages"),
    ({"messages": [{"role": "system", "content": "x"}]}, "messages[0].role"), ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "messages[0].content[0].type"), ({"system": 5}, "system"),
    ({"messages": [*PROMPT, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_9", "content": "x"}]}]}, "messages[1]"),
    ({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}, "tools[0].name"), ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"), ({"tool_choice": {"type": "must"}}, "tool_choice.type"),
    ({"stop_sequences": [""]}, "stop_sequences"), ({"thinking": {"type": "hard"}}, "thinking.type"), ({"stream": "yes"}, "stream"),
])
def test_wrong_values_are_named_as_the_client_calls_them(server, change, named):
    answer = server.request("POST", "/v1/messages", headers={"x-api-key": server.key},
                            json={"model": "smollm2", "messages": PROMPT, "max_tokens": 4, **change})
    assert answer.status_code == 400, answer.text
    error = answer.json()
    assert error["type"] == "error" and error["error"]["type"] == "invalid_request_error"
    assert named in error["error"]["message"], error


def test_max_tokens_is_required(server):
    answer = server.request("POST", "/v1/messages", headers={"x-api-key": server.key}, json={"model": "smollm2", "messages": PROMPT})
    assert answer.status_code == 400 and "max_tokens" in answer.json()["error"]["message"]


def test_a_stream_that_is_left_frees_its_place(server, client):
    stream = ask(client, max_tokens=4000, stream=True, messages=[{"role": "user", "content": "Write a long story about a king."}])
    next(event for event in stream if event.type == "content_block_delta")
    assert server.in_flight() == 1
    stream.close()
    until(lambda: server.in_flight() == 0, "the request is gone", timeout=2)
