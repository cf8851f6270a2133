"""Runs the blocks of README.md and docs/*.md like a reader who pastes them.

Usage: tests/docs.py PATH_TO_ASSET_LEDGER [DOCUMENT…]

Every block of sh or python follows a mark, `<!-- run … -->` or `<!-- not run: WHY -->`; a block without
a mark is an error. The blocks of a document run in one shell and in one folder, one after the other,
beside a `serve` on ./data with one asset, which $api and $id name. Other marks:

  run: after COMMAND   a command to run before the block
  run: beside          the block starts the server for the following blocks, and ends an earlier one;
                       a document with such a block starts without a server
  run: as FILE         the block is the content of that file
  printed              a block of text is what the block before it prints; `…` is any text
  audit, check         marks of tests that run the block also against damaged files
"""

import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = pathlib.Path(sys.argv[1]).resolve()
BLOCK = re.compile(r"^```(sh|python|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MARK = re.compile(r"<!-- (not run: .+|run(?:: .+)?|printed|audit|check) -->\s*$")
# The API's address in the documents; this run uses another port.
ADDRESS = "127.0.0.1:8080"
LIMIT = 300  # seconds for a document's blocks

# Starts a server, and waits 30 s at most until it prints its address.
BESIDE = r"""
server=
end() { [ -z "$server" ] || { kill "$server" && wait "$server"; }; server=; }
trap end EXIT
beside() {
  end
  : >../greeting
  eval "exec $1" >../greeting 2>>../serve.log &
  server=$!
  for _ in $(seq 300); do
    address=$(sed -n 's|^API *http://\([^ /]*\).*|\1|p' ../greeting) api=http://$address
    [ -z "$address" ] || return 0
    kill -0 "$server" || { cat ../serve.log; return 1; }
    sleep 0.1
  done
  return 1
}
"""


def blocks(document):
    """The blocks of a document under their marks: (line, mark, language, text)."""
    text = document.read_text()
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        mark = MARK.search(text[: found.start()])
        if not mark and found.group(1) == "text":
            continue
        if not mark:
            name = document.relative_to(ROOT)
            sys.exit(f"{name}:{line}: no mark says whether this block is run: see tests/docs.py")
        yield line, mark.group(1), found.group(1), found.group(2)


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


def script_of(document, found):
    """The blocks as one script, and what some of its parts, by number, have to print."""
    own = any(mark == "run: beside" for _, mark, *_ in found)
    serve = "" if own else f"beside 'asset-ledger serve --data ./data'\n{CREATED}"
    parts, printed = [BESIDE + serve], {}
    for line, mark, language, text in found:
        file = re.fullmatch("run: as (.+)", mark)
        after = re.fullmatch("run: after (.+)", mark)
        if mark == "printed":
            printed[len(parts) - 1] = text
        elif mark == "run: beside":
            parts.append(f"beside {shlex.quote(text.strip())}\n")
        elif language == "python":
            file = file.group(1) if file else "check.py"
            parts.append(f"printf %s {shlex.quote(text)} >{shlex.quote(file)}\n")
        elif not mark.startswith("not run"):
            text = text.replace(ADDRESS, "$address")
            named = f"echo '-- {document.name}:{line}' >&2\n"
            parts.append(named + (f"{after.group(1)}\n" if after else "") + text)
    for number in printed:
        file = f"../printed.{number}"
        parts[number] = f"{{\n{parts[number]}}} >{file}\ncat {file}\n"
    return "".join(parts), printed


def run(document, folder):
    found = list(blocks(document))
    count = sum(not mark.startswith("not run") for _, mark, *_ in found)
    if not count:
        return 0
    work, environment = prepared(folder)
    script, printed = script_of(document, found)
    (folder / "script").write_text(script)
    command = ["bash", "-euo", "pipefail", folder / "script"]
    shell = subprocess.Popen(
        command, cwd=work, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        said, _ = shell.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        raise
    if shell.returncode:
        sys.exit(f"{said[-4000:]}\nFAILED: the block named last; exit {shell.returncode}")
    for number, expected in printed.items():
        actual = (folder / f"printed.{number}").read_text()
        pattern = re.escape(expected).replace("…", "[^\n]*")
        if not re.fullmatch(pattern, actual):
            sys.exit(f"FAILED: {document.name} shows\n{expected}and it prints\n{actual}")
    return count


def main():
    named = [pathlib.Path(name).resolve() for name in sys.argv[2:]]
    own = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
    for document in named or own:
        with tempfile.TemporaryDirectory() as folder:
            count = run(document, pathlib.Path(folder))
        print(f"{document.relative_to(ROOT)}: {count} blocks run")


main()
