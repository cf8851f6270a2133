"""Runs the blocks of README.md and docs/*.md like a reader who pastes them.

Usage: tests/docs.py PATH_TO_ASSET_LEDGER [DOCUMENT…]

Every block of sh or python follows a mark, `<!-- run … -->` or `<!-- not run: WHY -->`; a block without
a mark is an error. The blocks of a document run in one shell and in one folder, one after the other,
beside a `serve` on ./data with one asset, which $api and $id name. Other marks:

  run: after COMMAND   a command to run before the block
  run: beside          the block starts the server for the following blocks
  run: as FILE         the block is the content of that file
  audit, check         marks of tests that run the block also against damaged files
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = pathlib.Path(sys.argv[1]).resolve()
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MARK = re.compile(r"<!-- (not run: .+|run(?:: .+)?|audit|check) -->\s*$")
# The API's address in the documents; this run uses another port.
ADDRESS = "127.0.0.1:8080"
PATIENCE = 30  # seconds for a server to print its address
LIMIT = 300  # seconds for a document's blocks


def blocks(document):
    """The blocks of a document under their marks: (line, mark, language, text)."""
    text = document.read_text()
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        mark = MARK.search(text[: found.start()])
        if not mark:
            name = document.relative_to(ROOT)
            sys.exit(f"{name}:{line}: no mark says whether this block is run: see tests/docs.py")
        yield line, mark.group(1), found.group(1), found.group(2)


class Server:
    """A `serve`, started by a document's command."""

    def __init__(self, command, folder, environment):
        self.log = open(folder.parent / "serve.log", "ab")
        self.process = subprocess.Popen(
            ["bash", "-c", "exec " + command.strip()], cwd=folder, env=environment,
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        deadline = time.monotonic() + PATIENCE
        greeting = self.process.stdout.readline()
        while not greeting.startswith("API") and time.monotonic() < deadline:
            assert self.process.poll() is None, f"it ended: {command}"
            greeting = self.process.stdout.readline()
        self.address = re.search(r"http://(\S+)", greeting).group(1)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=PATIENCE)
        self.log.close()


def prepared(folder):
    """A folder for a document, and the environment of its blocks."""
    tools, work = folder / "bin", folder / "work"
    tools.mkdir()
    work.mkdir()
    for name, body in {
        "asset-ledger": f'exec "{PROGRAM}" "$@"',
        "cargo": f'[ "$1 $2 $3" = "run --release --" ] && shift 3 && exec "{PROGRAM}" "$@"',
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)
    (work / "photo.jpg").write_bytes(b"who did what to this file\n")
    environment = {
        "PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(folder), "LC_ALL": "C.UTF-8",
        "ASSET_LEDGER_LISTEN": "127.0.0.1:0", "ASSET_LEDGER_S3_LISTEN": "127.0.0.1:0",
    }
    return work, environment


CREATED = """
created=$(curl -fsS -X POST $api/asset) id=$(jq -r .id <<<"$created")
curl -fsS -X PUT --upload-file photo.jpg "$(jq -r .upload_url <<<"$created")"
curl -fsS -X PUT -o /dev/null $api/asset/$id
"""


def run(document, folder):
    found = list(blocks(document))
    if all(mark.startswith("not run") for _, mark, *_ in found):
        return 0
    work, environment = prepared(folder)
    server, script, count = None, "", 0
    own = any(mark == "run: beside" for _, mark, *_ in found)
    try:
        if not own:
            server = Server("asset-ledger serve --data ./data", work, environment)
            script = f"api=http://{server.address}\n{CREATED}"
        for line, mark, language, text in found:
            if mark.startswith("not run"):
                continue
            count += 1
            if mark == "run: beside":
                server = Server(text, work, environment)
                script += f"api=http://{server.address}\n"
                continue
            file = re.fullmatch("run: as (.+)", mark)
            if language == "python":
                (work / (file.group(1) if file else "check.py")).write_text(text)
                continue
            after = re.fullmatch("run: after (.+)", mark)
            script += f"echo '-- {document.name}:{line}' >&2\n"
            script += f"{after.group(1)}\n" if after else ""
            script += text.replace(ADDRESS, server.address)
        (folder / "script").write_text(script)
        command = ["bash", "-euo", "pipefail", folder / "script"]
        done = subprocess.run(command, cwd=work, env=environment, timeout=LIMIT, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            sys.exit(f"{done.stdout[-4000:]}\nFAILED: the block named last; exit {done.returncode}")
    finally:
        if server:
            server.stop()
    return count


def main():
    named = [pathlib.Path(name).resolve() for name in sys.argv[2:]]
    own = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
    for document in named or own:
        with tempfile.TemporaryDirectory() as folder:
            count = run(document, pathlib.Path(folder))
        print(f"{document.relative_to(ROOT)}: {count} blocks run")


main()
