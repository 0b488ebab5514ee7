"""The OpenAI Python SDK against /v1: chat, streams, completions, models, errors."""
import concurrent.futures

import httpx
import openai
import pytest

from conftest import until

PROMPT = [{"role": "user", "content": "Complete the sentence: The capital of France is"}]


def test_chat(server):
    answer = server.openai().chat.completions.create(model="smollm2", messages=PROMPT, temperature=0, max_tokens=24)
    assert "Paris" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.model == "smollm2"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert 0 < answer.usage.completion_tokens <= 24


def test_stream_shape(server):
    chunks = list(server.openai().chat.completions.create(
        model="smollm2", messages=PROMPT, temperature=0, max_tokens=24, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert all(c.choices[0].delta.role is None for c in chunks[1:] if c.choices)
    assert len({c.id for c in chunks}) == 1 and len({c.created for c in chunks}) == 1
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert "Paris" in text
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason]
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0


def test_stream_equals_whole_answer(server):
    client = server.openai()
    whole = client.chat.completions.create(model="smollm2", messages=PROMPT, temperature=0, max_tokens=40)
    stream = client.chat.completions.create(model="smollm2", messages=PROMPT, temperature=0, max_tokens=40, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in stream if c.choices) == whole.choices[0].message.content


def test_stream_has_no_usage_unasked(server):
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", timeout=60,
                      headers={"Authorization": f"Bearer {server.key}"},
                      json={"model": "smollm2", "messages": PROMPT, "max_tokens": 4, "stream": True}) as answer:
        body = answer.read().decode()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-request-id"]
    assert '"usage"' not in body
    assert body.endswith("data: [DONE]\n\n")


def test_how_a_request_is_served(server):
    def ask(max_tokens=4, **fields):
        return server.openai().chat.completions.create(model="smollm2", messages=PROMPT, max_tokens=max_tokens, **fields)

    assert ask().service_tier is None
    assert ask(service_tier="flex").service_tier == "flex"
    assert ask(service_tier="priority").service_tier == "default"  # nobody gets ahead of others through the gateway
    assert ask(extra_body={"cache_salt": "a", "priority": -1, "deadline_ms": 60_000}).choices
    for field in ("deadline_ms", "priority", "cache_salt"):
        with pytest.raises(openai.BadRequestError) as wrong:
            ask(extra_body={field: ""})
        assert wrong.value.param == field
    # Far more tokens than the time is for.
    late = {"ignore_eos": True, "deadline_ms": 400}
    with pytest.raises(openai.APIStatusError) as whole:
        ask(max_tokens=4000, extra_body=late)
    assert whole.value.status_code == 504 and whole.value.code == "deadline_exceeded"
    with pytest.raises(openai.APIError) as streamed:
        list(ask(max_tokens=4000, extra_body=late, stream=True))
    assert streamed.value.code == "deadline_exceeded"


def test_six_at_once_all_answer(server):
    client = server.openai()

    def ask(seed):
        return client.chat.completions.create(model="smollm2", messages=PROMPT, max_tokens=16, seed=seed, temperature=0.7)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, range(6)))
    assert all(a.usage.completion_tokens > 0 for a in answers)


def test_seed_repeats(server):
    # The first time the prompt is computed, then it is cached.
    prompt = [{"role": "user", "content": "Write a line about a seed, a gantry and the sea."}]
    texts = {server.openai().chat.completions.create(model="smollm2", messages=prompt, max_tokens=24, seed=7,
                                                     temperature=1.0).choices[0].message.content for _ in range(6)}
    assert len(texts) == 1


def test_n_choices_and_stop(server):
    answer = server.openai().chat.completions.create(model="smollm2", messages=PROMPT, n=3, temperature=0, max_tokens=24,
                                                     stop=["Paris"])
    assert [c.index for c in answer.choices] == [0, 1, 2]
    assert all("Paris" not in c.message.content for c in answer.choices)
    assert all(c.finish_reason == "stop" for c in answer.choices)


def test_max_tokens_is_exact_and_ignore_eos(server):
    answer = server.openai().chat.completions.create(model="smollm2", messages=PROMPT, max_tokens=33,
                                                     extra_body={"ignore_eos": True})
    assert answer.usage.completion_tokens == 33 and answer.choices[0].finish_reason == "length"


def test_completions(server):
    answer = server.openai().completions.create(model="smollm2", prompt="The capital of France is", temperature=0, max_tokens=8)
    assert "Paris" in answer.choices[0].text
    assert answer.object == "text_completion"


def test_logprobs(server):
    answer = server.openai().chat.completions.create(model="smollm2", messages=PROMPT, temperature=0, max_tokens=4,
                                                     logprobs=True, top_logprobs=3)
    content = answer.choices[0].logprobs.content
    assert len(content) == answer.usage.completion_tokens
    for token in content:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3
        assert token.top_logprobs[0].logprob == pytest.approx(token.logprob, abs=1e-4)  # greedy takes the best


def test_models(server):
    client = server.openai()
    assert "smollm2" in [m.id for m in client.models.list()]
    assert client.models.retrieve("smollm2").owned_by == "gantry"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no/such")


def test_gpustack_mount(server):
    client = openai.OpenAI(base_url=f"{server.url}/v1-openai", api_key=server.key)
    assert client.chat.completions.create(model="smollm2", messages=PROMPT, max_tokens=2).usage.completion_tokens > 0


def test_unknown_model(server):
    with pytest.raises(openai.NotFoundError) as caught:
        server.openai().chat.completions.create(model="nope", messages=PROMPT)
    assert caught.value.code == "model_not_found"
    assert set(caught.value.response.json()["error"]) == {"message", "type", "param", "code"}


def test_bad_key(server):
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="gtk_wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as caught:
        client.models.list()
    assert caught.value.code == "invalid_api_key"


def test_context_limit_is_a_400_with_numbers(server):
    with pytest.raises(openai.BadRequestError) as caught:
        server.openai().chat.completions.create(model="smollm2", messages=[{"role": "user", "content": "word " * 20_000}])
    assert caught.value.code == "context_length_exceeded"
    assert "8192" in caught.value.message


def test_unknown_route_in_openai_shape(server):
    answer = server.api("POST", "/v1/nothing/here", json={})
    assert answer.status_code == 404 and set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert server.api("DELETE", "/v1/models").status_code == 405


def test_client_that_leaves_frees_its_place(server):
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", timeout=60,
                      headers={"Authorization": f"Bearer {server.key}"},
                      json={"model": "smollm2", "messages": PROMPT, "max_tokens": 4000, "stream": True,
                            "ignore_eos": True}) as answer:
        assert answer.status_code == 200, answer.read()
        lines = answer.iter_lines()   # kept: httpx closes the answer with its iterator
        next(lines)
        assert server.in_flight() == 1
    until(lambda: server.in_flight() == 0, "the request is gone", timeout=2)
    usage = until(lambda: [u for u in server.items("/api/v1/usage?limit=5&order=desc") if u["aborted"]],
                  "the aborted request is in the usage", timeout=15)
    assert usage[0]["model"] == "smollm2"
