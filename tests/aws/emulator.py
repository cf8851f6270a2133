"""The emulator: ministack on loopback, with TLS and with IAM enforced, in a process group of its own.

TLS, because the bucket refuses anything else; IAM, so that each function has only its own role.
"""

import datetime
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .saying import Failed, until

REGION = "eu-central-1"
ACCOUNT = "000000000000"
# The time limits in seconds for the emulator to start, and to stop.
START, END = 60, 10


class Emulator:
    """A running emulator; a context that removes all of it at its end."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.certificate = certificate(self.folder)
        self.endpoint = f"https://127.0.0.1:{free_port()}"
        self.session = boto3.Session("test", "test", region_name=REGION)
        self.process = None

    def client(self, service, session=None):
        """A client of a service, by default with every right."""
        session = session or self.session
        return session.client(
            service, endpoint_url=self.endpoint, verify=str(self.certificate)
        )

    def __enter__(self):
        log = open(self.folder / "emulator.log", "w", encoding="utf-8")
        self.process = subprocess.Popen(
            [Path(sys.executable).parent / "ministack"], env=self._environment(),
            stdout=log, stderr=subprocess.STDOUT, cwd=self.folder, start_new_session=True,
        )
        until(self._answers, "the emulator answers", START)
        return self

    def __exit__(self, *_):
        # The functions are its children, and would keep running.
        group = self.process.pid
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(group, number)
            except ProcessLookupError:
                break
            end = time.monotonic() + END
            while time.monotonic() < end and (self.process.poll() is None or members(group)):
                time.sleep(0.05)
        self.process.wait()
        if members(group):
            raise Failed(f"processes of the emulator live on: {members(group)}")

    def log(self):
        """The output of the emulator and the functions so far."""
        return (self.folder / "emulator.log").read_text(encoding="utf-8", errors="replace")

    def processes_of(self, function):
        """The processes that run a function now."""
        marked = f"AWS_LAMBDA_FUNCTION_NAME={function}".encode()
        return [pid for pid in members(self.process.pid) if marked in environment(pid)]

    def _answers(self):
        if self.process.poll() is not None:
            raise Failed(f"the emulator ended:\n{self.log()}")
        try:
            return self.client("s3").list_buckets()
        except BotoCoreError:
            return None

    def _environment(self):
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {
            **kept,
            "AUTH": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": self.endpoint,
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": self.endpoint.rsplit(":", 1)[1],
            "IOT_MTLS_ENABLED": "0",
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": REGION,
            "MINISTACK_SSL_CERT": str(self.certificate),
            "MINISTACK_SSL_KEY": str(self.folder / "key.pem"),
            "SFTP_ENABLED": "0",
            "SSL_CERT_FILE": str(self.certificate),
            "STATE_DIR": str(self.folder / "state"),
            "TMPDIR": str(self.folder),
            "USE_SSL": "1",
        }


def free_port():
    """A port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def members(group):
    """The live processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def environment(pid):
    """The environment that a process was started with, a list of `NAME=value`."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def certificate(folder):
    """Makes a certificate for 127.0.0.1, and the authority that signed it, in one file."""
    authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
             for name in ("tests of asset-ledger", "127.0.0.1")]
    root = _builder(names[0], names[0], authority).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    ).sign(authority, hashes.SHA256())
    leaf = _builder(names[1], names[0], server).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
    ).add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False
    ).add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    ).sign(authority, hashes.SHA256())
    path = folder / "certificate.pem"
    path.write_bytes(b"".join(c.public_bytes(serialization.Encoding.PEM) for c in (leaf, root)))
    (folder / "key.pem").write_bytes(server.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ))
    return path


def _builder(subject, issuer, key):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
