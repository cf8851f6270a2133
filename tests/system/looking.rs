//! `serve` verifies by itself: findings are reported, and so are missed runs.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Method;
use rusqlite::Connection;
use serde_json::Value;

use crate::replay::cut_newest;
use crate::server::{PATIENCE, ServeProcess, program};

/// Verifies every second.
fn looking(data: &Path) -> ServeProcess {
    let mut command = program();
    command.env("ASSET_LEDGER_VERIFY_EVERY", "1s");
    ServeProcess::start_as(command, data)
}

/// Waits until `/readyz` answers as `wanted`.
async fn ready(server: &ServeProcess, wanted: impl Fn(u16, &Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = server.get("/readyz").await;
        let (status, told) = (answer.status().as_u16(), answer.json().await.unwrap());
        if wanted(status, &told) {
            return told;
        }
        assert!(Instant::now() < deadline, "{status}: {told}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn metric(server: &ServeProcess, name: &str) -> f64 {
    let metrics = server.get("/metrics").await.text().await.unwrap();
    let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("{metrics}")).rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_was_altered_is_found_without_being_asked_and_named_until_it_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = looking(&data);
    let id = server.create().await["id"].as_str().unwrap().to_owned();
    // Two events: the second confirms the first, and so does their row.
    let deleted = server.request(Method::DELETE, &format!("/asset/{id}")).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    while metric(&server, "asset_ledger_arrivals_behind").await > 0.0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let says = |told: &Value| told["says"]["verify"].as_str().map(str::to_owned);
    let told = ready(&server, |_, told| says(told).is_some_and(|it| it != "not done yet")).await;
    assert!(says(&told).unwrap().starts_with("0 findings, "), "{told}");
    assert!(metric(&server, "asset_ledger_verify_age_seconds").await < 30.0);
    assert!(metric(&server, "asset_ledger_tamper").await < 1.0);
    assert!(server.stop());

    let journal = Connection::open(data.join("journal.sqlite")).unwrap();
    journal.execute_batch("DROP TRIGGER events_are_never_changed").unwrap();
    let edit = "UPDATE events SET body = replace(body, ?1, ?2) WHERE sk = 1";
    assert_eq!(journal.execute(edit, ["anonymous", "mallory"]), Ok(1));
    let server = looking(&data);
    let told =
        ready(&server, |status, told| status == 503 && told.to_string().contains("1 finding,"));
    let told = told.await.to_string();
    assert!(told.contains("1 of them tampering or loss: see the log, or run"), "{told}");
    assert!(!told.contains(&id), "which asset is for the log: {told}");
    assert!(metric(&server, "asset_ledger_tamper").await >= 1.0);
    assert!(metric(&server, "asset_ledger_verify_last_findings").await >= 1.0);
    let log = server.log_text();
    let named = |line: &str| line.contains(&id) && line.contains(r#""kind":"edited""#);
    assert!(log.lines().any(named), "{log}");

    assert_eq!(journal.execute(edit, ["mallory", "anonymous"]), Ok(1));
    ready(&server, |status, _| status == 200).await;
}

/// The follower stops if its position is not in the journal; `verify` reports this too, in addition
/// to the row's own finding.
#[tokio::test]
async fn a_position_that_the_journal_does_not_have_is_found_without_being_asked() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = looking(&data);
    server.create().await;
    let cut = server.create().await["id"].as_str().unwrap().to_owned();
    server.wait_for_row(&cut).await;
    assert!(server.stop());
    cut_newest(&data);
    let server = looking(&data);
    let told =
        ready(&server, |status, told| status == 503 && told.to_string().contains("2 findings,"));
    let told = told.await.to_string();
    assert!(told.contains("2 of them tampering or loss"), "{told}");
    assert!(told.contains("the rows follow another journal"), "{told}");
    assert!(metric(&server, "asset_ledger_position_lost").await > 0.0);
    let log = server.log_text();
    let named = |line: &str| line.contains(r#""kind":"position-lost""#) && line.contains("older");
    assert!(log.lines().any(named), "{log}");
}

#[tokio::test]
async fn checkpoints_come_by_themselves_and_can_be_verified_against() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = program().args(arguments).current_dir(&folder).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {error}");
    };
    run(&["checkpoint", "keygen", "--name", "files.example/ledger", "--out", "key"]);
    let mut command = program();
    command.env("ASSET_LEDGER_CHECKPOINT_EVERY", "1s");
    command.env("ASSET_LEDGER_CHECKPOINT_OUT", folder.path().join("kept"));
    command.env("ASSET_LEDGER_CHECKPOINT_KEY", folder.path().join("key"));
    let server = ServeProcess::start_as(command, &folder.path().join("data"));
    server.create().await;
    let kept = || {
        let files = std::fs::read_dir(folder.path().join("kept")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut heads: Vec<_> = names
            .filter(|name| Path::new(name).extension().is_some_and(|it| it == "heads"))
            .collect();
        heads.sort();
        heads
    };
    let deadline = Instant::now() + PATIENCE;
    while kept().len() < 2 {
        assert!(Instant::now() < deadline, "{}", server.log_text());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(metric(&server, "asset_ledger_checkpoint_age_seconds").await < 30.0);
    assert!(server.stop());
    for heads in kept() {
        let against = format!("kept/{heads}");
        run(&["verify", "--data", "data", "--against", &against, "--key", "key.pub"]);
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |more: &[&str]| {
        let mut serve = program();
        serve.args(["serve", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"]).args(more);
        let output = serve.current_dir(&folder).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let within = ["--data", "d", "--checkpoint-every", "1h", "--checkpoint-out", "d/kept"];
    let within = refused(&within);
    assert!(within.contains("is within --data"), "{within}");
    let alone = refused(&["--data", "d", "--checkpoint-every", "1h"]);
    assert!(alone.contains("--checkpoint-out"), "{alone}");
    let never = refused(&["--data", "d", "--verify-every", "0s"]);
    assert!(never.contains("0s is too short"), "{never}");
    let elsewhere = ["--store", "dynamodb", "--journal-table", "j", "--views-table", "v"];
    let elsewhere = refused(&[&elsewhere[..], &["--bucket", "b", "--verify-every", "1h"]].concat());
    assert!(elsewhere.contains("are for --store sqlite"), "{elsewhere}");
}
