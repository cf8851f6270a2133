"""The template in CloudFormation's view: expanded by SAM, and with every reference resolved.

Names that AWS would generate are invented, so that policies, patterns and the dashboard can be
read in their final form."""

import json
import os
import re

import yaml
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": "ledger",
    "AWS::URLSuffix": "amazonaws.com",
}
# The Ref of a resource, if it is not the logical id.
NAMES = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::SQS::Queue": "QueueName",
}
ARNS = {
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:eu-central-1:123456789012:table/{}",
    "AWS::Events::Rule": "arn:aws:events:eu-central-1:123456789012:rule/{}",
    "AWS::IAM::Role": "arn:aws:iam::123456789012:role/{}",
    "AWS::KMS::Key": "arn:aws:kms:eu-central-1:123456789012:key/{}",
    "AWS::Lambda::Function": "arn:aws:lambda:eu-central-1:123456789012:function:{}",
    "AWS::Logs::LogGroup": "arn:aws:logs:eu-central-1:123456789012:log-group:{}:*",
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
    "AWS::SQS::Queue": "arn:aws:sqs:eu-central-1:123456789012:{}",
}
GONE = object()


class Broken(Exception):
    """The template cannot be expanded or resolved."""


def expand(text):
    """The template after SAM's transform, by SAM's own library and without a call to AWS."""
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
        raise Broken("CloudFormation reads no YAML aliases")
    template = yaml_parse(text)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # What `sam build` and `sam package` do: code comes from S3.
            resource["Properties"]["CodeUri"] = "s3://code/function.zip"
    os.environ.setdefault("AWS_DEFAULT_REGION", PSEUDO["AWS::Region"])
    try:
        return transform(template, {}, _NoManagedPolicies())
    except Exception as error:  # any error of SAM is an error of the template
        raise Broken(f"SAM: {error} {getattr(error, 'causes', '')}") from error


class _NoManagedPolicies:
    def load(self):
        return {}


class Stack:
    """A deployment of the template with these parameters."""

    def __init__(self, expanded, **parameters):
        self.expanded = expanded
        self.parameters = {
            name: parameters.get(name, declared.get("Default"))
            for name, declared in expanded["Parameters"].items()
        }
        self.resources = {
            name: self._resolve({**resource, "Condition": None})
            for name, resource in expanded["Resources"].items()
            if "Condition" not in resource or self._condition(resource["Condition"])
        }

    def refusals(self):
        """Why CloudFormation refuses the parameters: the assertions of the template's rules."""
        return [
            assertion["AssertDescription"]
            for rule in self.expanded.get("Rules", {}).values()
            if self._resolve(rule.get("RuleCondition", True))
            for assertion in rule["Assertions"]
            if not self._resolve(assertion["Assert"])
        ]

    def of_type(self, kind):
        """Name and properties of each resource of a type."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.resources.items()
            if resource["Type"] == kind
        }

    def properties(self, name):
        """The properties of one resource."""
        if name not in self.resources:
            raise Broken(f"there is no resource {name}")
        return self.resources[name]["Properties"]

    def arn(self, name):
        """The ARN of one resource."""
        return self._attribute(name, "Arn")

    def ref(self, name):
        """The value of a name's Ref."""
        if name == "AWS::NoValue":
            return GONE
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            return self._parameter(name)
        resource = self.expanded["Resources"].get(name)
        if resource is None:
            raise Broken(f"Ref {name}: there is nothing of that name")
        named = NAMES.get(resource["Type"])
        given = resource.get("Properties", {}).get(named) if named else None
        return self._resolve(given) if given else name.lower()

    def _parameter(self, name):
        value = self.parameters[name]
        if self.expanded["Parameters"][name]["Type"] == "CommaDelimitedList":
            return value.split(",")
        return value

    def _attribute(self, name, attribute):
        resource = self.expanded["Resources"].get(name)
        if resource is None:
            raise Broken(f"GetAtt {name}.{attribute}: there is nothing of that name")
        kind = resource["Type"]
        if attribute == "Arn" and kind in ARNS:
            return ARNS[kind].format(self.ref(name))
        if attribute == "StreamArn" and "StreamSpecification" in resource["Properties"]:
            # Real labels are times with colons, which parliament takes for parts of the ARN.
            return self._attribute(name, "Arn") + "/stream/2026-11-23T080000.000"
        if attribute == "QueueName" and kind == "AWS::SQS::Queue":
            return self.ref(name)
        raise Broken(f"GetAtt {name}.{attribute}: a {kind} as described has none")

    def _condition(self, name):
        return self._resolve(self.expanded["Conditions"][name])

    def _resolve(self, value):
        if isinstance(value, list):
            return [item for item in map(self._resolve, value) if item is not GONE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (function, argument), = value.items()
            if function in FUNCTIONS:
                return FUNCTIONS[function](self, argument)
        resolved = {key: self._resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not GONE}

    def _sub(self, argument):
        if not isinstance(argument, str):
            raise Broken("Fn::Sub with a map is not used here")

        def fill(match):
            name = match[1]
            if "." in name:
                return self._attribute(*name.split(".", 1))
            return str(self.ref(name))

        return re.sub(r"\$\{([^}!]+)\}", fill, argument)

    def _if(self, argument):
        condition, yes, no = argument
        return self._resolve(yes if self._condition(condition) else no)

    def _join(self, argument):
        return argument[0].join(self._resolve(argument[1]))

    def _get_att(self, argument):
        return self._attribute(*(argument.split(".", 1) if isinstance(argument, str) else argument))

    def _equals(self, argument):
        left, right = map(self._resolve, argument)
        return str(left) == str(right)  # parameters are texts

    def _split(self, argument):
        return self._resolve(argument[1]).split(argument[0])


FUNCTIONS = {
    "Ref": Stack.ref,
    "Fn::Sub": Stack._sub,
    "Fn::If": Stack._if,
    "Fn::Join": Stack._join,
    "Fn::Split": Stack._split,
    "Fn::GetAtt": Stack._get_att,
    "Fn::Equals": Stack._equals,
    "Fn::And": lambda stack, arguments: all(map(stack._resolve, arguments)),
    "Fn::Or": lambda stack, arguments: any(map(stack._resolve, arguments)),
    "Fn::Not": lambda stack, argument: not stack._resolve(argument[0]),
    "Condition": lambda stack, argument: stack._condition(argument) if argument else None,
}


def stacks(expanded):
    """The extreme deployments: the minimum, everything, and with its own check of callers."""
    return {
        "bare": Stack(expanded),
        "full": Stack(
            expanded,
            Auth="jwt",
            JwtIssuer="https://issuer.example",
            JwtAudience="ledger,other",
            AllowedOrigins="https://app.example",
            Tracing="Active",
            ReservedConcurrency=50,
            JournalTableClass="STANDARD_INFREQUENT_ACCESS",
            RecoverViews="yes",
            FeedRetentionDays=30,
            PermissionsBoundary="arn:aws:iam::123456789012:policy/bounds",
            JournalWriters="arn:aws:iam::123456789012:role/operator,"
            "arn:aws:iam::123456789012:user/import",
            AlarmTopic="arn:aws:sns:eu-central-1:123456789012:alarms",
        ),
        "function": Stack(expanded, Auth="function"),
        "function with issuers": Stack(
            expanded,
            Auth="function",
            AuthConfig='{"issuers":[]}',
            AllowedOrigins="https://app.example",
        ),
        "listed callers": Stack(expanded, AuthConfig='{"iam":[]}'),
    }


def dump(expanded, path):
    """Writes the expanded template for the tools that read files."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump(expanded, file, indent=1)
