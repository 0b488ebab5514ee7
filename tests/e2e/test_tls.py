"""HTTPS on the public port with a certificate of the test's own: clients, renewal, trusted proxies, what is told when it is wrong."""
import os
import re
import signal
import socket
import ssl
import subprocess

import httpx
import pytest

from conftest import GANTRY, Server, until


def openssl(*words, cwd):
    done = subprocess.run(["openssl", *words], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Authority:
    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
                "-days", "2", "-subj", "/CN=the test's authority", cwd=folder)
        self.ca = folder / "ca.pem"

    def issue(self, name, names="DNS:localhost,IP:127.0.0.1"):
        (self.folder / "ext").write_text(f"subjectAltName={names}\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}",
                cwd=self.folder)
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1",
                "-extfile", "ext", "-out", f"{name}.pem", cwd=self.folder)
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"


class TlsServer(Server):
    """Its data folder's admin socket is what `ready` and `cli` use unless told otherwise."""

    def __init__(self, data_dir, authority, *flags):
        self.authority = authority
        self.certificate, self.key_file = authority.issue("server")
        self.context = ssl.create_default_context(cafile=str(authority.ca))
        super().__init__(data_dir, "--tls-cert", str(self.certificate), "--tls-key", str(self.key_file), *flags)

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def ready(self):
        assert self.process.poll() is None, self.log()[-2000:]
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2, verify=self.context).status_code == 200
        except httpx.HTTPError:
            return False

    def request(self, method, path, **options):
        return httpx.request(method, f"{self.url}{path}", timeout=60, verify=self.context, **options)

    def far_cli(self, *words, ca=None, url=None, check=True):
        """As from another machine: by its URL and a key, in a home that knows nothing."""
        ca_flag = ["--ca", str(ca)] if ca else []
        done = subprocess.run([GANTRY, *words, "--server", url or self.url, *ca_flag], capture_output=True, text=True, timeout=60,
                              env={"HOME": "/nonexistent", "GANTRY_TOKEN": self.key, "PATH": os.environ["PATH"]})
        assert not check or done.returncode == 0, done.stderr
        return done


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls") / "authority")


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory, authority):
    server = TlsServer(tmp_path_factory.mktemp("tls") / "data", authority, "--trusted-proxy", "127.0.0.0/8", "--no-worker").start()
    yield server
    server.stop()


def login(server, **headers):
    if not hasattr(server, "password"):
        server.password = (server.data_dir / "initial_admin_password").read_text().strip()
    answer = server.request("POST", "/api/v1/auth/login", json={"name": "admin", "password": server.password}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.headers["set-cookie"]


def test_the_command_line_speaks_https(tls_server, authority):
    assert "e2e" in tls_server.far_cli("keys", "list", ca=authority.ca).stdout
    assert "e2e" in tls_server.far_cli("keys", "list", ca=authority.ca, url=f"https://localhost:{tls_server.port}").stdout
    refused = tls_server.far_cli("keys", "list", check=False)
    assert refused.returncode == 1 and "certificate" in refused.stderr and "--ca FILE" in refused.stderr
    assert tls_server.url in tls_server.log()   # the greeting names it as it is


def test_plain_http_is_told_what_to_do(tls_server):
    answer = httpx.get(f"http://127.0.0.1:{tls_server.port}/v1/models", headers={"accept": "*/*"})
    assert answer.status_code == 400
    assert "this port speaks HTTPS: use https://" in answer.json()["error"]["message"]


def test_cookies_are_secure(tls_server):
    assert "; Secure" in login(tls_server)


def test_a_client_behind_a_trusted_proxy_is_who_the_audit_log_names(tls_server):
    login(tls_server, **{"X-Forwarded-For": "127.0.0.1, 203.0.113.9"})
    events = tls_server.items("/api/v1/audit?order=desc&limit=5")
    assert events[0]["action"] == "login" and events[0]["peer"] == "203.0.113.9", events[0]


def test_proxies_are_trusted_by_list_only(tmp_path):
    server = Server(tmp_path / "data", "--no-worker", "--trusted-proxy", "10.0.0.0/8").start()
    try:
        cookie = login(server, **{"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"})
        assert "Secure" not in cookie
        assert server.items("/api/v1/audit?order=desc&limit=1")[0]["peer"] == "127.0.0.1"
    finally:
        server.stop()
    server = Server(tmp_path / "data2", "--no-worker", "--trusted-proxy", "127.0.0.1").start()
    try:
        assert "; Secure" in login(server, **{"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"})
        assert "Secure" not in login(server)
        assert server.log().count(" 203.0.113.9 ") >= 1   # the access log, too
    finally:
        server.stop()


def served_serial(server):
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        with server.context.wrap_socket(raw, server_hostname="localhost") as secure:
            return secure.getpeercert()["serialNumber"]


def replace(server, certificate, key):
    server.certificate.write_bytes(certificate)
    server.key_file.write_bytes(key)


def test_a_new_certificate_without_a_restart(tls_server, authority):
    before = served_serial(tls_server)
    kept = httpx.Client(verify=tls_server.context, base_url=tls_server.url)
    assert kept.get("/healthz").status_code == 200
    certificate, key = (path.read_bytes() for path in authority.issue("next"))

    replace(tls_server, certificate, b"no key")
    tls_server.process.send_signal(signal.SIGHUP)
    until(lambda: "the one before stays" in tls_server.log(), "the bad pair is told")
    assert re.search(r"the one before stays: .*holds no private key", tls_server.log())
    assert served_serial(tls_server) == before

    replace(tls_server, certificate, key)
    tls_server.process.send_signal(signal.SIGHUP)
    until(lambda: served_serial(tls_server) != before, "the new certificate is served")
    assert kept.get("/healthz").status_code == 200   # what was connected goes on
    assert tls_server.process.poll() is None


def test_strangers_hold_nothing(tls_server):
    """Silent, half and senseless handshakes end by themselves; the server serves meanwhile."""
    held = []
    for first in (b"", b"\x16\x03\x01\x02\x00", b"\xff" * 600, b"\x16\x03\x01\x00\x05hello"):
        for _ in range(20):
            raw = socket.create_connection(("127.0.0.1", tls_server.port))
            raw.sendall(first)
            held.append(raw)
    assert tls_server.request("GET", "/healthz").status_code == 200
    for raw in held:
        raw.settimeout(20)
        try:
            while raw.recv(4096):
                pass
        except ConnectionResetError:
            pass
        raw.close()
    assert tls_server.request("GET", "/healthz").status_code == 200


@pytest.mark.parametrize("flags,said", [
    (["--tls-cert", "{good}"], "go together"),
    (["--tls-cert", "/nowhere.pem", "--tls-key", "{key}"], "/nowhere.pem can't be read"),
    (["--tls-cert", "{good}", "--tls-key", "{other}"], "is not that of the first certificate"),
    (["--tls-cert", "{key}", "--tls-key", "{key}"], "holds no certificate"),
    (["--trusted-proxy", "nginx"], "is no network"),
])
def test_what_is_wrong_is_said_at_the_start(tmp_path, authority, flags, said):
    good, key = authority.issue("start")
    other = authority.issue("other")[1]
    words = [word.format(good=good, key=key, other=other) for word in flags]
    done = subprocess.run([GANTRY, "serve", "--port", "0", "--no-worker", "--data-dir", str(tmp_path / "data"), *words],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and said in done.stderr, done.stderr
