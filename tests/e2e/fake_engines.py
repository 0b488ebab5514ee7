"""Deployments of tests/fakes/chat_engine.py: engines that start in a tenth of a second, do as they are told and write down what happens
to them. For tests about everything around an engine."""
import contextlib
import json
import pathlib
import sys

import httpx

from conftest import SMOLLM2, until

PROGRAM = pathlib.Path(__file__).resolve().parents[1] / "fakes/chat_engine.py"


class FakeEngines:
    def __init__(self, server, folder, name="fake", *arguments):
        self.server, self.name = server, name
        self.folder = pathlib.Path(folder) / f"engines-{name}"
        self.folder.mkdir(parents=True)
        self.command = [sys.executable, str(PROGRAM), "--port", "{{port}}", "--folder", str(self.folder), *arguments]

    def deploy(self, replicas=1, wait=True, **fields):
        body = {"name": self.name, "source": f"file:{SMOLLM2}", "backend": "custom", "replicas": replicas,
                "options": {"command": self.command, "health_path": "/health"}, **fields}
        answer = self.server.api("POST", "/api/v1/deployments", json=body)
        assert answer.status_code == 201, answer.text
        if wait:
            self.running(replicas)
        return self

    def running(self, count=1):
        return self.server.running(self.name, count)

    def instances(self):
        return self.server.instances(self.name)

    def behave(self, **fields):
        part = self.folder / "behave.part"
        part.write_text(json.dumps(fields))
        part.rename(self.folder / "behave.json")

    @contextlib.contextmanager
    def loading(self):
        """Until its end, engines that start say that they load."""
        gate = self.folder / "loading"
        gate.touch()
        yield
        gate.unlink()

    def journal(self, what=None):
        """The last line may be half written."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self.folder / "journal").read_text().split("\n")[:-1]
            return [e for e in map(json.loads, lines) if what in (None, e["what"])]
        return []

    def seen(self, what, count):
        return until(lambda: (lambda found: found if len(found) >= count else None)(self.journal(what)), f"{count} are {what}")

    # ---- as clients

    def body(self, **more):
        return {"model": self.name, "messages": [{"role": "user", "content": "Go."}], **more}

    def ask(self, **more):
        return self.ask_at(self.server, **more)

    def ask_at(self, server, **more):
        return server.api("POST", "/v1/chat/completions", json=self.body(**more))

    @contextlib.contextmanager
    def stream(self, url=None, client=httpx, **more):
        """The answer and its lines; what follows the first token is still to come."""
        headers = {"Authorization": f"Bearer {self.server.key}"}
        with client.stream("POST", f"{url or self.server.url}/v1/chat/completions", headers=headers, timeout=60,
                           json=self.body(stream=True, **more)) as answer:
            assert answer.status_code == 200, answer.read()
            lines = (line for line in answer.iter_lines() if line)
            yield answer, lines


def broken_by(lines):
    """The error that a stream ends in; it must not look complete."""
    rest = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert rest and "[DONE]" not in rest, rest[-2:]
    error = json.loads(rest[-1])["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error
