"""A model hub on this machine, in threads of the test's own process: it answers as huggingface.co and modelscope.cn do (their paths don't
meet), sends large files from a second port (the "storage host"), and can be told to misbehave. The official clients work against it
(tests/e2e/test_hub_clients.py), so that it can't be bent to ours.

    with Hub() as hub:
        hub.add("Qwen/tiny-GGUF", {"tiny.Q4_K_M.gguf": path, "README.md": b"# Tiny"})
        hub.misbehave(r"\\.gguf$", status=503, times=2)
        ... hub.url ... hub.requests ...
"""
import dataclasses
import hashlib
import http.server
import json
import pathlib
import re
import ssl
import threading
import time
import urllib.parse

COMMIT = "5cab4f6f3a5f8e5b1c1d4a2b0e9f7c6d5a4b3c2d"
LARGE = 64 * 1024          # from this size on a file is kept by LFS, as .gguf and .safetensors are of any size
SLICE = 64 * 1024


@dataclasses.dataclass
class File:
    content: object        # bytes, or the path of a file

    def __post_init__(self):
        data = self.content if isinstance(self.content, bytes) else pathlib.Path(self.content).read_bytes()
        self.size = len(data)
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    def read(self, begin, end):
        if isinstance(self.content, bytes):
            return self.content[begin:end]
        with open(self.content, "rb") as source:
            source.seek(begin)
            return source.read(end - begin)


@dataclasses.dataclass
class Repo:
    files: dict
    token: str = ""        # who has it gets in; empty: everybody
    gated: bool = False    # it is known that it exists, and that one may ask for access
    commit: str = COMMIT
    revisions: tuple = ("main", "master")

    def has(self, revision):
        return revision in self.revisions or revision == self.commit

    def large(self, path):
        return self.files[path].size >= LARGE or path.endswith((".gguf", ".safetensors"))


@dataclasses.dataclass
class Misdeed:
    match: str             # of the path with its query
    times: int = 1 << 30
    status: int = 0        # answered instead
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""
    drop_after: int = -1   # bytes of the body, then the connection is cut
    corrupt: bool = False  # the last byte of the body is another one, if it is no header's (over 4 MiB)
    begins: bytes = b""    # what ranges of so many bytes from the front, or fewer, hold instead
    rate: int = 0          # bytes a second
    hang: bool = False     # after the head nothing comes
    whole: bool = False    # no ranges: 200 and all of it
    page: int = 0          # entries of a page of a listing
    extra: list = dataclasses.field(default_factory=list)   # entries of a listing that the repository hasn't


