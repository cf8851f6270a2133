//! The command line's help, and refusals with remedies.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::server::{PATIENCE, ServeProcess, program};

fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = program().args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn every_command_teaches() {
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, 0);
    for command in [
        "serve",
        "demo",
        "history",
        "verify",
        "export",
        "import",
        "checkpoint",
        "proof",
        "tenant",
        "key",
    ] {
        assert!(help.contains(command));
        let (code, help, _) = run(&[command, "--help"]);
        assert_eq!(code, 0);
        assert!(help.contains("Example"), "{command} shows no example:\n{help}");
    }
}

#[test]
fn a_foreign_address_is_refused_while_there_is_no_authentication() {
    for flag in ["--listen", "--s3-listen"] {
        let (code, _, error) = run(&["serve", "--data", "/nowhere", flag, "0.0.0.0:0"]);
        assert_eq!(code, 1);
        assert!(error.contains("--insecure-no-auth") && error.contains(flag), "{error}");
    }
}

#[test]
fn a_wrong_flag_is_exit_code_two() {
    for arguments in [
        &["serve"][..],
        &["serve", "--data", "x", "--listen", "nowhere"],
        &["serve", "--data", "x", "--tenant", "Not Me"],
        &["serve", "--data", "x", "--s3-url", ""],
        &["serve", "--data", "x", "--s3-url", "files.example"],
        &["serve", "--data", "x", "--s3-url", "ftp://files.example"],
        &["serve", "--data", "x", "--s3-url", "https://files.example/path"],
        &["serve", "--data", "x", "--s3-url", "https://files.example?x=1"],
        &["serve", "--data", "x", "--s3-url", "https://files.example#x"],
        &["history", "not-an-id", "--data", "x"],
        &["fly"],
    ] {
        assert_eq!(run(arguments).0, 2, "{arguments:?}");
    }
}

/// From the greeting on: a script cannot wait for anything else.
#[test]
fn the_first_ctrl_c_ends_in_good_order_however_soon() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..10 {
        assert!(ServeProcess::start(&folder.path().join("data")).stop_by("-INT"));
    }
}

#[test]
fn a_terminal_that_hangs_up_ends_in_good_order_unless_it_was_to_be_outlived() {
    let folder = tempfile::tempdir().unwrap();
    // The tests may run under `nohup`, and their children inherit that.
    let mut plain = Command::new("env");
    plain.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_asset-ledger")]);
    assert!(ServeProcess::start_as(plain, &folder.path().join("data")).stop_by("-HUP"));
    let mut nohup = Command::new("sh");
    nohup.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_asset-ledger")]);
    let server = ServeProcess::start_as(nohup, &folder.path().join("data"));
    server.signal("-HUP");
    std::thread::sleep(Duration::from_millis(300));
    assert!(server.stop(), "it ended with its terminal");
}

/// An unreadable greeting neither ends the process nor blocks its signals.
#[test]
fn a_full_or_closed_standard_output_does_not_end_it() {
    let folder = tempfile::tempdir().unwrap();
    for (name, redirection) in [("full", ">/dev/full"), ("closed", ">&-")] {
        let log = folder.path().join(name);
        let line = format!("exec \"$0\" \"$@\" {redirection}");
        let mut child = Command::new("sh")
            .args(["-c", &line, env!("CARGO_BIN_EXE_asset-ledger"), "serve", "--data"])
            .arg(folder.path().join("data"))
            .args(["--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"])
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !std::fs::read_to_string(&log).unwrap().contains("listening") {
            assert!(child.try_wait().unwrap().is_none(), "{name}: it ended");
            assert!(Instant::now() < deadline, "{name}: it never listened");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(child.try_wait().unwrap().is_none(), "{name}: it ended");
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(child.wait().unwrap().success(), "{name}");
    }
}

#[test]
fn a_folder_is_served_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let _server = ServeProcess::start(&data);
    let ports = ["--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"];
    let (code, _, error) = run(&[&["serve", "--data", shown(&data)][..], &ports[..]].concat());
    assert_eq!(code, 1);
    assert!(error.contains("another `serve`"), "{error}");
}

