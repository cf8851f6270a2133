"""Faults: repeated deliveries, functions killed at work, forged records."""

import json
import os
import random
import signal
from concurrent.futures import ThreadPoolExecutor

from . import fold, observed, streams
from .emulator import ACCOUNT, REGION
from .saying import Failed, expect, part, say, until

# Assets of an interrupted batch: the mapping's batch size.
MANY = 100
# Attempts to kill a function in the middle of its work.
TRIES = 5


class Recorder:
    """Receives the same notifications of S3 as the stack: the same rule, another queue."""

    def __init__(self, stack):
        self.stack, self.sqs = stack, stack.emulator.client("sqs")
        self.queue = self.sqs.create_queue(QueueName=f"{stack.name}-recorder")["QueueUrl"]
        events = stack.emulator.client("events")
        rule = stack.resources()["FilesChanged"].rpartition("/")[2]
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{stack.name}-recorder"
        events.put_targets(Rule=rule, Targets=[{"Id": "Recorder", "Arn": arn}])

    def heard(self):
        """Every message so far."""
        bodies = []
        while True:
            batch = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
            if not batch.get("Messages"):
                return bodies
            for message in batch["Messages"]:
                bodies.append(message["Body"])
                self.sqs.delete_message(
                    QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"]
                )


def stir(stack, caller, recorder):
    """Injects all faults, and compares the rows with the journal after each."""
    everything_twice(stack, recorder)
    projector_killed(stack, caller)
    bucket_killed(stack, caller)
    api_killed(stack, caller)
    foreign_notifications(stack)
    strangers = poison(stack, caller)
    tampering(stack, caller)
    everything_twice(stack, recorder, strangers)


def everything_twice(stack, recorder, strangers=()):
    part("everything that was ever delivered, again, twice, in disorder")
    journal, views = stack.items("JournalTable"), stack.items("ViewsTable")
    chance = random.Random(4711)
    records = streams.records(stack) * 2
    chance.shuffle(records)
    streams.give(stack, records)
    say(f"{len(records)} stream records went to the projector")
    bodies = recorder.heard() * 2
    chance.shuffle(bodies)
    sqs, looks = stack.emulator.client("sqs"), queue(stack, "Looks")
    for body in bodies:
        sqs.send_message(QueueUrl=looks, MessageBody=body)
    until(lambda: empty(stack, "Looks"), "the queue is empty")
    say(f"{len(bodies)} notifications went to the queue, and were handled")
    unchanged(journal, stack.items("JournalTable"), "the journal")
    unchanged(views, stack.items("ViewsTable"), "the rows")
    say("neither the journal nor a row changed")
    observed.at_rest(stack, strangers)


def projector_killed(stack, caller):
    part("the projector killed in the middle of a batch")
    mapping = mapping_of(stack, "projector")
    functions = stack.emulator.client("lambda")
    functions.update_event_source_mapping(UUID=mapping, Enabled=False)
    with ThreadPoolExecutor(4) as crowd:
        assets = {asset for asset, _ in crowd.map(lambda _: caller.create(), range(MANY))}
    expect(set(), assets & written(stack), "rows before the batch")
    functions.update_event_source_mapping(UUID=mapping, Enabled=True)
    until(lambda: assets & written(stack), "the batch begins")
    victims = hold(stack, "projector")
    done = len(assets & written(stack))
    kill(victims)
    if not victims or not 0 < done < MANY:
        raise Failed(f"{len(victims)} processes were killed at {done} of {MANY}: not in the middle")
    say(f"killed with {done} of {MANY} rows written")
    observed.at_rest(stack)


def bucket_killed(stack, caller):
    part("the bucket function killed at work")
    sqs, looks = stack.emulator.client("sqs"), queue(stack, "Looks")
    # Messages in flight are delivered again after this many seconds, not after three minutes.
    sqs.set_queue_attributes(QueueUrl=looks, Attributes={"VisibilityTimeout": "3"})
    again_until_in_the_middle(lambda: bucket_killed_once(stack, caller))
    observed.at_rest(stack)


