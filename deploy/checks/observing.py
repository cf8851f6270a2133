"""Alarms and a dashboard of existing metrics, and logs with a retention."""

import json

from . import source

# The metrics of AWS in use, and their dimensions.
FUNCTION, TABLE, QUEUE = ("FunctionName",), ("TableName",), ("QueueName",)
AWS = {
    "AWS/Lambda": {
        "Errors": FUNCTION, "Throttles": FUNCTION, "IteratorAge": FUNCTION,
        # Of asynchronous invocations, and of mappings of streams.
        "DestinationDeliveryFailures": FUNCTION,
        "DroppedEventCount": ("EventSourceMappingUUID",),
        "OnFailureDestinationDeliveredEventCount": ("EventSourceMappingUUID",),
    },
    "AWS/DynamoDB": {
        **{f"{done}{by}ThroughputThrottleEvents": TABLE
           for done in ("Read", "Write") for by in ("MaxOnDemand", "KeyRange")},
        "ConsumedReadCapacityUnits": TABLE, "ConsumedWriteCapacityUnits": TABLE,
    },
    "AWS/SQS": {
        "ApproximateNumberOfMessagesVisible": QUEUE, "ApproximateAgeOfOldestMessage": QUEUE,
    },
    "AWS/ApiGateway": {
        "Count": ("ApiId", "Stage"), "4xx": ("ApiId", "Stage"), "5xx": ("ApiId", "Stage"),
        "Latency": ("ApiId", "Stage"),
    },
}
OURS = ("Service", "Function")
# Lambda filters lines of JSON by level: it takes a line of metrics, which has none, for INFO.
LOGGED = {"LogFormat": "JSON", "ApplicationLogLevel": "TRACE", "SystemLogLevel": "WARN"}
FUNCTIONS = ["ApiFunction", "ProjectorFunction", "BucketFunction", "AuditFunction"]
# The metric that alarms when missing.
MISSED = "asset_ledger_verify_completed"
# Every kind of failure of the ledger has its alarm.
NEEDED = {
    ("asset_ledger_tamper", "ProjectorFunction"), ("asset_ledger_assets_parked", "ProjectorFunction"),
    ("asset_ledger_notifications_dropped", "BucketFunction"),
    ("asset_ledger_verify_findings", "AuditFunction"),
    ("asset_ledger_verify_completed", "AuditFunction"),
    ("IteratorAge", "ProjectorFunction"),
    ("OnFailureDestinationDeliveredEventCount", "ProjectorMapping"),
    ("DroppedEventCount", "ProjectorMapping"),
    ("DestinationDeliveryFailures", "ProjectorFunction"),
    ("ApproximateNumberOfMessagesVisible", "DeadLooks"), ("ApproximateAgeOfOldestMessage", "Looks"),
    ("5xx", "Api"),
    *((metric, function) for metric in ("Errors", "Throttles") for function in FUNCTIONS),
    # By cause, because the remedies differ: a parameter for the table's ceiling, none for a partition.
    *((f"{done}{by}ThroughputThrottleEvents", table) for done in ("Read", "Write")
      for by in ("MaxOnDemand", "KeyRange") for table in ("Journal", "Views")),
}


def _wrong_metric(stack, namespace, metric, dimensions):
    """The fault of a metric in use, or None."""
    if namespace == "AssetLedger":
        if metric not in source.emitted_metrics():
            return f"nothing emits {metric}"
        by = OURS
        if dimensions.get("Service") != "asset-ledger":
            return f"{metric} is of the service {dimensions.get('Service')}"
    else:
        by = AWS.get(namespace, {}).get(metric)
        if by is None:
            return f"there is no {metric} in {namespace}, as far as we know"
    if tuple(sorted(dimensions)) != tuple(sorted(by)):
        return f"{metric} has the dimensions {by}"
    of = {"Function": FUNCTIONS, "FunctionName": FUNCTIONS, "TableName": ["Journal", "Views"],
          "QueueName": ["Looks", "DeadLooks"], "ApiId": ["Api"],
          "EventSourceMappingUUID": ["ProjectorMapping", "BucketMapping"]}
    for dimension in set(by) & set(of):
        if dimensions[dimension] not in map(stack.ref, of[dimension]):
            return f"{metric} is of {dimensions[dimension]}, which is not there"
    return None


