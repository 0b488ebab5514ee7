"""The Responses API with OpenAI's Python client."""
import json

import openai
import pydantic
import pytest

from conftest import until

PROMPT = "Complete the sentence: The capital of France is"
QUESTION = [{"role": "user", "content": "How is the weather in Rome?"}]
WEATHER = {"type": "function", "name": "weather", "description": "The weather of a city", "strict": True, "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "maxLength": 20}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"], "additionalProperties": False}}


def ask(server, **fields):
    return server.openai().responses.create(**{"model": "smollm2", "input": PROMPT, "max_output_tokens": 24, "temperature": 0, **fields})


def test_a_text(server):
    answer = ask(server)
    assert answer.object == "response" and answer.id.startswith("resp_") and answer.model == "smollm2"
    assert answer.status in ("completed", "incomplete") and answer.error is None
    item, = answer.output
    assert item.type == "message" and item.role == "assistant" and item.content[0].type == "output_text"
    assert "Paris" in answer.output_text
    usage = answer.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens and 0 < usage.output_tokens <= 24
    assert usage.input_tokens_details.cached_tokens >= 0 and usage.output_tokens_details.reasoning_tokens == 0
    assert answer.store is False and answer.previous_response_id is None and answer.temperature == 0


def test_it_says_what_a_chat_says(server):
    chat = server.openai().chat.completions.create(model="smollm2", messages=[{"role": "user", "content": PROMPT}], temperature=0, max_tokens=24)
    assert ask(server).output_text == chat.choices[0].message.content


