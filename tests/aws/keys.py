"""The stack whose function checks its callers itself: two tenants with API keys, and an issuer."""

import json
import os
import subprocess
import time

from . import observed, suites
from .caller import Caller
from .saying import Failed, expect, part, say, until
from .stack import ROOT
from .tokens import AUDIENCE

BYTES = b"of a tenant\n"
ALL = "read,write,delete,purge,audit,admin"
# An id without an asset.
NONE = "019aaf6b-5a00-7123-8456-0123456789ab"
# Seconds for which a process may still accept a key that another one revoked.
BELIEVED = 10


def trusting(issuer):
    """The parameters of the stack."""
    trusted = {"issuer": issuer.url, "audiences": [AUDIENCE], "tenant": {"fixed": "acme"},
               "at_most": ["read"]}
    return {"Auth": "function", "AuthConfig": json.dumps({"issuers": [trusted]})}


def walk(stack, issuer):
    """From the first key to its end."""
    part("the same with keys, which the function checks itself")
    operator = Operator(stack)
    for tenant in ("acme", "acme-2"):
        operator.run("tenant", "create", tenant)
    ours, theirs = operator.key("acme", ALL), operator.key("acme-2", ALL)
    reader = operator.key("acme", "read")
    say("tenant create, key create: on the tables of the stack")
    strangers(stack, issuer)
    owner, other = (Caller(stack, token=key) for key in (ours, theirs))
    asset = kept(owner, name_of(ours))
    scoped(Caller(stack, token=reader), owner, asset)
    tokens(stack, issuer, asset)
    hidden(other, asset)
    once(owner)
    purged(stack, owner, other)
    ended(stack, operator, reader)
    observed.at_rest(stack)


class Operator:
    """The command line on the tables of a stack, with an administrator's rights."""

    def __init__(self, stack):
        suites.cargo("--no-run", tests=["system"])  # which builds the program, too
        self.program = ROOT / "target/debug/asset-ledger"
        self.tables = ["--store", "dynamodb", "--journal-table", stack.outputs["JournalTable"],
                       "--views-table", stack.outputs["ViewsTable"]]
        self.environment = {**os.environ, **suites.reached(stack.emulator)}

    def run(self, *words):
        """The standard output of a command."""
        done = subprocess.run([self.program, *words, *self.tables], env=self.environment,
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"{' '.join(words[:2])}: {done.stderr[-2000:]}")
        return done.stdout

    def key(self, tenant, scopes):
        """A new key."""
        words = ("key", "create", "--tenant", tenant, "--name", "test", "--scope", scopes)
        return self.run(*words).strip()


def name_of(key):
    return key.split("_")[2]


def strangers(stack, issuer):
    nobody = Caller(stack)
    for path in ("/healthz", "/readyz", "/openapi.json"):
        nobody.call("GET", path, 200)
    for method, path in (("GET", "/asset"), ("POST", "/asset"), ("GET", "/events"), ("GET", "/me"),
                         ("GET", f"/asset/{NONE}"), ("DELETE", f"/asset/{NONE}"), ("GET", "/nowhere")):
        code = nobody.call(method, path, 401).json()["code"]
        expect("credential.missing", code, f"why {method} {path} is refused")
    refused = {
        "a key that nobody made": f"alk_acme_{'0' * 16}_{'0' * 64}00000000",
        "a token for another audience": issuer.token(aud="other", scope="ledger:read"),
        "garbage": "x",
    }
    for how, credential in refused.items():
        expect(401, Caller(stack, token=credential).call("GET", "/asset").status_code, how)
    say(f"without a key: 401, but for what says nothing of a tenant; {', '.join(refused)}: 401")


