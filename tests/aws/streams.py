"""Delivers the recorded records of the journal's stream to the projector again."""

import json

from .emulator import REGION
from .saying import Failed, say

# The mapping's batch size.
BATCH = 100
# Deliveries of a batch before it must succeed: an emulator on a busy machine is slow.
TRIES = 5


def records(stack):
    """All records of the journal's stream, in Lambda's form."""
    streams = stack.emulator.client("dynamodbstreams")
    described = streams.list_streams(TableName=stack.outputs["JournalTable"])["Streams"]
    arn = described[0]["StreamArn"]
    found = []
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while iterator:
            page = streams.get_records(ShardIterator=iterator)
            found += [as_lambda_gets_it(record, arn) for record in page["Records"]]
            iterator = page.get("NextShardIterator") if page["Records"] else None
    return found


def as_lambda_gets_it(record, arn):
    change = dict(record["dynamodb"])
    change["ApproximateCreationDateTime"] = change["ApproximateCreationDateTime"].timestamp()
    return {
        "eventID": record["eventID"], "eventName": record["eventName"], "eventVersion": "1.1",
        "eventSource": "aws:dynamodb", "awsRegion": REGION, "dynamodb": change,
        "eventSourceARN": arn,
    }


def give(stack, recorded):
    """Delivers records to the projector in batches, each until the projector reports no failure."""
    for start in range(0, len(recorded), BATCH):
        batch = {"Records": recorded[start:start + BATCH]}
        for _ in range(TRIES):
            said = invoke(stack, batch)
            if not said["batchItemFailures"]:
                break
            say(f"to be given again: {said}")
        else:
            raise Failed(f"a batch never succeeds: {said}")


def give_again(stack):
    """Delivers all records of the stream again."""
    give(stack, records(stack))


def invoke(stack, event):
    """One invocation of the projector."""
    answer = stack.emulator.client("lambda").invoke(
        FunctionName=f"{stack.name}-projector", Payload=json.dumps(event)
    )
    said = json.loads(answer["Payload"].read())
    if answer.get("FunctionError"):
        raise Failed(f"the projector failed: {said}")
    return said
