"""What users see all the while: clients that ask one chat after the other, whole and streamed, and keep count of what failed; and one who
watches /api/v1/watch."""
import contextlib
import dataclasses
import json
import threading
import time

import httpx

from conftest import TLS, until

PROMPT = [{"role": "user", "content": "Count from one to ten."}]


@dataclasses.dataclass
class Outcome:
    model: str
    stream: bool
    began: float                # time.monotonic()
    ended: float = 0
    id: str = ""                # x-request-id
    error: str = ""             # what was wrong; "": nothing
    events: int = 0

    def lasted_over(self, at):
        return self.began <= at <= self.ended


def judged(text, stream):
    """What is wrong with an answer of status 200."""
    if not stream:
        content = json.loads(text)["choices"][0]["message"]["content"]
        return "" if content else "an empty answer"
    events = [line for line in text.splitlines() if line.startswith("data: ")]
    if broken := [event for event in events if event.startswith('data: {"error"')]:
        return broken[0]
    return "" if events and events[-1] == "data: [DONE]" else f"a stream without an end: {text[-200:]}"


class Traffic:
    """A client for whole and one for streamed answers of each model. `key` may be changed at any time."""

    def __init__(self, server, models, tokens=8):
        self.server, self.tokens, self.key = server, tokens, server.key
        self.over = threading.Event()
        self.outcomes = []
        self.threads = [threading.Thread(target=self.run, args=(model, stream)) for model in models for stream in (False, True)]

    def run(self, model, stream):
        limits = httpx.Limits(max_keepalive_connections=1)
        with httpx.Client(timeout=120, verify=TLS, limits=limits) as client:
            while not self.over.is_set():
                outcome = self.ask(client, model, stream)
                self.outcomes.append(outcome)
                if outcome.error:
                    self.over.wait(0.2)   # as a person would

    def ask(self, client, model, stream, tokens=None):
        outcome = Outcome(model, stream, time.monotonic())
        body = {"model": model, "messages": PROMPT, "max_tokens": tokens or self.tokens, "stream": stream, "ignore_eos": True}
        try:
            headers = {"Authorization": f"Bearer {self.key}"}
            with client.stream("POST", f"{self.server.url}/v1/chat/completions", json=body, headers=headers) as answer:
                outcome.id = answer.headers.get("x-request-id", "")
                text = answer.read().decode()
            outcome.error = judged(text, stream) if answer.status_code == 200 else f"{answer.status_code} {text[:300]}"
        except httpx.HTTPError as failed:
            outcome.error = f"{type(failed).__name__}: {failed}"
        outcome.ended = time.monotonic()
        return outcome

    def go_on(self, rounds=1):
        """Until each client had so many more answers, begun from now on, none of them an error."""
        now = time.monotonic()

        def enough():
            counts = {}
            for outcome in list(self.outcomes):
                if outcome.began >= now and not outcome.error:
                    counts[outcome.model, outcome.stream] = counts.get((outcome.model, outcome.stream), 0) + 1
            return len(counts) == len(self.threads) and min(counts.values()) >= rounds
        until(enough, f"every client gets {rounds} more answers", timeout=120)

    def failed(self):
        return [outcome for outcome in self.outcomes if outcome.error]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.over.set()
        for thread in self.threads:
            if thread.ident is not None:
                thread.join()


class Watcher:
    """Follows /api/v1/watch, comes back when it ends; all states of all things, in their order: [(at, kind, name or id, state)]."""

    def __init__(self, server):
        self.server = server
        self.seen, self.now = [], {}
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.over.is_set():
            with contextlib.suppress(httpx.HTTPError):
                self.follow()
            self.over.wait(0.1)

    def follow(self):
        headers = {"Authorization": f"Bearer {self.server.key}"}
        with httpx.stream("GET", f"{self.server.url}/api/v1/watch?kinds=workers,instances", headers=headers, timeout=30, verify=TLS) as answer:
            event, fresh = "", set()
            for line in answer.iter_lines():
                if self.over.is_set():
                    return
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: ") and event in ("added", "modified", "deleted"):
                    fresh.add(self.take(event, json.loads(line.removeprefix("data: "))))
                elif line.startswith("data: ") and event == "synced":   # what went while nobody looked
                    self.now = {key: thing for key, thing in self.now.items() if key in fresh}

    def take(self, event, told):
        thing = told["object"]
        key = (told["kind"], thing["name"] if told["kind"] == "workers" else thing["id"])
        if event == "deleted":
            self.now.pop(key, None)
        else:
            if self.now.get(key, {}).get("state") != thing["state"]:
                self.seen.append((time.monotonic(), *key, thing["state"]))
            self.now[key] = thing
        return key

    def states(self, kind, name, since):
        return [state for at, k, n, state in self.seen if (k, n) == (kind, name) and at >= since]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
