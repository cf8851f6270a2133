"""tests/aws/run: deploys the stack, tests it end to end, and injects faults."""

import shutil
import sys
import tempfile
import time
import traceback

from . import keys, life, listed, pages, suites, trouble
from .caller import user
from .emulator import ACCOUNT, Emulator
from .saying import part, say
from .stack import Stack
from .tokens import AUDIENCE, Issuer, walk


def run(emulator):
    """Everything, in order."""
    part("deploy")
    stack = Stack(emulator, "ledger").deploy()
    stack.outputs["Account"] = ACCOUNT
    say(f"the template is deployed: {len(stack.resources())} resources")
    recorder, alice = trouble.Recorder(stack), user(stack, "alice")
    life.walk(stack, alice)
    trouble.stir(stack, alice, recorder)
    issuer = Issuer()
    tokens = Stack(emulator, "tokens").deploy(
        Auth="jwt", JwtIssuer=issuer.url, JwtAudience=AUDIENCE, AllowedOrigins=pages.ORIGIN
    )
    walk(tokens, issuer)
    pages.walk(tokens)
    keys.walk(Stack(emulator, "keys").deploy(**keys.trusting(issuer)), issuer)
    listed.walk(Stack(emulator, "listed").deploy(**listed.parameters()))
    suites.run(emulator)


def main():
    """Runs it in a folder of its own; prints the log after a failure, and keeps it on request."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        emulator = Emulator(folder)
        try:
            with emulator:
                run(emulator)
        except Exception:  # for any error, the log has the details
            print(f"\nThe end of the emulator's log:\n{emulator.log()[-6000:]}\n", flush=True)
            traceback.print_exc()
            sys.exit(1)
        finally:
            if len(sys.argv) > 1:
                shutil.copy(f"{folder}/emulator.log", sys.argv[1])
    print(f"\n1 passed, 0 failed, in {time.monotonic() - start:.0f} s")


main()
