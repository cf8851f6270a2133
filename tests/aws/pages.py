"""A browser's preflight of a page's request.

The test calls the function directly, in API Gateway's form. The emulator's gateway answers every
OPTIONS request itself, and does not read the template's CorsConfiguration, which deploy/check
compares with the needs of pages."""

import json

from .saying import expect, part, say

ORIGIN = "https://app.example"


def walk(stack):
    """Checks that the preflight's route always answers with success."""
    part("a page asks whether it may")
    for path in ("/asset", "/asset/019aaf6b-5a00-7123-8456-0123456789ab/purge", "/nowhere"):
        expect(204, asked(stack, path), f"what the function says to OPTIONS {path}")
    say("the function behind the route says 204, whose status AWS passes on")


def asked(stack, path):
    """The status of its answer."""
    event = {
        "version": "2.0", "routeKey": "OPTIONS /{proxy+}", "rawPath": path, "rawQueryString": "",
        "headers": {"origin": ORIGIN, "access-control-request-method": "POST"},
        "requestContext": {
            "http": {"method": "OPTIONS", "path": path, "protocol": "HTTP/1.1",
                     "sourceIp": "127.0.0.1", "userAgent": "tests"},
            "requestId": "1", "routeKey": "OPTIONS /{proxy+}", "stage": "$default",
            "time": "23/Nov/2026:08:00:00 +0000", "timeEpoch": 1795420800000,
        },
        "isBase64Encoded": False,
    }
    answer = stack.emulator.client("lambda").invoke(
        FunctionName=f"{stack.name}-api", Payload=json.dumps(event)
    )
    return json.loads(answer["Payload"].read()).get("statusCode")
