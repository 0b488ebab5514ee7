"""Embeddings and rerank on the real engine, alone and behind the gateway: all-MiniLM-L6-v2 against a reference in numpy."""
import base64
import concurrent.futures
import subprocess

import httpx
import numpy as np
import openai
import pytest

from conftest import GANTRY, MINILM, MODELS, RERANKER, SMOLLM2, Engine, until
from minilm_reference import MiniLM

WEIGHTS = MODELS / "embed/all-MiniLM-L6-v2.safetensors"
VOCABULARY = MODELS / "embed/all-MiniLM-L6-v2.vocab.txt"

if missing := [path.name for path in (MINILM, WEIGHTS, VOCABULARY, RERANKER) if not path.exists()]:
    pytest.skip(f"{', '.join(missing)} not in the model cache: ./dev models minilm-l6 minilm-l6-safetensors minilm-l6-vocab "
                "synthetic-rerank-minilm", allow_module_level=True)

TEXTS = [
    "a", "Stars", "A man is eating food.", "Someone is having a meal.", "The quick brown fox jumps over the lazy dog!",
    "What is the capital of France?", "Paris is the capital and largest city of France.", "naïve café, Ångström & Œuvre",
    "ÜBER GROSSE STRASSE", "1,234.56 + 7 = 1241.56 (about); 50% off @ $3.99", "user@example.com https://example.com/a/b?c=d#e",
    "def f(x):\n\treturn x ** 2  # a comment", "  leading and   inner    spaces  ", "don't won't it's o'clock", "深度学习 is deep learning",
    "Москва — столица России", "supercalifragilisticexpialidocious antidisestablishmentarianism", "brackets [like] these, {and} <those> are punctuation",
    "🙂 smiles", "word " * 30, "The committee met on Tuesday to discuss the budget. " * 9,
    "One two three four five six seven eight nine ten. " * 30, "all work and no play " * 80, "x" * 90 + " words over 100 letters are another matter: BERT knows none, llama.cpp goes on splitting",
]


class EmbeddingEngine(Engine):
    def vectors(self, inputs, **more):
        return [np.array(item["embedding"]) for item in self.post("/v1/embeddings", input=inputs, **more)["data"]]

    def forwards(self):
        return self.metric("gantry_engine_embedding_forwards_total")


def engine_fixture(*flags):
    @pytest.fixture(scope="module")
    def fixture():
        engine = EmbeddingEngine(*flags)
        yield engine
        engine.stop()

    return fixture


minilm = engine_fixture("--model", str(MINILM))
reranker = engine_fixture("--model", str(RERANKER))


@pytest.fixture(scope="module")
def reference():
    return MiniLM(WEIGHTS, VOCABULARY)


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_vectors_are_the_reference_s(minilm, reference):
    answer = minilm.post("/v1/embeddings", input=TEXTS)
    tokens = [reference.tokenize(text) for text in TEXTS]
    assert answer["usage"]["prompt_tokens"] == sum(map(len, tokens))
    assert len({len(t) for t in tokens}) >= 15 and max(map(len, tokens)) > 300, "texts of many lengths"
    worst = 1.0
    for text, ids, item in zip(TEXTS, tokens, answer["data"], strict=True):
        vector = np.array(item["embedding"])
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
        worst = min(worst, cosine(vector, reference.vector(ids)))
        assert cosine(vector, reference.vector(ids)) >= 0.999, text
    print(f"worst cosine to the reference: {worst:.6f}")


def test_alone_or_together_is_the_same(minilm):
    for text, together in zip(TEXTS, minilm.vectors(TEXTS), strict=True):
        assert cosine(together, minilm.vectors(text)[0]) >= 0.9999, text


def test_poolings(reference):
    for pooling, pick in ("cls", 0), ("last", -1):
        engine = EmbeddingEngine("--model", str(MINILM), "--pooling", pooling)
        try:
            for text in TEXTS[2:8]:
                expected = reference.states(reference.tokenize(text))[pick]
                assert cosine(engine.vectors(text)[0], expected) >= 0.999, (pooling, text)
        finally:
            engine.stop()


