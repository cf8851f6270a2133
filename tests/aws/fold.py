"""A second implementation of the fold from the journal to the rows. It follows docs/EVENTS.md and the
row's attributes and uses no code of the product, so it detects errors of the product's fold."""

import hashlib
import json
from collections import defaultdict
from datetime import datetime, timezone

GENESIS = "0" * 64
TOMBSTONE = 8 * 86400
# Partitions of the journal that are no assets.
STREAMS = {"access"}
STATES = {"soft_deleted": "DELETED", "purge_requested": "PURGING", "purged": "PURGED"}


class Broken(Exception):
    """A history that is not a chain, or was not written by the ledger."""


def rows(items, shards=8):
    """The rows that the journal's items fold to, and why some histories fold to none."""
    histories = defaultdict(list)
    for item in items:
        histories[item["pk"]].append(item)
    folded, broken = {}, {}
    for key, events in histories.items():
        tenant, _, asset = key.partition("#")
        if asset in STREAMS:
            continue
        try:
            row = fold(tenant, asset, sorted(events, key=lambda item: item["sk"]))
        except Broken as why:
            broken[asset] = str(why)
            continue
        folded[asset] = {"pk": f"{tenant}#1#{int(asset[-2:], 16) % shards}", "sk": asset, **row}
    return folded, broken


def fold(tenant, asset, items):
    """The row of one history."""
    prev, row = GENESIS, None
    for version, item in enumerate(items, 1):
        event = parse(item["body"])
        place = (event["tenant"], event["asset"], event["version"], item["sk"], event["prev"])
        if place != (tenant, asset, version, version, prev):
            raise Broken(f"event {version} does not stand where it says")
        prev = hashlib.sha256(item["body"].encode()).hexdigest()
        row = after(row, event)
        row.update(version=version, head=prev, updated_at=event["at"])
    return finished(row)


def parse(body):
    """One event."""
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        raise Broken(f"not JSON: {error}") from error


def after(row, event):
    """The row after one more event, without the changes that every event makes."""
    kind, data = event["type"], event["data"]
    if (kind == "created") != (row is None):
        raise Broken(f"{kind} out of its place")
    if kind == "created":
        renamed = {"size": "declared_size", "sha256": "declared_sha256"}
        declared = {renamed.get(name, name): value for name, value in data.items()}
        return {"confirmed": False, "created_at": event["at"], "life": None,
                "owner": subject(event["actor"]), **declared}
    if kind == "received":
        pin = ("version_id", "size", "sha256", "etag")
        kept = {name: value for name, value in row.items() if name not in pin}
        return {**kept, **data}
    if kind == "uploaded":
        return {**row, "confirmed": True}
    row = {name: value for name, value in row.items() if name != "reason"}
    if kind == "restored":
        return {**row, "life": None}
    if kind in STATES:
        return {**row, "life": STATES[kind], **data}
    raise Broken(f"unknown type {kind}")


def subject(actor):
    """Who an actor is, whatever the generation of its key, and whoever acts for it."""
    return actor.partition("/" if actor.startswith("key:") else ";act=")[0]


def finished(row):
    """The row with its public state, and its expiry."""
    life = row.pop("life")
    live = "UPLOADED" if row["confirmed"] else "RECEIVED" if "version_id" in row else "CREATED"
    row["state"] = life or live
    if life == "PURGED":
        at = datetime.strptime(row["updated_at"], "%Y-%m-%dT%H:%M:%S.%fZ")
        row["expires_at"] = int(at.replace(tzinfo=timezone.utc).timestamp()) + TOMBSTONE
    return {name: value for name, value in row.items() if value not in (None, {})}


def is_row(item):
    """Whether it is an asset's row, and not a note, a feed entry or a parked asset."""
    return item["pk"].count("#") == 2 and "#feed#" not in item["pk"]


def differences(items, wanted):
    """How the rows of a table differ from those wanted."""
    there = {item["sk"]: item for item in items if is_row(item)}
    for row in there.values():
        if isinstance(row.get("tags"), str):
            row["tags"] = json.loads(row["tags"])
    return [
        f"{asset}: is {there.get(asset)}, and the journal says {wanted.get(asset)}"
        for asset in sorted(there.keys() | wanted.keys())
        if there.get(asset) != wanted.get(asset)
    ]