def kept(owner, name):
    asset, created = owner.create()
    expect(200, owner.put(created["upload_url"], BYTES).status_code, "the upload")
    until(lambda: owner.state(asset)["state"] == "RECEIVED", "the notification is recorded")
    owner.call("PUT", f"/asset/{asset}", 202)
    url = owner.call("GET", f"/asset/{asset}", 202).json()["download_url"]
    expect(BYTES, owner.fetch(url).content, "the bytes that came back")
    actors = [json.loads(line)["actor"] for line in owner.history(asset).splitlines()]
    expect([f"key:{name}/1", "s3.amazonaws.com", f"key:{name}/1"], actors, "the actors")
    until(lambda: asset in listed(owner), "the asset is in the list")
    say(f"created, uploaded, noticed, confirmed, fetched, listed; the history names key:{name}/1")
    return asset


def listed(caller):
    return [item["asset_id"] for item in caller.call("GET", "/asset", 200).json()["items"]]


def scoped(reader, owner, asset):
    answer = reader.call("DELETE", f"/asset/{asset}", 403)
    expect("scope.missing", answer.json()["code"], "why a reader may not delete")
    reader.call("GET", f"/asset/{asset}", 202)
    expect("UPLOADED", owner.state(asset)["state"], "the state")
    say("DELETE with a read key: 403")


def tokens(stack, issuer, asset):
    bearer = Caller(stack, token=issuer.token(scope="ledger:read ledger:delete"))
    bearer.call("GET", f"/asset/{asset}", 202)
    bearer.call("DELETE", f"/asset/{asset}", 403)
    say("a token of the issuer in AuthConfig: 202, and 403 beyond at_most")


def hidden(other, asset):
    for method, tail in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/state"),
                         ("GET", "/history"), ("POST", "/restore"), ("POST", "/purge"),
                         ("POST", "/upload-url")):
        told = [answer_about(other, method, key, tail) for key in (asset, NONE)]
        expect(told[1], told[0], f"{method} {tail} of another tenant's asset")
        expect(404, told[0][0], f"{method} {tail}")
    expect([], listed(other), "what another tenant lists")
    expect([], other.call("GET", "/events", 200).json()["events"], "the feed of another tenant")
    say("another tenant's id: byte for byte the 404 of a missing one")


def answer_about(caller, method, asset, tail):
    """Status, type and body of an answer, without the id."""
    answer = caller.call(method, f"/asset/{asset}{tail}", x_request_id="same")
    return answer.status_code, answer.headers.get("content-type"), answer.text.replace(asset, "ID")


def once(owner):
    answers = [owner.call("POST", "/asset", 201, idempotency_key="order-7") for _ in range(2)]
    first, again = (answer.json()["id"] for answer in answers)
    expect(first, again, "the asset of a repeated request")
    expect([None, "true"], [it.headers.get("idempotency-replayed") for it in answers], "replayed")
    expect(1, len(owner.history(first).splitlines()), "events of the repeated request")
    say("POST /asset twice with one Idempotency-Key: one asset")


def purged(stack, owner, other):
    """The files of a tenant can be destroyed, and its keys can be made by its own admin."""
    asset, created = other.create()
    other.put(created["upload_url"], BYTES)
    other.call("PUT", f"/asset/{asset}", 202)
    owner.call("DELETE", f"/asset/{asset}", 404)
    other.call("DELETE", f"/asset/{asset}", 204)
    other.call("POST", f"/asset/{asset}/purge", 202)
    until(lambda: other.call("GET", f"/asset/{asset}/state").status_code == 404, "it is purged")
    made = other.call("POST", "/keys", 201, content_type="application/json",
                      body=json.dumps({"name": "more", "scopes": ["read"]}).encode()).json()
    Caller(stack, token=made["key"]).call("GET", "/me", 200)
    say("the other tenant purges its own asset, and its admin makes a key")


def ended(stack, operator, key):
    caller = Caller(stack, token=key)
    caller.call("GET", "/me", 200)
    operator.run("key", "revoke", name_of(key), "--tenant", "acme", "--reason", "lost")
    revoked = time.monotonic()
    until(lambda: caller.call("GET", "/me").status_code == 401, "the key ends", BELIEVED + 1)
    took = time.monotonic() - revoked
    time.sleep(max(0, revoked + BELIEVED + 1 - time.monotonic()))
    for _ in range(20):
        caller.call("GET", "/me", 401)
    say(f"a key that the command line revoked: 401 after {took:.1f} s, and from every process")
