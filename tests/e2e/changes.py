"""A client that changes things and never loses count: what it was acknowledged is what there has to be."""
import threading
import time
import uuid

import httpx

from conftest import SMOLLM2


class Changes:
    """A client that makes one change after the other, as fast as it can, and repeats each with its key until it has an answer."""

    def __init__(self, server):
        self.server = server
        self.wanted, self.deleted, self.secrets = {}, [], {}
        self.made = self.repeated = 0
        self.latest = self.latest_key = None          # what is being made, perhaps
        self.over = threading.Event()
        self.failed = None

    def change(self, method, path, body=None, status=200):
        key = str(uuid.uuid4())
        while True:
            try:
                answer = self.server.api(method, path, json=body, headers={"Idempotency-Key": key})
                break
            except httpx.HTTPError:
                self.repeated += 1
                time.sleep(0.01)
        assert answer.status_code == status, (method, path, answer.text)
        self.made += 1
        return answer

    def run(self):
        try:
            count = 0
            while not self.over.is_set():
                name = self.latest = f"d{count}"
                body = {"name": name, "source": f"file:{SMOLLM2}", "replicas": 0, "stopped": True}
                self.change("POST", "/api/v1/deployments", body, 201)
                self.change("PATCH", f"/api/v1/deployments/{name}", {"replicas": count % 5 + 1})
                self.wanted[name] = count % 5 + 1
                if count % 3 == 0:
                    del self.wanted[name]
                    self.deleted.append(name)
                    self.change("DELETE", f"/api/v1/deployments/{name}", status=204)
                self.latest_key = f"k{count}"
                self.secrets[f"k{count}"] = self.change("POST", "/api/v1/keys", {"name": f"k{count}"}, 201).json()["secret"]
                count += 1
        except AssertionError as wrong:
            self.failed = wrong


def all_of(server, path):
    items, cursor = [], ""
    while cursor is not None:
        page = server.api("GET", f"{path}{'&' if '?' in path else '?'}limit=500&cursor={cursor}").json()
        items += page["items"]
        cursor = page["next_cursor"]
    return items
