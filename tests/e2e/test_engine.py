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
