"""Ways to break the template. Each must be noticed, else the checks are not worth their time."""

APPENDS = (
    "              - Sid: ReadAndAppend\n                Effect: Allow\n"
    "                Action: [dynamodb:Query, dynamodb:BatchGetItem, dynamodb:PutItem]\n"
)
RESERVED = "!If [HasTenants, \"*#reserved\", !Sub \"${Tenant}#reserved\"]"
SWEEPS = (
    "                Action: [s3:GetObject, s3:GetObjectVersion, s3:DeleteObjectVersion]\n"
    "                Resource: "
)
FILES = "!If [HasTenants, !Sub \"${Files.Arn}/*/*\", !Sub \"${Files.Arn}/${Tenant}/*\"]\n"
# What is broken, what stands in the template exactly once, what it is changed to.
MUTANTS = [
    ("a dangling Ref in Globals",
     "ASSET_LEDGER_VIEWS_TABLE: !Ref Views", "ASSET_LEDGER_VIEWS_TABLE: !Ref View"),
    ("a batch of 20000", "BatchSize: 100\n", "BatchSize: 20000\n"),
    ("a misspelt IAM action",
     APPENDS, APPENDS.replace("PutItem", "PutItme")),
    ("point-in-time recovery removed from the journal",
     "StreamSpecification: {StreamViewType: NEW_AND_OLD_IMAGES}\n      PointInTimeRecovery"
     "Specification: {PointInTimeRecoveryEnabled: true, RecoveryPeriodInDays: 35}\n",
     "StreamSpecification: {StreamViewType: NEW_AND_OLD_IMAGES}\n"),
    ("recovery of rows that nobody asked for",
     "        - {PointInTimeRecoveryEnabled: false}\n",
     "        - {PointInTimeRecoveryEnabled: true, RecoveryPeriodInDays: 35}\n"),
    ("recovery of rows that is asked for and not there",
     "        - {PointInTimeRecoveryEnabled: true, RecoveryPeriodInDays: 35}\n",
     "        - {PointInTimeRecoveryEnabled: false}\n"),
    ("another class of the journal's table than asked for",
     "      TableClass: !Ref JournalTableClass\n", "      TableClass: STANDARD\n"),
    ("a role that is not bounded",
     "  AuditRole:\n    Type: AWS::IAM::Role\n    Properties:\n      PermissionsBoundary: "
     "!If [HasBoundary, !Ref PermissionsBoundary, !Ref AWS::NoValue]\n",
     "  AuditRole:\n    Type: AWS::IAM::Role\n    Properties:\n"),
    ("a public bucket: the block lifted",
     "OwnershipControls: {Rules: [{ObjectOwnership: BucketOwnerEnforced}]}\n"
     "      PublicAccessBlockConfiguration:\n        BlockPublicAcls: true\n"
     "        BlockPublicPolicy: true\n        IgnorePublicAcls: true\n"
     "        RestrictPublicBuckets: true\n      BucketEncryption:\n"
     "        ServerSideEncryptionConfiguration:\n          - BucketKeyEnabled: true\n"
     "            ServerSideEncryptionByDefault: {SSEAlgorithm: \"aws:kms\", KMSMasterKeyID: "
     "!GetAtt Key.Arn}\n      LifecycleConfiguration:\n        Rules:\n          - Id: Abandoned",
     "OwnershipControls: {Rules: [{ObjectOwnership: BucketOwnerEnforced}]}\n"
     "      BucketEncryption:\n"
     "        ServerSideEncryptionConfiguration:\n          - BucketKeyEnabled: true\n"
     "            ServerSideEncryptionByDefault: {SSEAlgorithm: \"aws:kms\", KMSMasterKeyID: "
     "!GetAtt Key.Arn}\n      LifecycleConfiguration:\n        Rules:\n          - Id: Abandoned"),
    ("a public bucket: its policy lets everybody read",
     "          # No URL outlives",
     "          - {Sid: All, Effect: Allow, Principal: \"*\", Action: \"s3:GetObject\", "
     "Resource: !Sub \"${Files.Arn}/*\"}\n          # No URL outlives"),
    ("the stream removed",
     "      StreamSpecification: {StreamViewType: NEW_AND_OLD_IMAGES}\n", ""),
    ("a misspelt metric name in an alarm",
     "MetricName: asset_ledger_tamper", "MetricName: asset_ledger_tampr"),
    ("a misspelt metric name on the dashboard",
     "\"asset_ledger_visible_lag_ms\"", "\"asset_ledger_visible_lag_sec\""),
    ("a broken FilterCriteria",
     "'{\"eventName\": [\"INSERT\", \"MODIFY\", \"REMOVE\"]}'",
     "'{\"eventName\": [\"INSERT\", \"MODIFY\", \"REMOVE\"}'"),
    ("a FilterCriteria that hides tampering",
     "'{\"eventName\": [\"INSERT\", \"MODIFY\", \"REMOVE\"]}'", "'{\"eventName\": [\"INSERT\"]}'"),
    ("UpdateItem of the journal allowed to the API",
     APPENDS, APPENDS.replace("dynamodb:PutItem", "dynamodb:PutItem, dynamodb:UpdateItem")),
    ("everything in the journal allowed to the API",
     APPENDS, APPENDS.replace("[dynamodb:Query, dynamodb:BatchGetItem, dynamodb:PutItem]",
                              "\"dynamodb:*\"")),
    ("a feed whose events the API may not read",
     APPENDS, APPENDS.replace("dynamodb:BatchGetItem, ", "")),
    ("rows written by the API",
     "                Condition:\n                  ForAllValues:StringLike:\n"
     "                    dynamodb:LeadingKeys:\n                      - totals\n"
     f"                      - {RESERVED}\n", ""),
    ("ids that the API may not reserve", f"                      - {RESERVED}\n", ""),
    ("ids reserved for another tenant", RESERVED, "\"*#reserved\""),
    ("ids reserved for one of many tenants", RESERVED, "!Sub \"${Tenant}#reserved\""),
    ("notes of missing versions of any tenant", 
     "!If [HasTenants, \"*#absent\", !Sub \"${Tenant}#absent\"]", "\"*#absent\""),
    ("contradicted assets of one of many tenants",
     "!If [HasTenants, \"*#parked\", !Sub \"${Tenant}#parked\"]", "!Sub \"${Tenant}#parked\""),
    ("files of all tenants where there is one",
     SWEEPS + FILES, SWEEPS + "!Sub \"${Files.Arn}/*/*\"\n"),
    ("files of one of many tenants",
     SWEEPS + FILES, SWEEPS + "!Sub \"${Files.Arn}/${Tenant}/*\"\n"),
    ("keys of requests refused to pages", "content-type, idempotency-key,", "content-type,"),
    ("repeated answers hidden from pages", "[etag, idempotency-replayed, ", "[etag, "),
    ("UpdateItem of the journal no longer denied", "                - dynamodb:UpdateItem\n", ""),
    ("changes of the journal's TTL no longer denied",
     "                - dynamodb:UpdateTimeToLive\n", ""),
    ("the journal's policy may be removed", "                - dynamodb:DeleteResourcePolicy\n", ""),
    ("a journal that everybody with rights to it may append to",
     "              Action: dynamodb:PutItem\n              Resource: !Sub",
     "              Action: dynamodb:UpdateItem\n              Resource: !Sub"),
    ("a journal that the bucket function may not append to",
     "                    - [!GetAtt ApiRole.Arn, !GetAtt BucketRole.Arn]\n",
     "                    - [!GetAtt ApiRole.Arn]\n"),
    ("a journal that the audit may append to",
     "                    - [!GetAtt ApiRole.Arn, !GetAtt BucketRole.Arn]\n",
     "                    - [!GetAtt ApiRole.Arn, !GetAtt BucketRole.Arn, !GetAtt AuditRole.Arn]\n"),
    ("writers of the journal that are asked for and not let in",
     "!GetAtt BucketRole.Arn, !Join [\",\", !Ref JournalWriters]]", "!GetAtt BucketRole.Arn]"),
    ("broken JSON in the dashboard", "{\"widgets\": [", "{\"widgets\": [,"),
    ("an open API", "AuthorizationType: !If [HasOwnCheck, NONE, !If [HasTokens, JWT, AWS_IAM]]",
     "AuthorizationType: NONE"),
    ("open with Auth iam", "!If [HasTokens, JWT, AWS_IAM]", "!If [HasTokens, JWT, NONE]"),
    ("open with Auth jwt", "!If [HasTokens, JWT, AWS_IAM]", "!If [HasTokens, NONE, AWS_IAM]"),
    ("tokens without their authorizer",
     "AuthorizerId: !If [HasTokens, !Ref ApiAuthorizer, !Ref AWS::NoValue]\n", ""),
    ("signatures demanded of callers with API keys",
     "!If [HasOwnCheck, NONE, !If [HasTokens, JWT, AWS_IAM]]", "!If [HasTokens, JWT, AWS_IAM]"),
    ("a function that leaves its callers to nobody",
     "!If [HasOwnCheck, required, gateway]", "gateway"),
    ("a function that is told not to look at its callers",
     "!If [HasOwnCheck, required, gateway]", "!If [HasOwnCheck, none, gateway]"),
    ("callers whom the authorizer did not let in",
     "!If [HasOwnCheck, required, gateway]", "!If [HasOwnCheck, required, none]"),
    ("issuers that the function is not told of",
     "          ASSET_LEDGER_AUTH_CONFIG: !If [HasAuthConfig, !Ref AuthConfig, !Ref AWS::NoValue]\n",
     ""),
    ("a configuration beside the gateway's tokens",
     "- Assert: !Equals [!Ref AuthConfig, \"\"]", "- Assert: !Equals [!Ref Auth, jwt]"),
    ("listed callers of tenants that the roles do not reach",
     "HasTenants: !Or [!Equals [!Ref Auth, function], !Not [!Equals [!Ref AuthConfig, \"\"]]]",
     "HasTenants: !Equals [!Ref Auth, function]"),
    ("an issuer where no token is looked at",
     "    RuleCondition: !Not [!Equals [!Ref Auth, jwt]]\n",
     "    RuleCondition: !Equals [!Ref Auth, function]\n"),
    ("tokens for every audience",
     "      - Assert: !Not [!Equals [!Ref JwtAudience, \"\"]]\n"
     "        AssertDescription: Auth jwt needs JwtAudience, else every token of the issuer would do\n",
     ""),
    ("who decides about callers told to a function without any",
     "        ASSET_LEDGER_LOG: !Ref LogFilter\n",
     "        ASSET_LEDGER_LOG: !Ref LogFilter\n        ASSET_LEDGER_AUTH: gateway\n"),
    ("a preflight route that answers more",
     "RouteKey: OPTIONS /{proxy+}", "RouteKey: ANY /{proxy+}"),
    ("a preflight route where there are no pages",
     "    Type: AWS::ApiGatewayV2::Route\n    Condition: HasOrigins\n",
     "    Type: AWS::ApiGatewayV2::Route\n"),
    ("signatures of pages not let in",
     "x-amz-date, x-amz-security-token,", "x-amz-security-token,"),
    ("ranges of files refused to pages", "if-none-match, range,", "if-none-match,"),
    ("checksums of files hidden from pages",
     "ETag, x-amz-checksum-sha256, x-amz-version-id]", "ETag, x-amz-version-id]"),
    ("an answer of the API that pages of one machine see, hidden from pages",
     "link, location, retry-after, x-request-id]", "link, location, x-request-id]"),
    ("a browser's first question refused",
     "      AuthorizationType: NONE\n", "      AuthorizationType: AWS_IAM\n"),
    ("good records given up in a short outage",
     "MaximumRetryAttempts: -1\n", "MaximumRetryAttempts: 20\n"),
    ("tries without end", "      MaximumRecordAgeInSeconds: 43200\n",
     "      MaximumRecordAgeInSeconds: -1\n"),
    ("a throttled partition that no alarm sees",
     "MetricName: WriteKeyRangeThroughputThrottleEvents\n"
     "      Dimensions: [{Name: TableName, Value: !Ref Journal}]",
     "MetricName: WriteMaxOnDemandThroughputThrottleEvents\n"
     "      Dimensions: [{Name: TableName, Value: !Ref Journal}]"),
    ("concurrency taken from the account unasked",
     "!If [HasReserve, !Ref ReservedConcurrency, !Ref AWS::NoValue]", "10"),
    ("concurrency that is asked for and not reserved",
     "      ReservedConcurrentExecutions: !If [HasReserve, !Ref ReservedConcurrency, "
     "!Ref AWS::NoValue]\n", ""),
    ("one bad record fails its batch",
     "      MaximumRecordAgeInSeconds: 43200\n"
     "      FunctionResponseTypes: [ReportBatchItemFailures]\n",
     "      MaximumRecordAgeInSeconds: 43200\n"),
    ("records that are given up are lost",
     "      DestinationConfig: {OnFailure: {Destination: !GetAtt Failures.Arn}}\n", ""),
    ("ListBucket taken from a function that looks",
     "              # Without ListBucket a missing key is 403, and not 404.\n"
     "              - Sid: ListFiles\n                Effect: Allow\n"
     "                Action: [s3:ListBucket, ",
     "              - Sid: ListFiles\n                Effect: Allow\n                Action: ["),
    ("an action on a resource that it does not fit",
     "                Action: s3:ListBucket\n                Resource: !GetAtt Failures.Arn",
     "                Action: s3:ListBucket\n                Resource: !Sub \"${Failures.Arn}/*\""),
    ("noncurrent versions of files expire",
     "            AbortIncompleteMultipartUpload: {DaysAfterInitiation: 3}\n"
     "      NotificationConfiguration:",
     "            AbortIncompleteMultipartUpload: {DaysAfterInitiation: 3}\n"
     "            NoncurrentVersionExpiration: {NoncurrentDays: 30}\n"
     "      NotificationConfiguration:"),
    ("old signatures let in", "\"s3:signatureAge\": 3600000", "\"s3:signatureAge\": 604800000"),
    ("EventBridge not told", "EventBridgeEnabled: true", "EventBridgeEnabled: false"),
    ("a variable that nobody reads", "ASSET_LEDGER_SHARDS:", "ASSET_LEDGER_SHARD:"),
    ("a variable of the SDK, which nobody reads either",
     "ASSET_LEDGER_LOG: !Ref LogFilter",
     "ASSET_LEDGER_LOG: !Ref LogFilter\n        AWS_MAX_ATTEMPTS: \"5\""),
    ("a feed that expires without being asked to",
     "ASSET_LEDGER_FEED_RETENTION_DAYS: !Ref FeedRetentionDays",
     "ASSET_LEDGER_FEED_RETENTION_DAYS: \"30\""),
    ("readers that learn of a longer feed before its writer",
     "    DependsOn: ProjectorFunction\n", ""),
    ("rows that expire by another attribute",
     "{AttributeName: expires_at, Enabled: true}", "{AttributeName: updated_at, Enabled: true}"),
    ("another sort key", "{AttributeName: sk, AttributeType: N}", "{AttributeName: sk, AttributeType: S}"),
    ("the journal lost with the stack",
     "  Journal:\n    Type: AWS::DynamoDB::Table\n    DeletionPolicy: Retain\n",
     "  Journal:\n    Type: AWS::DynamoDB::Table\n    DeletionPolicy: Delete\n"),
    ("files lost with the stack",
     "  Files:\n    Type: AWS::S3::Bucket\n    DeletionPolicy: RetainExceptOnCreate\n",
     "  Files:\n    Type: AWS::S3::Bucket\n    DeletionPolicy: Delete\n"),
    ("a first deployment whose rollback a table refuses",
     "  Views:\n    Type: AWS::DynamoDB::Table\n    DeletionPolicy: Retain\n",
     "  Views:\n    Type: AWS::DynamoDB::Table\n    DeletionPolicy: RetainExceptOnCreate\n"),
    ("a function whose name is too long in some stacks",
     "FunctionName: !Sub \"${AWS::StackName}-projector\"",
     "FunctionName: !Sub \"${AWS::StackName}-the-projector\""),
    ("an alarm of a function that is not there",
     "Namespace: AWS/Lambda\n      MetricName: IteratorAge\n      Dimensions: [{Name: FunctionName, "
     "Value: !Ref ProjectorFunction}]",
     "Namespace: AWS/Lambda\n      MetricName: IteratorAge\n      Dimensions: [{Name: FunctionName, "
     "Value: projector}]"),
    ("an error in two pairs of quotes in the log",
     "$context.error.message\"", "$context.error.messageString\""),
    ("an error without quotes in the log",
     "\"$context.error.message\"", "$context.error.messageString"),
    ("nobody told of failures that were not kept",
     "MetricName: DestinationDeliveryFailures", "MetricName: Errors"),
    ("a daily look that is switched off", "State: ENABLED", "State: DISABLED"),
    ("a daily look that nobody may start",
     "      SourceArn: !GetAtt EveryDay.Arn\n", "      SourceArn: !GetAtt FilesChanged.Arn\n"),
    ("an alarm that does not miss the daily look",
     "TreatMissingData: breaching", "TreatMissingData: notBreaching"),
    ("an alarm that misses a daily look too late",
     "EvaluationPeriods: 25", "EvaluationPeriods: 50"),
    ("an audit that writes rows",
     "Action: [dynamodb:GetItem, dynamodb:Query, dynamodb:Scan]\n"
     "                Resource: !GetAtt Views.Arn\n"
     "              - Sid: ThroughTheKey\n                Effect: Allow\n"
     "                Action: [kms:Decrypt, kms:DescribeKey]",
     "Action: [dynamodb:GetItem, dynamodb:PutItem, dynamodb:Query, dynamodb:Scan]\n"
     "                Resource: !GetAtt Views.Arn\n"
     "              - Sid: ThroughTheKey\n                Effect: Allow\n"
     "                Action: [kms:Decrypt, kms:DescribeKey]"),
    ("lines of Lambda's own for each invocation", "SystemLogLevel: WARN", "SystemLogLevel: INFO"),
    ("metrics that Lambda filters out of the log",
     "ApplicationLogLevel: TRACE", "ApplicationLogLevel: WARN"),
    ("query strings in the log", "\"path\":\"$context.path\"", "\"path\":\"$context.requestUri\""),
]

# Which of them each tool must notice by itself: else it may have stopped looking, and our own rules,
# which are asked first, would hide that.
BY_TOOL = {
    "cfn-lint": "a batch of 20000",
    "parliament": "a misspelt IAM action",
    "checkov": "a public bucket: the block lifted",
}
