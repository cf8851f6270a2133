//! `backup` during a `serve` under load, restored elsewhere: no event acknowledged before its start
//! is missing, and an audit of every byte has no findings.

use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use reqwest::{Client, Method};
use serde_json::Value;
use tokio::sync::watch;

use crate::server::{ServeProcess, program};

/// Rounds, unless the environment sets them.
const ROUNDS: u64 = 3;
const CLIENTS: usize = 6;

/// The clients' state.
#[derive(Clone, Copy, PartialEq)]
enum Load {
    Running,
    Paused,
    Over,
}

/// An asset, and its newest acknowledged version.
#[derive(Clone)]
struct Told {
    id: String,
    version: u64,
}

fn run(arguments: &[&str], folders: [&Path; 2], names: [&str; 2]) -> Output {
    let mut command = program();
    command.args(arguments);
    for (name, folder) in names.into_iter().zip(folders) {
        command.arg(name).arg(folder);
    }
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    format!("{out}{err}")
}

#[expect(clippy::disallowed_methods, reason = "how many rounds is asked of the environment")]
fn rounds() -> u64 {
    std::env::var("ASSET_LEDGER_BACKUPS").map_or(ROUNDS, |it| it.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_under_load_restore_whole() {
    let rounds = rounds();
    let folder = tempfile::tempdir().unwrap();
    let [data, out, restored] = ["data", "out", "restored"].map(|name| folder.path().join(name));
    let server = ServeProcess::start(&data);
    let (phase, told) = (watch::Sender::new(Load::Running), Arc::new(Mutex::new(Vec::new())));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            tokio::spawn(load(server.api.clone(), client, phase.subscribe(), told.clone()))
        })
        .collect();
    let (mut assets, mut copied) = (0, Vec::new());
    for round in 0..rounds {
        phase.send_replace(Load::Running);
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let before: Vec<Told> = told.lock().unwrap().clone();
        let backup = ["backup"];
        let (from, to) = (data.clone(), out.clone());
        let taken =
            tokio::task::spawn_blocking(move || run(&backup, [&from, &to], ["--data", "--out"]));
        let taken = taken.await.unwrap();
        // With a load during the check of the copy, each round would be longer than the last.
        phase.send_replace(Load::Paused);
        assert!(taken.status.success(), "round {round}: {}", text(&taken));
        copied.push(text(&taken).trim().to_owned());
        let brought = run(&["restore"], [&out, &restored], ["--from", "--data"]);
        assert!(brought.status.success(), "round {round}: {}", text(&brought));
        let mut verify = program();
        verify.args(["verify", "--objects=deep", "--patience", "0", "--data"]).arg(&restored);
        let found = verify.output().unwrap();
        assert!(found.status.success(), "round {round}: {}", text(&found));
        check(&restored, &before).await;
        assets = before.len();
        std::fs::remove_dir_all(&restored).unwrap();
    }
    phase.send_replace(Load::Over);
    for client in clients {
        client.await.unwrap();
    }
    println!("{rounds} backups under load, the last with {assets} assets acknowledged before it:");
    println!("{}", copied.join("\n"));
    assert!(assets > 20, "there was no load to speak of");
    assert!(server.stop());
}

/// Creates, uploads and confirms; deletes some and purges some of them.
async fn load(
    api: String,
    client: usize,
    mut phase: watch::Receiver<Load>,
    all: Arc<Mutex<Vec<Told>>>,
) {
    let http = Client::new();
    let mut step = client;
    while *phase.wait_for(|it| *it != Load::Paused).await.unwrap() == Load::Running {
        step += 1;
        let created: Value =
            http.post(format!("{api}/asset")).send().await.unwrap().json().await.unwrap();
        let id = created["id"].as_str().unwrap().to_owned();
        let place = {
            let mut all = all.lock().unwrap();
            all.push(Told { id: id.clone(), version: 1 });
            all.len() - 1
        };
        let bytes: Vec<u8> = id.bytes().cycle().take(1 + 997 * (step % 40)).collect();
        let url = created["upload_url"].as_str().unwrap();
        assert_eq!(http.put(url).body(bytes).send().await.unwrap().status(), 200);
        let path = format!("{api}/asset/{id}");
        let mut changes = vec![(Method::PUT, path.clone())];
        if step.is_multiple_of(3) {
            changes.push((Method::DELETE, path.clone()));
        }
        if step.is_multiple_of(6) {
            changes.push((Method::POST, format!("{path}/purge")));
        }
        for (method, path) in changes {
            let answer = http.request(method, path).send().await.unwrap();
            let tag = answer.headers().get("etag").and_then(|tag| tag.to_str().ok());
            let version = tag.and_then(|tag| tag.trim_matches('"').parse().ok());
            let mut all = all.lock().unwrap();
            all[place].version = version.unwrap_or(all[place].version);
        }
    }
}

async fn check(restored: &Path, before: &[Told]) {
    let server = ServeProcess::start(restored);
    for told in before {
        let history = server.get(&format!("/asset/{}/history", told.id)).await;
        assert_eq!(history.status(), 200, "{} is not there", told.id);
        let history: Value = history.json().await.unwrap();
        let events = history["events"].as_array().unwrap().len() as u64;
        assert!(events >= told.version, "{}: {events} of {} events", told.id, told.version);
    }
    assert!(server.stop());
}

