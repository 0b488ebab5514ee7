"""An OpenID Connect provider, a process of its own, that can be told to misbehave. Tokens are made by joserfc. Everybody who comes is
logged in at once, as whom POST /control said. Prints its port.

POST /control {"person": {claims}, "token": {claims to change; null: left out}, "alg": "none", "signer": "stranger",
"kid": "…", "rotate": true, "status": {"/token": 500}, "delay": {"/token": 20}, "discovery": {fields}}: what is not named is well again.
"""
import base64
import hashlib
import hmac
import http.server
import json
import secrets
import sys
import threading
import time
import urllib.parse

from joserfc import jwk, jwt

CLIENT, SECRET = "gantry", "s3cret: with +/% in it"


class State:
    def __init__(self):
        self.lock = threading.Lock()
        self.stranger = jwk.RSAKey.generate_key(2048, {"kid": "stranger"})
        self.misdeeds = {}
        self.codes = {}
        self.counts = {}
        self.rotate()

    def rotate(self):
        self.number = getattr(self, "number", 0) + 1
        self.rsa = jwk.RSAKey.generate_key(2048, {"kid": f"rsa-{self.number}", "use": "sig", "alg": "RS256"})
        self.ec = jwk.ECKey.generate_key("P-256", {"kid": f"ec-{self.number}", "use": "sig", "alg": "ES256"})


STATE = State()


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def id_token(issuer, code):
    bad = STATE.misdeeds
    now = int(time.time())
    claims = {"iss": issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": code["nonce"], **code["person"], **bad.get("token", {})}
    claims = {name: value for name, value in claims.items() if value is not None}
    alg = bad.get("alg", "RS256")
    key = STATE.stranger if bad.get("signer") == "stranger" else STATE.ec if alg == "ES256" else STATE.rsa
    header = {"alg": alg, "kid": bad.get("kid", key.kid)}
    if alg in ("none", "HS256"):   # what joserfc makes for nobody: no signature, and one with the public key as the secret
        text = f"{b64url(json.dumps(header).encode())}.{b64url(json.dumps(claims).encode())}"
        mac = hmac.digest(STATE.rsa.as_pem(private=False), text.encode(), "sha256")
        return f"{text}.{b64url(mac) if alg == 'HS256' else ''}"
    return jwt.encode(header, claims, key, algorithms=[alg])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    @property
    def issuer(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, status, body, **headers):
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def misbehave(self, path):
        with STATE.lock:
            STATE.counts[path] = STATE.counts.get(path, 0) + 1
        time.sleep(STATE.misdeeds.get("delay", {}).get(path, 0))
        status = STATE.misdeeds.get("status", {}).get(path)
        if status:
            self.answer(status, {})
        return bool(status)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        if self.misbehave(url.path):
            return
        if url.path == "/.well-known/openid-configuration":
            self.answer(200, {"issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize", "token_endpoint": f"{self.issuer}/token",
                              "jwks_uri": f"{self.issuer}/jwks", **STATE.misdeeds.get("discovery", {})})
        elif url.path == "/jwks":
            self.answer(200, {"keys": [STATE.rsa.as_dict(private=False), STATE.ec.as_dict(private=False)]})
        elif url.path == "/counts":
            self.answer(200, STATE.counts)
        elif url.path == "/authorize":
            self.authorize(query)
        else:
            self.answer(404, {})

    def authorize(self, query):
        expected = {"response_type": "code", "client_id": CLIENT, "code_challenge_method": "S256"}
        wrong = [name for name, value in expected.items() if query.get(name) != value]
        wrong += [name for name in ("redirect_uri", "state", "nonce", "code_challenge") if not query.get(name)]
        if wrong or "openid" not in query.get("scope", "").split():
            return self.answer(400, {"error": "invalid_request", "error_description": f"{wrong} of {query}"})
        code = secrets.token_urlsafe(16)
        STATE.codes[code] = {**query, "person": STATE.misdeeds.get("person", {"sub": "1"})}
        back = urllib.parse.urlencode({"code": code, "state": query["state"], "iss": self.issuer})
        self.answer(302, {}, Location=f"{query['redirect_uri']}?{back}")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        path = urllib.parse.urlsplit(self.path).path
        if path == "/control":
            STATE.misdeeds = json.loads(body)
            if STATE.misdeeds.get("rotate"):
                STATE.rotate()
            return self.answer(200, {})
        if self.misbehave(path):
            return
        if path != "/token":
            return self.answer(404, {})
        fields = dict(urllib.parse.parse_qsl(body))
        plain = base64.b64decode(self.headers.get("Authorization", "Basic ").split(" ", 1)[1]).decode()
        if [urllib.parse.unquote_plus(part) for part in plain.split(":")] != [CLIENT, SECRET]:
            return self.answer(401, {"error": "invalid_client"})
        code = STATE.codes.pop(fields.get("code"), None)   # for once
        challenge = b64url(hashlib.sha256(fields.get("code_verifier", "").encode()).digest())
        if code is None or code["redirect_uri"] != fields.get("redirect_uri") or code["code_challenge"] != challenge:
            return self.answer(400, {"error": "invalid_grant"})
        self.answer(200, {"access_token": "x", "token_type": "Bearer", "id_token": id_token(self.issuer, code)})


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
