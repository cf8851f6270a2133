"""Observations of the stack: metrics in its logs, rows against the journal, pins against S3."""

import json

from botocore.exceptions import ClientError

from . import fold, streams
from .saying import Failed, say, until

# The projector's log line about records that must be delivered again.
AGAIN = "records failed and will be retried"


def metrics(stack, function):
    """The sum of each metric that a function wrote so far."""
    logs = stack.emulator.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=f"/aws/lambda/{stack.name}-{function}"
    )
    sums = {}
    for event in (event for page in pages for event in page["events"]):
        for line in event["message"].splitlines():
            add(sums, line)
    return sums


def add(sums, line):
    """Adds the metrics of one log line, if it has any."""
    start = line.find("{")
    try:
        measured = json.loads(line[start:]) if start >= 0 else {}
    except json.JSONDecodeError:
        return
    for about in measured.get("_aws", {}).get("CloudWatchMetrics", []):
        for name in (metric["Name"] for metric in about["Metrics"]):
            value = measured[name]
            sums[name] = sums.get(name, 0) + (sum(value) if isinstance(value, list) else value)


def parked(stack):
    """The parked assets."""
    return {item["sk"]: item for item in stack.items("ViewsTable") if item["pk"] == "main#parked"}


def at_rest(stack, strangers=()):
    """Waits until rows == fold(journal), but for the histories of `strangers`, which fold to none."""
    last = []

    def same():
        wanted, broken = fold.rows(stack.items("JournalTable"))
        if set(broken) != set(strangers):
            raise Failed(f"broken histories: {broken}")
        last[:] = fold.differences(stack.items("ViewsTable"), wanted)
        return wanted if not last else None

    try:
        wanted = until(same, "rows == fold(journal)", 30)
    except Failed as failed:
        if AGAIN not in stack.emulator.log():
            raise Failed(f"{failed}\n" + "\n".join(last[:5])) from failed
        # The emulator treats a stream batch as done even if the projector reports failed records.
        say("the projector asked for records again; the emulator does not give them, so we do")
        streams.give_again(stack)
        wanted = until(same, "rows == fold(journal)")
    pins_are_there(stack, wanted)
    say(f"rows == fold(journal): {len(wanted)} assets, {len(strangers)} broken ones aside; "
        "each pin is there")
    return wanted


def pins_are_there(stack, rows):
    """S3 has every pinned version, and no version of a purged asset."""
    s3, bucket = stack.emulator.client("s3"), stack.outputs["Bucket"]
    for asset, row in rows.items():
        key = f"{row['pk'].partition('#')[0]}/{asset}"
        if row["state"] == "PURGED":
            left = s3.list_object_versions(Bucket=bucket, Prefix=key)
            if left.get("Versions") or left.get("DeleteMarkers"):
                raise Failed(f"{asset} is purged, and versions are left: {left}")
        elif "version_id" in row:
            try:
                head = s3.head_object(Bucket=bucket, Key=key, VersionId=row["version_id"])
            except ClientError as error:
                raise Failed(f"{asset} pins {row['version_id']}: {error}") from error
            if head["ContentLength"] != row["size"]:
                raise Failed(f"{asset} pins another size than S3 holds")
