"""`gantry engine` by itself: its options, as a user would see their effect."""
import subprocess

import pytest

from conftest import GANTRY, MODELS, SMOLLM2, Engine, until

QUESTION = [{"role": "user", "content": "Count from one to twenty in words, then do it again."}]


def answer(engine, **more):
    body = {"messages": QUESTION, "max_tokens": 60, "temperature": 0, **more}
    choice = engine.post("/v1/chat/completions", **body)["choices"][0]
    return choice["message"]["content"]


def with_engine(*flags):
    return Engine("--model", str(SMOLLM2), "--ctx", "2048", *flags)


def test_a_draft_model_guesses():
    # That guesses change no answer is tested where rounding can't tip a tie: engine_simulation_test and draft_model_test.
    with with_engine("--no-speculation", "--draft-model", str(SMOLLM2)) as plain:
        assert answer(plain)
        assert plain.metric("gantry_engine_drafted_tokens_total") == 0
    with with_engine("--draft-model", str(SMOLLM2)) as drafted:
        # Every guess of the same model is right; whether one is computed depends on the machine's load, so several answers may be needed.
        for _ in range(20):
            assert answer(drafted)
            if drafted.metric("gantry_engine_accepted_tokens_total") > 0:
                return
        pytest.fail("no guess was used in 20 answers")


@pytest.mark.parametrize("file,why", [
    ("embed/all-MiniLM-L6-v2.f16.gguf", "MiniLM-L6-v2.f16.gguf can't be used"), ("nothing.gguf", "nothing.gguf can't be used")])
def test_a_draft_model_that_does_not_fit_is_refused(file, why):
    ended = subprocess.run([GANTRY, "engine", "--model", str(SMOLLM2), "--port", "0", "--draft-model", str(MODELS / file)],
                           capture_output=True, text=True, timeout=60)
    assert ended.returncode == 3
    assert why in ended.stdout + ended.stderr


def test_a_prefix_cache_of_nothing_keeps_nothing():
    def cached(engine):
        body = {"messages": QUESTION, "max_tokens": 1}
        return [engine.post("/v1/chat/completions", **body)["usage"]["prompt_tokens_details"]["cached_tokens"] for _ in range(2)]

    for flags, expected in (((), True), (("--prefix-cache", "0"), False)):
        with with_engine(*flags) as engine:
            first, second = cached(engine)
        assert first == 0
        assert (second > 0) == expected


def test_an_engine_that_sleeps_answers_as_before():
    with with_engine("--sleep-after", "0.2") as engine:
        before = answer(engine)
        assert engine.metric("gantry_engine_kv_cached_ratio") > 0
        until(lambda: engine.metric("gantry_engine_kv_cached_ratio") == 0, "the engine sleeps, and holds nothing of the last answer")
        assert answer(engine) == before


def first_logprobs(post, **more):
    body = {"messages": QUESTION, "max_tokens": 4, "temperature": 0, "logprobs": True, **more}
    return [(token["token"], token["logprob"]) for token in post(body)["choices"][0]["logprobs"]["content"]]


def test_without_our_kernels_the_answer_is_ggmls():
    def of(*flags):
        with with_engine(*flags) as engine:
            return first_logprobs(lambda body: engine.post("/v1/chat/completions", **body))

    ours, ggml, again = of(), of("--kernels", "off"), of("--kernels=off")
    assert ggml == again
    assert ggml != ours, "the kernels round differently, so they were on both times"
    assert ggml[0][0] == ours[0][0] and abs(ggml[0][1] - ours[0][1]) < 0.3


def test_a_deployment_without_our_kernels(server):
    server.deploy("ggml", "--arg=--kernels=off")
    try:
        ggml, ours = (first_logprobs(lambda body: server.api("POST", "/v1/chat/completions", json=body).json(), model=name) for name in ("ggml", "smollm2"))
    finally:
        server.cli("rm", "ggml", "--yes")
    assert ggml != ours and ggml[0][0] == ours[0][0]


def test_kernels_are_on_or_off():
    ended = subprocess.run([GANTRY, "engine", "--model", str(SMOLLM2), "--port", "0", "--kernels", "fast"], capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0 and "--kernels" in ended.stderr
