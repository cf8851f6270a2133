"""Runs the conformance suites of the adapters on the emulator's DynamoDB, a third-party engine.
`cargo test` runs them on an embedded one."""

import os
import re
import subprocess

from .emulator import REGION
from .saying import Failed, expect, part, say
from .stack import ROOT

# The tests that look for an endpoint have "given" in their names: the journal, the rows with their
# generations, and the lanes of the feed.
TESTS, GIVEN = ["journal", "rows", "feed"], 3


def run(emulator):
    """Runs all of them."""
    part("the conformance suites on this DynamoDB")
    cargo("--no-run")  # may download, and then needs more certificates than the emulator's
    before = tables(emulator)
    told = cargo("given", **reached(emulator))
    found = re.findall(r"^test (\S*given\S*) \.\.\. ok$", told, re.MULTILINE)
    expect(GIVEN, len(found), f"suites that ran ({found})")
    made = tables(emulator) - before
    if not made:
        raise Failed("the suites made no table here: they ran elsewhere")
    say(f"{', '.join(found)}: passed, in {len(made)} tables of their own")


def tables(emulator):
    """The names of all tables."""
    pages = emulator.client("dynamodb").get_paginator("list_tables").paginate()
    return {name for page in pages for name in page["TableNames"]}


def cargo(*words, tests=TESTS, **environment):
    """The output of `cargo test`. It names the whole workspace, so that built crates are not built
    again."""
    which = [word for test in tests for word in ("--test", test)]
    done = subprocess.run(
        ["cargo", "test", "--workspace", "--locked", *which, *words], cwd=ROOT,
        env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )
    if done.returncode:
        raise Failed(f"a suite failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def reached(emulator):
    """The environment with the emulator's address and certificate for the tests."""
    return {
        "AWS_ENDPOINT_URL_DYNAMODB": emulator.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_SESSION_TOKEN": "",
        "AWS_REGION": REGION,
        "SSL_CERT_FILE": str(emulator.certificate),
    }