class Hub:
    def __init__(self, tls=None):
        """`tls`: an ssl.SSLContext for both ports."""
        self.repos, self.misdeeds, self.requests = {}, [], []
        self.signature = "s1"                 # of the URLs of the storage host: a change of it makes the older ones void
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self.scheme = "https" if tls else "http"
        self.servers = [self.listen(handler, tls) for handler in (HubHandler, StorageHandler)]
        self.url, self.storage_url = (f"{self.scheme}://127.0.0.1:{server.server_port}" for server in self.servers)

    def listen(self, handler, tls):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type(handler.__name__, (handler,), {"hub": self}))
        server.daemon_threads = True
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def add(self, name, files, **more):
        self.repos[name] = Repo({path: File(content) for path, content in files.items()}, **more)
        return self.repos[name]

    def misbehave(self, match, **more):
        self.misdeeds.append(Misdeed(match, **more))

    def behave(self):
        self.misdeeds = []

    def misdeed(self, target):
        with self.lock:
            for one in self.misdeeds:
                if one.times > 0 and re.search(one.match, target):
                    one.times -= 1
                    return one
        return Misdeed("")

    def asked(self, match, port="hub"):
        """The requests whose path and query match: (port, method, target, headers)."""
        return [r for r in self.requests if r[0] == port and re.search(match, r[2])]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    port_name = ""

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.hub.requests.append((self.port_name, self.command, self.path, dict(self.headers)))
        self.misdeed = self.hub.misdeed(self.path)
        self.split = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(self.split.query))
        try:
            if self.misdeed.status:
                return self.answer(self.misdeed.status, self.misdeed.body, self.misdeed.headers)
            self.route([urllib.parse.unquote(part) for part in self.split.path.split("/")[1:]])
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    def answer(self, status, body=b"", headers=(), content_type="text/html; charset=utf-8"):
        headers = dict(headers)
        self.send_response(status)
        headers.setdefault("Content-Type", content_type)
        headers.setdefault("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def json(self, value, status=200, headers=()):
        self.answer(status, json.dumps(value).encode(), headers, "application/json; charset=utf-8")

    def send_file(self, file, headers):
        """With ranges, as nginx and the object stores answer them."""
        begin, end, status = 0, file.size, 200
        headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted and not self.misdeed.whole:
            begin, status = int(wanted[1]), 206
            end = min(int(wanted[2]) + 1, file.size) if wanted[2] else file.size
            if begin >= file.size:
                return self.answer(416, b"", {"Content-Range": f"bytes */{file.size}"})
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{file.size}"
        headers["Content-Length"] = str(end - begin)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.misdeed.hang:
            self.close_connection = True
            self.hub.stopped.wait(60)
            return
        self.send_body(file, begin, end)

    def send_body(self, file, begin, end):
        bad = self.misdeed
        first, started = begin, time.monotonic()
        cut = begin + bad.drop_after if bad.drop_after >= 0 else end
        while begin < min(end, cut):
            piece = file.read(begin, min(begin + SLICE, end, cut))
            if bad.corrupt and begin + len(piece) == end and end - first > 4 << 20:
                piece = piece[:-1] + bytes([piece[-1] ^ 0xFF])
            if first == 0 and end <= len(bad.begins):
                piece = bad.begins[:end]
            self.wfile.write(piece)
            begin += len(piece)
            if bad.rate and self.hub.stopped.wait(max(0, (begin - first) / bad.rate - (time.monotonic() - started))):
                break
        if begin < end:
            self.close_connection = True


class StorageHandler(Handler):
    """cdn-lfs.huggingface.co, or the object store behind modelscope.cn: what has a good signature is sent."""
    port_name = "storage"

    def route(self, parts):
        if self.query.get("Signature") != self.hub.signature:
            return self.answer(403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", content_type="application/xml")
        for repo in self.hub.repos.values():
            for file in repo.files.values():
                if parts[-1] == file.sha256:
                    return self.send_file(file, {"ETag": f'"{hashlib.md5(file.sha256.encode()).hexdigest()}"'})
        self.answer(404)


class HubHandler(Handler):
    port_name = "hub"

    def route(self, parts):
        if parts[:2] == ["api", "models"]:
            return self.search() if len(parts) == 2 else self.hf_api(parts[2:])
        if parts[:3] == ["api", "resolve-cache", "models"] and len(parts) > 6:
            return self.resolve_cache("/".join(parts[3:5]), parts[5], "/".join(parts[6:]))
        if parts[:3] == ["api", "v1", "models"]:
            return self.ms_api(parts[3:])
        if parts[:3] == ["openapi", "v1", "models"]:
            return self.ms_search()
        if len(parts) > 4 and parts[2] == "resolve":
            return self.resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        self.hf_error(404, "", "Not Found")

    def token(self):
        sent = self.headers.get("Authorization", "")
        cookie = re.search(r"m_session_id=([^;]+)", self.headers.get("Cookie", ""))
        return sent.removeprefix("Bearer ") if sent else cookie[1] if cookie else ""

    # ---- huggingface.co

    def hf_error(self, status, code, message):
        headers = {"X-Error-Message": message, "X-Request-Id": "Root=1-6a"}
        if code:
            headers["X-Error-Code"] = code
        self.json({"error": message}, status, headers)

    def hf_repo(self, name, revision="main"):
        """The repository, if whoever asks may see it; else None, and the answer is given."""
        repo = self.hub.repos.get(name)
        token = self.token()
        if repo is None or (repo.token and not repo.gated and token != repo.token):
            if token:
                return self.hf_error(404, "RepoNotFound", "Repository not found")
            return self.hf_error(401, "RepoNotFound", "Invalid username or password.")
        if repo.gated and token != repo.token:
            if token:
                return self.hf_error(403, "GatedRepo", f"Access to model {name} is restricted and you are not in the authorized list. "
                                     f"Visit https://huggingface.co/{name} to ask for access.")
            return self.hf_error(401, "GatedRepo", f"Access to model {name} is restricted. You must have access to it and be authenticated "
                                 "to access it. Please log in.")
        if not repo.has(revision):
            return self.hf_error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repo

    def hf_entry(self, repo, path):
        file = repo.files[path]
        entry = {"type": "file", "oid": file.oid, "size": file.size, "path": path}
        if repo.large(path):
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{file.sha256}\nsize {file.size}\n".encode()
            entry["oid"] = hashlib.sha1(b"blob %d\0" % len(pointer) + pointer).hexdigest()
            entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": len(pointer)}
            entry["xetHash"] = hashlib.sha256(file.sha256.encode()).hexdigest()
        return entry

    def hf_api(self, parts):
        name = "/".join(parts[:2])
        if len(parts) > 3 and parts[2] == "tree":
            repo = self.hf_repo(name, parts[3])
            return repo and self.tree(name, repo, parts[3])
        if len(parts) == 2 or (len(parts) == 4 and parts[2] == "revision"):
            repo = self.hf_repo(name, parts[3] if len(parts) == 4 else "main")
            return repo and self.json({
                "_id": "66e6d4a0b1", "id": name, "modelId": name, "author": parts[0], "sha": repo.commit, "lastModified": "2024-09-18T09:11:42.000Z",
                "private": False, "gated": "auto" if repo.gated else False, "disabled": False, "tags": ["gguf"], "downloads": 12, "likes": 3,
                "siblings": [{"rfilename": path} for path in repo.files], "createdAt": "2024-09-15T12:34:56.000Z"})
        self.hf_error(404, "", "Not Found")

    def tree(self, name, repo, revision):
        entries = [self.hf_entry(repo, path) for path in sorted(repo.files)]
        entries += [{"type": "directory", "oid": "00" * 20, "size": 0, "path": path} for path in sorted({p.rpartition("/")[0] for p in repo.files} - {""})]
        entries += self.misdeed.extra
        page = self.misdeed.page or 1000
        begin = int(self.query.get("cursor", "0"))
        headers = {}
        if begin + page < len(entries):
            query = urllib.parse.urlencode({**self.query, "cursor": begin + page})
            headers["Link"] = f'<{self.hub.url}/api/models/{name}/tree/{revision}?{query}>; rel="next"'
        self.json(entries[begin:begin + page], headers=headers)

    def resolve(self, name, revision, path):
        repo = self.hf_repo(name, revision)
        if repo is None:
            return
        if path not in repo.files:
            return self.hf_error(404, "EntryNotFound", "Entry not found")
        file = repo.files[path]
        headers = {"X-Repo-Commit": repo.commit, "Accept-Ranges": "bytes"}
        if not repo.large(path):
            quoted = urllib.parse.quote(path)
            return self.answer(307, b"", {**headers, "Location": f"/api/resolve-cache/models/{name}/{repo.commit}/{quoted}", "ETag": f'"{file.oid}"',
                                          "X-Linked-Size": str(file.size)})
        self.answer(302, b"Found. Redirecting", {
            **headers, "X-Linked-Size": str(file.size), "X-Linked-Etag": f'"{file.sha256}"', "ETag": f'"{file.oid}"', "Vary": "Accept",
            "Location": f"{self.hub.storage_url}/repos/ab/cd/{file.sha256}?response-content-disposition=inline&Signature={self.hub.signature}"})

    def resolve_cache(self, name, commit, path):
        repo = self.hf_repo(name, commit)
        if repo is None:
            return
        if path not in repo.files:
            return self.hf_error(404, "EntryNotFound", "Entry not found")
        self.send_file(repo.files[path], {"X-Repo-Commit": repo.commit, "ETag": f'"{repo.files[path].oid}"'})

    def search(self):
        wanted = self.query.get("search", "").lower()
        found = [{"_id": "66e6d4a0b1", "id": name, "modelId": name, "likes": 3, "downloads": 12, "private": False, "tags": ["gguf"]}
                 for name, repo in sorted(self.hub.repos.items()) if wanted in name.lower() and not repo.token]
        self.json(found[:int(self.query.get("limit", "100"))])

    # ---- modelscope.cn

    def ms_error(self, status, code, message):
        self.json({"Code": code, "Data": {}, "Message": message, "RequestId": "6c5f", "Success": False}, status)

    def ms_data(self, data):
        self.json({"Code": 200, "Data": data, "Message": "success", "RequestId": "6c5f", "Success": True})

    def ms_api(self, parts):
        name = "/".join(parts[:2])
        repo = self.hub.repos.get(name)
        if repo is None or (repo.token and self.token() != repo.token):
            return self.ms_error(404, 10010205001, "获取模型信息失败，信息不存在")
        what = "/".join(parts[2:])
        revision = self.query.get("Revision", "master")
        if what in ("repo", "repo/files") and not repo.has(revision):
            return self.ms_error(404, 10010206001, f"版本 {revision} 不存在")
        if what == "":
            return self.ms_data({"Id": 1, "Name": parts[1], "Path": parts[0], "Revision": "master", "Visibility": 5})
        if what == "revisions":
            return self.ms_data({"RevisionMap": {"Branches": [{"Revision": "master", "CreatedAt": 1726651000}], "Tags": []}})
        if what == "repo/files":
            return self.ms_data({"Files": [self.ms_entry(repo, path) for path in sorted(repo.files)] + self.misdeed.extra, "IsVisual": 0})
        if what == "repo":
            return self.ms_file(repo, self.query.get("FilePath", ""))
        self.ms_error(404, 404, "not found")

    def ms_entry(self, repo, path):
        file = repo.files[path]
        return {"CommitId": repo.commit, "CommitMessage": "Upload", "CommittedDate": 1726651000, "CommitterName": "someone", "InCheck": False,
                "IsLFS": repo.large(path), "Mode": "33188", "Name": path.rpartition("/")[2], "Path": path, "Revision": repo.commit,
                "Sha256": file.sha256, "Size": file.size, "Type": "blob"}

    def ms_file(self, repo, path):
        if path not in repo.files:
            return self.ms_error(404, 10010205004, f"文件 {path} 不存在")
        file = repo.files[path]
        if not repo.large(path):
            return self.send_file(file, {"X-Linked-Etag": file.sha256})
        self.answer(302, b"", {"Location": f"{self.hub.storage_url}/lfs/{file.sha256}?Expires=1926651000&Signature={self.hub.signature}",
                               "X-Linked-Etag": file.sha256, "X-Linked-Size": str(file.size)})

    def ms_search(self):
        wanted = self.query.get("search", "").lower()
        found = [{"id": name, "downloads": 12, "likes": 3} for name, repo in sorted(self.hub.repos.items()) if wanted in name.lower() and not repo.token]
        self.json({"success": True, "request_id": "6c5f", "data": {"models": found, "total_count": len(found), "page_number": 1, "page_size": 10}})
