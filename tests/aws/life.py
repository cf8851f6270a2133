"""An asset's whole life, as a client on AWS sees it."""

import hashlib
import json
import re
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from botocore.credentials import Credentials

from . import observed
from .caller import Caller
from .saying import Failed, expect, part, say, until
from .stack import ROOT

BYTES = b"who did what to this file\n"


def walk(stack, caller):
    """From the creation to the purge, with the refusals in between."""
    part("an asset's life")
    nobody_comes_in_unsigned(stack)
    expect("ready", caller.call("GET", "/readyz", 200).json()["status"], "/readyz")
    asset = uploaded_by_notification(caller)
    confirmed_and_fetched(caller, asset)
    listed(caller, asset)
    deleted_and_restored(caller, asset)
    purged(caller, asset)
    history_is_whole(stack, caller, asset)
    told_of(caller, asset)
    declared(caller)
    overwritten(stack, caller)
    observed.at_rest(stack)


def nobody_comes_in_unsigned(stack):
    strangers = {
        "unsigned": Caller(stack),
        "by an unknown key": Caller(stack, Credentials("AKIANOBODY", "secret")),
    }
    for how, stranger in strangers.items():
        expect(403, stranger.call("GET", "/asset").status_code, f"a request {how}")
    say("a request without a signature, or with an unknown key: 403")


def uploaded_by_notification(caller):
    asset, created = caller.create()
    caller.call("PUT", f"/asset/{asset}", 412)
    say(f"POST /asset: 201, {asset}; confirming it before its upload: 412")
    expect(200, caller.put(created["upload_url"], BYTES).status_code, "the upload")
    until(lambda: caller.state(asset)["state"] == "RECEIVED", "the notification is recorded")
    events = [json.loads(line) for line in caller.history(asset).splitlines()]
    expect([("created", "api"), ("received", "s3")],
           [(event["type"], event["source"]) for event in events], "the history")
    say("presigned PUT: 200; the notification made it RECEIVED, through EventBridge and the queue")
    forged = created["upload_url"].replace("X-Amz-Expires=900", "X-Amz-Expires=3600")
    expect(403, caller.put(forged, b"x").status_code, "an upload by a URL that was altered")
    say("a URL with a longer life written into it: 403")
    return asset


def confirmed_and_fetched(caller, asset):
    expect("UPLOADED", caller.call("PUT", f"/asset/{asset}", 202).json()["status"], "confirming")
    answer = caller.call("GET", f"/asset/{asset}", 202)
    expect("no-store", answer.headers["cache-control"], "Cache-Control of an answer with a URL")
    expect(BYTES, caller.fetch(answer.json()["download_url"]).content, "the bytes that came back")
    say("PUT: UPLOADED; GET: a URL, by which the same bytes came back")
    short = caller.call("GET", f"/asset/{asset}?timeout=1", 202).json()["download_url"]
    until(lambda: caller.fetch(short).status_code == 403, "a URL of one second dies")
    say("a URL of one second is refused after it")


def listed(caller, asset):
    def shown():
        items = caller.call("GET", "/asset?state=UPLOADED", 200).json()["items"]
        return [item for item in items if item["asset_id"] == asset]

    until(shown, "the asset is in the list")
    say("GET /asset: it is listed as UPLOADED")


def deleted_and_restored(caller, asset):
    caller.call("DELETE", f"/asset/{asset}?reason=tidying", 204)
    caller.call("DELETE", f"/asset/{asset}", 204)
    caller.call("GET", f"/asset/{asset}", 403)
    caller.call("POST", f"/asset/{asset}/restore", 200)
    expect("UPLOADED", caller.state(asset)["state"], "the state after restoring")
    say("DELETE, twice: 204; GET: 403; restore: UPLOADED again")


def purged(caller, asset):
    caller.call("POST", f"/asset/{asset}/purge", 409)
    caller.call("DELETE", f"/asset/{asset}", 204)
    caller.call("POST", f"/asset/{asset}/purge", 202)
    until(lambda: caller.call("GET", f"/asset/{asset}/state").status_code == 404, "it is purged")
    caller.call("POST", f"/asset/{asset}/purge", 410)
    say("purge: 409 while it is not deleted, then 202, then 404 everywhere but in its history")