#[tokio::test]
async fn history_is_read_beside_a_running_serve_and_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = ServeProcess::start(&data);
    let id = server.create().await["id"].as_str().unwrap().to_owned();
    let arguments = ["history", &id, "--data", shown(&data)];
    let (code, table, _) = run(&arguments);
    assert_eq!(code, 0);
    assert!(table.contains("created") && table.contains("verified: 1 event,"), "{table}");
    server.kill();
    assert_eq!(run(&arguments).1, table);
    let (code, lines, _) = run(&[&arguments[..], &["--format", "jsonl"]].concat());
    assert_eq!((code, lines.lines().count()), (0, 1));
}

#[test]
fn history_of_nothing_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let id = "019aaf6b-5a00-7123-8456-0123456789ab";
    let (code, _, error) = run(&["history", id, "--data", shown(folder.path())]);
    assert_eq!(code, 1);
    assert!(error.contains("--data"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "looking made a file");
    drop(ServeProcess::start(&folder.path().join("data")));
    let data = folder.path().join("data");
    let (code, _, error) = run(&["history", id, "--data", shown(&data)]);
    assert_eq!(code, 1);
    assert!(error.contains(id), "{error}");
}

#[tokio::test]
async fn a_history_that_was_edited_is_shown_and_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = ServeProcess::start(&data);
    let id = server.create().await["id"].as_str().unwrap().to_owned();
    let path = format!("/asset/{id}");
    let deleted = server.request(reqwest::Method::DELETE, &path).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    server.kill();
    let journal = rusqlite::Connection::open(data.join("journal.sqlite")).unwrap();
    journal.execute_batch("DROP TRIGGER events_are_never_changed").unwrap();
    let edit = "UPDATE events SET body = replace(body, 'anonymous', 'somebody') WHERE sk = 1";
    assert_eq!(journal.execute(edit, []).unwrap(), 1);
    let (code, lines, error) = run(&["history", &id, "--data", shown(&data)]);
    assert_eq!(code, 1);
    assert!(lines.contains("somebody"), "what is there is not shown");
    assert!(error.contains("version 2"), "the place is not told: {error}");
}

#[tokio::test]
async fn what_is_kept_is_for_its_owner_alone_whatever_the_umask() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = ServeProcess::start_as(open(), &data);
    server.upload("x").await;
    let (files, folders) = private(&data);
    assert!(files + folders > 10, "{files} files and {folders} folders");
    assert!(server.stop());
}

#[tokio::test]
async fn what_a_command_makes_of_it_is_too() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let server = ServeProcess::start_as(open(), &at("data"));
    server.received("x").await;
    assert!(server.stop());
    for (line, made, least) in [
        ("backup --data data --out backup", "backup", 2),
        ("restore --from backup --data restored", "restored", 4),
        ("export --data data --out export", "export", 2),
        ("export --data data --out export.tar", "export.tar", 0),
        ("import export --data imported", "imported", 1),
    ] {
        let done = open().args(line.split(' ')).current_dir(&folder).output().unwrap();
        assert!(done.status.success(), "{line}: {done:?}");
        let (_, folders) = private(&at(made));
        assert!(folders >= least, "{line}: {folders} folders");
    }
}

/// The program under a umask of 0: only its own modes protect files.
fn open() -> Command {
    let mut open = Command::new("bash");
    open.args(["-c", "umask 0; exec \"$0\" \"$@\""]).arg(env!("CARGO_BIN_EXE_asset-ledger"));
    open
}

/// The number of files and folders at `path`, all private to their owner.
fn private(path: &Path) -> (u32, u32) {
    use std::os::unix::fs::MetadataExt;
    let (mut left, mut files, mut folders) = (vec![path.to_owned()], 0, 0);
    while let Some(path) = left.pop() {
        let Ok(about) = path.symlink_metadata() else { continue }; // a renamed draft
        assert_eq!(about.mode() & 0o077, 0, "{} is {:o}", path.display(), about.mode());
        if about.is_dir() {
            folders += 1;
            left.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            files += 1;
        }
    }
    (files, folders)
}
