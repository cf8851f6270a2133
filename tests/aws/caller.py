"""Callers of the API: with a signature of IAM, or with a token."""

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .emulator import REGION
from .saying import expect

# Seconds: longer than the function's time limit.
TIMEOUT = 30


class Caller:
    """A client of the API."""

    def __init__(self, stack, credentials=None, token=None):
        self.emulator = stack.emulator
        self.base = f"{stack.emulator.endpoint}/_aws/execute-api/{stack.outputs['ApiId']}/$default"
        self.credentials, self.token = credentials, token

    def call(self, method, path, wanted=None, body=b"", **headers):
        """Sends one request; `wanted` is the expected status."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        request = AWSRequest(method, self.base + path, data=body, headers=headers)
        if self.credentials:
            SigV4Auth(self.credentials, "execute-api", REGION).add_auth(request)
        answer = requests.request(
            method, self.base + path, data=body, headers=dict(request.headers),
            verify=str(self.emulator.certificate), timeout=TIMEOUT,
        )
        if wanted is not None and answer.status_code != wanted:
            expect(wanted, answer.status_code, f"{method} {path} ({answer.text[:500]})")
        return answer

    def create(self, **declared):
        """Creates an asset; returns its id and the whole answer."""
        answer = self.call("POST", "/asset", 201, **declared).json()
        return answer["id"], answer

    def put(self, url, body, **headers):
        """An upload by presigned URL: straight to S3."""
        return requests.put(
            url, data=body, headers=headers, verify=str(self.emulator.certificate), timeout=TIMEOUT
        )

    def fetch(self, url):
        """A download by presigned URL."""
        return requests.get(url, verify=str(self.emulator.certificate), timeout=TIMEOUT)

    def state(self, asset):
        """The full state of an asset."""
        return self.call("GET", f"/asset/{asset}/state", 200).json()

    def history(self, asset):
        """The raw chain of an asset."""
        answer = self.call("GET", f"/asset/{asset}/history", 200, accept="application/jsonl")
        return answer.text


def user(stack, name):
    """A caller with a key of IAM that may call the API and nothing else."""
    import json

    iam = stack.emulator.client("iam")
    iam.create_user(UserName=name)
    allowed = f"arn:aws:execute-api:{REGION}:*:{stack.outputs['ApiId']}/*"
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": allowed}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="call", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Caller(stack, Credentials(key["AccessKeyId"], key["SecretAccessKey"]))
