"""Runs the Python script of docs/AUDIT.md against real exports and damaged ones.

Usage: tests/auditor.py PATH_TO_ASSET_LEDGER DATA_FOLDER
"""

import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM, DATA = sys.argv[1:]
# The interval of flipped bytes: a few hundred runs of the script.
STEPS = {"events/000001.jsonl": 29, "heads.jsonl": 3}


def documented():
    text = (ROOT / "docs/AUDIT.md").read_text()
    block = re.search(r"<!-- check -->\s*```python\n(.*?)```", text, re.DOTALL)
    lines = block.group(1)
    assert len(lines.splitlines()) <= 10, "ten lines, not more"
    return lines


def export(folder, name, *flags):
    out = folder / name
    command = [PROGRAM, "export", "--data", DATA, "--out", out, *flags]
    subprocess.run(command, check=True, capture_output=True)
    return out


def checked(folder, out):
    run = [sys.executable, folder / "check.py", out]
    done = subprocess.run(run, capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def damaged(whole, step):
    for at in range(0, len(whole), step):
        yield f"the byte at {at} flipped", whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    yield "another tenant", whole.replace(b"main", b"makn", 1)


def main(folder):
    (folder / "check.py").write_text(documented())
    sizes = set()
    for name, flags in {"plain": [], "packed": ["--gzip"], "each": ["--per", "asset"]}.items():
        whole, told = checked(folder, export(folder, name, *flags))
        assert whole and told.startswith("whole: "), f"{name}: {told}"
        sizes.add(told)
    assert len(sizes) == 1, sizes
    whole, told = checked(folder, export(folder, "none", "--actor", "nobody"))
    assert whole and told == "whole: 0 assets, 0 events\n", told
    count = 0
    for name, step in STEPS.items():
        file = folder / "plain" / name
        good = file.read_bytes()
        for what, bad in damaged(good, step):
            file.write_bytes(bad)
            whole, told = checked(folder, folder / "plain")
            assert not whole and ".jsonl" in told, f"{what} in {name}: {told}"
            count += 1
        file.write_bytes(good)
    print(f"the documented lines: {sizes.pop().strip()}; {count} damages, each found")


with tempfile.TemporaryDirectory() as temporary:
    main(pathlib.Path(temporary))
