"""all-MiniLM-L6-v2 on `gantry engine`: 64 short inputs and 64 paragraphs in one call, against one call each, one after the other.
Rounds are interleaved; raw samples go to build/bench/embeddings.json."""
import re
import subprocess
import time

import httpx

from common import GANTRY, MODELS, environment, report, summary, until

ROUNDS = 7
INPUTS = {"short": [f"A short text about number {i}." for i in range(64)],
          "paragraph": [f"Item {i}. " + "The committee met on Tuesday to discuss the budget of the year. " * 6 for i in range(64)]}


def forwards(client):
    return float(re.search(r"^gantry_engine_embedding_forwards_total (\S+)", client.get("/metrics").text, re.M).group(1))


def timed(client, calls):
    begun, before = time.perf_counter(), forwards(client)
    tokens = 0
    for inputs in calls:
        answer = client.post("/v1/embeddings", json={"input": inputs, "encoding_format": "base64"})
        answer.raise_for_status()
        tokens += answer.json()["usage"]["prompt_tokens"]
    return {"seconds": time.perf_counter() - begun, "forwards": forwards(client) - before, "tokens": tokens}


def main():
    model = MODELS / "embed/all-MiniLM-L6-v2.f16.gguf"
    engine = subprocess.Popen([GANTRY, "engine", "--model", str(model), "--port", "0"], stdout=subprocess.PIPE, text=True,
                              env=environment())
    samples, figures = {}, {}
    try:
        url = "http://" + re.fullmatch(r"listening on (.*)\n", engine.stdout.readline()).group(1)
        until(lambda: httpx.get(f"{url}/health").status_code == 200, "the model is loaded")
        with httpx.Client(base_url=url, timeout=300) as client:
            for _ in range(ROUNDS):
                for kind, inputs in INPUTS.items():
                    samples.setdefault(f"{kind}, one call", []).append(timed(client, [inputs]))
                    samples.setdefault(f"{kind}, 64 calls", []).append(timed(client, [[text] for text in inputs]))
    finally:
        engine.terminate()
        engine.wait()
    for name, taken in samples.items():
        figures[f"{name}: inputs/s"] = summary([64 / sample["seconds"] for sample in taken])
        figures[f"{name}: tokens/s"] = summary([sample["tokens"] / sample["seconds"] for sample in taken], 0)
        figures[f"{name}: forwards"] = summary([sample["forwards"] for sample in taken], 0)
    report("embeddings", figures, samples)


if __name__ == "__main__":
    main()
