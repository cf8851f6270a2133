"""What a browser asks before it sends a page's request.

The function is asked itself, as API Gateway would hand it over. The emulator's gateway answers every
OPTIONS without asking it, and does not read the template's CorsConfiguration, which deploy/check
holds to what pages need."""

import json

from .saying import expect, part, say

ORIGIN = "https://app.example"


def walk(stack):
    """That nothing but a success stands behind the route for it."""
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
