//! `asset-ledger verify` as a person or a script uses it: on a folder, during a running `serve`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::Method;
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use crate::server::{ServeProcess, program};

/// A folder with some assets, after `serve` has ended.
struct Left {
    _folder: TempDir,
    data: PathBuf,
    /// Announced; uploaded and confirmed; the same and purged.
    announced: String,
    uploaded: String,
    purged: String,
}

/// The output of `verify` by line, and its exit code.
struct Said {
    code: i32,
    lines: Vec<Value>,
    errors: String,
}

fn verify(data: &Path, more: &[&str]) -> Said {
    let mut verify = program();
    verify.args(["verify", "--json", "--patience", "1", "--data"]).arg(data).args(more);
    let output = verify.output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let lines = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let errors = String::from_utf8(output.stderr).unwrap();
    Said { code: output.status.code().unwrap(), lines, errors }
}

impl Said {
    /// The kinds and the assets of the findings.
    fn findings(&self) -> Vec<(&str, &str)> {
        let text = |line: &'static str, of: &Value| of[line].as_str().map(str::len);
        let findings = self.lines.iter().filter(|line| text("kind", line).is_some());
        findings
            .map(|line| {
                let asset = line["asset"].as_str().unwrap();
                (line["kind"].as_str().unwrap(), asset.trim_start_matches("main#"))
            })
            .collect()
    }

    fn repairs(&self) -> Vec<&str> {
        self.lines.iter().filter_map(|line| line["repair"].as_str()).collect()
    }
}

async fn upload(server: &ServeProcess, bytes: &'static str) -> String {
    let id = server.upload(bytes).await;
    let confirmed = server.request(Method::PUT, &format!("/asset/{id}")).send().await.unwrap();
    assert_eq!(confirmed.status(), 202);
    id
}

async fn left() -> Left {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = ServeProcess::start(&data);
    let announced = server.create().await["id"].as_str().unwrap().to_owned();
    let uploaded = upload(&server, "hello world").await;
    let purged = upload(&server, "hello world").await;
    let path = format!("/asset/{purged}");
    for (method, path) in [(Method::DELETE, path.clone()), (Method::POST, format!("{path}/purge"))]
    {
        assert!(server.request(method, &path).send().await.unwrap().status().is_success());
    }
    let clean = verify(&data, &["--objects=deep"]);
    assert_eq!((clean.code, clean.findings()), (0, vec![]), "{}", clean.errors);
    assert_eq!(clean.lines[0]["checked"]["assets"], 3);
    assert_eq!(clean.lines[0]["whole"], true);
    server.kill();
    Left { _folder: folder, data, announced, uploaded, purged }
}

impl Left {
    fn open(&self, file: &str) -> Connection {
        Connection::open(self.data.join(file)).unwrap()
    }

    fn journal(&self) -> Connection {
        let journal = self.open("journal.sqlite");
        journal.execute_batch("DROP TRIGGER events_are_never_changed").unwrap();
        journal
    }

    /// The file of the uploaded asset's bytes.
    fn bytes(&self) -> PathBuf {
        let version: String = self
            .open("s3/objects.sqlite")
            .query_row("SELECT version_id FROM versions WHERE key LIKE ?1", [self.like()], |row| {
                row.get(0)
            })
            .unwrap();
        self.data.join("s3/objects").join(version)
    }

    fn like(&self) -> String {
        format!("main/{}", self.uploaded)
    }

    /// Bytes under a key, without notification.
    fn plant(&self, key: &str, version: &str) {
        fs::copy(self.bytes(), self.data.join("s3/objects").join(version)).unwrap();
        let plant = "INSERT INTO versions \
                     (change, key, version_id, at, size, sha256, md5, headers) \
                     SELECT (SELECT max(change) + 1 FROM versions), ?1, ?2, \
                     at, size, sha256, md5, headers FROM versions WHERE key = ?3";
        let planted = self.open("s3/objects.sqlite").execute(plant, [key, version, &self.like()]);
        assert_eq!(planted, Ok(1));
    }
}

