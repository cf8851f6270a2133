"""How a step is told, checked and waited for."""

import time


class Failed(Exception):
    """Something is not as it must be."""


def say(what):
    """Tells what was done, or holds."""
    print(f"  {what}", flush=True)


def part(title):
    """Begins a part of the walk."""
    print(f"\n== {title}", flush=True)


def expect(wanted, found, what):
    """What was found must be what was wanted."""
    if wanted != found:
        raise Failed(f"{what}: wanted {wanted!r}, found {found!r}")


def until(condition, what, seconds=60):
    """Waits for a condition to hold, and gives what it gave."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise Failed(f"not within {seconds} s: {what}")