def test_many_inputs_share_forwards(minilm):
    texts = [f"short text number {i}" for i in range(64)]
    before = minilm.forwards()
    together = minilm.vectors(texts)
    few = minilm.forwards() - before
    assert few <= 3, "64 inputs of 6 to 8 tokens in forwards of 512"
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        alone = list(pool.map(lambda text: minilm.vectors(text)[0], texts))
    assert minilm.forwards() - before - few < 64, "some of those that came at once were computed together"
    assert all(cosine(a, b) >= 0.9999 for a, b in zip(together, alone, strict=True))


def test_a_decoder_s_last_token(reference):
    engine = EmbeddingEngine("--model", str(SMOLLM2), "--pooling", "last", "--ctx", "256")
    try:
        near, same, far = engine.vectors(["The cat sat on the mat.", "The cat sat on the mat.", "GDP grew by 3% in 2019"])
        assert len(near) == 576
        assert cosine(near, same) >= 0.9999 and cosine(near, far) < 0.999
        assert engine.post("/v1/chat/completions", 400, messages=[{"role": "user", "content": "x"}])["error"]["code"] == \
            "unsupported_model_capability"
    finally:
        engine.stop()


def test_what_a_model_cannot_do_does_not_start():
    for flags in ("--model", str(MINILM), "--pooling", "rank"), ("--model", str(MINILM), "--pooling", "none"):
        done = subprocess.run([GANTRY, "engine", "--port", "0", *flags], capture_output=True, text=True, timeout=60)
        assert done.returncode == 3 and "invalid model file" in done.stderr + done.stdout


def test_rerank_by_angle(minilm):
    documents = ["Berlin is in Germany.", "Cats sleep a lot.", {"text": "Paris is the capital of France."}]
    answer = minilm.post("/v1/rerank", query="What is the capital of France?", documents=documents, return_documents=True)
    assert [r["index"] for r in answer["results"]][0] == 2
    assert answer["results"][0]["document"] == {"text": "Paris is the capital of France."}
    scores = [r["relevance_score"] for r in answer["results"]]
    assert scores == sorted(scores, reverse=True) and 1 >= scores[0] > scores[2]
    query, best = minilm.vectors(["What is the capital of France?", "Paris is the capital of France."])
    assert scores[0] == pytest.approx(cosine(query, best), abs=1e-3)
    assert len(minilm.post("/v1/rerank", query="q", documents=["a", "b", "c"], top_n=2)["results"]) == 2


def head_scores(reference, query, documents):
    """What the synthetic head makes of a pair, from the recipe in tools/models/synthetic_rerank.py."""
    random = np.random.Generator(np.random.PCG64(4))
    parts = [(random.random(shape) * 2 - 1).astype(np.float32) / np.float32(np.sqrt(384))
             for shape in ((384, 384), (384,), (1, 384), (1,))]
    for document in documents:
        tokens = reference.tokenize(query) + reference.tokenize(document)[1:]
        first = reference.states(tokens)[0]
        yield float((parts[2] @ np.tanh(parts[0] @ first + parts[1]) + parts[3])[0])


def test_rerank_by_a_synthetic_head(reranker, reference):
    documents = TEXTS[2:12]
    answer = reranker.post("/v1/rerank", query="What is eaten?", documents=documents)
    got = {r["index"]: r["relevance_score"] for r in answer["results"]}
    expected = list(head_scores(reference, "What is eaten?", documents))
    assert np.ptp(expected) > 0.05, "the head tells documents apart"
    for index, score in enumerate(expected):
        assert got[index] == pytest.approx(score, abs=0.02), documents[index]
    alone = reranker.post("/v1/rerank", query="What is eaten?", documents=[documents[3]])["results"][0]["relevance_score"]
    assert alone == pytest.approx(got[3], abs=2e-3)
    assert reranker.post("/v1/embeddings", 400, input="x")["error"]["code"] == "unsupported_model_capability"


