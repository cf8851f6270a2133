//! The steps of a person who proves, or checks, that a ledger is unaltered.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use asset_ledger::export::{ExportFilter, ExportShape, ExportWriter, Layout};
use chrono::TimeDelta;
use ledger::history::History;
use ledger::id::{AssetId, Tenant};
use ledger::record::{EventRecord, StoredLine};
use ledger::testing::streams;
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::server::{PATIENCE, ServeProcess, program};

/// A folder with a ledger of three assets. The first is confirmed.
pub(crate) struct Desk {
    pub(crate) folder: TempDir,
    pub(crate) ids: Vec<String>,
}

impl Desk {
    pub(crate) async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let server = ServeProcess::start(&folder.path().join("data"));
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(server.upload("bytes").await);
        }
        for id in &ids {
            let confirmed = server.request(Method::PUT, &format!("/asset/{id}")).send().await;
            assert_eq!(confirmed.unwrap().status(), 202);
        }
        caught_up(&server, &ids).await;
        assert!(server.stop());
        Self { folder, ids }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the program in the folder: its exit code, output and error output.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = program().args(arguments).current_dir(&self.folder).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// The same, and it must succeed.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let (code, out, error) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{error}");
        out
    }

    /// A key, and a checkpoint signed with it.
    pub(crate) fn checkpoint(&self) {
        self.done(&["checkpoint", "keygen", "--name", "files.example/ledger", "--out", "key"]);
        self.done(&["checkpoint", "--data", "data", "--key", "key", "--out", "heads"]);
    }

    /// Changes the journal like an attacker who can write the file, and rebuilds the rows from it.
    pub(crate) async fn tamper(&self, sql: &str, left: &[String]) {
        self.tamper_alone(sql);
        for file in ["views.sqlite", "views.sqlite-wal", "views.sqlite-shm"] {
            let _ = fs::remove_file(self.at("data").join(file));
        }
        let server = ServeProcess::start(&self.at("data"));
        caught_up(&server, left).await;
        assert!(server.stop());
    }

    /// Changes the journal, but not the rows.
    fn tamper_alone(&self, sql: &str) {
        let journal = rusqlite::Connection::open(self.at("data/journal.sqlite")).unwrap();
        for trigger in ["changed", "deleted"] {
            let drop = format!("DROP TRIGGER IF EXISTS events_are_never_{trigger}");
            journal.execute_batch(&drop).unwrap();
        }
        assert!(journal.execute(sql, []).unwrap() > 0);
    }
}

