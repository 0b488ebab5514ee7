"""Structured output through the gateway with the OpenAI SDK: whatever a small model samples, the document is valid, or the answer says
that it ran out of tokens. jsonschema is the judge."""
import concurrent.futures
import json

import httpx
import jsonschema
import openai
import pydantic
import pytest

ORDER = {
    "type": "object",
    "properties": {
        "kind": {"type": "string", "enum": ["pizza", "soup", "salad"]},
        "count": {"type": "integer", "minimum": 1, "maximum": 12},
        "price": {"type": "number", "exclusiveMinimum": 0, "maximum": 99.5},
        "customer": {
            "type": "object",
            "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 20}, "vip": {"type": "boolean"}},
            "required": ["name", "vip"],
            "additionalProperties": False,
        },
        "toppings": {"type": "array", "items": {"enum": ["cheese", "olives", "basil"]}, "minItems": 1, "maxItems": 4},
        "code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"},
        "note": {"type": ["null", "boolean"]},
    },
    "required": ["kind", "count", "price", "customer", "toppings", "code"],
    "additionalProperties": False,
}
ASK = [{"role": "user", "content": "Order two pizzas with cheese for Ada, as JSON."}]


def schema_format(schema, strict=True):
    return {"type": "json_schema", "json_schema": {"name": "order", "strict": strict, "schema": schema}}


def ask(server, response_format, **options):
    settings = {"model": "smollm2", "messages": ASK, "max_tokens": 400, "temperature": 1.0, **options}
    return server.openai().chat.completions.create(response_format=response_format, **settings)


def check(choice, schema):
    assert choice.finish_reason in ("stop", "length")
    if choice.finish_reason == "stop":
        jsonschema.validate(json.loads(choice.message.content), schema)
    return choice.finish_reason == "stop"


def test_every_choice_is_valid(server):
    answer = ask(server, schema_format(ORDER), n=4, seed=7)
    assert len(answer.choices) == 4
    assert all([check(choice, ORDER) for choice in answer.choices]), [c.message.content for c in answer.choices]
    assert len({c.message.content for c in answer.choices}) > 1, "each choice has a state of its own"


def test_not_strict_is_held_to_the_schema_too(server):
    assert check(ask(server, schema_format(ORDER, strict=False), temperature=0).choices[0], ORDER)


def test_six_streams_at_once(server):
    def stream(seed):
        chunks = list(ask(server, schema_format(ORDER), stream=True, seed=seed))
        reasons = [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason]
        return reasons, "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(stream, range(6)))
    for reasons, text in answers:
        assert reasons == ["stop"], text
        jsonschema.validate(json.loads(text), ORDER)


def test_json_object(server):
    answer = ask(server, {"type": "json_object"}, n=3, seed=1)
    ended = [choice for choice in answer.choices if choice.finish_reason == "stop"]
    for choice in ended:
        assert isinstance(json.loads(choice.message.content), dict)
    for choice in answer.choices:
        assert choice.message.content.lstrip().startswith("{")


def test_recursion_and_branches(server):
    schema = {
        "$defs": {
            "leaf": {"type": "object", "properties": {"is": {"const": "leaf"}, "value": {"type": "integer", "minimum": 0, "maximum": 9}},
                     "required": ["is", "value"]},
            "pair": {"type": "object", "properties": {"is": {"const": "pair"}, "left": {"$ref": "#/$defs/leaf"}, "right": {"$ref": "#"}},
                     "required": ["is", "left", "right"]},
        },
        "oneOf": [{"$ref": "#/$defs/leaf"}, {"$ref": "#/$defs/pair"}],
    }
    answer = ask(server, schema_format(schema), n=4, seed=3)
    assert any([check(choice, schema) for choice in answer.choices])


def test_the_sdks_own_parse(server):
    class Step(pydantic.BaseModel):
        number: int
        done: bool

    class Plan(pydantic.BaseModel):
        steps: list[Step] = pydantic.Field(max_length=3)
        verdict: str = pydantic.Field(max_length=30)

    answer = server.openai().chat.completions.parse(
        model="smollm2", messages=ASK, max_tokens=400, temperature=0, response_format=Plan)
    assert answer.choices[0].finish_reason == "stop", answer.choices[0].message.content
    assert isinstance(answer.choices[0].message.parsed, Plan)


@pytest.mark.parametrize("schema,where", [
    ({"type": "object", "properties": {"a": {"not": {"type": "string"}}}}, "properties.a.not"),
    ({"type": "string", "pattern": "(?=a)b"}, "pattern"),
    ({"type": "string", "pattern": "((a{100}){100}){100}"}, "pattern"),
    ({"type": "array", "items": {}, "uniqueItems": True}, "uniqueItems"),
    ({"enum": ["x" * 70_000]}, ""),
    ({"$ref": "#"}, ""),
])
def test_what_would_not_be_enforced_is_refused(server, schema, where):
    with pytest.raises(openai.BadRequestError) as refused:
        ask(server, schema_format(schema))
    path = "response_format.json_schema.schema" + ("." + where if where else "")
    assert refused.value.param == path
    assert refused.value.code in ("unsupported_schema", "invalid_schema")


def test_the_embedded_engine_goes_on_serving(server):
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    assert server.openai().chat.completions.create(model="smollm2", messages=ASK, max_tokens=4).usage.completion_tokens == 4


def test_completions_are_held_to_a_schema_too(server):
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}}, "required": ["n"], "additionalProperties": False}
    answer = server.openai().completions.create(
        model="smollm2", prompt="A number as JSON:", max_tokens=40, temperature=0,
        extra_body={"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}})
    assert answer.choices[0].finish_reason == "stop"
    assert isinstance(json.loads(answer.choices[0].text)["n"], int)
