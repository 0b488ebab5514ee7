"""LlamaIndex against /v1. Prints a line of JSON for each case; test_llamaindex.py judges them."""
import gc
import json
import os
import re
import time
import traceback
import urllib.request

import openai
from llama_index.core.llms import ChatMessage
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike
from llama_index.postprocessor.jinaai_rerank import JinaRerank
from pydantic import BaseModel, Field

URL = os.environ["GANTRY_URL"]
KEY = os.environ["GANTRY_KEY"]
PROMPT = [ChatMessage(role="user", content="Complete the sentence: The capital of France is")]


def llm(model="smollm2", key=KEY, **options):
    settings = {"temperature": 0, "max_tokens": 24, "max_retries": 0, "timeout": 120, "is_chat_model": True,
                "is_function_calling_model": True, "context_window": 8192, **options}
    return OpenAILike(model=model, api_base=f"{URL}/v1", api_key=key, **settings)


def in_flight():
    request = urllib.request.Request(f"{URL}/metrics", headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request) as answer:
        return float(re.search(r"^gantry_gateway_requests_in_flight (\S+)", answer.read().decode(), re.M).group(1))


def refused(what, kind, **fields):
    try:
        what()
    except kind as error:
        for name, value in fields.items():
            assert getattr(error, name) == value, (name, getattr(error, name))
    else:
        raise AssertionError("it was not refused")


def weather(city: str, days: int) -> str:
    """The weather of a city for some days."""
    return f"{days} days of sun in {city}"


def chat():
    answer = llm().chat(PROMPT)
    assert "Paris" in answer.message.content
    assert answer.raw.usage.completion_tokens > 0


def stream():
    pieces = list(llm().stream_chat(PROMPT))
    assert len(pieces) > 3
    assert "".join(piece.delta or "" for piece in pieces) == pieces[-1].message.content
    assert "Paris" in pieces[-1].message.content


def complete():
    assert "Paris" in llm(is_chat_model=False).complete("The capital of France is").text


def tools():
    tool = FunctionTool.from_defaults(weather)
    model = llm("tools", max_tokens=200)
    answer = model.chat_with_tools([tool], user_msg="How is the weather in Rome?", tool_required=True)
    call, = model.get_tool_calls_from_response(answer)
    assert call.tool_name == "weather" and set(call.tool_kwargs) == {"city", "days"}, call
    result = ChatMessage(role="tool", content=str(tool(**call.tool_kwargs)), additional_kwargs={"tool_call_id": call.tool_id})
    again = model.chat([ChatMessage(role="user", content="How is the weather in Rome?"), answer.message, result],
                       tools=[tool.metadata.to_openai_tool()], tool_choice="none")
    assert again.message.content


class City(BaseModel):
    """A city."""

    name: str = Field(max_length=20)
    people: int = Field(ge=1, le=99)


def json_schema():
    model = llm("tools", max_tokens=200, should_use_structured_outputs=True)
    city = model.as_structured_llm(City).chat(PROMPT).raw
    assert isinstance(city, City) and 1 <= city.people <= 99


def embeddings():
    model = OpenAILikeEmbedding(model_name="minilm", api_base=f"{URL}/v1", api_key=KEY, max_retries=0)
    vectors = model.get_text_embedding_batch(["a cat", "a dog", "a bond"])
    assert len(vectors) == 3 and all(len(vector) == 384 for vector in vectors)
    assert max(abs(a - b) for a, b in zip(model.get_query_embedding("a cat"), vectors[0])) < 1e-3


def rerank():
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in ("Cats sleep a lot.", "Paris is the capital of France.")]
    reranker = JinaRerank(model="minilm", base_url=f"{URL}/v1", api_key=KEY, top_n=1)
    best, = reranker.postprocess_nodes(nodes, query_str="What is the capital of France?")
    assert best.node.get_content() == "Paris is the capital of France."


def unknown_model():
    refused(lambda: llm("nope").chat(PROMPT), openai.NotFoundError, code="model_not_found")


def bad_key():
    refused(lambda: llm(key="gtk_wrong").chat(PROMPT), openai.AuthenticationError, code="invalid_api_key")


def bad_value():
    refused(lambda: llm().chat(PROMPT, top_p=7), openai.BadRequestError, param="top_p")


def cancel():
    pieces = llm(max_tokens=4000, additional_kwargs={"extra_body": {"ignore_eos": True}}).stream_chat(PROMPT)
    next(pieces)
    assert in_flight() == 1
    pieces.close()
    del pieces   # its wrappers hold the request until they go
    gc.collect()
    end = time.monotonic() + 2
    while in_flight() != 0:
        assert time.monotonic() < end, "the request goes on"


for case in (chat, stream, complete, tools, json_schema, embeddings, rerank, unknown_model, bad_key, bad_value, cancel):
    problem = None
    try:
        case()
    except Exception:  # whatever it is, the other cases run
        problem = traceback.format_exc()
    print(json.dumps({"case": case.__name__, "error": problem}))
