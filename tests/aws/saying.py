"""Helpers to report, check and wait for a step."""

import time


class Failed(Exception):
    """A check failed."""


def say(what):
    """Prints a completed step or a fact."""
    print(f"  {what}", flush=True)


def part(title):
    """Starts a part of the test."""
    print(f"\n== {title}", flush=True)


def expect(wanted, found, what):
    """Compares the actual value with the expected one."""
    if wanted != found:
        raise Failed(f"{what}: wanted {wanted!r}, found {found!r}")


def until(condition, what, seconds=60):
    """Waits for a condition, and returns its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise Failed(f"not within {seconds} s: {what}")
