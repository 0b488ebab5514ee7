"""64 streams on `gantry engine` for MINUTES (default 10), half of them left by their client at a random moment: before the answer,
while the prompt is computed, in the middle of the text. At the end every slot must be free, memory flat, and no request failed that
wasn't left. Exit status 1 otherwise. usage: soak [MINUTES]"""
import asyncio
import json
import random
import signal
import statistics
import sys
import time

import httpx

from common import SMOLLM2, report, resident_mb
from engine_suite.experiments import step_times
from engine_suite.servers import gantry

STREAMS, SAMPLE_S, GROWTH_MB_MAX = 64, 2.0, 24
WORDS = "harbour boat morning market library carpenter garden station lamp storm engine river stone summer paper window".split()
SHARED = " ".join(WORDS * 12)


class Tally:
    def __init__(self):
        self.done = self.left = 0
        self.failures, self.resident = [], []   # messages; (seconds, MB)


def body_of(rng):
    """Short and long prompts, some with a shared front, some sampled under constraints that end them early."""
    own = " ".join(rng.choices(WORDS, k=rng.choice([5, 40, 300])))
    content = f"{SHARED} {own}" if rng.random() < 0.3 else own
    body = {"model": "m", "messages": [{"role": "user", "content": content}], "max_tokens": rng.choice([1, 16, 64, 200]), "stream": True,
            "temperature": rng.choice([0, 0.7, 1.2]), "seed": rng.randrange(2**31), "stream_options": {"include_usage": True}}
    if rng.random() < 0.2:
        body["stop"] = ["the", "\n"]
    return body


async def one(client, rng, leave, tally):
    """`leave`: seconds until the client goes, or None."""
    async def read():
        finished = False
        async with client.stream("POST", "/v1/chat/completions", json=body_of(rng)) as answer:
            if answer.status_code != 200:
                raise RuntimeError(f"status {answer.status_code}: {(await answer.aread())[:200]}")
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    event = json.loads(line[6:])
                    if "error" in event:
                        raise RuntimeError(f"error event: {event['error']}")
                finished = finished or line == "data: [DONE]"
        if not finished:
            raise RuntimeError("the stream ended without [DONE]")
    try:
        await asyncio.wait_for(read(), leave)
        tally.done += 1
    except asyncio.TimeoutError:   # Its connection is closed under it.
        tally.left += 1
    except (RuntimeError, httpx.HTTPError, ValueError) as failure:
        tally.failures.append(f"{type(failure).__name__}: {failure}")


async def stream(server, number, end, tally):
    rng = random.Random(number)
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=300, limits=limits) as client:
        while time.monotonic() < end:
            leave = rng.choice([0.01, rng.uniform(0, 1), rng.uniform(0, 20)]) if rng.random() < 0.5 else None
            await one(client, rng, leave, tally)


async def watch(server, begin, end, tally):
    while time.monotonic() < end:
        tally.resident.append((time.monotonic() - begin, resident_mb(server.process.pid)))
        await asyncio.sleep(SAMPLE_S)


async def load(server, seconds, tally):
    begin = time.monotonic()
    await asyncio.gather(watch(server, begin, begin + seconds, tally), *[stream(server, n, begin + seconds, tally) for n in range(STREAMS)])


def drained(server):
    """Waits until nothing runs or waits; the last look at the engine otherwise."""
    end = time.monotonic() + 60
    while True:
        look = step_times(server.get("/metrics", timeout=30)[1])
        if look["running"] == look["waiting"] == 0 or time.monotonic() > end:
            return look
        time.sleep(0.1)


async def full_house(server):
    """All slots can be had again: as many requests at once as there were streams, none left."""
    tally = Tally()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=300, limits=httpx.Limits(max_connections=STREAMS)) as client:
        await asyncio.gather(*[one(client, random.Random(1000 + n), None, tally) for n in range(STREAMS)])
    return tally


def slope(points):
    """MB a minute, least squares."""
    return statistics.linear_regression([s / 60 for s, _ in points], [mb for _, mb in points]).slope if len(points) > 2 else 0.0


def main(minutes):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    server = gantry(SMOLLM2, "--max-sequences", STREAMS, "--ctx", 32768)
    tally = Tally()
    try:
        with server.start():
            asyncio.run(load(server, minutes * 60, tally))
            last = drained(server)
            house = asyncio.run(full_house(server))
            cells = {line.split()[0]: float(line.split()[1]) for line in server.get("/metrics")[1].splitlines() if line.startswith("gantry_engine_kv_cells")}
            alive = server.process.poll() is None
    finally:
        server.stop()
    # The first third fills caches; after it memory must not grow.
    later = [point for point in tally.resident if point[0] > minutes * 20] or tally.resident
    half = len(later) // 2 or 1
    growth = statistics.median(mb for _, mb in later[half:] or later) - statistics.median(mb for _, mb in later[:half])
    checks = {"the engine lives": alive, "every slot free": last["running"] == last["waiting"] == 0,
              "all slots can be had again": house.done == STREAMS, "no request failed that was not left": not tally.failures + house.failures,
              f"memory grew by at most {GROWTH_MB_MAX} MB in the last two thirds": growth <= GROWTH_MB_MAX}
    report("soak", {"minutes": minutes, "requests answered, left": [tally.done, tally.left], "failures": (tally.failures + house.failures)[:5],
                    "resident MB, first and last": [round(tally.resident[0][1]), round(tally.resident[-1][1])],
                    "growth in the last two thirds, MB": round(growth, 1), "slope there, MB/min": round(slope(later), 2), "cells at the end": cells,
                    **{check: "yes" if held else "NO" for check, held in checks.items()}},
           {"resident": tally.resident, "failures": tally.failures})
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10))
