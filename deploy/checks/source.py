"""What the code says that the template must agree with: metrics that it emits, variables that it
reads, tables that it makes."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EMITTED = re.compile(r"(?:counter|histogram|gauge)!\(\s*\"(asset_ledger_\w+)\"")
VARIABLE = re.compile(r"\"(ASSET_LEDGER_[A-Z_]+)\"")


def emitted_metrics():
    """Names of the metrics that the product emits."""
    return _found(EMITTED, ["src", "ledger/src", "projections/src", "stores/src"])


# What composes each function, in src/lambda/compose.rs.
COMPOSED = {
    "ApiFunction": "router", "ProjectorFunction": "projector", "BucketFunction": "notifications",
    "AuditFunction": "auditor",
}


def read_variables(function):
    """Names of the variables that a function reads. Those about callers are read by one that asks
    for them, and all others by each."""
    known = _found(VARIABLE, ["src/aws", "src/lambda", "src/lambda.rs", "src/bin"])
    about_callers = _found(VARIABLE, ["src/aws/auth.rs"])
    code = (ROOT / "src/lambda/compose.rs").read_text(encoding="utf-8")
    (body,) = re.findall(rf"^pub async fn {COMPOSED[function]}\(.*?^}}$", code, re.M | re.S)
    return known if "auth_of_function()" in body else known - about_callers


def declared_tables():
    """What `asset-ledger migrate` makes: each table, by name."""
    files = sorted((ROOT / "migrations/dynamodb").glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def deploying():
    """The document about deploying."""
    return (ROOT / "docs/DEPLOY.md").read_text(encoding="utf-8")


def shown_to_pages():
    """The headers of an answer that a page sees on one machine, of the API and of the bucket."""
    code = (ROOT / "src/cors.rs").read_text(encoding="utf-8")
    (listed,) = re.findall(r"\.expose_headers\(\[(.*?)\]\)", code, re.DOTALL)
    named = re.findall(r"header::([A-Z_]+)", listed)
    return {name.lower().replace("_", "-") for name in named} | set(re.findall(r'"(.+?)"', listed))


def expiry_attribute():
    """The attribute of a row that says when it may go, by its form: the only one of seconds."""
    row = (ROOT / "projections/src/row.rs").read_text(encoding="utf-8")
    (name,) = re.findall(r"^    (\w+): Option<i64>,$", row, re.MULTILINE)
    return name


def _found(pattern, places):
    found = set()
    for path in (file for place in places for file in _sources(ROOT / place)):
        code = path.read_text(encoding="utf-8").split("#[cfg(test)]\nmod tests {")[0]
        found |= set(pattern.findall(code))
    return found


def _sources(place):
    files = [place] if place.is_file() else sorted(place.rglob("*.rs"))
    return [file for file in files if file.exists() and "tests" not in file.stem]
