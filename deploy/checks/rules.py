"""What no tool sees: that the template keeps what the ledger promises. Each rule yields what is
wrong, in words; RULES lists them all."""

import json
import re
from fnmatch import fnmatchcase

from . import access, observing, pipes, source
from .template import Stack

# What outlives the stack. S3 deletes no bucket with objects, so an empty one may go with a first
# deployment that fails; a table refuses to be deleted, which would end such a rollback.
KEPT = {
    "Key": "Retain", "Journal": "Retain", "Views": "Retain",
    "Files": "RetainExceptOnCreate", "Failures": "RetainExceptOnCreate",
}
# Characters of the longest name that the documents allow a stack, and of Lambda's for a function.
STACK_NAME, FUNCTION_NAME = 54, 64
UNCHANGEABLE = [
    "UpdateItem", "DeleteItem", "BatchWriteItem", "PartiQLInsert", "PartiQLUpdate", "PartiQLDelete",
    "UpdateTimeToLive", "DeleteResourcePolicy",
]
# Who appends to the journal, and others who may have rights to every table of the account.
APPENDERS = ["ApiRole", "BucketRole"]
STRANGERS = [
    "arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:user/admin",
    "arn:aws:iam::123456789012:role/ProjectorRole", "arn:aws:iam::999999999999:role/ApiRole",
]
# What a page's request to the API may carry: what the API reads, a token, and a signature of IAM.
SENT_BY_PAGES = {
    "authorization", "content-type", "idempotency-key", "if-match", "x-request-id",
    "x-legacy-envelope", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256",
}
# What a page sends to the bucket by a signed URL, and what it must see of the answers.
SENT_TO_FILES = {"content-type", "if-none-match", "range", "x-amz-checksum-sha256"}
SEEN_OF_FILES = {
    "accept-ranges", "content-range", "content-disposition", "content-encoding", "etag",
    "x-amz-checksum-sha256", "x-amz-version-id",
}
# The number of a request in our own log. S3's own is for the support of AWS.
SEEN_ON_ONE_MACHINE_ONLY = {"x-amz-request-id"}
# The authorizer of the API's route, by the parameter Auth; with `function` the function has it.
IN_FRONT = {"iam": ("AWS_IAM", False), "jwt": ("JWT", True), "function": ("NONE", False)}
# Parameters that contradict each other: who would be let in is not what one of them says.
TOKENS = {"JwtIssuer": "https://issuer.example", "JwtAudience": "ledger"}
CONFIG = {"AuthConfig": '{"iam":[]}'}
REFUSED = [
    {"Auth": "jwt"},
    {"Auth": "jwt", "JwtIssuer": TOKENS["JwtIssuer"]},
    {"Auth": "jwt", "JwtAudience": TOKENS["JwtAudience"]},
    {"Auth": "iam", "JwtIssuer": TOKENS["JwtIssuer"]},
    {"Auth": "iam", "JwtAudience": TOKENS["JwtAudience"]},
    {"Auth": "function", **TOKENS},
    {"Auth": "jwt", **TOKENS, **CONFIG},
]
BLOCKS = ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"]


def what_must_never_be_lost_outlives_the_stack(stack):
    for name, deletion in KEPT.items():
        resource = stack.resources.get(name, {})
        for policy, wanted in (("DeletionPolicy", deletion), ("UpdateReplacePolicy", "Retain")):
            if resource.get(policy) != wanted:
                yield f"{name}: {policy} must be {wanted}"


def a_stack_may_have_the_longest_name_that_is_documented(stack):
    for name, function in stack.of_type("AWS::Lambda::Function").items():
        begin = stack.ref("AWS::StackName")
        added = function["FunctionName"].removeprefix(begin)
        if not function["FunctionName"].startswith(begin):
            yield f"{name}: two stacks would have a function of its name"
        if STACK_NAME + len(added) > FUNCTION_NAME:
            yield f"{name}: its name is too long in a stack of {STACK_NAME} characters"
    if f"The name of the stack has {STACK_NAME} characters at most" not in source.deploying():
        yield "docs/DEPLOY.md names another length of a stack's name"


