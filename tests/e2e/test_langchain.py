"""LangChain's OpenAI classes against /v1."""
import json

import openai
import pydantic
import pytest
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings

from conftest import until

PROMPT = [HumanMessage("Complete the sentence: The capital of France is")]


@tool
def weather(city: str, days: int) -> str:
    """The weather of a city for some days."""
    return f"{days} days of sun in {city}"


def chat_model(server, **options):
    settings = {"model": "smollm2", "temperature": 0, "max_tokens": 24, "max_retries": 0, "timeout": 120, "api_key": server.key, **options}
    return ChatOpenAI(base_url=f"{server.url}/v1", **settings)


def test_chat(server):
    answer = chat_model(server).invoke([SystemMessage("Be brief."), *PROMPT])
    assert "Paris" in answer.content
    assert answer.response_metadata["finish_reason"] in ("stop", "length")
    assert answer.usage_metadata["output_tokens"] > 0


def test_stream(server):
    pieces = list(chat_model(server, stream_usage=True).stream(PROMPT))
    assert len(pieces) > 3
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    assert "Paris" in whole.content
    assert whole.usage_metadata["output_tokens"] > 0


def test_batch(server):
    answers = chat_model(server).batch([PROMPT] * 4)
    assert all("Paris" in answer.content for answer in answers)


def test_completion(server):
    model = OpenAI(model="smollm2", base_url=f"{server.url}/v1", api_key=server.key, temperature=0, max_tokens=8, max_retries=0)
    assert "Paris" in model.invoke("The capital of France is")


def test_tools(tool_server):
    model = chat_model(tool_server, model="tools", max_tokens=200)
    question = HumanMessage("How is the weather in Rome?")
    answer = model.bind_tools([weather], tool_choice="weather", strict=True).invoke([question])
    call, = answer.tool_calls
    assert call["name"] == "weather" and set(call["args"]) == {"city", "days"}
    result = weather.invoke(call)
    assert isinstance(result, ToolMessage) and result.tool_call_id == call["id"]
    assert model.bind_tools([weather], tool_choice="none").invoke([question, answer, result]).content


def test_streamed_tools(tool_server):
    model = chat_model(tool_server, model="tools", max_tokens=200).bind_tools([weather], tool_choice="any")
    whole = None
    for piece in model.stream([HumanMessage("How is the weather in Rome?")]):
        whole = piece if whole is None else whole + piece
    call, = whole.tool_calls
    assert call["name"] == "weather" and set(call["args"]) == {"city", "days"}


class City(pydantic.BaseModel):
    """A city."""

    name: str = pydantic.Field(max_length=20)
    people: int = pydantic.Field(ge=1, le=99)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(tool_server, method):
    model = chat_model(tool_server, model="tools", max_tokens=200).with_structured_output(City, method=method)
    city = model.invoke(PROMPT)
    assert isinstance(city, City) and 1 <= city.people <= 99


def test_json_mode(server):
    model = chat_model(server, max_tokens=300, temperature=1, seed=1).with_structured_output(None, method="json_mode", include_raw=True)
    try:
        answer = model.invoke(PROMPT)
    except openai.LengthFinishReasonError as cut:   # how LangChain tells of an object that the tokens did not suffice for
        assert cut.completion.choices[0].message.content.lstrip().startswith("{")
        return
    assert answer["raw"].content.lstrip().startswith("{")
    assert answer["raw"].response_metadata["finish_reason"] == "stop"
    assert answer["parsed"] == json.loads(answer["raw"].content)


# check_embedding_ctx_length: LangChain then sends token ids of OpenAI's own vocabulary, which are words of no other model.
def test_embeddings(embedding_server):
    model = OpenAIEmbeddings(model="minilm", base_url=f"{embedding_server.url}/v1", api_key=embedding_server.key, max_retries=0,
                             check_embedding_ctx_length=False)
    vectors = model.embed_documents(["a cat", "a dog", "a bond"])
    assert len(vectors) == 3 and all(len(vector) == 384 for vector in vectors)
    assert vectors[0] == pytest.approx(model.embed_query("a cat"), abs=1e-3)


def test_errors(server):
    with pytest.raises(openai.NotFoundError) as unknown:
        chat_model(server, model="nope").invoke(PROMPT)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError) as stranger:
        chat_model(server, api_key="gtk_wrong").invoke(PROMPT)
    assert stranger.value.code == "invalid_api_key"
    with pytest.raises(openai.BadRequestError) as wrong:
        chat_model(server, top_p=7).invoke(PROMPT)
    assert wrong.value.param == "top_p"


def test_a_stream_that_is_left_frees_its_place(server):
    pieces = chat_model(server, max_tokens=4000, extra_body={"ignore_eos": True}).stream(PROMPT)
    next(pieces)
    assert server.in_flight() == 1
    pieces.close()
    until(lambda: server.in_flight() == 0, "the request is gone", timeout=2)
