#!/usr/bin/env bash
# The walk of the original service with plain curl against `serve`, and the audit of what it left
# with sha256sum and jq alone, and with the Python of docs/AUDIT.md: what readers are told to type, typed.
# Usage: tests/walk.sh PATH_TO_ASSET_LEDGER
set -euo pipefail

program=$1
folder=$(mktemp -d)
touch "$folder/out" # read below, perhaps before the program that writes it has started
"$program" serve --data "$folder/data" --listen 127.0.0.1:0 --s3-listen 127.0.0.1:0 \
    >"$folder/out" 2>"$folder/log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT

fail() { printf 'FAILED: %s\n' "$1" >&2; cat "$folder/log" >&2; exit 1; }

for _ in $(seq 100); do
    api=$(sed -n 's/^API *\([^ ]*\).*/\1/p' "$folder/out")
    [ -n "$api" ] && break
    kill -0 "$server" 2>/dev/null || fail "serve ended"
    sleep 0.1
done
[ -n "$api" ] || fail "serve printed no address"

# call METHOD PATH EXPECTED_STATUS [curl arguments…]: the body is left in $body.
call() {
    local method=$1 path=$2 expected=$3 status
    shift 3
    status=$(curl -sS -o "$folder/body" -w '%{http_code}' -X "$method" "$@" "$api$path")
    body=$(cat "$folder/body")
    printf '%-6s %-50s %s\n' "$method" "$path" "$status"
    [ "$status" = "$expected" ] || fail "$method $path: expected $expected, got $status: $body"
}

is() { # is JQ_FILTER: holds of the last body
    jq -e "$1" <<<"$body" >/dev/null || fail "not so: $1 in $body"
}

printf 'who did what to this file\n' >"$folder/file.txt"

call POST /asset 201
is '.id and .upload_url'
id=$(jq -r .id <<<"$body")
curl -sS --fail -X PUT --upload-file "$folder/file.txt" "$(jq -r .upload_url <<<"$body")"

call PUT "/asset/$id" 202
is '.status == "UPLOADED"'

call GET "/asset/$id" 202
curl -sS --fail -o "$folder/back" "$(jq -r .download_url <<<"$body")"
cmp "$folder/file.txt" "$folder/back" || fail "other bytes came back"

call GET /asset 200
is ".items[0] | .asset_id == \"$id\" and .state == \"UPLOADED\" and .createdAt and .updatedAt"

call GET "/asset/$id?timeout=0" 400
call DELETE "/asset/$id" 204
call DELETE "/asset/$id" 204
call GET "/asset/$id" 403
is ".error_message == \"Unable to download: Asset $id is marked as DELETED, must be marked UPLOADED to retrieve.\""
call PUT "/asset/$id" 412
is ".error_message == \"ASSET $id state incorrect: State: \\\"DELETED\\\" must be one of ['RECEIVED', 'UPLOADED']\""
call GET /asset/nobody 404
is '.error_message == "ASSET nobody not found"'
call GET /asset/nobody 200 -H 'X-Legacy-Envelope: 1'
is '.statusCode == 404 and .body.error_message == "ASSET nobody not found"'

curl -sS --fail -H 'Accept: application/jsonl' "$api/asset/$id/history" >"$folder/h.jsonl"

# The loop of the README, between its two marks, as a reader would paste it.
loop=$(sed -n '/<!-- audit -->/,/<!-- \/audit -->/p' "$(dirname "$0")/../README.md" | sed '/^<!--\|^```/d')
[ -n "$loop" ] || fail "the README has no audit loop"
audit() { (cd "$folder" && bash -c "$loop"); }

audit | tee "$folder/verdict"
grep -q '^whole: 4 events' "$folder/verdict" || fail "a good history was not found whole"
cp "$folder/h.jsonl" "$folder/good.jsonl"
refused() { # refused WHAT: what lies in h.jsonl is not called whole
    if audit >"$folder/verdict" 2>&1; then fail "the loop calls whole: $1"; fi
    ! grep -q '^whole' "$folder/verdict" || fail "the loop says whole: $1"
}
: >"$folder/h.jsonl" && refused "nothing"
rm "$folder/h.jsonl" && refused "no file"
for path in /asset/nobody/history "/asset/$id/nothing"; do
    curl -sS -H 'Accept: application/jsonl' "$api$path" >"$folder/h.jsonl"
    refused "a body of an error: $(cat "$folder/h.jsonl")"
    printf '\n' >>"$folder/h.jsonl" && refused "the same with a line feed"
done
printf '{"error_message":"a store is away; try again later"}' >"$folder/h.jsonl" && refused "a 503"
head -c -1 "$folder/good.jsonl" >"$folder/h.jsonl" && refused "no last line feed"
head -c -9 "$folder/good.jsonl" >"$folder/h.jsonl" && refused "a cut last line"
(cat "$folder/good.jsonl" && printf '{"version":5') >"$folder/h.jsonl" && refused "an unterminated tail"
(cat "$folder/good.jsonl" && printf '\0\n') >"$folder/h.jsonl" && refused "a NUL"
sed '2s/,/,\x00/' "$folder/good.jsonl" >"$folder/h.jsonl" && refused "a NUL in an event"
sed 1d "$folder/good.jsonl" >"$folder/h.jsonl" && refused "the first event is missing"
sed 3d "$folder/good.jsonl" >"$folder/h.jsonl" && refused "an event is missing"
sed 2p "$folder/good.jsonl" >"$folder/h.jsonl" && refused "an event is there twice"
(sed -n 2p "$folder/good.jsonl" && sed 2d "$folder/good.jsonl") >"$folder/h.jsonl" && refused "swapped"
for line in 1 2 3; do # one byte of each event but the last, which nothing follows
    sed "${line}s/anonymous/anonymouz/;${line}s/s3.amazonaws/s3.amazonawz/" "$folder/good.jsonl" >"$folder/h.jsonl"
    cmp -s "$folder/good.jsonl" "$folder/h.jsonl" && fail "line $line was not changed"
    refused "a changed line $line"
done

node "$(dirname "$0")/upload.mjs" "$api" || fail "the JavaScript of docs/UPLOAD.md"

for _ in 1 2; do call POST /asset 201; done # more than one to export
kill -TERM "$server"
wait "$server" || fail "serve did not end in good order"
python3 "$(dirname "$0")/auditor.py" "$program" "$folder/data"
printf '1 passed, 0 failed\n'
