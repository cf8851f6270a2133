"""The roles' rights: their policies, evaluated as in IAM."""

from fnmatch import fnmatchcase

# The rights of functions to the journal. None may change existing events.
JOURNAL = {
    # The batch is for the events of a page of the feed.
    "ApiRole": {"Query", "PutItem", "BatchGetItem"},
    "BucketRole": {"Query", "PutItem"},
    "ProjectorRole": {"Query"},
    "AuditRole": {"Query", "Scan"},
}
VIEWS = {
    # The put is for totals and reservations alone.
    "ApiRole": {"Query", "GetItem", "PutItem"},
    # For notes of missing objects; the query is for contradicted assets.
    "BucketRole": {"GetItem", "PutItem", "DeleteItem", "Query"},
    "ProjectorRole": {"GetItem", "PutItem", "Query"},
    "AuditRole": {"GetItem", "Query", "Scan"},
}
TABLE_ACTIONS = [
    "BatchGetItem", "BatchWriteItem", "ConditionCheckItem", "CreateBackup", "DeleteItem",
    "DeleteResourcePolicy", "DeleteTable", "DescribeTable", "ExportTableToPointInTime", "GetItem",
    "PartiQLDelete", "PartiQLInsert", "PartiQLSelect", "PartiQLUpdate", "PutItem",
    "PutResourcePolicy", "Query", "Scan", "UpdateContinuousBackups", "UpdateItem", "UpdateTable",
    "UpdateTimeToLive",
]
# Reading a bucket: without ListBucket a missing key is 403, not 404.
LOOKING = ["ListBucket", "ListBucketVersions", "GetBucketVersioning"]
LOOKERS = {
    "ApiRole": {"GetObject", "GetObjectVersion", "PutObject", "DeleteObjectVersion"},
    "BucketRole": {"GetObject", "GetObjectVersion", "DeleteObjectVersion"},
    "ProjectorRole": set(),
    "AuditRole": set(),
}
OBJECT_ACTIONS = [
    "GetObject", "GetObjectVersion", "PutObject", "DeleteObject", "DeleteObjectVersion",
    "PutObjectAcl", "RestoreObject", "BypassGovernanceRetention",
]
# IAM has no resources for these.
ANYWHERE = {"dynamodb:ListStreams", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}


def listed(value):
    """A policy's value as a list, also a single one."""
    return value if isinstance(value, list) else [value]


def names(statement, action, arn):
    """Whether a statement covers this action on this resource."""
    return any(fnmatchcase(action.lower(), named.lower()) for named in listed(statement["Action"])) \
        and any(fnmatchcase(arn, named) for named in listed(statement["Resource"]))


def statements(stack, role):
    """A role's policy statements."""
    policies = stack.properties(role).get("Policies", [])
    return [s for policy in policies for s in policy["PolicyDocument"]["Statement"]]


def may(stack, role, action, arn):
    """Whether a role may do this."""
    about = [s for s in statements(stack, role) if names(s, action, arn)]
    effects = {statement["Effect"] for statement in about}
    return effects == {"Allow"}


def roles_do_to_tables_what_they_must_and_no_more(stack):
    for table, rights in (("Journal", JOURNAL), ("Views", VIEWS)):
        for role, allowed in rights.items():
            for action in TABLE_ACTIONS:
                can = may(stack, role, f"dynamodb:{action}", stack.arn(table))
                if can != (action in allowed):
                    yield f"{role} {'can' if can else 'cannot'} {action} in {table}"


def tenants(stack):
    """The tenants that the functions serve, as a pattern: the stack's, or all with credentials that
    name one."""
    named = stack.parameters["Auth"] == "function" or stack.parameters["AuthConfig"]
    return "*" if named else stack.parameters["Tenant"]


def rows_are_written_by_the_projector_alone(stack):
    of = tenants(stack)
    partitions = {
        "ApiRole": ["totals", f"{of}#reserved"], "BucketRole": [f"{of}#absent"],
    }
    for role, written in partitions.items():
        keys = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": written}}
        for statement in statements(stack, role):
            if any(names(statement, f"dynamodb:{action}", stack.arn("Views"))
                   for action in ("PutItem", "DeleteItem")) and statement.get("Condition") != keys:
                yield f"{role}: {statement['Sid']} writes other partitions than {written}"


def the_bucket_function_reads_what_it_needs_of_the_rows_table(stack):
    of = tenants(stack)
    for statement in statements(stack, "BucketRole"):
        if names(statement, "dynamodb:Query", stack.arn("Views")):
            keys = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["notes", f"{of}#parked"]}}
            if statement.get("Condition") != keys:
                yield f"BucketRole: {statement['Sid']} reads other partitions than notes and parked"


def roles_do_to_files_what_they_must_and_no_more(stack):
    files, tenant = stack.arn("Files"), stack.parameters["Tenant"]
    many = tenants(stack) == "*"
    for role, allowed in LOOKERS.items():
        for action in LOOKING:
            if may(stack, role, f"s3:{action}", files) != bool(allowed):
                yield f"{role}: {action} of Files is wrong"
        for action in OBJECT_ACTIONS:
            own, foreign, none = (may(stack, role, f"s3:{action}", f"{files}/{key}")
                                  for key in (f"{tenant}/a", f"{tenant}er/a", "a"))
            if (own, foreign, none) != (action in allowed, action in allowed and many, False):
                yield f"{role}: {action} in Files is wrong"


def every_function_has_a_role_of_its_own(stack):
    functions = stack.of_type("AWS::Lambda::Function")
    roles = [function["Role"] for function in functions.values()]
    if sorted(roles) != sorted(stack.arn(role) for role in stack.of_type("AWS::IAM::Role")):
        yield f"functions run as {roles}"
    for name, role in stack.of_type("AWS::IAM::Role").items():
        if role.get("ManagedPolicyArns"):
            yield f"{name}: has policies that somebody else may widen"
        if role.get("PermissionsBoundary", "") != stack.parameters["PermissionsBoundary"]:
            yield f"{name}: is not bounded as asked"


def nothing_is_allowed_everywhere(stack):
    for role in stack.of_type("AWS::IAM::Role"):
        for statement in statements(stack, role):
            actions = listed(statement["Action"])
            if any("*" in action for action in actions):
                yield f"{role}: {statement['Sid']} allows {actions}"
            if "*" in listed(statement["Resource"]) and not set(actions) <= ANYWHERE:
                yield f"{role}: {statement['Sid']} is for every resource"
            if "NotAction" in statement or "NotResource" in statement:
                yield f"{role}: {statement['Sid']} allows what nobody listed"


def the_key_is_used_through_the_stores_only(stack):
    for role in stack.of_type("AWS::IAM::Role"):
        for statement in statements(stack, role):
            if any(action.startswith("kms:") for action in listed(statement["Action"])):
                through = statement.get("Condition", {}).get("StringEquals", {})
                stores = [f"{store}.eu-central-1.amazonaws.com" for store in ("dynamodb", "s3")]
                if through != {"kms:ViaService": stores}:
                    yield f"{role}: uses the key directly"


RULES = [
    roles_do_to_tables_what_they_must_and_no_more,
    rows_are_written_by_the_projector_alone,
    the_bucket_function_reads_what_it_needs_of_the_rows_table,
    roles_do_to_files_what_they_must_and_no_more,
    every_function_has_a_role_of_its_own,
    nothing_is_allowed_everywhere,
    the_key_is_used_through_the_stores_only,
]
