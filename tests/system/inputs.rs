//! Inputs of auditors: pipes, fifos, incomplete results, broken histories. Unreadable input is
//! never accepted.

use std::fs;
use std::process::Command;

use ledger::asset::{Declaration, Event};
use ledger::chain::Hash;
use ledger::id::{AssetId, Key, Tenant};
use ledger::journal::Journal;
use ledger::record::{Cause, CommandId, EventRecord, EventSource, StoredLine};
use reqwest::Method;
use stores::SqliteJournal;
use stores::sqlite::OpenMode;

use crate::audit::Desk;
use crate::server::ServeProcess;

/// The program, for a shell in the desk's folder.
const PROGRAM: &str = env!("CARGO_BIN_EXE_asset-ledger");

impl Desk {
    /// Runs a line of bash with the program as `ledger`.
    fn bash(&self, line: &str) -> (i32, String) {
        let script = format!("ledger() {{ '{PROGRAM}' \"$@\"; }}; {line}");
        let output = Command::new("bash").args(["-c", &script]).current_dir(&self.folder).output();
        let output = output.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    /// An export without the last asset, and a checkpoint that has it.
    fn cut(&self) {
        self.checkpoint();
        let kept = ["--asset", &self.ids[0], "--asset", &self.ids[1]];
        self.done(&[&["export", "--data", "data", "--out", "cut"][..], &kept].concat());
        self.done(&[&["export", "--data", "data", "--out", "cut.tar"][..], &kept].concat());
        self.done(&["export", "--data", "data", "--out", "all.tar"]);
        let lines = self.done(&["history", &self.ids[0], "--data", "data", "--format", "jsonl"]);
        fs::write(self.at("chain.jsonl"), lines).unwrap();
    }
}

#[tokio::test]
async fn a_checkpoint_in_a_pipe_is_compared_and_not_only_looked_at() {
    let desk = Desk::new().await;
    desk.cut();
    for line in [
        "ledger verify --file cut --against <(cat heads)",
        "ledger verify --file cut.tar --against <(cat heads)",
        "ledger verify --file cut --against - < <(cat heads)",
        "cat cut/events/*.jsonl | ledger verify --file - --against heads",
        "ledger verify --file <(cat cut/events/*.jsonl) --against <(cat heads)",
        "mkfifo f; cp heads.note f.note; cat heads > f & \
         ledger verify --file cut --against f --key key.pub",
        "ledger verify --file cut --against heads --key <(cat key.pub)",
    ] {
        let (code, said) = desk.bash(line);
        assert!(code == 1 && said.contains("removed"), "{line}: {code}: {said}");
    }
    // These are sound and have no findings.
    for line in [
        "ledger verify --file <(cat chain.jsonl)",
        "ledger verify --file <(gzip -c chain.jsonl)",
        "ledger verify --file all.tar --against <(cat heads)",
        "ledger verify --data data --against <(cat heads)",
    ] {
        let (code, said) = desk.bash(line);
        assert!(code == 0 && said.contains(": 0 findings"), "{line}: {code}: {said}");
    }
}

#[tokio::test]
async fn what_needs_a_file_says_so_of_a_pipe() {
    let desk = Desk::new().await;
    desk.cut();
    for (line, code, why) in [
        ("ledger verify --file <(cat all.tar)", 2, "save it to a file first"),
        ("ledger verify --file - < <(cat all.tar)", 2, "save it to a file first"),
        ("ledger import <(cat all.tar) --data other", 1, "save it to a file first"),
        ("ledger import - --data other < all.tar", 1, "save it to a file first"),
        ("ledger verify --file - --against - < heads", 2, "name a file"),
        ("ledger verify --file <(true)", 2, "no event to verify"),
        ("ledger verify --file cut --against data", 2, "is a folder"),
    ] {
        let (was, said) = desk.bash(line);
        assert!(was == code && said.contains(why), "{line}: {was}: {said}");
    }
    assert!(!desk.at("other").exists());
}

#[tokio::test]
async fn a_proof_and_what_it_is_of_come_through_pipes() {
    let desk = Desk::new().await;
    desk.cut();
    desk.done(&["proof", &desk.ids[0], "--checkpoint", "heads", "--out", "proof"]);
    for line in [
        "ledger proof --check <(cat proof) --key <(cat key.pub) --history <(cat chain.jsonl)",
        "ledger proof --check - --key key.pub --history chain.jsonl < proof",
    ] {
        let (code, said) = desk.bash(line);
        assert!(code == 0 && said.contains("matches the proof"), "{line}: {said}");
    }
    let (code, said) = desk.bash("ledger proof --check <(head -c 100000 /dev/zero) --key key.pub");
    assert!(code == 1 && said.contains("bytes"), "{said}");
}

#[tokio::test]
async fn what_a_killed_run_left_is_in_no_way_and_no_result() {
    let desk = Desk::new().await;
    fs::create_dir(desk.at("export.partial")).unwrap();
    for left in ["tape.tar.partial", "heads.partial", ".heads.x1.partial", "heads.note.partial"] {
        fs::write(desk.at(left), "half").unwrap();
    }
    desk.checkpoint();
    desk.done(&["export", "--data", "data", "--out", "export"]);
    desk.done(&["export", "--data", "data", "--out", "tape.tar"]);
    assert!(desk.at("export.partial").exists(), "nothing that lies there is touched");
    desk.done(&["verify", "--file", "export", "--against", "heads", "--key", "key.pub"]);
    // Complete or not: no result without its final name.
    fs::rename(desk.at("tape.tar"), desk.at("whole.tar.partial")).unwrap();
    fs::copy(desk.at("heads"), desk.at("copy.partial")).unwrap();
    for (arguments, code) in [
        (&["verify", "--file", "whole.tar.partial"][..], 2),
        (&["import", "whole.tar.partial", "--data", "other"], 1),
        (&["verify", "--file", "export", "--against", "copy.partial"], 2),
    ] {
        let (was, _, error) = desk.run(arguments);
        assert!(was == code && error.contains("did not end"), "{arguments:?}: {error}");
    }
}

#[tokio::test]
async fn a_checkpoint_passes_a_broken_history_by_when_it_is_told_to_and_says_so() {
    let desk = Desk::new().await;
    let edit = "UPDATE events SET body = replace(body, 'anonymous', 'somebody') WHERE sk = 1 \
                AND pk = (SELECT min(pk) FROM events)";
    desk.tamper(edit, &desk.ids[1..]).await;
    desk.done(&["checkpoint", "keygen", "--name", "files.example/ledger", "--out", "key"]);
    let make = ["checkpoint", "--data", "data", "--key", "key", "--out", "heads"];
    let (code, _, error) = desk.run(&make);
    assert!(code == 1 && error.contains("--leave-out-broken"), "{error}");
    assert!(!desk.at("heads").exists());
    let told = desk.done(&[&make[..], &["--leave-out-broken"]].concat());
    assert!(told.contains("of 2 assets") && told.contains("left out: 1 asset"), "{told}");
    let note = fs::read_to_string(desk.at("heads.note")).unwrap();
    assert!(note.contains("\nleft-out 1\n"), "{note}");
    let list = fs::read_to_string(desk.at("heads.left-out")).unwrap();
    assert!(list.contains(&desk.ids[0]) && list.lines().count() == 1, "{list}");
    let against = ["verify", "--data", "data", "--against", "heads", "--key", "key.pub"];
    let (code, told, error) = desk.run(&against);
    assert!(error.contains("1 asset left out"), "{error}");
    assert!(code == 1 && !told.contains("removed"), "only the broken one is told of: {told}");
}

/// Results with a name: a key, a proof and a checkpoint survive a crash, so each gets its name when
/// it is complete, and never replaces a file.
#[tokio::test]
async fn no_result_is_written_over_another() {
    let desk = Desk::new().await;
    desk.checkpoint();
    fs::write(desk.at("taken"), "mine").unwrap();
    for arguments in [
        &["checkpoint", "keygen", "--name", "x", "--out", "taken"][..],
        &["checkpoint", "--data", "data", "--out", "taken"],
        &["export", "--data", "data", "--out", "taken"],
        &["proof", &desk.ids[0], "--checkpoint", "heads", "--out", "taken"],
    ] {
        assert_eq!(desk.run(arguments).0, 1, "{arguments:?}");
    }
    assert_eq!(fs::read_to_string(desk.at("taken")).unwrap(), "mine");
}

#[tokio::test]
async fn a_packed_archive_is_refused_before_anything_is_read() {
    let desk = Desk::new().await;
    for name in ["all.tar.gz", "all.tgz", "all.ZIP"] {
        let (code, _, error) = desk.run(&["export", "--data", "data", "--out", name]);
        assert!(code == 1 && error.contains("NAME.tar --gzip"), "{error}");
        assert!(!desk.at(name).exists());
    }
}

/// An event imported by an earlier release, or written directly to the file.
async fn planted(desk: &Desk, nth: u128, at: &str, change: impl Fn(String) -> String) -> AssetId {
    let at = at.parse().unwrap();
    let key = Key { tenant: Tenant::default(), asset: AssetId::new(at, nth) };
    let (actor, request) = ("anonymous".to_owned(), "r".to_owned());
    let cause = Cause { actor, source: EventSource::Api, request, command: CommandId::fresh(nth) };
    let event = Event::Created(Declaration::plain());
    let record = EventRecord { key, version: 1, event, cause, at, prev: Hash::ZERO };
    let body = change(record.line().unwrap().body);
    let journal = SqliteJournal::open(&desk.at("data"), OpenMode::Existing).await.unwrap();
    journal.append(&record.key, StoredLine { version: 1, body }).await.unwrap();
    record.key.asset
}

#[tokio::test]
async fn what_the_ledger_would_not_have_written_so_is_named_and_goes_no_further() {
    let desk = Desk::new().await;
    let spaced = |body: String| body.replacen(',', ", ", 1);
    let odd = planted(&desk, 1, "2026-11-23T08:00:00Z", spaced).await;
    let last = planted(&desk, 2, "9999-12-31T23:59:59.999999Z", |body| body).await;
    let (code, told, _) = desk.run(&["verify", "--data", "data", "--patience", "0", "--json"]);
    let named = |kind: &str, asset: AssetId| {
        let kind = format!("\"kind\":\"{kind}\"");
        told.lines().any(|it| it.contains(&kind) && it.contains(&asset.to_string()))
    };
    assert!(code == 1 && named("odd-spelling", odd) && named("over-limit", last), "{told}");
    // No later event is possible: refused, and nothing is written.
    let server = ServeProcess::start(&desk.at("data"));
    let answer = server.request(Method::DELETE, &format!("/asset/{last}")).send().await.unwrap();
    let status = answer.status();
    let said = answer.text().await.unwrap();
    assert!(status == 409 && said.contains("asset.out_of_time"), "{status}: {said}");
    assert!(server.stop());
    let lines = desk.done(&["history", &last.to_string(), "--data", "data", "--format", "jsonl"]);
    assert_eq!(lines.lines().count(), 1);
}
