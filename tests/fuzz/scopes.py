"""Whether the requests that schemathesis made were let in exactly where their credential allows.

Usage: tests/fuzz/scopes.py DOCUMENT RECORD LOG [SCOPE…]

DOCUMENT is /openapi.json of `serve --auth required`, and RECORD what schemathesis sent and received,
as HAR. Without a scope, the requests had no credential. Schemathesis
leaves the credential out now and then. LOG is the log of `serve`: on the routes that need a credential it
must have as many accepted requests as RECORD.
"""

import collections
import json
import re
import sys
import urllib.parse

# Refusals that may come before the caller is recognised or its scope is looked at.
EARLIER = {400, 404, 405, 408, 413, 414, 431}


def operations(document):
    """Each operation: its method, a pattern of its path, and the scopes it states (None: open)."""
    found = []
    for path, item in document["paths"].items():
        pattern = re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))
        for method, operation in item.items():
            stated = [scope for it in operation["security"] for scope in it["api_key"]]
            found.append((method.upper(), pattern, stated if operation["security"] else None, path))
    # A path without a parameter comes before one that it fits.
    return sorted(found, key=lambda it: "{" in it[3])


def main():
    document, record, log, *scopes = sys.argv[1:]
    with open(document) as file:
        known = operations(json.load(file))
    with open(record) as file:
        entries = json.load(file)["log"]["entries"]
    refused, accepted, wrong = collections.Counter(), 0, []
    for entry in entries:
        method, status = entry["request"]["method"].upper(), entry["response"]["status"]
        if status == 0:
            continue  # not answered: schemathesis reports it
        path = urllib.parse.urlsplit(entry["request"]["url"]).path
        sent = {header["name"].lower() for header in entry["request"]["headers"]}
        fits = (it for it in known if it[0] == method and it[1].fullmatch(path))
        _, _, needed, name = next(fits, (None, None, [], "no route"))
        accepted += needed is not None and status < 400
        if needed is None:
            expected = status != 401
        elif not scopes or "authorization" not in sent:
            expected = status == 401 or status in EARLIER - {404}
            refused[method, name] += status == 401 and not scopes
        elif all(scope in scopes for scope in needed):
            expected = status != 401 and '"scope.missing"' not in body(entry)
        else:
            expected = status == 403 or status in EARLIER - {404}
            refused[method, name] += '"scope.missing"' in body(entry)
        if not expected:
            wrong.append(f"{method} {entry['request']['url']}: {status}")
    for method, _, needed, name in known:
        outside = needed is not None and (not scopes or not set(needed) <= set(scopes))
        if outside and not refused[method, name]:
            wrong.append(f"{method} {name}: never refused, so it was not tried")
    with open(log) as file:
        answered = re.findall(r"answered.* route=(\S+) status=[123]\d\d", file.read())
    guarded = {path for *_, needed, path in known if needed is not None}
    logged = sum(route.strip('"') in guarded for route in answered)
    if logged != accepted:
        wrong.append(f"serve accepted {logged} requests, and {accepted} are recorded")
    credential = " ".join(scopes) or "no credential"
    print(f"{credential}: {len(entries)} requests, {accepted} accepted, {refused.total()} refused")
    if wrong:
        sys.exit("not as its credential allows:\n" + "\n".join(wrong[:20]))


def body(entry):
    return entry["response"]["content"].get("text") or ""


main()
