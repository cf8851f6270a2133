"""Checks deploy/built with programs that are only headers: each that would not start is noticed."""

import subprocess
import tempfile
from pathlib import Path

from .source import ROOT

FUNCTIONS = ["api", "projector", "bucket", "audit"]
ARM64, X86_64 = 183, 62
LOADERS = {ARM64: b"/lib/ld-linux-aarch64.so.1", X86_64: b"/lib64/ld-linux-x86-64.so.2"}


def program(machine, *texts):
    """The begin of a program in ELF, of 64 bits, and texts in it."""
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + (3).to_bytes(2, "little")
    return b"\0".join([header + machine.to_bytes(2, "little"), *texts])


def linked(machine, library=b"GLIBC_2.34"):
    """A program that needs this C library."""
    return program(machine, LOADERS[machine], b"GLIBC_2.17", library)


# What is built, for what, and whether it starts there.
CASES = [
    ("programs for arm64", linked(ARM64), "arm64", True),
    ("programs for x86_64", linked(X86_64), "x86_64", True),
    ("programs without a C library", program(ARM64), "arm64", True),
    ("programs for another processor", linked(X86_64), "arm64", False),
    ("programs for the other processor", linked(ARM64), "x86_64", False),
    ("a C library that is not there yet", linked(ARM64, b"GLIBC_2.35"), "arm64", False),
    ("a loader that is not there", program(ARM64, b"/lib/ld-musl-aarch64.so.1"), "arm64", False),
    ("scripts", b"#!/bin/sh\nexit 0\n", "arm64", False),
    ("nothing", None, "arm64", False),
]


def starts(content, architecture):
    """The verdict on three sound programs and this one."""
    with tempfile.TemporaryDirectory() as folder:
        for name in FUNCTIONS:
            sound = linked(ARM64 if architecture == "arm64" else X86_64)
            given = content if name == FUNCTIONS[-1] else sound
            path = Path(folder, name, "bootstrap")
            path.parent.mkdir()
            if given is not None:
                path.write_bytes(given)
                path.chmod(0o755)
        done = subprocess.run([ROOT / "deploy/built", architecture, folder],
                              capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stderr.strip()


def check():
    """The number of wrong verdicts."""
    wrong = 0
    for what, content, architecture, sound in CASES:
        verdict, said = starts(content, architecture)
        wrong += verdict != sound
        print(f"{'noticed ' if verdict == sound else 'WRONG   '} {what}: {said or 'sound'}")
    return wrong