def bucket_killed_once(stack, caller):
    """Whether it was at work: some uploads were recorded, and notifications were in flight."""
    created = [caller.create() for _ in range(20)]
    with ThreadPoolExecutor(4) as crowd:
        uploads = [crowd.submit(caller.put, made["upload_url"], b"bytes") for _, made in created]
        until(lambda: len(received(stack, created)) > 0, "the first is recorded")
        victims = hold(stack, "bucket")
        at, handled = len(received(stack, created)), waiting(stack, "Looks")[1]
        kill(victims)
        for upload in uploads:
            expect(200, upload.result().status_code, "an upload")
    say(f"{len(victims)} processes killed with {at} of {len(created)} uploads recorded and "
        f"{handled} notifications in their hands")
    until(lambda: len(received(stack, created)) == len(created), "all uploads are recorded")
    say("every upload is recorded in the end, once")
    return victims and 0 < at < len(created) and handled


def api_killed(stack, caller):
    part("the API killed among requests")
    again_until_in_the_middle(lambda: api_killed_once(stack, caller))
    observed.at_rest(stack)


def api_killed_once(stack, caller):
    """Whether it was at work: some requests were answered, and at least one was interrupted."""
    acknowledged, refused = [], []

    def create(_):
        answer = caller.call("POST", "/asset")
        (acknowledged if answer.status_code == 201 else refused).append(answer)

    with ThreadPoolExecutor(4) as crowd:
        creating = [crowd.submit(create, number) for number in range(60)]
        until(lambda: len(acknowledged) >= 10, "some are acknowledged")
        victims = hold(stack, "api")
        at = len(acknowledged)
        kill(victims)
        for done in creating:
            done.result()
    statuses = {answer.status_code for answer in refused}
    if any(status < 500 for status in statuses):
        raise Failed(f"a request that was cut off was answered {statuses}")
    there = {item["pk"].partition("#")[2] for item in stack.items("JournalTable")}
    lost = {answer.json()["id"] for answer in acknowledged} - there
    expect(set(), lost, "what was acknowledged and is not there")
    say(f"{len(victims)} processes killed with {at} of {len(creating)} answered: "
        f"{len(acknowledged)} acknowledged and all of them there, {len(refused)} cut off")
    return victims and at < len(creating) and refused


def again_until_in_the_middle(killed):
    """Repeats it until the function was at work: killing an idle function proves nothing."""
    for _ in range(TRIES):
        if killed():
            return
        say("not in the middle of work: again")
    raise Failed(f"never in the middle of work, {TRIES} times")


def foreign_notifications(stack):
    part("notifications that are not ours")
    before = observed.metrics(stack, "bucket").get("asset_ledger_notifications_dropped", 0)
    object_created = {
        "version": "0", "id": "1", "source": "aws.s3", "detail-type": "Object Created",
        "account": ACCOUNT, "time": "2026-11-23T08:00:00Z", "region": REGION, "resources": [],
        "detail": {"bucket": {"name": "other"}, "object": {"key": "main/x"}, "request-id": "r"},
    }
    foreign_key = json.loads(json.dumps(object_created))
    foreign_key["detail"]["bucket"]["name"] = stack.outputs["Bucket"]
    foreign_key["detail"]["object"]["key"] = "elsewhere/../main/x"
    test = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": stack.outputs["Bucket"]}
    bodies = ["not json", *map(json.dumps, (object_created, foreign_key, test))]
    for body in bodies:
        stack.emulator.client("sqs").send_message(
            QueueUrl=queue(stack, "Looks"), MessageBody=body
        )
    until(lambda: empty(stack, "Looks"), "the queue is empty")
    until(lambda: observed.metrics(stack, "bucket").get("asset_ledger_notifications_dropped", 0)
          == before + len(bodies), "they are counted")
    say(f"garbage, another bucket's, a foreign key, a test: {len(bodies)} dropped and counted")