def tables_can_be_restored_and_cost_no_more_than_agreed(stack):
    for name, table in stack.of_type("AWS::DynamoDB::Table").items():
        recovery = table.get("PointInTimeRecoverySpecification", {})
        # Rows can be rebuilt: their recovery is paid for only if it is asked for.
        wanted = name == "Journal" or stack.parameters["RecoverViews"] == "yes"
        if recovery.get("PointInTimeRecoveryEnabled") is not wanted:
            yield f"{name}: {'no ' * wanted}point-in-time recovery"
        if wanted and recovery.get("RecoveryPeriodInDays") != 35:
            yield f"{name}: a recovery of fewer days than there may be"
        if table.get("DeletionProtectionEnabled") is not True:
            yield f"{name}: no deletion protection"
        if table.get("BillingMode") != "PAY_PER_REQUEST":
            yield f"{name}: not on demand"
        class_ = stack.parameters["JournalTableClass"] if name == "Journal" else "STANDARD"
        if table.get("TableClass", "STANDARD") != class_:
            yield f"{name}: of the class {table.get('TableClass')}"
        ceilings = table.get("OnDemandThroughput", {})
        for ceiling in ("MaxReadRequestUnits", "MaxWriteRequestUnits"):
            if not int(ceilings.get(ceiling, 0)) > 0:
                yield f"{name}: no {ceiling}"
        encryption = table.get("SSESpecification", {})
        if encryption.get("SSEType") != "KMS" or encryption.get("KMSMasterKeyId") != stack.arn("Key"):
            yield f"{name}: not encrypted with the stack's key"


def the_feed_expires_as_asked_and_only_then(stack):
    days = str(stack.parameters["FeedRetentionDays"])
    for name, function in stack.of_type("AWS::Lambda::Function").items():
        told = function.get("Environment", {}).get("Variables", {})
        if str(told.get("ASSET_LEDGER_FEED_RETENTION_DAYS")) != days:
            yield f"{name}: is told another retention of the feed than {days} days"
    # Else a cursor may be promised for longer than the entries after it are stored.
    if "ProjectorFunction" not in stack.resources["ApiFunction"].get("DependsOn", []):
        yield "ApiFunction: may learn of a longer retention of the feed before the projector"


def the_journal_streams_both_images(stack):
    view = stack.properties("Journal").get("StreamSpecification", {}).get("StreamViewType")
    if view != "NEW_AND_OLD_IMAGES":
        yield f"Journal: its stream shows {view}, and tampering is seen in both images"


def the_journal_is_append_only(stack):
    journal = stack.properties("Journal")
    if "TimeToLiveSpecification" in journal:
        yield "Journal: events must not expire"
    policy = journal.get("ResourcePolicy", {}).get("PolicyDocument", {"Statement": []})
    for action in UNCHANGEABLE:
        if not any(_denies_all(s, f"dynamodb:{action}", stack.arn("Journal"))
                   for s in policy["Statement"]):
            yield f"Journal: its policy does not deny {action} to everybody"


def _denies_all(statement, action, arn):
    return (
        statement["Effect"] == "Deny" and statement["Principal"] == "*"
        and not statement.get("Condition") and access.names(statement, action, arn)
    )


def the_journal_is_written_by_few(stack):
    policy = stack.properties("Journal").get("ResourcePolicy", {}).get("PolicyDocument", {})
    writers = [stack.arn(role) for role in APPENDERS]
    writers += [arn for arn in stack.ref("JournalWriters") if arn]
    others = STRANGERS + [stack.arn(role) for role in ("ProjectorRole", "AuditRole")]
    for principal in writers + others:
        denied = any(
            _denies_all({**s, "Condition": None}, "dynamodb:PutItem", stack.arn("Journal"))
            and _is_about(s.get("Condition", {}), principal) for s in policy.get("Statement", [])
        )
        if denied != (principal not in writers):
            yield f"Journal: {principal} {'can' if not denied else 'cannot'} append"


def _is_about(condition, principal):
    """Whether a condition of ours holds for a principal."""
    but = condition.get("ArnNotLike", {}).get("aws:PrincipalArn", [])
    return not any(fnmatchcase(principal, arn) for arn in access.listed(but))


