"""Each client uploads a file by a signed URL, with unsigned headers, and downloads it. S3 clients also
put, get, and request a missing object. Prints the observations of each.
"""

import base64
import hashlib
import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
import httpx
import minio
import requests

BYTES = b"who did what to this file \xf0\x9f\xa6\x80\n" * 4000
SHA256 = hashlib.sha256(BYTES).hexdigest()
# Headers that an uploader may add to a signed upload, without an effect on readers.
UNSIGNED = {
    "content-encoding": "gzip",
    "content-language": "de",
    "content-disposition": "inline",
    "cache-control": "public, max-age=31536000",
    "expires": "Fri, 01 Jan 2100 00:00:00 GMT",
}
NODE = """
const [url, headers, file, back] = JSON.parse(process.argv[1]);
const fs = require('fs');
(async () => {
  if (file) {
    const put = await fetch(url, {method: 'PUT', headers, body: fs.readFileSync(file)});
    if (!put.ok) throw new Error(put.status + await put.text());
  } else {
    const got = await fetch(url);
    fs.writeFileSync(back, Buffer.from(await got.arrayBuffer()));
    console.log(JSON.stringify(Object.fromEntries(got.headers)));
  }
})().catch(error => { console.error(error); process.exit(1); });
"""
PAGE = """<!doctype html><script>
const hex = bytes => [...new Uint8Array(bytes)].map(b => b.toString(16).padStart(2, '0')).join('');
(async () => {
  const api = %(api)s, bytes = Uint8Array.from(atob(%(bytes)s), c => c.charCodeAt(0));
  const asset = await (await fetch(api + '/asset', {method: 'POST', body: JSON.stringify(%(said)s),
    headers: {'content-type': 'application/json'}})).json();
  const put = await fetch(asset.upload.url, {method: 'PUT', body: bytes,
    headers: asset.upload.headers});
  const xhr = await new Promise(done => {
    // A script that sets a forbidden header is told so: nothing in `headers` may be one.
    const request = new XMLHttpRequest(); let set = 0;
    request.open('PUT', asset.upload.url);
    for (const name in asset.upload.headers) {
      request.setRequestHeader(name, asset.upload.headers[name]);
      set++;
    }
    request.onload = () => done([request.status, set]);
    request.onerror = () => done(['error', set]);
    request.send(bytes);
  });
  await fetch(api + '/asset/' + asset.id, {method: 'PUT'});
  const offer = await (await fetch(api + '/asset/' + asset.id)).json();
  const got = await fetch(offer.download_url);
  const sha256 = hex(await crypto.subtle.digest('SHA-256', await got.arrayBuffer()));
  const part = await fetch(offer.download_url, {headers: {range: 'bytes=0-9'}});
  await part.arrayBuffer();
  return {put: put.status, again: xhr[0], sha256, part: part.status,
    range: part.headers.get('content-range'), names: Object.keys(asset.upload.headers),
    headers: Object.fromEntries(got.headers)};
})().catch(error => ({error: String(error)})).then(told =>
  fetch('/told', {method: 'POST', body: JSON.stringify(told)}));
</script>"""


class Failed(Exception):
    """A client made an unexpected observation."""


def expect(expected, found, what):
    if expected != found:
        raise Failed(f"{what}: expected {expected!r}, found {found!r}")


def ran(*command, **more):
    done = subprocess.run(command, capture_output=True, timeout=60, **more)
    if done.returncode:
        said = (done.stdout + done.stderr).decode()
        raise Failed(f"{command[0]} {command[-1]}: {said[-700:]}")
    return done.stdout.decode()


