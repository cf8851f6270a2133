"""Message paths: every message ends in finite time, every failure is kept, no message is filtered out."""

import json

from . import access

# Values from measurements; docs/DEPLOY.md has the reasons.
STREAM = {
    "StartingPosition": "TRIM_HORIZON",
    "BatchSize": 100,
    "MaximumBatchingWindowInSeconds": 1,
    "ParallelizationFactor": 1,
    "BisectBatchOnFunctionError": True,
    "MaximumRetryAttempts": -1,
    "MaximumRecordAgeInSeconds": 12 * 3600,
    "FunctionResponseTypes": ["ReportBatchItemFailures"],
}
QUEUE = {
    "BatchSize": 10,
    "MaximumBatchingWindowInSeconds": 0,
    "FunctionResponseTypes": ["ReportBatchItemFailures"],
}
DAY = 86400


def the_stream_reaches_the_projector(stack):
    mapping = stack.properties("ProjectorMapping")
    yield from _as_agreed("ProjectorMapping", mapping, STREAM)
    yield from _joins(stack, mapping, "ProjectorMapping", "ProjectorFunction",
                      stack.ref("Journal") + "/stream/")
    failures = mapping.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    if failures != stack.arn("Failures"):
        yield "ProjectorMapping: records that are given up are not kept in S3"
    for action, arn in (("PutObject", f"{failures}/aws/lambda/x"), ("ListBucket", failures)):
        if not access.may(stack, "ProjectorRole", f"s3:{action}", str(arn)):
            yield f"ProjectorRole: cannot {action} where failures are kept"
    stream = mapping.get("EventSourceArn")
    for action in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"):
        if not access.may(stack, "ProjectorRole", f"dynamodb:{action}", str(stream)):
            yield f"ProjectorRole: cannot {action}"
    if mapping.get("MetricsConfig") != {"Metrics": ["EventCount"]}:
        yield "ProjectorMapping: records that are given up are not counted"


def the_queue_reaches_the_bucket_function(stack):
    mapping = stack.properties("BucketMapping")
    yield from _as_agreed("BucketMapping", mapping, QUEUE)
    yield from _joins(stack, mapping, "BucketMapping", "BucketFunction", ":ledger-looks")
    if not 2 <= mapping.get("ScalingConfig", {}).get("MaximumConcurrency", 0) <= 1000:
        yield "BucketMapping: no bound to its concurrency"
    for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
        if not access.may(stack, "BucketRole", f"sqs:{action}", stack.arn("Looks")):
            yield f"BucketRole: cannot {action}"
    timeout = stack.properties("BucketFunction")["Timeout"]
    if stack.properties("Looks")["VisibilityTimeout"] < 6 * timeout:
        yield "Looks: messages come back while they are still worked on"


def _as_agreed(name, mapping, agreed):
    for limit, value in agreed.items():
        if mapping.get(limit) != value:
            yield f"{name}: {limit} is {mapping.get(limit)}, and {value} was agreed"


def _joins(stack, mapping, name, function, of):
    if mapping["FunctionName"] != stack.ref(function):
        yield f"{name}: invokes {mapping['FunctionName']}"
    if of not in mapping["EventSourceArn"]:
        yield f"{name}: reads {mapping['EventSourceArn']}"


def filters_can_be_read_and_let_everything_through(stack):
    for name, mapping in stack.of_type("AWS::Lambda::EventSourceMapping").items():
        for given in mapping.get("FilterCriteria", {}).get("Filters", []):
            try:
                pattern = json.loads(given["Pattern"])
            except json.JSONDecodeError as error:
                yield f"{name}: a filter is not JSON: {error}"
                continue
            for event in ("INSERT", "MODIFY", "REMOVE"):
                if not matches(pattern, {"eventName": event, "dynamodb": {}}):
                    yield f"{name}: a filter hides {event}"


def matches(pattern, event):
    """Whether an event pattern of plain values, like ours, matches an event."""
    if not isinstance(pattern, dict) or not isinstance(event, dict):
        return False
    return all(
        event.get(key) in wanted if isinstance(wanted, list) else matches(wanted, event.get(key))
        for key, wanted in pattern.items()
    )


def the_rule_sends_what_happens_to_files_and_nothing_else(stack):
    rule = stack.properties("FilesChanged")
    for kind in ("Object Created", "Object Deleted"):
        for bucket, wanted in ((stack.ref("Files"), True), ("other", False)):
            event = {"source": "aws.s3", "detail-type": kind, "detail": {"bucket": {"name": bucket}}}
            if matches(rule["EventPattern"], event) != wanted:
                yield f"FilesChanged: {kind} in {bucket} is {'not ' * wanted}sent"
    (target,) = rule["Targets"]
    if target["Arn"] != stack.arn("Looks"):
        yield "FilesChanged: sends elsewhere"
    if target.get("DeadLetterConfig", {}).get("Arn") != stack.arn("DeadLooks"):
        yield "FilesChanged: what cannot be sent is lost"
    if not {"MaximumRetryAttempts", "MaximumEventAgeInSeconds"} <= set(target.get("RetryPolicy", {})):
        yield "FilesChanged: its tries have no end"


def queues_give_up_at_last_and_keep_what_they_gave_up(stack):
    redrive = stack.properties("Looks").get("RedrivePolicy", {})
    if redrive.get("deadLetterTargetArn") != stack.arn("DeadLooks"):
        yield "Looks: what cannot be handled is lost"
    if not 3 <= redrive.get("maxReceiveCount", 0) <= 100:
        yield "Looks: gives up too early, or never"
    for name, queue in stack.of_type("AWS::SQS::Queue").items():
        if queue.get("MessageRetentionPeriod") != 14 * DAY:
            yield f"{name}: keeps messages for less than the longest, two weeks"
        if queue.get("SqsManagedSseEnabled") is not True:
            yield f"{name}: not encrypted"
    (policy,) = stack.of_type("AWS::SQS::QueuePolicy").values()
    for statement in policy["PolicyDocument"]["Statement"]:
        source = statement.get("Condition", {}).get("ArnEquals", {}).get("aws:SourceArn")
        if statement["Effect"] == "Allow" and source != stack.arn("FilesChanged"):
            yield f"LooksPolicy: {statement['Sid']} lets others send"


def the_whole_is_looked_at_every_day(stack):
    rule = stack.properties("EveryDay")
    if (rule.get("ScheduleExpression"), rule.get("State")) != ("rate(1 day)", "ENABLED"):
        yield f"EveryDay: is {rule.get('State')}, {rule.get('ScheduleExpression')}"
    if [target["Arn"] for target in rule["Targets"]] != [stack.arn("AuditFunction")]:
        yield "EveryDay: starts something else"
    if stack.properties("AuditFunction")["Timeout"] != 900:
        yield "AuditFunction: has less time than there is"
    permission = stack.properties("EveryDayMayInvoke")
    told = (permission.get("FunctionName"), permission.get("Principal"), permission.get("SourceArn"))
    if told != (stack.ref("AuditFunction"), "events.amazonaws.com", stack.arn("EveryDay")):
        yield f"EveryDayMayInvoke: lets {told}"


RULES = [
    the_whole_is_looked_at_every_day,
    the_stream_reaches_the_projector,
    the_queue_reaches_the_bucket_function,
    filters_can_be_read_and_let_everything_through,
    the_rule_sends_what_happens_to_files_and_nothing_else,
    queues_give_up_at_last_and_keep_what_they_gave_up,
]