def tables_are_what_the_code_makes_and_uses(stack):
    forms = source.declared_tables()
    if not forms:
        yield "migrations/dynamodb holds no table"
    for resource, form in (("Journal", forms.get("journal")), ("Views", forms.get("views"))):
        if form is None:
            yield f"migrations/dynamodb has no {resource.lower()}"
            continue
        table = stack.properties(resource)
        for key in ("KeySchema", "AttributeDefinitions", "BillingMode"):
            if table.get(key) != form.get(key):
                yield f"{resource}: {key} is {table.get(key)}, and {form.get(key)} in migrations"
        stream = form.get("StreamSpecification", {}).get("StreamViewType")
        if table.get("StreamSpecification", {}).get("StreamViewType") != stream:
            yield f"{resource}: another stream than in migrations"
        for index in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
            if table.get(index, []) != form.get(index, []):
                yield f"{resource}: other {index} than in migrations"
    expires = {"AttributeName": source.expiry_attribute(), "Enabled": True}
    if stack.properties("Views").get("TimeToLiveSpecification") != expires:
        yield f"Views: tombstones do not expire by {expires['AttributeName']}"


def functions_are_told_what_they_read(stack):
    for name, function in stack.of_type("AWS::Lambda::Function").items():
        told = function.get("Environment", {}).get("Variables", {})
        wanted = source.read_variables(name)
        if not stack.parameters["AuthConfig"]:
            wanted.discard("ASSET_LEDGER_AUTH_CONFIG")
        # All of them: the code makes its configuration of the SDK by hand, and reads none for it
        # that Lambda does not set.
        if set(told) != wanted:
            yield f"{name}: is told {sorted(told)}, and the code reads {sorted(wanted)}"
        places = {"JOURNAL_TABLE": "Journal", "VIEWS_TABLE": "Views", "BUCKET": "Files"}
        for variable, resource in places.items():
            if told.get(f"ASSET_LEDGER_{variable}") != stack.ref(resource):
                yield f"{name}: ASSET_LEDGER_{variable} does not name {resource}"


def functions_run_what_was_built(stack):
    for name, function in stack.of_type("AWS::Lambda::Function").items():
        if (function.get("Runtime"), function.get("Handler")) != ("provided.al2023", "bootstrap"):
            yield f"{name}: is not a bootstrap on provided.al2023"
        if function.get("Architectures") not in (["arm64"], ["x86_64"]):
            yield f"{name}: runs on {function.get('Architectures')}"


def concurrency_is_reserved_for_the_api_alone_and_only_as_asked(stack):
    asked = {"ApiFunction": stack.parameters["ReservedConcurrency"]}
    for name, function in stack.of_type("AWS::Lambda::Function").items():
        found = function.get("ReservedConcurrentExecutions", 0)
        if found != asked.get(name, 0):
            yield f"{name}: reserves {found}, not {asked.get(name, 0)}"


def buckets_are_private(stack):
    for name, bucket in stack.of_type("AWS::S3::Bucket").items():
        blocked = bucket.get("PublicAccessBlockConfiguration", {})
        for block in BLOCKS:
            if blocked.get(block) is not True:
                yield f"{name}: no {block}"
        rules = bucket.get("OwnershipControls", {}).get("Rules", [])
        if rules != [{"ObjectOwnership": "BucketOwnerEnforced"}]:
            yield f"{name}: access control lists are in force"
        if bucket.get("VersioningConfiguration") != {"Status": "Enabled"}:
            yield f"{name}: keeps no versions"
        yield from _encrypted(stack, name, bucket)
        if not _has_deny(stack, name, {"Bool": {"aws:SecureTransport": "false"}}):
            yield f"{name}: can be reached without TLS"
    for name, policy in stack.of_type("AWS::S3::BucketPolicy").items():
        if any(statement["Effect"] != "Deny" for statement in policy["PolicyDocument"]["Statement"]):
            yield f"{name}: lets somebody in; roles have policies of their own"


def _encrypted(stack, name, bucket):
    rules = bucket.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [{}])
    default = rules[0].get("ServerSideEncryptionByDefault", {})
    wanted = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": stack.arn("Key")}
    if default != wanted:
        yield f"{name}: not encrypted with the stack's key"


