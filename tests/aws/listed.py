"""The stack whose gateway checks signatures, for listed callers only."""

import json

from .caller import user
from .emulator import ACCOUNT
from .saying import expect, part, say


def parameters():
    """The parameters of the stack."""
    carol = {"arn": f"arn:aws:iam::{ACCOUNT}:user/carol", "tenant": "main",
             "scopes": ["read", "write"]}
    return {"AuthConfig": json.dumps({"iam": [carol]})}


def walk(stack):
    """A listed caller has its scopes; another one, whom IAM lets call as well, has none."""
    part("the same with signatures, for listed callers")
    carol, dave = (user(stack, name) for name in ("carol", "dave"))
    asset, _ = carol.create()
    for caller, code in ((carol, "scope.missing"), (dave, "caller.unlisted")):
        answer = caller.call("DELETE", f"/asset/{asset}", 403)
        expect(code, answer.json()["code"], "why a DELETE is refused")
    carol.call("GET", f"/asset/{asset}/state", 200)
    dave.call("GET", f"/asset/{asset}/state", 403)
    say("a listed caller: 201, and 403 beyond its scopes; one that IAM alone lets call: 403")