def alarms_look_at_metrics_that_exist(stack):
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        dimensions = {d["Name"]: d["Value"] for d in alarm["Dimensions"]}
        wrong = _wrong_metric(stack, alarm["Namespace"], alarm["MetricName"], dimensions)
        if wrong:
            yield f"{name}: {wrong}"
        if alarm["MetricName"] == MISSED:
            yield from _rings_when_it_is_missed(name, alarm)
        elif alarm.get("TreatMissingData") != "notBreaching":
            yield f"{name}: rings when nothing happens"
        topic = stack.parameters["AlarmTopic"]
        if alarm.get("AlarmActions", []) != ([topic] if topic else []):
            yield f"{name}: tells nobody, or somebody else"


def _rings_when_it_is_missed(name, alarm):
    """A missed audit emits nothing: the alarm rings after 25 hours without one."""
    agreed = {
        "TreatMissingData": "breaching", "ComparisonOperator": "LessThanThreshold", "Threshold": 1,
        "Statistic": "Sum", "Period": 3600, "EvaluationPeriods": 25,
    }
    for setting, value in agreed.items():
        if alarm.get(setting) != value:
            yield f"{name}: {setting} is {alarm.get(setting)}, and {value} misses a look of a day"
    if alarm.get("DatapointsToAlarm", 25) != 25:
        yield f"{name}: rings although the look was done"


def every_trouble_has_its_alarm(stack):
    seen = {
        (alarm["MetricName"], dimension["Value"])
        for alarm in stack.of_type("AWS::CloudWatch::Alarm").values()
        for dimension in alarm["Dimensions"]
    }
    for metric, of in sorted(NEEDED):
        if (metric, stack.ref(of)) not in seen:
            yield f"no alarm looks at {metric} of {of}"


def the_dashboard_shows_metrics_that_exist(stack):
    for name, dashboard in stack.of_type("AWS::CloudWatch::Dashboard").items():
        try:
            widgets = json.loads(dashboard["DashboardBody"])["widgets"]
        except (json.JSONDecodeError, KeyError) as error:
            yield f"{name}: cannot be read: {error}"
            continue
        for widget in widgets:
            shown = list(_written_out(widget["properties"]["metrics"]))
            if not shown:
                yield f"{name}: a widget shows nothing"
            for namespace, metric, *dimensions in shown:
                pairs = dict(zip(dimensions[::2], dimensions[1::2]))
                wrong = _wrong_metric(stack, namespace, metric, pairs)
                if wrong:
                    yield f"{name}: {wrong}"


def _written_out(metrics):
    """Expands CloudWatch's shorthand: "." is the value above, "..." all values not given."""
    above = []
    for metric in metrics:
        row = [part for part in metric if not isinstance(part, dict)]
        if row and row[0] == "...":
            row = above[: len(above) - len(row) + 1] + row[1:]
        row = [above[at] if part == "." else part for at, part in enumerate(row)]
        above = row
        yield row


def logs_end(stack):
    groups = stack.of_type("AWS::Logs::LogGroup")
    for name, group in groups.items():
        if not int(group.get("RetentionInDays", 0)) > 0:
            yield f"{name}: is kept for ever"
    known = {stack.ref(name) for name in groups}
    for name, function in stack.of_type("AWS::Lambda::Function").items():
        logging = function.get("LoggingConfig", {})
        if logging.get("LogGroup") not in known:
            yield f"{name}: logs where nothing says how long"
        for setting, value in LOGGED.items():
            if logging.get(setting) != value:
                yield f"{name}: {setting} is {logging.get(setting)}, and {value} was agreed"


RULES = [
    alarms_look_at_metrics_that_exist,
    every_trouble_has_its_alarm,
    the_dashboard_shows_metrics_that_exist,
    logs_end,
]