#[tokio::test]
async fn a_backup_is_refused_what_it_must_not_touch_and_keeps_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let [data, other, out, restored] =
        ["data", "other", "out", "restored"].map(|name| folder.path().join(name));
    let server = ServeProcess::start(&data);
    let id = server.received("hello").await;
    let backup = |from: &Path| run(&["backup"], [from, &out], ["--data", "--out"]);
    let restore = |to: &Path| run(&["restore"], [&out, to], ["--from", "--data"]);
    assert!(backup(&data).status.success());
    assert!(text(&backup(&data)).contains("0 copied"), "the second time nothing is new");
    let refused = text(&restore(&data));
    assert!(refused.contains("a `serve` runs on this folder"), "{refused}");
    assert!(server.stop());
    assert!(text(&restore(&data)).contains("is not empty"));

    drop(ServeProcess::start(&other));
    let refused = backup(&other);
    assert!(!refused.status.success() && text(&refused).contains("another ledger"));

    let file = std::fs::read_dir(out.join("objects")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, "jello").unwrap();
    let refused = restore(&restored);
    assert!(!refused.status.success() && text(&refused).contains("not the bytes"));
    assert!(!restored.exists() && !folder.path().join("restored.restoring").exists());
    assert!(run(&["backup", "--deep"], [&data, &out], ["--data", "--out"]).status.success());
    assert!(restore(&restored).status.success());
    assert_eq!(ServeProcess::start(&restored).state(&id).await["state"], "RECEIVED");
}

#[tokio::test]
async fn a_deep_look_names_the_file_that_was_altered() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = ServeProcess::start(&data);
    let id = server.received("hello").await;
    assert!(server.stop());
    let verify = |how| {
        let mut verify = program();
        verify.args(["verify", how, "--patience", "0", "--json", "--data"]).arg(&data);
        verify.output().unwrap()
    };
    assert!(verify("--objects=deep").status.success());
    let file = std::fs::read_dir(data.join("s3/objects")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, "jello").unwrap();
    assert!(verify("--objects").status.success(), "what is not read is not seen");
    let found = verify("--objects=deep");
    assert_eq!(found.status.code(), Some(1), "{}", text(&found));
    let said = text(&found);
    assert!(said.contains("object-altered") && said.contains(&id), "{said}");
}

/// Files: enough for a slow copy.
const FILES: usize = 24;

#[tokio::test]
async fn a_backup_that_is_stopped_or_killed_spoils_nothing_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = ServeProcess::start(&data);
    for nth in 0..FILES {
        server.received(vec![u8::try_from(nth).unwrap(); 4 << 20]).await;
    }
    for signal in ["-INT", "-KILL"] {
        let [out, restored] =
            ["out", "restored"].map(|name| folder.path().join(format!("{name}{signal}")));
        let restore = || run(&["restore"], [&out, &restored], ["--from", "--data"]);
        cut_off(&data, &out, signal);
        let refused = restore();
        assert!(!refused.status.success() && text(&refused).contains("no whole backup"));
        assert!(!restored.exists());
        let next = run(&["backup"], [&data, &out], ["--data", "--out"]);
        assert!(next.status.success(), "{signal}: {}", text(&next));
        assert!(restore().status.success());
        let mut verify = program();
        verify.args(["verify", "--objects=deep", "--patience", "0", "--data"]).arg(&restored);
        let found = verify.output().unwrap();
        assert!(found.status.success(), "{signal}: {}", text(&found));
        // A later interrupted backup leaves the previous one unchanged.
        server.upload("more").await;
        let manifest = std::fs::read(out.join("backup.json")).unwrap();
        std::fs::remove_dir_all(&restored).unwrap();
        let mut again = program();
        again.args(["backup", "--deep", "--data"]).arg(&data).arg("--out").arg(&out);
        let mut again = again.stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        send(&again, signal);
        if !again.wait().unwrap().success() {
            assert_eq!(std::fs::read(out.join("backup.json")).unwrap(), manifest);
        }
        assert!(restore().status.success(), "{signal}: the one before, or the next");
        let next = run(&["backup"], [&data, &out], ["--data", "--out"]);
        assert!(next.status.success(), "{signal}: {}", text(&next));
    }
    assert!(server.stop());
}

/// A first backup, stopped while copying files.
fn cut_off(data: &Path, out: &Path, signal: &str) {
    let mut backup = program();
    backup.args(["backup", "--data"]).arg(data).arg("--out").arg(out);
    let mut backup = backup.stderr(std::process::Stdio::null()).spawn().unwrap();
    let begun = || std::fs::read_dir(out.join("objects")).is_ok_and(|mut it| it.next().is_some());
    while !begun() {
        assert!(backup.try_wait().unwrap().is_none(), "it ended before it began");
        std::thread::yield_now();
    }
    send(&backup, signal);
    assert!(!backup.wait().unwrap().success(), "{signal}: it was faster than the signal");
}

fn send(to: &std::process::Child, signal: &str) {
    let pid = to.id().to_string();
    let _ = std::process::Command::new("kill").args([signal, &pid]).status().unwrap();
}