def test_items_and_instructions(server):
    items = [{"role": "user", "content": [{"type": "input_text", "text": "My name is Ada."}]},
             {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello, Ada.", "annotations": []}]},
             {"role": "user", "content": "What is my name?"}]
    plain = ask(server, input=items)
    assert plain.output_text and plain.usage.input_tokens > ask(server).usage.input_tokens
    told = ask(server, input=items, instructions="Answer in one word.")
    assert told.instructions == "Answer in one word." and told.usage.input_tokens != plain.usage.input_tokens
    developer = ask(server, input=[{"role": "developer", "content": "Answer in one word."}, *items])
    assert developer.output_text == told.output_text
    again = ask(server, input=[*items, *plain.output, {"role": "user", "content": "Thanks."}])
    assert again.output_text, "what came out can go in again"


def test_the_tokens_run_out(server):
    cut = ask(server, max_output_tokens=2, extra_body={"ignore_eos": True})
    assert cut.status == "incomplete" and cut.incomplete_details.reason == "max_output_tokens" and cut.usage.output_tokens == 2


def test_stream(server):
    events = list(ask(server, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:4] == ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"]
    assert kinds[-4:-1] == ["response.output_text.done", "response.content_part.done", "response.output_item.done"]
    assert kinds[-1] in ("response.completed", "response.incomplete")
    assert set(kinds[4:-4]) == {"response.output_text.delta"} and len(kinds) > 11
    assert events[0].response.status == "in_progress" and events[0].response.output == []
    item = events[2].item
    assert {event.item_id for event in events if hasattr(event, "item_id")} == {item.id}
    assert {event.output_index for event in events if hasattr(event, "output_index")} == {0}
    text = "".join(event.delta for event in events[4:-4])
    last = events[-1].response
    assert text == events[-4].text == last.output_text == ask(server).output_text
    assert last.id == events[0].response.id and last.usage.output_tokens > 0


def test_stream_helper(server):
    with server.openai().responses.stream(model="smollm2", input=PROMPT, max_output_tokens=24, temperature=0) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert "Paris" in text and stream.get_final_response().output_text == text


def test_functions_there_and_back(tool_server):
    first = ask(tool_server, model="tools", input=QUESTION, tools=[WEATHER], tool_choice={"type": "function", "name": "weather"}, max_output_tokens=200)
    assert first.status == "completed"
    call, = [item for item in first.output if item.type == "function_call"]
    arguments = json.loads(call.arguments)
    assert call.name == "weather" and call.call_id and set(arguments) == {"city", "days"}
    second = ask(tool_server, model="tools", tools=[WEATHER], tool_choice="none",
                 input=[*QUESTION, *first.output, {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}])
    assert second.output_text and second.output[0].type == "message"


def test_streamed_functions(tool_server):
    events = list(ask(tool_server, model="tools", input=QUESTION, tools=[WEATHER], tool_choice="required", max_output_tokens=200, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[2] == "response.output_item.added" and kinds[-3:] == [
        "response.function_call_arguments.done", "response.output_item.done", "response.completed"]
    assert set(kinds[3:-3]) == {"response.function_call_arguments.delta"} and len(kinds) > 8
    assert events[2].item.name == "weather" and events[2].item.arguments == ""
    arguments = "".join(event.delta for event in events[3:-3])
    assert arguments == events[-3].arguments == events[-2].item.arguments == events[-1].response.output[0].arguments
    assert set(json.loads(arguments)) == {"city", "days"}


class City(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=20)
    people: int = pydantic.Field(ge=1, le=99)


def test_parse(server):
    answer = server.openai().responses.parse(model="smollm2", input=PROMPT, text_format=City, max_output_tokens=200, temperature=0)
    assert answer.status == "completed" and isinstance(answer.output_parsed, City)
    assert answer.text.format.type == "json_schema"


def test_json_object(server):
    answer = ask(server, text={"format": {"type": "json_object"}}, max_output_tokens=300, temperature=1, extra_body={"seed": 1})
    assert answer.output_text.lstrip().startswith("{")


def test_log_probabilities(server):
    part = ask(server, top_logprobs=2, max_output_tokens=4, include=["message.output_text.logprobs"]).output[0].content[0]
    assert part.logprobs and all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in part.logprobs)


def test_errors(server):
    with pytest.raises(openai.NotFoundError) as unknown:
        ask(server, model="nope")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError) as stranger:
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="gtk_wrong", max_retries=0).responses.create(model="smollm2", input="x")
    assert stranger.value.code == "invalid_api_key"
    with pytest.raises(openai.BadRequestError) as streamed:
        list(ask(server, temperature=3, stream=True))
    assert streamed.value.param == "temperature"


@pytest.mark.parametrize("change, param", [
    ({"input": 5}, "input"), ({"input": []}, "input"), ({"input": [5]}, "input[0]"), ({"input": [{"role": "alien", "content": "x"}]}, "input[0].role"),
    ({"input": [{"type": "hologram"}]}, "input[0].type"), ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
    ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input[0].content[0].type"),
    ({"input": [*QUESTION, {"type": "function_call_output", "call_id": "call_9", "output": "x"}]}, "input[1]"),
    ({"instructions": 5}, "instructions"), ({"previous_response_id": "resp_1"}, "previous_response_id"), ({"conversation": "conv_1"}, "conversation"),
    ({"background": True}, "background"), ({"max_output_tokens": 0}, "max_output_tokens"), ({"top_logprobs": 21}, "top_logprobs"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"), ({"tools": [{"type": "function", "name": "a b"}]}, "tools[0].name"),
    ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice.name"), ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
    ({"text": {"format": {"type": "json_schema", "name": "s", "schema": {"not": {}}}}}, "text.format.schema"), ({"reasoning": {"effort": 5}}, "reasoning.effort"),
])
def test_wrong_values_are_named_as_the_client_calls_them(server, change, param):
    answer = server.api("POST", "/v1/responses", json={"model": "smollm2", "input": "x", "max_output_tokens": 2, **change})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["type"] == "invalid_request_error"
    assert error["param"].startswith(param), error


def test_a_stream_that_is_left_frees_its_place(server):
    stream = ask(server, max_output_tokens=4000, stream=True, extra_body={"ignore_eos": True})
    next(event for event in stream if event.type == "response.output_text.delta")
    assert server.in_flight() == 1
    stream.close()
    until(lambda: server.in_flight() == 0, "the request is gone", timeout=2)
