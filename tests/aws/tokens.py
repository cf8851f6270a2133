"""The same stack with an issuer: only callers with a token are admitted."""

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .caller import Caller
from .saying import expect, part, say

AUDIENCE = "ledger"


class Issuer:
    """An OpenID issuer on loopback, during the test."""

    def __init__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        documents = {
            "/.well-known/openid-configuration": self._about,
            "/.well-known/jwks.json": self._keys,
        }

        class Handler(BaseHTTPRequestHandler):
            """Answers with one of the two documents."""

            def do_GET(self):
                document = documents.get(self.path, dict)()
                body = json.dumps(document).encode()
                self.send_response(200 if document else 404)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Logs nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, **claims):
        """A token of half an hour; `claims` replace the usual ones."""
        now = int(time.time())
        usual = {"iss": self.url, "sub": "u-1", "aud": AUDIENCE, "iat": now, "exp": now + 1800}
        parts = [{"alg": "RS256", "typ": "JWT", "kid": "1"}, {**usual, **claims}]
        signed = ".".join(encoded(json.dumps(p).encode()) for p in parts)
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{encoded(signature)}"

    def _about(self):
        return {"issuer": self.url, "jwks_uri": f"{self.url}/.well-known/jwks.json"}

    def _keys(self):
        numbers = self.key.public_key().public_numbers()
        n, e = (encoded(v.to_bytes((v.bit_length() + 7) // 8)) for v in (numbers.n, numbers.e))
        return {"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "n": n, "e": e}]}


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def walk(stack, issuer):
    """Checks which callers are admitted, and with which actor."""
    part("the same with tokens")
    refused = {
        "no token": None,
        "garbage": "a.b.c",
        "for another audience": issuer.token(aud="other"),
        "of another issuer": issuer.token(iss="http://127.0.0.1:1"),
        "of yesterday": issuer.token(exp=int(time.time()) - 86400),
        "forged": issuer.token()[:-8] + "AAAAAAAA",
    }
    for how, token in refused.items():
        expect(401, Caller(stack, token=token).call("GET", "/asset").status_code, how)
    nameless = Caller(stack, token=issuer.token(sub="")).call("POST", "/asset", 401)
    expect("caller.nameless", nameless.json()["code"], "why a token without a subject is refused")
    say(f"{', '.join(refused)}, and of nobody in particular: 401")
    caller = Caller(stack, token=issuer.token())
    asset, _ = caller.create()
    actor = json.loads(caller.history(asset))["actor"]
    expect(f"{issuer.url}|u-1", actor, "the actor")
    say(f"a good one: 201, and the actor is {actor}")
