"""Every skipped rule of a tool, with the reason. Rules are skipped only here."""

CFN_LINT = {}

CHECKOV = {
    "CKV_AWS_18": "access logs of a bucket are a second, weaker history; CloudTrail data events "
    "are the account's to turn on, and docs/DEPLOY.md says so",
    "CKV_AWS_27": "the queues are encrypted by SQS's own key (SqsManagedSseEnabled), which this "
    "rule does not know; with a KMS key EventBridge would need to be let into it",
    "CKV_AWS_28": "rows are rebuilt from the journal, and their recovery is a parameter; our own rule "
    "has the journal's",
    "CKV_AWS_115": "reserved concurrency is taken from the account: it is a parameter of the API; "
    "the API is limited at its stage, the queue's mapping and the stream's by their own limits",
    "CKV_AWS_116": "the API answers, the mappings have failure destinations of their own, and an "
    "audit that failed has nothing to keep: it is missed by an alarm",
    "CKV_AWS_117": "there is nothing in a VPC to reach, and S3 and DynamoDB are reached by TLS",
    "CKV_AWS_158": "logs hold no URLs and no contents, and CloudWatch encrypts them by its own key",
    "CKV_AWS_173": "environment variables hold the names of tables and no secret",
}

PARLIAMENT = {}