def told_of(caller, asset):
    """The feed has every event at least once, with first occurrences in order."""
    expected = [json.loads(line)["version"] for line in caller.history(asset).splitlines()]
    position = {"next": None}
    first = []

    def heard():
        more = True
        while more:
            after = "" if position["next"] is None else f"&after={position['next']}"
            page = caller.call("GET", f"/events?limit=3{after}", 200).json()
            for event in page["events"]:
                if event["asset_id"] == asset and event["version"] not in first:
                    first.append(event["version"])
            position["next"], more = page["next"], page["more"]
        return len(first) >= len(expected)

    until(heard, "the feed told of everything")
    expect(expected, first, "the versions that the feed told of")
    expect(400, caller.call("GET", "/events?after=a1-0").status_code, "a foreign position")
    say(f"GET /events: {len(first)} events of the asset, in their order")


def history_is_whole(stack, caller, asset):
    """Checks a history with the shell loop of the README."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (loop,) = re.findall(r"<!-- audit -->\n```sh\n(.*?)```\n<!-- /audit -->", readme, re.DOTALL)
    history = caller.history(asset)
    kinds = [json.loads(line)["type"] for line in history.splitlines()]
    expect(["created", "received", "uploaded", "soft_deleted", "restored", "soft_deleted",
            "purge_requested", "purged"], kinds, "the history")
    actor = f"arn:aws:iam::{stack.outputs['Account']}:user/alice"
    actors = {json.loads(line)["actor"] for line in history.splitlines()}
    if not actors <= {actor, "s3.amazonaws.com"} or actor not in actors:
        raise Failed(f"the actors are {actors}, not {actor}")
    expect(f"whole: {len(kinds)} events", audit(loop, history).partition(",")[0], "the audit")
    forged = history.replace("tidying", "hiding", 1)
    told = audit(loop, forged)
    if not told.startswith("not whole: event "):
        raise Failed(f"a forged history was found whole: {told}")
    say(f"the history, checked with sha256sum and jq: {len(kinds)} events, by {actor}; "
        "forged in one word: not whole")


def audit(loop, history):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "h.jsonl").write_text(history, encoding="utf-8")
        done = subprocess.run(["bash", "-c", loop], cwd=folder, capture_output=True, text=True,
                              check=False)
    if (done.returncode == 0) != done.stdout.startswith("whole: "):
        raise Failed(f"the audit loop ended with {done.returncode}: {done.stdout}{done.stderr}")
    return (done.stdout + done.stderr).strip()


def declared(caller):
    about = {
        "filename": "Grüße \"1\" 🦀.txt", "content_type": "text/plain", "size": len(BYTES),
        "sha256": hashlib.sha256(BYTES).hexdigest(), "tags": {"case": "4711", "who": "Ünal"},
    }
    asset, created = caller.create(body=json.dumps(about).encode(), content_type="application/json")
    upload = created["upload"]
    headers = {name: value for name, value in upload["headers"].items() if name != "content-length"}
    wrong = caller.put(upload["url"], BYTES.swapcase(), **headers)
    if wrong.status_code not in (400, 403):
        raise Failed(f"other bytes of the declared size: {wrong.status_code}")
    expect(403, caller.put(upload["url"], BYTES).status_code, "an upload without signed headers")
    expect(200, caller.put(upload["url"], BYTES, **headers).status_code, "the declared upload")
    expect(412, caller.put(upload["url"], BYTES, **headers).status_code, "a second upload")
    caller.call("PUT", f"/asset/{asset}", 202)
    url = caller.call("GET", f"/asset/{asset}", 202).json()["download_url"]
    expect(BYTES, caller.fetch(url).content, "the declared bytes that came back")
    # The emulator applies response-* only to current versions, so this checks only the URL.
    asked = parse_qs(urlsplit(url).query).get("response-content-disposition", [""])[0]
    if "filename*=UTF-8''Gr%C3%BC%C3%9Fe" not in asked:
        raise Failed(f"the download would be named {asked}")
    say(f"a declared upload: other bytes {wrong.status_code}, headers left out 403, "
        "right 200, again 412; to be fetched under its name")


def overwritten(stack, caller):
    asset, created = caller.create()
    caller.put(created["upload_url"], BYTES)
    caller.call("PUT", f"/asset/{asset}", 202)
    before = caller.history(asset)
    expect(200, caller.put(created["upload_url"], b"something else").status_code, "overwriting")
    until(lambda: observed.metrics(stack, "bucket").get("asset_ledger_overwrite_attempts"),
          "the overwrite is counted")
    expect(before, caller.history(asset), "the history after overwriting")
    url = caller.call("GET", f"/asset/{asset}", 202).json()["download_url"]
    expect(BYTES, caller.fetch(url).content, "the bytes after overwriting")
    say("a plain URL used again after confirming: counted, and the content is what was confirmed")
