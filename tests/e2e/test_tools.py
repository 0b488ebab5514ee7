"""Tool calls and reasoning through the real engine, with the official client. SmolLM2 knows ChatML and no tools, so it is given the
templates of models that do; what such a small model calls on its own is chance, so calls are forced, or put into its mouth."""
import json

import openai
import pytest

from conftest import SMOLLM2, TEMPLATES, Engine

WEATHER = {"type": "function", "function": {"name": "weather", "description": "The weather of a city", "strict": True, "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "maxLength": 20}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"], "additionalProperties": False}}}
TIME = {"type": "function", "function": {"name": "time", "parameters": {
    "type": "object", "properties": {"zone": {"enum": ["utc", "cet"]}}, "required": ["zone"]}}}
QUESTION = [{"role": "user", "content": "How is the weather in Rome?"}]


@pytest.fixture(scope="module")
def engine():
    with Engine("--model", str(SMOLLM2), "--ctx", "4096", "--chat-template", str(TEMPLATES / "Qwen-Qwen2.5-7B-Instruct.jinja")) as engine:
        yield engine


@pytest.fixture(scope="module")
def client(engine):
    return openai.OpenAI(base_url=f"{engine.url}/v1", api_key="none", max_retries=0)


def named(name):
    return {"type": "function", "function": {"name": name}}


def test_a_named_tool_is_called_with_arguments_of_its_schema(client):
    answer = client.chat.completions.create(model="m", messages=QUESTION, tools=[WEATHER, TIME], tool_choice=named("weather"), max_tokens=200)
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert [call.function.name for call in choice.message.tool_calls] == ["weather"]
    assert choice.message.tool_calls[0].id.startswith("call_")
    arguments = json.loads(choice.message.tool_calls[0].function.arguments)
    assert set(arguments) == {"city", "days"}
    assert 1 <= arguments["days"] <= 9


def test_one_of_several_tools_is_called_where_one_is_required(client):
    seen = set()
    for seed in range(6):
        answer = client.chat.completions.create(model="m", messages=QUESTION, tools=[WEATHER, TIME], tool_choice="required", max_tokens=200,
                                                temperature=2, seed=seed)
        call = answer.choices[0].message.tool_calls[0].function
        arguments = json.loads(call.arguments)
        assert set(arguments) == {"weather": {"city", "days"}, "time": {"zone"}}[call.name]
        seen.add(call.name)
    assert seen <= {"weather", "time"}


def test_a_streamed_call_has_its_name_first_and_then_arguments(client):
    stream = client.chat.completions.create(model="m", messages=QUESTION, tools=[WEATHER], tool_choice="required", max_tokens=200, stream=True,
                                            stream_options={"include_usage": True})
    pieces, finish, usage = [], None, None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            assert not choice.delta.content
            pieces += choice.delta.tool_calls or []
            finish = choice.finish_reason or finish
    assert finish == "tool_calls"
    assert usage.completion_tokens > 0
    assert pieces[0].function.name == "weather"
    assert pieces[0].id and pieces[0].type == "function"
    assert all(piece.index == 0 for piece in pieces)
    assert not any(piece.function.name or piece.id for piece in pieces[1:])
    assert json.loads("".join(piece.function.arguments or "" for piece in pieces))["days"] > 0
    assert len(pieces) > 2, "as it is written"


def test_a_conversation_with_a_tool_goes_on(client):
    answer = client.chat.completions.create(model="m", messages=[
        *QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Rome\", \"days\": 1}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}], tools=[WEATHER], max_tokens=20)
    assert answer.choices[0].finish_reason in ("stop", "length", "tool_calls")


def test_without_a_call_it_is_an_answer(client):
    answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Say hello."}], tools=[WEATHER], max_tokens=16)
    assert answer.choices[0].message.content or answer.choices[0].message.tool_calls


def test_strict_parameters_that_would_not_be_enforced_are_refused(client):
    tool = {"type": "function", "function": {"name": "f", "strict": True, "parameters": {"type": "object", "not": {}}}}
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="m", messages=QUESTION, tools=[tool], tool_choice="required")
    assert refused.value.param == "tools[0].function.parameters.not"


def test_a_model_without_tools_says_so():
    with Engine("--model", str(SMOLLM2), "--ctx", "1024") as engine:
        answer = engine.post("/v1/chat/completions", 400, messages=QUESTION, tools=[WEATHER])
        assert answer["error"]["param"] == "tools"


def test_reasoning_is_set_apart():
    with Engine("--model", str(SMOLLM2), "--ctx", "2048", "--chat-template", str(TEMPLATES / "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja")) as engine:
        # The prompt opens the thought, and this model does not know how to end it.
        body = {"messages": QUESTION, "max_tokens": 24, "ignore_eos": True}
        answer = engine.post("/v1/chat/completions", **body)
        message = answer["choices"][0]["message"]
        assert message["reasoning_content"] and message["content"] == ""
        assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == 24
        # Held to a schema, there is no room for one.
        held = engine.post("/v1/chat/completions", **body | {"max_tokens": 300, "ignore_eos": False, "response_format": {
            "type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": ["yes", "no"]}}}})
        assert json.loads(held["choices"][0]["message"]["content"]) in ("yes", "no")