def _has_deny(stack, bucket, condition):
    arn = stack.arn(bucket)
    for policy in stack.of_type("AWS::S3::BucketPolicy").values():
        for statement in policy["PolicyDocument"]["Statement"]:
            if policy["Bucket"] == stack.ref(bucket) and statement == {
                "Sid": statement.get("Sid"), "Effect": "Deny", "Principal": "*", "Action": "s3:*",
                "Resource": [arn, f"{arn}/*"], "Condition": condition,
            }:
                return True
    return False


def files_keep_every_version_and_tell_of_changes(stack):
    files = stack.properties("Files")
    rules = files.get("LifecycleConfiguration", {}).get("Rules", [])
    if not any("AbortIncompleteMultipartUpload" in rule for rule in rules):
        yield "Files: abandoned uploads are kept and paid for"
    for rule in rules:
        if any("Expiration" in key or "Transition" in key for key in rule):
            yield f"Files: rule {rule['Id']} takes versions away that an asset may pin"
    told = files.get("NotificationConfiguration", {}).get("EventBridgeConfiguration", {})
    if told.get("EventBridgeEnabled") is not True:
        yield "Files: EventBridge is not told of changes"
    if not _has_deny(stack, "Files", {"NumericGreaterThan": {"s3:signatureAge": 3600000}}):
        yield "Files: URLs are not refused after the hour that the API promises at most"
    open_to = [rule["AllowedOrigins"] for rule in
               files.get("CorsConfiguration", {}).get("CorsRules", [])]
    if open_to != ([stack.ref("AllowedOrigins")] if stack.parameters["AllowedOrigins"] else []):
        yield f"Files: open to pages of {open_to}"
    for rule in files.get("CorsConfiguration", {}).get("CorsRules", []):
        unsent = SENT_TO_FILES - {name.lower() for name in rule.get("AllowedHeaders", [])}
        unseen = SEEN_OF_FILES - {name.lower() for name in rule.get("ExposedHeaders", [])}
        if unsent or unseen:
            yield f"Files: pages may not send {sorted(unsent)} and see {sorted(unseen)}"


def the_api_is_never_open(stack):
    for name, route in stack.of_type("AWS::ApiGatewayV2::Route").items():
        if route["RouteKey"] == "OPTIONS /{proxy+}" and stack.parameters["AllowedOrigins"]:
            continue  # what a browser asks first
        found = route.get("AuthorizationType"), "AuthorizerId" in route
        if found != IN_FRONT[stack.parameters["Auth"]]:
            yield f"{name}: its authorizer is {found}"
    told = stack.properties("ApiFunction")["Environment"]["Variables"]
    checks = "required" if stack.parameters["Auth"] == "function" else "gateway"
    if told.get("ASSET_LEDGER_AUTH") != checks:
        yield f"ApiFunction: is told {told.get('ASSET_LEDGER_AUTH')} about callers, not {checks}"
    if told.get("ASSET_LEDGER_AUTH_CONFIG", "") != stack.parameters["AuthConfig"]:
        yield "ApiFunction: is told of other issuers or callers"
    for name, authorizer in stack.of_type("AWS::ApiGatewayV2::Authorizer").items():
        if not all(authorizer.get("JwtConfiguration", {}).get("Audience", [""])):
            yield f"{name}: takes tokens that were made for others"


def parameters_that_contradict_each_other_are_refused(stack):
    if stack.refusals():
        yield f"refused: {stack.refusals()}"
    for given in REFUSED:
        if not Stack(stack.expanded, **given).refusals():
            yield f"accepted: {given}"


