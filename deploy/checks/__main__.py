"""deploy/check: everything on the template; with --mutants, everything on its mutants."""

import argparse
import logging
import sys
import tempfile
import time
import warnings

from .source import ROOT

warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
logging.getLogger("samtranslator").setLevel(logging.ERROR)

from . import mutants, programs, rules, template, tools  # noqa: E402  (parliament warns when it is loaded)

TEMPLATE = ROOT / "deploy/template.yaml"


def complaints(text):
    """The name and the complaints of each check of a template."""
    try:
        expanded = template.expand(text)
        stacks = template.stacks(expanded)
        yield "our rules", list(rules.complaints(stacks))
    except template.Broken as error:
        yield "our rules", [str(error)]
        return
    for name in tools.TOOLS:
        yield name, ask(name, expanded, stacks)


def ask(name, expanded, stacks):
    """A tool's findings."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        template.dump(expanded, file.name)
        return list(tools.TOOLS[name](file.name, stacks))


def check(text):
    """Every check on the template; True if none complains."""
    sound = True
    for name, found in complaints(text):
        print(f"{name}: {'sound' if not found else ''}", *found, sep="\n  " if found else "")
        sound = sound and not found
    print(f"{len(rules.RULES)} rules of our own, {len(tools.TOOLS)} tools")
    return sound


def check_mutants(text):
    """Every mutant until the first check that notices; True if all are noticed. Complaints about
    the template itself do not count."""
    known = Known(text)
    survivors = 0
    for what, old, new in mutants.MUTANTS:
        if text.count(old) != 1:
            print(f"STALE    {what}: what it changes stands there {text.count(old)} times")
            survivors += 1
            continue
        noticed = next(
            ((name, complaint) for name, found in complaints(text.replace(old, new))
             for complaint in found if complaint not in known.to(name)), None
        )
        survivors += noticed is None
        print(f"noticed  {what}\n         {': '.join(noticed)}" if noticed else f"SURVIVED {what}")
    survivors += sum(not tool_notices(text, *pair) for pair in mutants.BY_TOOL.items())
    survivors += programs.check()
    print(f"{len(mutants.MUTANTS)} mutants, {survivors} survived")
    return survivors == 0


class Known:
    """The complaints about the template itself, by check. A check runs only when it is needed."""

    def __init__(self, text):
        self.rest, self.found = complaints(text), {}

    def to(self, name):
        """Its complaints."""
        while name not in self.found:
            asked, found = next(self.rest)
            self.found[asked] = set(found)
        return self.found[name]


def tool_notices(text, name, mutant):
    """Whether a tool notices a mutant by itself."""
    (change,) = [(old, new) for what, old, new in mutants.MUTANTS if what == mutant]
    expanded = template.expand(text.replace(*change))
    found = ask(name, expanded, template.stacks(expanded))
    print(f"{'noticed ' if found else 'SURVIVED'} {mutant}\n         {name}: {''.join(found[:1])}")
    return bool(found)


def main():
    """The command line."""
    parser = argparse.ArgumentParser(prog="deploy/check", description=__doc__)
    parser.add_argument("--mutants", action="store_true", help="break the template, and be noticed")
    arguments = parser.parse_args()
    start = time.monotonic()
    text = TEMPLATE.read_text(encoding="utf-8")
    sound = check_mutants(text) if arguments.mutants else check(text)
    print(f"{time.monotonic() - start:.0f} s")
    sys.exit(0 if sound else 1)


main()
