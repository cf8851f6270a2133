//! The run books of docs/OPERATIONS.md for a data folder with old or missing parts: each part
//! alone, all of them, moved, half copied. Each run book's promise holds, each message helps.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::server::{PATIENCE, ServeProcess, program};

/// Yesterday's folder, its backup, and today's: one asset was confirmed since, and another was
/// uploaded. No process serves them.
struct Place {
    folder: TempDir,
    /// Yesterday's asset, and today's.
    ids: [String; 2],
}

impl Place {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        let server = ServeProcess::start(&at("data"));
        let first = uploaded(&server, "yesterday").await;
        assert!(server.stop());
        copy(&at("data"), &at("yesterday"));
        done(&["backup", "--data"], &[&at("data"), Path::new("--out"), &at("backup")]);
        let server = ServeProcess::start(&at("data"));
        confirm(&server, &first).await;
        let second = uploaded(&server, "today").await;
        confirm(&server, &second).await;
        assert!(server.stop());
        copy(&at("data"), &at("today"));
        Self { folder, ids: [first, second] }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.at("data")
    }

    /// Restores today's folder, with these parts of `from`; parts missing there are removed.
    fn begin(&self, from: &str, parts: &[&str]) {
        fs::remove_dir_all(self.data()).unwrap();
        copy(&self.at("today"), &self.data());
        self.bring(from, parts);
    }

    /// Moves parts of the folder away, and copies in those of `from`.
    fn bring(&self, from: &str, parts: &[&str]) {
        let _ = fs::remove_dir_all(self.at("away"));
        fs::create_dir(self.at("away")).unwrap();
        for (nth, part) in parts.iter().enumerate() {
            fs::rename(self.data().join(part), self.at("away").join(nth.to_string())).unwrap();
            let there = self.at(from).join(part);
            if there.exists() {
                copy(&there, &self.data().join(part));
            }
        }
    }

    /// The findings of the run book's first step: each kind, with its asset if any.
    fn found(&self) -> Vec<(String, String)> {
        let output = verify(&self.data());
        let lines = String::from_utf8(output.stdout).unwrap();
        let findings = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let findings = findings.filter(|it| it["kind"].is_string());
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        findings.map(|it| (text(&it["kind"]), text(&it["asset"]))).collect()
    }

    fn assert_found(&self, kind: &str, id: &str) {
        let found = self.found();
        let names = |(of, asset): &(String, String)| of == kind && asset.ends_with(id);
        assert!(found.iter().any(names), "no {kind} of {id}: {found:?}");
    }

    /// The repair is done: `verify` ends with 0, and `serve` shows these assets.
    async fn assert_over(&self, states: [&str; 2]) {
        assert_over(&self.data(), &self.ids, states).await;
    }

    /// The result without a newer copy: a whole backup, which is yesterday's ledger.
    async fn assert_restorable(&self) {
        let restored = self.at("restored");
        let _ = fs::remove_dir_all(&restored);
        done(&["restore", "--from"], &[&self.at("backup"), Path::new("--data"), &restored]);
        assert_over(&restored, &self.ids, ["RECEIVED", ""]).await;
    }

    /// The error output of a refused `serve`.
    fn refused(&self) -> String {
        let mut serve = program();
        serve.args(["serve", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0", "--data"]);
        let mut serve = serve.arg(self.data()).stderr(Stdio::piped()).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while serve.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                serve.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let output = serve.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "it serves: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

async fn uploaded(server: &ServeProcess, bytes: &'static str) -> String {
    let id = server.received(bytes).await;
    server.wait_for_row(&id).await;
    ready(server).await;
    id
}

async fn confirm(server: &ServeProcess, id: &str) {
    let confirmed = server.request(Method::PUT, &format!("/asset/{id}")).send().await.unwrap();
    assert_eq!(confirmed.status(), 202);
    ready(server).await;
}

/// Waits until `/readyz` says that all arrivals are rows.
async fn ready(server: &ServeProcess) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = server.get("/readyz").await;
        let (status, told) = (answer.status(), answer.text().await.unwrap());
        if status == 200 && told.contains("\"0 events behind") {
            return;
        }
        assert!(Instant::now() < deadline, "{told}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn assert_over(data: &Path, ids: &[String; 2], states: [&str; 2]) {
    let looked = verify(data);
    assert!(looked.status.success(), "{looked:?}");
    let server = ServeProcess::start(data);
    ready(&server).await;
    for (id, state) in ids.iter().zip(states) {
        let answer = server.get(&format!("/asset/{id}/state")).await;
        let there = answer.status() == 200;
        let told: Value = answer.json().await.unwrap();
        assert_eq!(if there { told["state"].as_str().unwrap() } else { "" }, state, "{told}");
    }
    assert_eq!(server.list().await.len(), states.iter().filter(|it| !it.is_empty()).count());
    assert!(server.stop());
}

fn verify(data: &Path) -> Output {
    let mut verify = program();
    verify.args(["verify", "--objects=deep", "--patience", "0", "--json", "--data"]);
    verify.arg(data).output().unwrap()
}

fn done(arguments: &[&str], rest: &[&Path]) -> String {
    let output = program().args(arguments).args(rest).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// `cp -a`.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

#[tokio::test]
async fn a_journal_alone_that_is_older_is_found_and_the_newer_one_or_a_backup_helps() {
    let place = Place::new().await;
    place.begin("yesterday", &["journal.sqlite"]);
    let [first, second] = &place.ids;
    place.assert_found("position-lost", "");
    place.assert_found("truncated", first);
    place.assert_found("object-stray", second);
    // Step 3 of "The rows follow another journal": this journal is the right one.
    let server = ServeProcess::start(&place.data());
    let answer = server.get("/readyz").await;
    let (status, told) = (answer.status(), answer.text().await.unwrap());
    assert!(status == 503 && told.contains("rows"), "{told}");
    let metrics = server.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("asset_ledger_position_lost 1"), "{metrics}");
    done(&["replay", "--accept-restored", "--data"], &[&place.data()]);
    ready(&server).await;
    done(&["verify", "--data"], &[&place.data()]);
    assert!(server.stop());

    place.begin("yesterday", &["journal.sqlite"]);
    assert_eq!(verify(&place.data()).status.code(), Some(1));
    place.bring("today", &["journal.sqlite"]);
    place.assert_over(["UPLOADED", "UPLOADED"]).await;
    place.assert_restorable().await;
}

#[tokio::test]
async fn views_alone_that_are_older_or_gone_are_made_again_by_serve() {
    let place = Place::new().await;
    for from in ["yesterday", "nowhere"] {
        place.begin(from, &["views.sqlite"]);
        let server = ServeProcess::start(&place.data());
        ready(&server).await;
        assert_eq!(server.list().await.len(), 2, "views from {from}");
        assert!(server.stop());
        place.assert_over(["UPLOADED", "UPLOADED"]).await;
    }
}

#[tokio::test]
async fn objects_alone_or_their_list_are_found_and_brought_back() {
    let place = Place::new().await;
    let [_, second] = &place.ids;
    place.begin("yesterday", &["s3/objects"]);
    place.assert_found("object-missing", second);
    let kept = fs::read_dir(place.at("today/s3/objects")).unwrap().map(|it| it.unwrap().path());
    let kept: Vec<_> = kept.collect();
    assert_eq!(kept.len(), 2);
    done(&["backup", "--data"], &[&place.at("today"), Path::new("--out"), &place.at("newest")]);
    for file in &kept {
        let name = file.file_name().unwrap();
        let backed_up = place.at("newest/objects").join(name);
        fs::copy(backed_up, place.data().join("s3/objects").join(name)).unwrap();
    }
    place.assert_over(["UPLOADED", "UPLOADED"]).await;

    // The list: `serve` names the asset whose object is not listed, and moves nothing.
    place.begin("yesterday", &["s3/objects.sqlite"]);
    let refused = place.refused();
    assert!(refused.contains(second) && refused.contains("Nothing was moved"), "{refused}");
    place.bring("today", &["s3/objects.sqlite"]);
    place.assert_over(["UPLOADED", "UPLOADED"]).await;
    place.assert_restorable().await;

    // A file of no asset goes to `s3/lost`, and is reported until it is removed.
    let stray = "0123456789abcdef0123456789abcdef";
    fs::write(place.data().join("s3/objects").join(stray), "whose?").unwrap();
    assert!(ServeProcess::start(&place.data()).stop());
    let lost = place.data().join("s3/lost").join(stray);
    assert_eq!(fs::read(&lost).unwrap(), b"whose?");
    let found = place.found();
    assert!(matches!(&found[..], [(kind, _)] if kind == "object-stray"), "{found:?}");
    fs::rename(lost, place.at("looked-at")).unwrap();
    place.assert_over(["UPLOADED", "UPLOADED"]).await;
}

#[tokio::test]
async fn all_of_it_is_an_earlier_state_and_may_be_moved_and_a_key_that_is_gone_ends_its_urls() {
    let place = Place::new().await;
    fs::remove_dir_all(place.data()).unwrap();
    copy(&place.at("yesterday"), &place.data());
    place.assert_over(["RECEIVED", ""]).await;
    // Moved: no effect.
    fs::rename(place.data(), place.at("elsewhere")).unwrap();
    assert_over(&place.at("elsewhere"), &place.ids, ["RECEIVED", ""]).await;

    copy(&place.at("today"), &place.data());
    place.begin("nowhere", &["s3/credentials.json"]);
    place.assert_over(["UPLOADED", "UPLOADED"]).await;
    let key = |of: &str| fs::read(place.at(of).join("s3/credentials.json")).unwrap();
    assert_ne!(key("data"), key("today"), "a new key is made");
    fs::copy(place.at("backup/credentials.json"), place.data().join("s3/credentials.json"))
        .unwrap();
    place.assert_over(["UPLOADED", "UPLOADED"]).await;
    assert_eq!(key("data"), key("today"));
}

#[tokio::test]
async fn half_a_backup_and_half_a_restore_are_done_by_running_them_again() {
    let place = Place::new().await;
    // An interrupted backup: some files of a next run, under temporary names.
    let manifest = fs::read(place.at("backup/backup.json")).unwrap();
    for half in ["journal-2.sqlite.partial", "objects-2.sqlite", "objects/half.partial"] {
        fs::write(place.at("backup").join(half), "half").unwrap();
    }
    place.assert_restorable().await;
    assert_eq!(fs::read(place.at("backup/backup.json")).unwrap(), manifest);
    // An interrupted restore: its folder has another name, and `serve` has no folder to serve.
    fs::remove_dir_all(place.at("restored")).unwrap();
    fs::create_dir(place.at("restored.restoring")).unwrap();
    for half in ["journal.sqlite.partial", "views.sqlite"] {
        fs::write(place.at("restored.restoring").join(half), "half").unwrap();
    }
    place.assert_restorable().await;
    assert!(!place.at("restored.restoring").exists());
    done(&["backup", "--data"], &[&place.data(), Path::new("--out"), &place.at("backup")]);
    let names = |of: &str| {
        let names = fs::read_dir(place.at(of)).unwrap().map(|it| it.unwrap().file_name());
        let mut names: Vec<_> = names.map(|it| it.into_string().unwrap()).collect();
        names.sort();
        names
    };
    // No files of a half or earlier run are left.
    let whole = ["backup.json", "backup.lock", "credentials.json", "journal-2.sqlite", "objects"];
    assert_eq!(names("backup"), [&whole[..], &["objects-2.sqlite"]].concat());
    assert_eq!(names("backup/objects"), names("today/s3/objects"));
    let restored = place.at("again");
    done(&["restore", "--from"], &[&place.at("backup"), Path::new("--data"), &restored]);
    assert_over(&restored, &place.ids, ["UPLOADED", "UPLOADED"]).await;
}

#[tokio::test]
async fn a_log_of_another_time_is_refused_and_named() {
    let place = Place::new().await;
    // The log of a crash: of today's journal, beside yesterday's.
    let server = ServeProcess::start(&place.data());
    server.create().await;
    server.kill();
    let log = fs::read(place.data().join("journal.sqlite-wal")).unwrap();
    assert!(!log.is_empty());
    place.begin("yesterday", &["journal.sqlite"]);
    fs::write(place.data().join("journal.sqlite-wal"), &log).unwrap();
    let refused = place.refused();
    assert!(refused.contains("does not belong to the file beside it"), "{refused}");
    assert_eq!(fs::read(place.data().join("journal.sqlite-wal")).unwrap(), log, "it was changed");
    // Both from one copy, or without the log.
    place.bring("today", &["journal.sqlite", "journal.sqlite-wal"]);
    place.assert_over(["UPLOADED", "UPLOADED"]).await;
}