/// Waits until the list shows the current state of each asset.
async fn caught_up(server: &ServeProcess, ids: &[String]) {
    let deadline = Instant::now() + PATIENCE;
    for id in ids {
        let state = server.state(id).await;
        let shown =
            |row: &Value| row["asset_id"] == state["asset_id"] && row["state"] == state["state"];
        while !server.list().await.iter().any(shown) {
            assert!(Instant::now() < deadline, "{id} is not listed as it is");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn an_export_is_imported_and_exported_again_as_the_same_bytes() {
    let desk = Desk::new().await;
    let told = desk.done(&["export", "--data", "data", "--out", "first", "--gzip"]);
    assert!(told.contains("3 assets, 9 events"), "{told}");
    let told = desk.done(&["verify", "--file", "first"]);
    assert!(told.contains("checked 3 assets with 9 events") && told.contains(": 0 findings"));
    desk.done(&["import", "first", "--data", "restored"]);
    assert!(desk.done(&["import", "first", "--data", "restored"]).contains("9 already present"));
    desk.done(&["export", "--data", "restored", "--out", "second", "--gzip"]);
    for file in ["heads.jsonl", "events/000001.jsonl.gz"] {
        let read = |export: &str| fs::read(desk.at(export).join(file)).unwrap();
        assert_eq!(read("first"), read("second"), "{file}");
    }
    let server = ServeProcess::start(&desk.at("restored"));
    server.wait_for(&desk.ids[0], "UPLOADED").await;
    let told = desk.run(&["import", "first", "--data", "restored"]).2;
    assert!(told.contains("another `serve`"), "{told}");
}

#[tokio::test]
async fn a_flipped_byte_is_found_and_located() {
    let desk = Desk::new().await;
    desk.done(&["export", "--data", "data", "--out", "export"]);
    let file = desk.at("export/events/000001.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines[4] = lines[4].replacen("s3.amazonaws.com", "s3.amazonaws.con", 1);
    fs::write(&file, lines.join("\n") + "\n").unwrap();
    let (code, told, _) = desk.run(&["verify", "--file", "export", "--json"]);
    assert_eq!(code, 1);
    let finding: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert_eq!((&finding["kind"], &finding["version"]), (&"edited".into(), &2.into()));
    assert!(finding["says"].as_str().unwrap().starts_with("events/000001.jsonl:5: "), "{told}");
    let (code, _, error) = desk.run(&["import", "export", "--data", "restored"]);
    assert!(code == 1 && error.contains("nothing was imported"), "{error}");
    assert!(!desk.at("restored").exists(), "a refusal made a folder");
    fs::remove_file(desk.at("export/manifest.json")).unwrap();
    let (code, _, error) = desk.run(&["verify", "--file", "export"]);
    assert!(code == 2 && error.contains("never finished"), "{error}");
}

#[tokio::test]
async fn a_chain_of_the_api_is_checked_on_standard_input() {
    let desk = Desk::new().await;
    let chain = desk.done(&["history", &desk.ids[0], "--data", "data", "--format", "jsonl"]);
    let verify = |chain: &str| {
        let mut verify = program();
        verify.args(["verify", "--file", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = verify.stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(chain.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let whole = verify(&chain);
    assert!(whole.status.success());
    assert!(String::from_utf8(whole.stderr).unwrap().contains("at version 3"));
    assert_eq!(verify(&chain.replacen("api", "cli", 1)).status.code(), Some(1));
    let nothing = verify("");
    let error = String::from_utf8(nothing.stderr).unwrap();
    assert!(nothing.status.code() == Some(2) && nothing.stdout.is_empty(), "{error}");
    assert!(error.contains("no event to verify"), "{error}");
}

#[tokio::test]
async fn an_empty_file_shows_nothing_and_an_export_of_nothing_shows_that() {
    let desk = Desk::new().await;
    let later = "2999-01-01T00:00:00Z";
    fs::write(desk.at("empty"), "").unwrap();
    let (code, _, error) = desk.run(&["verify", "--file", "empty"]);
    assert!(code == 2 && error.contains("no event to verify"), "{error}");
    for out in ["none", "none.tar"] {
        desk.done(&["export", "--data", "data", "--out", out, "--since", later]);
        assert!(desk.done(&["verify", "--file", out]).contains("checked 0 assets"), "{out}");
    }
}

#[tokio::test]
async fn what_only_a_checkpoint_can_show_it_shows() {
    let cut = "DELETE FROM events WHERE sk = 3 AND pk = (SELECT min(pk) FROM events)";
    let gone = "DELETE FROM events WHERE pk = (SELECT max(pk) FROM events)";
    for (name, sql, left) in [("truncated", cut, 3), ("removed", gone, 2)] {
        let desk = Desk::new().await;
        desk.checkpoint();
        let against = ["verify", "--data", "data", "--against", "heads", "--key", "key.pub"];
        let (code, told, error) = desk.run(&against);
        assert_eq!(code, 0, "{told}{error}");
        assert!(error.contains("signed by files.example/ledger, 3 assets"), "{error}");
        desk.tamper(sql, &desk.ids[..left]).await;
        assert_eq!(desk.run(&["verify", "--data", "data"]).0, 0, "alone it cannot know");
        let (code, told, _) = desk.run(&against);
        assert!(code == 1 && told.contains(name), "{name}: {told}");
        let rows = rusqlite::Connection::open(desk.at("data/views.sqlite")).unwrap();
        assert!(rows.execute("UPDATE assets SET filename = 'x'", []).unwrap() > 0);
        let (code, told, error) = desk.run(&[&against[..], &["--repair"]].concat());
        assert!(code == 1 && error.contains("--repair: nothing is repaired"), "{error}");
        assert!(told.contains(name) && told.contains("row-altered"), "{name}: {told}");
        let altered = rows.query_row("SELECT max(filename) FROM assets", [], |row| row.get(0));
        assert_eq!(altered, Ok("x".to_owned()), "a row was mended from such a journal");
    }
}

#[tokio::test]
async fn a_checkpoint_of_another_ledger_or_key_is_refused() {
    let (desk, other) = (Desk::new().await, Desk::new().await);
    desk.checkpoint();
    other.checkpoint();
    let heads = desk.at("heads");
    let (code, told, error) =
        other.run(&["verify", "--data", "data", "--against", heads.to_str().unwrap()]);
    assert!(code == 2 && error.contains("of another ledger"), "{error}");
    assert!(told.contains("3 removed") && told.contains("3 findings so far"), "{told}");
    let key = fs::read_to_string(other.at("key.pub")).unwrap();
    let (code, _, error) =
        desk.run(&["verify", "--data", "data", "--against", "heads", "--key", key.trim()]);
    assert!(code == 2 && error.contains("not signed by"), "{error}");
    let (code, _, error) =
        desk.run(&["verify", "--data", "data", "--against", "heads", "--key", "key"]);
    assert!(code == 2 && error.contains("secret key"), "{error}");
}

#[tokio::test]
async fn a_proof_is_checked_with_the_public_key_alone() {
    let desk = Desk::new().await;
    desk.checkpoint();
    let id = desk.ids[1].as_str();
    desk.done(&["proof", id, "--checkpoint", "heads", "--out", "proof"]);
    let chain = desk.done(&["history", id, "--data", "data", "--format", "jsonl"]);
    // Another folder, without a ledger or a checkpoint.
    let auditor = Desk { folder: TempDir::new().unwrap(), ids: Vec::new() };
    fs::copy(desk.at("proof"), auditor.at("proof")).unwrap();
    fs::write(auditor.at("chain"), &chain).unwrap();
    let key = fs::read_to_string(desk.at("key.pub")).unwrap();
    let check = ["proof", "--check", "proof", "--key", key.trim(), "--history", "chain"];
    let told = auditor.done(&check);
    assert!(told.contains(id) && told.contains("at version 3"), "{told}");
    assert!(told.contains("its history of 3 events matches the proof"), "{told}");
    fs::write(auditor.at("chain"), chain.replace("api", "cli")).unwrap();
    assert_eq!(auditor.run(&check).0, 1, "another history");
    let text = fs::read_to_string(auditor.at("proof")).unwrap();
    fs::write(auditor.at("proof"), text.replacen("index 1", "index 2", 1)).unwrap();
    let (code, _, error) = auditor.run(&["proof", "--check", "proof", "--key", key.trim()]);
    assert!(code == 1 && error.contains("not among the 3"), "{error}");
    let (code, _, error) =
        desk.run(&["proof", "019aaf6b-5a00-7123-8456-0123456789ab", "--checkpoint", "heads"]);
    assert!(code == 1 && error.contains("is not in heads"), "{error}");
}

#[tokio::test]
async fn a_secret_key_is_its_owners_alone() {
    let desk = Desk::new().await;
    desk.checkpoint();
    let secret = fs::read_to_string(desk.at("key")).unwrap();
    assert_eq!(fs::metadata(desk.at("key")).unwrap().permissions().mode() & 0o777, 0o600);
    let again = ["checkpoint", "keygen", "--name", "files.example/ledger", "--out", "key"];
    let (code, out, error) = desk.run(&again);
    assert!(code == 1 && !format!("{out}{error}").contains("PRIVATE"), "{out}{error}");
    assert_eq!(fs::read_to_string(desk.at("key")).unwrap(), secret, "never replaced");
    let other = ["checkpoint", "keygen", "--name", "files.example/ledger", "--out", "second"];
    fs::write(desk.at("second.pub"), "somebody else's").unwrap();
    let (code, _, error) = desk.run(&other);
    assert!(code == 1 && error.contains("second.pub already exists"), "{error}");
    assert!(!desk.at("second").exists(), "a secret without its public half");
    fs::set_permissions(desk.at("key"), fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _, error) =
        desk.run(&["checkpoint", "--data", "data", "--key", "key", "--out", "other"]);
    assert!(code == 1 && error.contains("other users can read it"), "{error}");
    assert!(!desk.at("other").exists());
}

#[tokio::test]
async fn a_tampered_ledger_is_neither_vouched_for_nor_exported_silently() {
    let desk = Desk::new().await;
    let edit = "UPDATE events SET body = replace(body, 'anonymous', 'somebody') WHERE sk = 1 \
                AND pk = (SELECT min(pk) FROM events)";
    desk.tamper(edit, &desk.ids[1..]).await;
    let (code, _, error) = desk.run(&["checkpoint", "--data", "data", "--out", "heads"]);
    assert!(code == 1 && error.contains("edited") && error.contains("vouch"), "{error}");
    let (code, _, error) = desk.run(&["export", "--data", "data", "--out", "export"]);
    assert!(code == 1 && error.contains("--leave-out-broken"), "{error}");
    let left: Vec<_> = fs::read_dir(desk.folder.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "data and its log, and nothing else: {left:?}");
    desk.done(&["export", "--data", "data", "--out", "export", "--leave-out-broken"]);
    let manifest = fs::read(desk.at("export/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!((&manifest["assets"], &manifest["left_out"]), (&2.into(), &1.into()));
}

/// An export of so many assets, one event each, written by hand.
fn large(out: &Path, assets: u64) -> u64 {
    let sample = include_str!("../../migrations/events/created.v1.json");
    let shape = ExportShape { out: out.to_owned(), layout: Layout::Segment, gzip: false };
    let first = EventRecord::read(sample.trim_end()).unwrap();
    let mut writer = ExportWriter::create(shape, first.at, ExportFilter::default()).unwrap();
    for number in 0..assets {
        let mut record = first.clone();
        let at = record.at + TimeDelta::milliseconds(number.cast_signed());
        record.key.asset = AssetId::new(at, u128::from(number));
        let history = History::read(&record.key.clone(), vec![record.line().unwrap()]);
        writer.add(&history.unwrap().unwrap()).unwrap();
    }
    writer.finish().unwrap().events
}

/// Waits until an import has appended more than so many events to a journal.
fn wait_for_events(data: &Path, more_than: u64) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let count = rusqlite::Connection::open(data.join("journal.sqlite")).and_then(|journal| {
            journal.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, u64>(0))
        });
        if let Some(count) = count.ok().filter(|count| *count > more_than) {
            return count;
        }
        assert!(Instant::now() < deadline, "nothing was imported");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Starts an import and sends it a signal once it has appended more events than before. False if it
/// ended before the signal: then its events are removed, and nothing was proven.
fn cut_off_amid(desk: &Desk, signal: &str, brought: &mut u64) -> bool {
    let data = desk.at("restored");
    let mut import = program();
    import.args(["import", "export", "--data", "restored"]).current_dir(&desk.folder);
    let mut import = import.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    *brought = wait_for_events(&data, *brought);
    let pid = import.id().to_string();
    assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
    if import.wait().unwrap().success() {
        fs::remove_dir_all(&data).unwrap();
        *brought = 0;
        return false;
    }
    true
}

#[test]
fn an_import_that_is_killed_or_stopped_is_taken_for_nothing_and_goes_on() {
    let desk = Desk { folder: TempDir::new().unwrap(), ids: Vec::new() };
    let events = large(&desk.at("export"), 30_000);
    let mut brought = 0;
    for signal in ["-KILL", "-INT"] {
        let cut_off = (0..10).any(|_| cut_off_amid(&desk, signal, &mut brought));
        assert!(cut_off, "{signal} never came before the end");
        let (code, _, error) = desk.run(&["serve", "--data", "restored"]);
        assert!(code == 1 && error.contains("not finished"), "{error}");
    }
    let told = desk.done(&["import", "export", "--data", "restored"]);
    assert!(told.contains(&format!("{events} events")), "{told}");
    assert!(!told.contains(&format!("{events} already present")), "it was not cut off: {told}");
    assert!(brought > 0 && !told.contains(", 0 already present"), "it began anew: {told}");
    desk.done(&["export", "--data", "restored", "--out", "again"]);
    for file in ["heads.jsonl", "events/000001.jsonl"] {
        let read = |export: &str| fs::read(desk.at(export).join(file)).unwrap();
        assert!(read("export") == read("again"), "{file}");
    }
}

/// Writes the events of a named stream into the desk's journal, as a newer program would.
fn write_stream(desk: &Desk, lines: &[StoredLine]) {
    let journal = rusqlite::Connection::open(desk.at("data/journal.sqlite")).unwrap();
    for line in lines {
        let insert = "INSERT INTO events (pk, sk, body) VALUES ('main#access', ?1, ?2)";
        assert_eq!(journal.execute(insert, (line.version, &line.body)), Ok(1));
    }
}

#[tokio::test]
async fn a_named_stream_is_verified_exported_imported_and_vouched_for() {
    let desk = Desk::new().await;
    desk.done(&["export", "--data", "data", "--out", "before"]);
    write_stream(&desk, &streams::access(&Tenant::default()).1);
    let told = desk.done(&["verify", "--data", "data"]);
    assert!(told.contains("checked 3 assets, 1 stream with 12 events and 3 rows"), "{told}");
    let told = desk.done(&["export", "--data", "data", "--out", "first"]);
    assert!(told.contains("3 assets, 9 events") && told.contains("1 stream, 3 events"), "{told}");
    for file in ["heads.jsonl", "events/000001.jsonl"] {
        let read = |export: &str| fs::read(desk.at(export).join(file)).unwrap();
        assert_eq!(read("before"), read("first"), "{file}");
    }
    assert!(desk.done(&["verify", "--file", "first"]).contains("3 assets, 1 stream"));
    let told = desk.done(&["import", "first", "--data", "restored"]);
    assert!(told.contains("imported 3 assets, 1 stream, 12 events"), "{told}");
    desk.done(&["export", "--data", "restored", "--out", "second"]);
    for file in ["heads-streams.jsonl", "streams/main/access.jsonl"] {
        let read = |export: &str| fs::read(desk.at(export).join(file)).unwrap();
        assert_eq!(read("first"), read("second"), "{file}");
    }
    desk.checkpoint();
    let against = ["--against", "heads", "--key", "key.pub"];
    desk.done(&[&["verify", "--data", "data"], &against[..]].concat());
    desk.done(&[&["verify", "--file", "first"], &against[..]].concat());
    let (_, told, error) = desk.run(&["replay", "--data", "data"]);
    assert!(!told.contains("access") && !error.contains("access"), "{told}{error}");

    let server = ServeProcess::start(&desk.at("data"));
    let created = server.create().await["id"].as_str().unwrap().to_owned();
    caught_up(&server, std::slice::from_ref(&created)).await;
    assert!(server.stop());
    let cut = "DELETE FROM events WHERE pk = 'main#access' AND sk = 3";
    desk.tamper_alone(cut);
    desk.done(&["verify", "--data", "data"]);
    let (code, told, _) = desk.run(&[&["verify", "--data", "data"], &against[..]].concat());
    assert!(code == 1 && told.contains("truncated") && told.contains("main#access"), "{told}");
    let edit = "UPDATE events SET body = replace(body, 'ann', 'eve') WHERE pk = 'main#access' \
        AND sk = 1";
    desk.tamper_alone(edit);
    let (code, told, _) = desk.run(&["verify", "--data", "data"]);
    assert!(code == 1 && told.contains("edited") && told.contains("main#access"), "{told}");
    for command in [["export", "--out", "third"], ["checkpoint", "--out", "third"]] {
        let (code, _, error) = desk.run(&[&command[..], &["--data", "data"]].concat());
        assert!(code == 1 && error.contains("edited: main#access"), "{error}");
    }
}