@pytest.mark.parametrize("change, param, code", [
    ({"input": ""}, "input", None), ({"input": []}, "input", None), ({"input": ["a", ""]}, "input[1]", None),
    ({"input": ["a"] * 2049}, "input", None), ({"input": 5}, "input", "invalid_type"), ({"input": [1, 30522]}, "input", None),
    ({"dimensions": 385}, "dimensions", None), ({"dimensions": 0}, "dimensions", None), ({"encoding_format": "int8"}, "encoding_format", None),
    ({"input": ["a", "word " * 600]}, "input[1]", "context_length_exceeded"),
    ({"input": [100] * 513}, "input", "context_length_exceeded"),
])
def test_refusals(minilm, change, param, code):
    error = minilm.post("/v1/embeddings", 400, **{"input": "a", **change})["error"]
    assert error["param"] == param and error["type"] == "invalid_request_error"
    assert code is None or error["code"] == code


def test_openai_sdk_through_the_gateway(embedding_server, minilm, reference):
    client = embedding_server.openai()
    texts = TEXTS[2:6]
    by_default = client.embeddings.create(model="minilm", input=texts)          # the SDK asks for base64
    as_floats = client.embeddings.create(model="minilm", input=texts, encoding_format="float")
    assert by_default.model == "minilm" and by_default.usage.prompt_tokens == by_default.usage.total_tokens > 0
    for text, a, b in zip(texts, by_default.data, as_floats.data, strict=True):
        assert np.allclose(a.embedding, b.embedding, atol=1e-3)
        assert cosine(np.array(a.embedding), reference.vector(reference.tokenize(text))) >= 0.999
    short = client.embeddings.create(model="minilm", input=texts[0], dimensions=64).data[0].embedding
    assert len(short) == 64 and np.linalg.norm(short) == pytest.approx(1, abs=1e-5)
    assert cosine(np.array(short), np.array(by_default.data[0].embedding[:64])) >= 0.9999
    tokens = client.embeddings.create(model="minilm", input=[reference.tokenize(text) for text in texts])
    assert cosine(np.array(tokens.data[1].embedding), np.array(by_default.data[1].embedding)) >= 0.9999
    raw = embedding_server.api("POST", "/v1/embeddings", json={"model": "minilm", "input": "a", "encoding_format": "base64"}).json()
    assert np.frombuffer(base64.b64decode(raw["data"][0]["embedding"]), "<f4").shape == (384,)
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="minilm", input="a", dimensions=1000)
    assert caught.value.param == "dimensions"


def test_each_kind_of_model_says_what_it_is_not(embedding_server):
    client = embedding_server.openai()
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="minilm", messages=[{"role": "user", "content": "x"}])
    assert caught.value.code == "unsupported_model_capability"
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="smollm2", input="x")
    assert caught.value.code == "unsupported_model_capability"
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="none", input="x")
    assert client.models.retrieve("minilm").meta["pooling"] == "mean"
    assert client.models.retrieve("reranker").meta["pooling"] == "rank"
    assert "pooling" not in client.models.retrieve("smollm2").meta
    meta = {m["name"]: m["meta"]["pooling"] for m in embedding_server.items("/api/v1/models")}
    assert sorted(meta.values()) == ["", "mean", "rank"]


def test_usage_is_metered(embedding_server):
    answer = embedding_server.api("POST", "/v1/rerank", json={
        "model": "reranker", "query": "q", "documents": ["a", "b"], "top_n": 1, "rank_fields": ["x"]})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["results"]) == 1
    tokens = answer.json()["usage"]["total_tokens"]
    record = until(lambda: next((u for u in embedding_server.items("/api/v1/usage?limit=50&order=desc")
                                 if u["request_id"] == answer.headers["x-request-id"]), None), "the request is in the usage", timeout=15)
    assert record["operation"] == "rerank" and record["model"] == "reranker" and record["prompt_tokens"] == tokens and record["completion_tokens"] == 0
    assert httpx.post(f"{embedding_server.url}/v1/embeddings", json={"model": "minilm", "input": "a"}).status_code == 401
    assert httpx.post(f"{embedding_server.url}/v1/rerank", json={}).status_code == 401
