"""Workers on machines of their own: here processes and data folders of their own, which reach the server over its one port."""
import os
import pathlib
import signal
import subprocess

from conftest import GANTRY


class RemoteWorker:
    all = []

    def __init__(self, server, folder, name, url=None, prefix=()):
        self.server = server
        self.prefix = prefix    # words before the command: where it runs
        self.program = GANTRY
        self.url = url or server.url
        self.name = name
        self.data_dir = pathlib.Path(folder) / name
        self.token_file = pathlib.Path(folder) / f"{name}.token"
        self.output = pathlib.Path(folder) / f"{name}.out"
        self.process = None
        self.starts = 0
        RemoteWorker.all.append(self)

    def start(self, token=None, *flags):
        self.starts += 1
        if token is not None:
            self.token_file.write_text(token)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GANTRY_")}
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen(
                [*self.prefix, self.program, "worker", "--server", self.url, "--token-file", str(self.token_file), "--data-dir", str(self.data_dir),
                 "--name", self.name, *flags], stdout=output, stderr=output, env={**kept, "NO_COLOR": "1"})
        return self

    def log(self):
        return self.output.read_text(errors="replace")

    def state(self):
        found = [w for w in self.server.items("/api/v1/workers") if w["name"] == self.name]
        return found[0]["state"] if found else None

    def ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}: {self.log()[-2000:]}")
        return self.log().count("is reached") >= self.starts and self.state() == "ready"

    def kill9(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.starts = self.log().count("is reached")   # what it was about to say is not said any more

    def stop(self, how=signal.SIGINT):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)


def new_token(server, *flags):
    return server.cli("workers", "token", "create", "--quiet", *flags).stdout.strip()


def ask(server, model, stream=False, tokens=16):
    client = server.openai()
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Say something."}], max_tokens=tokens,
                                            stream=stream)
    if stream:
        return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
    return answer.choices[0].message.content
