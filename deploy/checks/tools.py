"""The usual tools, each for its purpose: cfn-lint for the expanded template, checkov for policy,
parliament for IAM."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cfnlint.api
import parliament

from . import skips

BIN = Path(sys.executable).parent


def cfn_lint(path, _stacks):
    """Types, values, limits and references, by AWS's own resource schemas."""
    text = Path(path).read_text(encoding="utf-8")
    config = cfnlint.api.ManualArgs(
        regions=["eu-central-1", "us-east-1"], ignore_checks=list(skips.CFN_LINT)
    )
    for match in cfnlint.api.lint(text, config=config):
        where = "/".join(str(part) for part in match.path or [])
        yield f"{match.rule.id} {where}: {match.message}"


def check_policies(_path, stacks):
    """Misspelt actions, actions that do not fit their resource, conditions that do not exist."""
    seen = set()
    for name, policy in (item for stack in stacks.values() for item in identity_policies(stack)):
        text = json.dumps(policy)
        if text in seen:
            continue
        seen.add(text)
        for finding in parliament.analyze_policy_string(text).findings:
            if finding.issue not in skips.PARLIAMENT:
                yield f"{finding.issue} in {name}: {finding.detail} {finding.location}"
    for name, action in {item for stack in stacks.values() for item in resource_actions(stack)}:
        if not _exists(action):
            yield f"UNKNOWN_ACTION in {name}: {action}"


def checkov(path, _stacks):
    """The auditors' rules."""
    skipped = ",".join(skips.CHECKOV)
    done = subprocess.run(
        [BIN / "checkov", "--file", path, "--framework", "cloudformation", "--compact", "--quiet",
         "--skip-download", "--output", "json", "--skip-check", skipped],
        env={**os.environ, "LOG_LEVEL": "ERROR"}, capture_output=True, text=True, check=False,
    )
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError:
        yield f"checkov did not answer: {done.stdout[-500:]} {done.stderr[-500:]}"
        return
    if report.get("summary", report).get("passed", 0) == 0:
        yield f"checkov checked nothing: {done.stdout[-500:]}"
    for failed in report.get("results", {}).get("failed_checks", []):
        yield f"{failed['check_id']} {failed['resource']}: {failed['check_name']}"


def identity_policies(stack):
    """The policies of every role."""
    for name, role in stack.of_type("AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            yield name, policy["PolicyDocument"]


def resource_policies(stack):
    """The policies of resources: parliament reads only those of identities."""
    for name, resource in stack.resources.items():
        properties = resource.get("Properties", {})
        for key in ("PolicyDocument", "KeyPolicy"):
            if key in properties:
                yield name, properties[key]
        if "ResourcePolicy" in properties:
            yield name, properties["ResourcePolicy"]["PolicyDocument"]


def resource_actions(stack):
    """Each action in a resource's policy."""
    for name, policy in resource_policies(stack):
        for statement in policy["Statement"]:
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                yield name, action


def _exists(action):
    try:
        return bool(parliament.expand_action(action))
    except (parliament.UnknownActionException, parliament.UnknownPrefixException):
        return False


TOOLS = {"cfn-lint": cfn_lint, "parliament": check_policies, "checkov": checkov}