def poison(stack, caller):
    part("poison: events that nobody could have written, straight into the journal")
    asset, _ = caller.create()
    body = json.loads(caller.history(asset))
    exploded = fresh(asset)
    unknown = json.dumps({**body, "asset": exploded, "type": "exploded"}, separators=(",", ":"))
    garbage = fresh(exploded)
    put(stack, exploded, 1, unknown)
    put(stack, garbage, 1, "not json")
    beside, _ = caller.create()
    until(lambda: {exploded, garbage} <= set(observed.parked(stack)), "both are set aside")
    until(lambda: beside in written(stack), "the asset beside them is projected")
    until(lambda: observed.metrics(stack, "projector").get("asset_ledger_assets_parked", 0) >= 2,
          "they are counted")
    say("an unknown type and garbage: set aside with their errors and counted; their neighbour has "
        "its row")
    observed.at_rest(stack, [exploded, garbage])
    return [exploded, garbage]


def tampering(stack, caller):
    part("an event changed behind the ledger's back")
    asset, _ = caller.create()
    until(lambda: asset in written(stack), "it is projected")
    body = caller.history(asset).strip()
    changed = body.replace('"actor":"', '"actor":"not ')
    put(stack, asset, 1, changed)
    until(lambda: observed.metrics(stack, "projector").get("asset_ledger_tamper", 0) >= 1,
          "the alarm's metric is written")
    say("overwritten by a PutItem: asset_ledger_tamper is written, which the alarm looks at")
    put(stack, asset, 1, body)
    until(lambda: observed.metrics(stack, "projector").get("asset_ledger_tamper", 0) >= 2,
          "putting it back is tampering, too")
    say("put back: again")


def fresh(asset):
    """A valid id without an asset."""
    return asset[:-4] + f"{(int(asset[-4:], 16) + 1) % 65536:04x}"


def put(stack, asset, version, body):
    """Writes an item with the rights of an administrator."""
    stack.emulator.client("dynamodb").put_item(
        TableName=stack.outputs["JournalTable"],
        Item={"pk": {"S": f"main#{asset}"}, "sk": {"N": str(version)}, "body": {"S": body}},
    )


def hold(stack, function):
    """Suspends every process of a function."""
    pids = stack.emulator.processes_of(f"{stack.name}-{function}")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    return pids


def kill(pids):
    """Kills suspended processes."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def mapping_of(stack, function):
    mappings = stack.emulator.client("lambda").list_event_source_mappings(
        FunctionName=f"{stack.name}-{function}"
    )["EventSourceMappings"]
    expect(1, len(mappings), "event source mappings")
    return mappings[0]["UUID"]


def queue(stack, name):
    return stack.resources()[name]


def empty(stack, name):
    return waiting(stack, name) == (0, 0)


def waiting(stack, name):
    """The numbers of waiting messages and of messages in flight of a queue."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = stack.emulator.client("sqs").get_queue_attributes(
        QueueUrl=queue(stack, name), AttributeNames=names
    )["Attributes"]
    return tuple(int(attributes[name]) for name in names)


def written(stack):
    """The assets that have a row."""
    rows = stack.items("ViewsTable")
    return {row["sk"] for row in rows if fold.is_row(row)}


def received(stack, created):
    """The assets whose bytes were received, by the journal."""
    rows, _ = fold.rows(stack.items("JournalTable"))
    return [asset for asset, _ in created if "version_id" in rows[asset]]


def unchanged(before, after, what):
    """The items are the same, except for the time of the last parking."""
    def comparable(items):
        return {json.dumps({name: value for name, value in item.items()
                            if not (name == "at" and item["pk"].endswith("#parked"))},
                           sort_keys=True) for item in items}

    before, after = comparable(before), comparable(after)
    if before != after:
        raise Failed(f"{what}: gone {sorted(before - after)[:3]}, new {sorted(after - before)[:3]}")