#[tokio::test]
async fn verify_names_what_was_done_and_mends_rows_only() {
    let left = left().await;
    let id = left.uploaded.as_str();
    let edit = "UPDATE events SET body = replace(body, 'anonymous', 'mallory') \
                WHERE pk = 'main#' || ?1 AND sk = 1";
    assert_eq!(left.journal().execute(edit, [id]), Ok(1));
    let rows = left.open("views.sqlite");
    rows.execute("UPDATE assets SET filename = 'x' WHERE sk = ?1", [&left.announced]).unwrap();

    let (edited, altered) = (("edited", id), ("row-altered", left.announced.as_str()));
    let mut found = verify(&left.data, &[]);
    found.lines.sort_by_key(|line| line["kind"].as_str().map(str::to_owned));
    assert_eq!((found.code, found.findings()), (1, vec![edited, altered]));
    let finding = found.lines.iter().find(|line| line["kind"] == "edited").unwrap();
    assert_eq!((&finding["version"], finding["found"].as_str().unwrap().len()), (&1.into(), 64));

    let mended = verify(&left.data, &["--repair"]);
    assert_eq!(mended.code, 1);
    assert_eq!(mended.repairs(), ["the row was written again from its events"]);
    assert_eq!(verify(&left.data, &[]).findings(), [edited]);

    let table = program().args(["verify", "--data"]).arg(&left.data).output().unwrap();
    assert_eq!(table.status.code(), Some(1));
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("edited") && table.contains("1 finding"), "{table}");
}

#[tokio::test]
async fn verify_finds_other_bytes_by_their_number_or_by_reading_them() {
    let left = left().await;
    let file = left.bytes();
    fs::write(&file, "hello w0rld").unwrap();
    assert_eq!(verify(&left.data, &["--objects"]).code, 0, "the bucket does not know either");
    let altered = [("object-altered", left.uploaded.as_str())];
    assert_eq!(verify(&left.data, &["--objects=deep"]).findings(), altered);
    fs::write(&file, "hello").unwrap();
    assert_eq!(verify(&left.data, &["--objects"]).findings(), altered);
    let told = verify(&left.data, &["--objects"]).lines[0]["says"].to_string();
    assert!(told.contains("has 11 bytes, and on disk there are 5"), "{told}");
}

#[tokio::test]
async fn bytes_that_the_bucket_lists_and_has_not_are_missing_and_never_recorded_as_purged() {
    let left = left().await;
    let (file, away) = (left.bytes(), left.data.join("away"));
    fs::rename(&file, &away).unwrap();
    let missing = [("object-missing", left.uploaded.as_str())];
    for how in ["--objects", "--objects=deep"] {
        assert_eq!(verify(&left.data, &[how]).findings(), missing);
    }
    let said = verify(&left.data, &["--objects", "--repair", "--accept-missing"]);
    assert_eq!(said.repairs(), ["nothing: the bucket lists it still; bring its bytes back"]);
    fs::rename(&away, &file).unwrap();
    assert_eq!(verify(&left.data, &["--objects=deep"]).findings(), []);
}

