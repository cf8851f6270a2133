"""The stack: the real template, deployed like `sam deploy` does it."""

import io
import stat
import zipfile
from pathlib import Path

from .saying import Failed, until

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ["api", "projector", "bucket", "audit"]
CODE = "code-of-the-functions"


class Stack:
    """A stack that was deployed."""

    def __init__(self, emulator, name):
        self.emulator, self.name = emulator, name
        self.outputs = {}

    def deploy(self, **parameters):
        """Creates the stack, with CloudFormation's own SAM transform."""
        upload_code(self.emulator)
        cloudformation = self.emulator.client("cloudformation")
        cloudformation.create_stack(
            StackName=self.name,
            TemplateURL=f"{self.emulator.endpoint}/{CODE}/template.yaml",
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[{"ParameterKey": name, "ParameterValue": value}
                        for name, value in {"Architecture": "x86_64", **parameters}.items()],
        )
        until(self._settled, f"stack {self.name} settles")
        if self.described["StackStatus"] != "CREATE_COMPLETE":
            raise Failed(f"stack {self.name}: {self._failures()}")
        self.outputs = {output["OutputKey"]: output["OutputValue"]
                        for output in self.described["Outputs"]}
        return self

    def resources(self):
        """Physical ids by logical ones."""
        pages = self.emulator.client("cloudformation").get_paginator("list_stack_resources")
        return {resource["LogicalResourceId"]: resource["PhysicalResourceId"]
                for page in pages.paginate(StackName=self.name)
                for resource in page["StackResourceSummaries"]}

    def items(self, table):
        """Everything in a table, plain values."""
        pages = self.emulator.client("dynamodb").get_paginator("scan")
        return [{name: plain(value) for name, value in item.items()}
                for page in pages.paginate(TableName=self.outputs[table], ConsistentRead=True)
                for item in page["Items"]]

    def _settled(self):
        stacks = self.emulator.client("cloudformation").describe_stacks(StackName=self.name)
        self.described = stacks["Stacks"][0]
        return not self.described["StackStatus"].endswith("IN_PROGRESS")

    def _failures(self):
        events = self.emulator.client("cloudformation").describe_stack_events(StackName=self.name)
        return [(event["LogicalResourceId"], event.get("ResourceStatusReason"))
                for event in events["StackEvents"] if "FAILED" in event["ResourceStatus"]]


def upload_code(emulator):
    """Does the work of `sam package`: uploads code to S3 and puts its location into the template."""
    s3 = emulator.client("s3")
    if CODE in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        return
    s3.create_bucket(
        Bucket=CODE,
        CreateBucketConfiguration={"LocationConstraint": emulator.session.region_name},
    )
    template = (ROOT / "deploy/template.yaml").read_text(encoding="utf-8")
    for function in FUNCTIONS:
        s3.put_object(Bucket=CODE, Key=f"{function}.zip", Body=zipped(function))
        local = f"CodeUri: ../target/lambda/{function}/\n"
        if template.count(local) != 1:
            raise Failed(f"the template does not say {local!r} once")
        template = template.replace(local, f"CodeUri: s3://{CODE}/{function}.zip\n")
    s3.put_object(Bucket=CODE, Key="template.yaml", Body=template.encode())


def zipped(function):
    """A function's code in Lambda's form: one executable file."""
    binary = ROOT / "target/lambda" / function / "bootstrap"
    about = zipfile.ZipInfo("bootstrap")
    about.external_attr = (stat.S_IFREG | 0o755) << 16
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(about, binary.read_bytes())
    return archive.getvalue()


def plain(value):
    """A DynamoDB value without its type."""
    (kind, inner), = value.items()
    return int(inner) if kind == "N" else inner