class World:
    def __init__(self, program, folder):
        self.folder = pathlib.Path(folder)
        self.log = open(self.folder / "log", "wb")
        # The page's origin is another port of this machine, so it may call the API.
        self.process = subprocess.Popen(
            [program, "serve", "--data", self.folder / "data", "--listen", "127.0.0.1:0",
             "--s3-listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=self.log)
        first, second = (self.process.stdout.readline().decode() for _ in range(2))
        self.api, self.s3 = first.split()[1], second.split()[1]
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        found = next((self.folder / "data").rglob("credentials.json"))
        self.credentials = json.loads(found.read_text())
        self.file = self.folder / "file.bin"
        self.file.write_bytes(BYTES)
        self.back = self.folder / "back.bin"
        self.bucket = urlsplit(self.create()["upload_url"]).path.split("/")[1]

    def create(self, **said):
        said = {"filename": "file 🦀.bin", "content_type": "application/x-test",
                "size": len(BYTES), "sha256": SHA256, **said}
        answer = requests.post(self.api + "/asset", json=said)
        expect(201, answer.status_code, "POST /asset")
        return answer.json()

    def offer(self, asset):
        confirmed = requests.put(f"{self.api}/asset/{asset['id']}")
        expect(202, confirmed.status_code, "PUT /asset")
        return requests.get(f"{self.api}/asset/{asset['id']}").json()["download_url"]

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def curl_put(world, url, headers):
    told = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    ran("curl", "-sS", "--fail-with-body", "-X", "PUT", "--upload-file", world.file, *told, url)


def curl_get(world, url):
    head = ran("curl", "-sS", "--fail-with-body", "--compressed", "-D", "-", "-o", world.back, url)
    lines = (line.split(": ", 1) for line in head.split("\r\n") if ": " in line)
    return world.back.read_bytes(), {name.lower(): value for name, value in lines}


def requests_put(world, url, headers):
    expect(200, requests.put(url, data=BYTES, headers=headers).status_code, "PUT")


def requests_get(world, url):
    got = requests.get(url)
    return got.content, {name.lower(): value for name, value in got.headers.items()}


def httpx_put(world, url, headers):
    expect(200, httpx.put(url, content=BYTES, headers=headers).status_code, "PUT")


def httpx_get(world, url):
    got = httpx.get(url)
    return got.content, dict(got.headers)


def node_put(world, url, headers):
    ran("node", "-e", NODE, json.dumps([url, headers, str(world.file), None]))


def node_get(world, url):
    head = ran("node", "-e", NODE, json.dumps([url, {}, None, str(world.back)]))
    return world.back.read_bytes(), json.loads(head)


def signed(world, put, get):
    """A declared upload, with unsigned headers, and its download."""
    asset = world.create()
    upload = asset["upload"]
    expect(False, "content-length" in upload["headers"], "content-length to be set")
    put(world, upload["url"], {**upload["headers"], **UNSIGNED})
    content, headers = get(world, world.offer(asset))
    expect(SHA256, hashlib.sha256(content).hexdigest(), "the bytes that came back")
    expect("identity", headers["content-encoding"], "Content-Encoding")
    expect("private, must-revalidate", headers["cache-control"], "Cache-Control")
    expect("und", headers["content-language"], "Content-Language")
    expect(True, headers["content-disposition"].startswith("attachment"), "Content-Disposition")
    return f"{len(content)} bytes as declared; encoding {headers['content-encoding']}, " \
           f"cache {headers['cache-control']!r} until {headers['expires']}"


def chromium(world):
    told, came = [], threading.Event()
    said = {"content_type": "application/x-test", "size": len(BYTES), "sha256": SHA256}
    page = PAGE % {"api": json.dumps(world.api), "said": json.dumps(said),
                   "bytes": json.dumps(base64.b64encode(BYTES).decode())}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(page.encode())

        def do_POST(self):
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.answer(b"")
            came.set()

        def answer(self, body):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser = subprocess.Popen(
        ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", f"--user-data-dir={world.folder / 'chromium'}",
         f"http://localhost:{server.server_port}/"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        if not came.wait(90):
            raise Failed("Chromium told nothing")
    finally:
        browser.terminate()
        browser.wait(30)
        server.shutdown()
    found = told[0]
    expect(None, found.get("error"), "an error")
    expect((200, 412, SHA256), (found["put"], found["again"], found["sha256"]), "the page")
    expect((206, f"bytes 0-9/{len(BYTES)}"), (found["part"], found["range"]), "a range")
    for name in ["accept-ranges", "content-disposition", "content-encoding", "etag",
                 "x-amz-checksum-sha256", "x-amz-version-id"]:
        expect(True, name in found["headers"], f"{name} shown to the page")
    return f"{len(BYTES)} bytes as declared; told to set {found['names']}, sees " \
           f"{sorted(found['headers'])}; again 412, a range 206 {found['range']}"


def boto(world):
    s3 = boto3.client("s3", endpoint_url=world.s3, region_name="us-east-1",
                      aws_access_key_id=world.credentials["access_key"],
                      aws_secret_access_key=world.credentials["secret_key"])
    s3.put_object(Bucket=world.bucket, Key="boto", Body=BYTES)
    expect(BYTES, s3.get_object(Bucket=world.bucket, Key="boto")["Body"].read(), "the bytes")
    part = s3.get_object(Bucket=world.bucket, Key="boto", Range="bytes=0-2")
    expect(f"bytes 0-2/{len(BYTES)}", part["ContentRange"], "a range")
    codes = []
    for call in [
        lambda: s3.get_object(Bucket=world.bucket, Key="none"),
        lambda: s3.get_object(Bucket=world.bucket, Key="boto", Range="bytes=9999999-"),
        lambda: s3.get_object(Bucket=world.bucket, Key="boto", IfNoneMatch=part["ETag"]),
        lambda: boto3.client("s3", endpoint_url=world.s3, region_name="us-east-1",
                             aws_access_key_id="AKIANONE", aws_secret_access_key="x"
                             ).head_object(Bucket=world.bucket, Key="boto"),
        lambda: boto3.client("s3", endpoint_url=world.s3, region_name="us-east-1",
                             aws_access_key_id=world.credentials["access_key"],
                             aws_secret_access_key="x").get_object(Bucket=world.bucket, Key="boto"),
    ]:
        try:
            call()
            codes.append("no error")
        except botocore.exceptions.ClientError as error:
            codes.append(error.response["Error"]["Code"])
    expect(["NoSuchKey", "InvalidRange", "304", "403", "SignatureDoesNotMatch"], codes, "the codes")
    return f"put, get, range; {', '.join(codes)}"


def environment(world):
    # rclone accepts no bundle of certificates, and needs none here.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, "AWS_ACCESS_KEY_ID": world.credentials["access_key"],
            "AWS_SECRET_ACCESS_KEY": world.credentials["secret_key"],
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


def aws_cli(world):
    aws = [sys.executable, "-m", "awscli", "--endpoint-url", world.s3]
    ran(*aws, "s3", "cp", "--quiet", world.file, f"s3://{world.bucket}/aws", env=environment(world))
    ran(*aws, "s3", "cp", "--quiet", f"s3://{world.bucket}/aws", world.back, env=environment(world))
    expect(BYTES, world.back.read_bytes(), "the bytes")
    listed = ran(*aws, "s3api", "list-object-versions", "--bucket", world.bucket, "--prefix", "aws",
                 env=environment(world))
    expect("aws", json.loads(listed)["Versions"][0]["Key"], "the list")
    return "s3 cp there and back, s3api list-object-versions"


def minio_py(world):
    client = minio.Minio(endpoint=re.sub("^http://", "", world.s3), secure=False,
                         region="us-east-1", access_key=world.credentials["access_key"],
                         secret_key=world.credentials["secret_key"])
    client.fput_object(bucket_name=world.bucket, object_name="minio", file_path=str(world.file))
    client.fget_object(bucket_name=world.bucket, object_name="minio", file_path=str(world.back))
    expect(BYTES, world.back.read_bytes(), "the bytes")
    try:
        client.stat_object(bucket_name=world.bucket, object_name="none")
        raise Failed("an object that is not there was found")
    except minio.error.S3Error as error:
        expect("NoSuchKey", error.code, "the code")
    return "fput_object, fget_object; NoSuchKey"


def s3cmd(world):
    host = re.sub("^http://", "", world.s3)
    command = [sys.executable, pathlib.Path(sys.executable).parent / "s3cmd", "-c", os.devnull,
               "--no-ssl", "--host", host, "--host-bucket", host, "--region", "us-east-1",
               "--access_key", world.credentials["access_key"],
               "--secret_key", world.credentials["secret_key"], "--quiet"]
    ran(*command, "--no-mime-magic", "get", "--force", f"s3://{world.bucket}/boto", world.back)
    expect(BYTES, world.back.read_bytes(), "the bytes")
    return "get"


def rclone(world):
    remote = f":s3,provider=Other,endpoint='{world.s3}',region=us-east-1:{world.bucket}/rclone"
    options = ["--s3-env-auth", "--s3-no-check-bucket", "--config", os.devnull, "--retries", "1"]
    ran("rclone", "copyto", world.file, remote, *options, env=environment(world))
    ran("rclone", "copyto", remote, world.back, *options, env=environment(world))
    expect(BYTES, world.back.read_bytes(), "the bytes")
    return "copyto there and back"


def main():
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        world = World(sys.argv[1], folder)
        try:
            for name, walk in [
                ("curl --compressed", lambda: signed(world, curl_put, curl_get)),
                ("requests", lambda: signed(world, requests_put, requests_get)),
                ("httpx", lambda: signed(world, httpx_put, httpx_get)),
                ("node fetch", lambda: signed(world, node_put, node_get)),
                ("Chromium", lambda: chromium(world)),
                ("boto3", lambda: boto(world)),
                ("aws-cli", lambda: aws_cli(world)),
                ("minio-py", lambda: minio_py(world)),
                ("s3cmd", lambda: s3cmd(world)),
                ("rclone", lambda: rclone(world)),
            ]:
                world.back.unlink(missing_ok=True)
                start = time.monotonic()
                try:
                    told = walk()
                except Exception as error:  # after any error, the other clients run too
                    failures += 1
                    told = f"FAILED: {type(error).__name__}: {error}"
                print(f"{name:18} {time.monotonic() - start:5.1f} s  {told}", flush=True)
        finally:
            world.stop()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