#[tokio::test]
async fn verify_looks_again_where_the_bucket_shows_what_nobody_recorded() {
    let left = left().await;
    left.plant(&format!("main/{}", left.announced), "lost");
    left.plant(&format!("main/{}", left.purged), "back");
    left.plant("main/readme.txt", "stray");
    let sorted = |said: &Said| {
        let mut found: Vec<_> =
            said.findings().iter().map(|f| format!("{} {}", f.0, f.1)).collect();
        found.sort();
        found
    };
    let expected = [
        format!("object-present {}", left.purged),
        "object-stray main/readme.txt".to_owned(),
        format!("object-unrecorded {}", left.announced),
    ];
    assert_eq!(sorted(&verify(&left.data, &["--objects"])), expected);
    let mut mended = verify(&left.data, &["--objects", "--repair"]);
    mended.lines.sort_by_key(|line| line["repair"].as_str().map(str::to_owned));
    assert_eq!(
        mended.repairs(),
        ["looked at it: 0 events recorded, 1 version destroyed", "looked at it: 1 event recorded",]
    );
    // Its row lacks the event until it is projected: by `serve` or by a second repair.
    let mut again = verify(&left.data, &["--objects", "--repair"]);
    again.lines.sort_by_key(|line| line["kind"].as_str().map(str::to_owned));
    let stray = ("object-stray", "main/readme.txt");
    assert_eq!(again.findings(), [stray, ("row-stale", left.announced.as_str())]);
    assert_eq!(verify(&left.data, &["--objects"]).findings(), [stray]);
    let mut history = program();
    history.args(["history", &left.announced, "--format", "jsonl", "--data"]).arg(&left.data);
    let history = String::from_utf8(history.output().unwrap().stdout).unwrap();
    assert!(history.lines().nth(1).unwrap().contains(r#""source":"reconcile""#), "{history}");
}

#[tokio::test]
async fn what_is_gone_is_recorded_only_by_who_says_so() {
    let left = left().await;
    let gone = "DELETE FROM versions WHERE key = ?1";
    assert_eq!(left.open("s3/objects.sqlite").execute(gone, [left.like()]), Ok(1));
    let kept = verify(&left.data, &["--objects", "--repair"]);
    let mut found = kept.findings();
    found.sort_unstable();
    assert_eq!(
        (kept.code, found.len(), found[0]),
        (1, 2, ("object-missing", left.uploaded.as_str()))
    );
    assert_eq!(found[1].0, "object-stray", "its bytes are still there");
    assert!(kept.repairs().iter().any(|it| it.contains("--accept-missing")), "{:?}", kept.lines);
    let said = verify(&left.data, &["--objects", "--repair", "--accept-missing"]);
    assert!(said.repairs().contains(&"looked at it: 1 event recorded"), "{:?}", said.lines);
    let mended = verify(&left.data, &["--objects", "--repair"]);
    assert!(mended.findings().iter().any(|it| it.0 == "row-altered"), "{:?}", mended.lines);
    let left_over = verify(&left.data, &["--objects"]);
    assert_eq!(left_over.findings().iter().map(|it| it.0).collect::<Vec<_>>(), ["object-stray"]);
}

#[tokio::test]
async fn what_was_set_aside_is_taken_up_let_go_or_left_and_that_is_said() {
    let left = left().await;
    let rows = left.open("views.sqlite");
    let park = |id: &str, version: u64| {
        let park = "INSERT INTO parked (pk, sk, version, error, at) \
             VALUES ('main', ?1, ?2, 'why', '2026-11-25T07:00:00.000000Z')";
        assert_eq!(rows.execute(park, (id, version)), Ok(1));
    };
    let unknown = "019aaf6b-5a00-7123-8456-0123456789ab";
    rows.execute("DELETE FROM assets WHERE sk = ?1", [&left.announced]).unwrap();
    park(&left.announced, 1);
    park(&left.uploaded, 99);
    park(unknown, 1);
    let said = verify(&left.data, &["--repair"]);
    let of = |id: &str| {
        let lines = said.lines.iter().filter(|line| line["asset"] == format!("main#{id}"));
        let told = lines.map(|it| (it["kind"].as_str().unwrap(), it["repair"].as_str().unwrap()));
        told.collect::<Vec<_>>()
    };
    let again = "the row was written again from its events";
    assert_eq!(of(&left.announced), [("row-missing", again)], "its row voids the parking");
    let [("parked", told)] = of(&left.uploaded)[..] else { panic!("{:?}", said.lines) };
    assert!(told.starts_with("nothing: the journal ends at version 3"), "{told}");
    let [("parked", told)] = of(unknown)[..] else { panic!("{:?}", said.lines) };
    assert!(told.starts_with("nothing: the journal has no event of it"), "{told}");
    let left_over = verify(&left.data, &[]);
    assert_eq!(left_over.findings(), [("parked", unknown), ("parked", left.uploaded.as_str())]);
}

/// Like `verify … | head -1`, but closed before any read.
#[tokio::test]
async fn a_pipe_that_closes_changes_nothing_of_what_verify_exits_with() {
    let left = left().await;
    let unheard = |arguments: &[&str]| {
        let mut program = program();
        program.args(arguments).arg("--data").arg(&left.data).stdout(Stdio::piped());
        let mut child = program.stderr(Stdio::null()).spawn().unwrap();
        drop(child.stdout.take());
        child.wait().unwrap().code()
    };
    let verify = ["verify", "--patience", "1"];
    let json = ["verify", "--patience", "1", "--json"];
    assert_eq!((unheard(&verify), unheard(&json)), (Some(0), Some(0)));
    let edit = "UPDATE events SET body = replace(body, 'anonymous', 'mallory') WHERE sk = 1";
    assert_eq!(left.journal().execute(edit, []), Ok(3));
    assert_eq!((unheard(&verify), unheard(&json)), (Some(1), Some(1)));
    assert_eq!(unheard(&["history", &left.uploaded]), Some(1));
    assert_eq!(unheard(&["replay", "--dry-run"]), Some(1));
}

/// Waits for a row that is never written, and is stopped.
#[tokio::test]
async fn verify_that_is_stopped_tells_what_it_found_and_that_it_did_not_look() {
    let left = left().await;
    let rows = left.open("views.sqlite");
    assert_eq!(rows.execute("DELETE FROM assets WHERE sk = ?1", [&left.uploaded]), Ok(1));
    let mut waiting = program();
    waiting.args(["verify", "--patience", "600", "--data"]).arg(&left.data);
    let waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let pid = waiting.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, error) = (text(output.stdout), text(output.stderr));
    assert!(out.contains("checked 3 assets") && out.contains("(incomplete): 0 findings so far"));
    assert!(error.contains("stopped before the end"), "{error}");
}

#[test]
fn what_cannot_be_looked_at_is_not_clean() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = verify(folder.path(), &[]);
    assert_eq!(nothing.code, 2);
    assert!(nothing.errors.contains("--data"), "{}", nothing.errors);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "looking made a file");
    assert_eq!(verify(folder.path(), &["--accept-missing"]).code, 2);
    assert_eq!(verify(folder.path(), &["--segments", "0"]).code, 2);
}