def pages_of_the_origins_and_no_others_may_call_the_api(stack):
    origins = stack.ref("AllowedOrigins") if stack.parameters["AllowedOrigins"] else None
    cors = stack.properties("Api").get("CorsConfiguration", {})
    if cors.get("AllowOrigins") != origins:
        yield f"Api: open to pages of {cors.get('AllowOrigins')}"
    if not origins:
        return
    missing = SENT_BY_PAGES - {header.lower() for header in cors.get("AllowHeaders", [])}
    if missing:
        yield f"Api: pages may not send {sorted(missing)}"
    if set(cors.get("AllowMethods", [])) != {"GET", "POST", "PUT", "PATCH", "DELETE"}:
        yield f"Api: pages may {cors.get('AllowMethods')}"
    asked = [route for route in stack.of_type("AWS::ApiGatewayV2::Route").values()
             if route["RouteKey"] == "OPTIONS /{proxy+}" and route["AuthorizationType"] == "NONE"]
    if not asked:
        yield "Api: a browser, which asks first and unsigned, is refused"


def pages_see_the_same_here_and_on_one_machine(stack):
    files = stack.properties("Files").get("CorsConfiguration", {}).get("CorsRules", [])
    api = stack.properties("Api").get("CorsConfiguration", {})
    shown = {name.lower() for rule in files for name in rule.get("ExposedHeaders", [])}
    shown |= {name.lower() for name in api.get("ExposeHeaders", [])}
    if stack.parameters["AllowedOrigins"]:
        local = source.shown_to_pages() - SEEN_ON_ONE_MACHINE_ONLY
        if local != shown:
            yield f"pages see {sorted(shown - local)} only here, {sorted(local - shown)} only there"


def the_api_is_limited_and_logged_without_secrets(stack):
    known = {
        "requestTime", "requestId", "httpMethod", "path", "status", "responseLatency",
        "integrationLatency", "responseLength", "identity.sourceIp", "error.message",
        "authorizer.error",
    }
    for name, stage in stack.of_type("AWS::ApiGatewayV2::Stage").items():
        limits = stage.get("DefaultRouteSettings", {})
        for limit in ("ThrottlingRateLimit", "ThrottlingBurstLimit"):
            if not int(limits.get(limit, 0)) > 0:
                yield f"{name}: no {limit}"
        form = stage.get("AccessLogSettings", {}).get("Format", "")
        for said in ("-", "Forbidden"):
            try:
                json.loads(_logged(form, said))
            except json.JSONDecodeError as error:
                yield f"{name}: its log is not JSON where the gateway says {said}: {error}"
        for variable in re.findall(r"\$context\.([\w.]+)", form):
            if variable not in known:
                yield f"{name}: logs {variable}, which nobody said is harmless"


def _logged(form, said):
    """A line of the access log as API Gateway writes it, where it has `said` to say: a dash, which
    is never quoted, for nothing."""
    def written(match):
        return f'"{said}"' if match[1] == "error.messageString" and said != "-" else said

    return re.sub(r"\$context\.([\w.]+)", written, form)


def nobody_waits_longer_than_the_one_in_front(stack):
    integration = stack.properties("ApiIntegration")["TimeoutInMillis"]
    if not stack.properties("ApiFunction")["Timeout"] * 1000 < integration <= 30000:
        yield "ApiIntegration: gives up before the function does, or later than API Gateway can"


RULES = [
    what_must_never_be_lost_outlives_the_stack,
    a_stack_may_have_the_longest_name_that_is_documented,
    tables_can_be_restored_and_cost_no_more_than_agreed,
    the_feed_expires_as_asked_and_only_then,
    the_journal_streams_both_images,
    the_journal_is_append_only,
    the_journal_is_written_by_few,
    tables_are_what_the_code_makes_and_uses,
    functions_are_told_what_they_read,
    functions_run_what_was_built,
    concurrency_is_reserved_for_the_api_alone_and_only_as_asked,
    buckets_are_private,
    files_keep_every_version_and_tell_of_changes,
    the_api_is_never_open,
    parameters_that_contradict_each_other_are_refused,
    pages_of_the_origins_and_no_others_may_call_the_api,
    pages_see_the_same_here_and_on_one_machine,
    the_api_is_limited_and_logged_without_secrets,
    nobody_waits_longer_than_the_one_in_front,
    *access.RULES,
    *pipes.RULES,
    *observing.RULES,
]


def complaints(stacks):
    """What is wrong with the template, by every rule and in every way to deploy it."""
    for way, stack in stacks.items():
        for rule in RULES:
            for complaint in rule(stack):
                yield f"{complaint} ({rule.__name__}, {way})"
