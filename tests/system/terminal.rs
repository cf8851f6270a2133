//! The output for people: foreign text gives a terminal no commands, ids can be pasted, tables fit,
//! and an error is one line with an example.

use std::fs;

use ledger::asset::{Declaration, Event};
use ledger::chain::Hash;
use ledger::id::{Key, Tenant};
use ledger::journal::Journal;
use ledger::record::{Cause, CommandId, EventRecord, EventSource};
use stores::SqliteJournal;
use stores::sqlite::OpenMode;

use crate::audit::Desk;
use crate::server::program;

const HOSTILE: &str = "a\u{1b}[2Jb\u{9b}31m\u{202e}c\u{2028}d\r\nok: 0 findings\u{feff}\u{e0041}";
const ID: &str = "019aaf6b-5a00-7123-8456-0123456789ab";

fn is_order(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}

#[track_caller]
fn assert_harmless(said: &str) {
    assert!(!said.contains(is_order), "{said:?}");
    assert!(!said.lines().any(|line| line.starts_with("ok: 0 findings")), "{said}");
}

/// An event forged by a writer of the file.
fn hostile() -> EventRecord {
    let key = Key { tenant: Tenant::default(), asset: ID.parse().unwrap() };
    let declared = Declaration { filename: Some(HOSTILE.to_owned()), ..Declaration::plain() };
    let request = HOSTILE.to_owned();
    let cause = Cause {
        actor: HOSTILE.to_owned(),
        source: EventSource::Api,
        request,
        command: CommandId::fresh(1),
    };
    let at = "2026-11-23T08:00:00Z".parse().unwrap();
    EventRecord { key, version: 1, event: Event::Created(declared), cause, at, prev: Hash::ZERO }
}

#[tokio::test]
async fn text_of_others_gives_a_terminal_no_orders() {
    let desk = Desk::new().await;
    let record = hostile();
    let journal = SqliteJournal::open(&desk.at("data"), OpenMode::Existing).await.unwrap();
    journal.append(&record.key, record.line().unwrap()).await.unwrap();
    drop(journal);
    let body = record.line().unwrap().body;
    fs::write(desk.at("chain.jsonl"), format!("{body}\n")).unwrap();
    let odd = format!("{{\"tenant\":\"main\",\"asset\":\"{HOSTILE}\"}}\n{HOSTILE}\n");
    fs::write(desk.at("odd.jsonl"), odd).unwrap();
    fs::create_dir_all(desk.at("export/events")).unwrap();
    fs::write(desk.at("export/events").join("\u{202e}x\u{1b}"), "").unwrap();
    for arguments in [
        &["history", ID, "--data", "data"][..],
        &["verify", "--data", "data", "--patience", "0"],
        &["verify", "--data", "data", "--patience", "0", "--json"],
        &["verify", "--file", "chain.jsonl"],
        &["verify", "--file", "chain.jsonl", "--json"],
        &["verify", "--file", "odd.jsonl"],
        &["verify", "--file", "odd.jsonl", "--json"],
        &["verify", "--file", "export"],
        &["verify", "--file", "odd.jsonl", "--against", "odd.jsonl"],
        &["export", "--data", "data", "--out", "out"],
        &["checkpoint", "--data", "data", "--out", "heads"],
        &["import", "export", "--data", "other"],
        &["proof", "--check", "odd.jsonl", "--key", "odd.jsonl"],
        &["replay", "--data", "data", "--dry-run"],
    ] {
        let (_, told, error) = desk.run(arguments);
        assert!(!told.is_empty() || !error.is_empty());
        assert_harmless(&told);
        assert_harmless(&error);
    }
    // A signer's name is foreign text as well.
    let name = "files\u{202e}.example";
    desk.done(&["checkpoint", "keygen", "--name", name, "--out", "key"]);
    desk.done(&[
        "checkpoint",
        "--data",
        "data",
        "--key",
        "key",
        "--out",
        "h",
        "--leave-out-broken",
    ]);
    desk.done(&["proof", &desk.ids[0], "--checkpoint", "h", "--out", "p"]);
    let told = desk.done(&["proof", "--check", "p", "--key", "key.pub"]);
    assert!(told.contains(r"files\u{202e}.example"), "{told}");
    let (_, told, error) =
        desk.run(&["verify", "--data", "data", "--against", "h", "--key", "key.pub"]);
    assert_harmless(&told);
    assert_harmless(&error);
    // The stored bytes remain available.
    let lines = desk.run(&["history", ID, "--data", "data", "--format", "jsonl"]).1;
    assert_eq!(lines, format!("{body}\n"));
}

#[tokio::test]
async fn what_a_table_shows_is_whole_at_any_width_and_can_be_pasted_back() {
    let desk = Desk::new().await;
    let id = desk.ids[0].clone();
    let edit = "UPDATE events SET body = replace(body, 'anonymous', 'somebody') WHERE sk = 1 \
                AND pk = (SELECT min(pk) FROM events)";
    desk.tamper(edit, &desk.ids[1..]).await;
    for columns in ["40", "60", "80", "100", "200"] {
        for arguments in [
            &["verify", "--data", "data", "--patience", "0"][..],
            &["history", &desk.ids[1], "--data", "data"],
        ] {
            let mut run = program();
            run.args(arguments).current_dir(&desk.folder).env("COLUMNS", columns);
            let told = String::from_utf8(run.output().unwrap().stdout).unwrap();
            if arguments[0] == "verify" {
                assert!(told.contains(&id), "{columns}:\n{told}");
            }
            let table = told.lines().filter(|line| line.contains('│') || line.contains("  "));
            let widest = table.map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= columns.parse::<usize>().unwrap().max(60), "{columns}:\n{told}");
        }
    }
    let sound = &desk.ids[1];
    for (nth, shown) in
        [sound.clone(), sound.to_uppercase(), format!("main#{sound}")].iter().enumerate()
    {
        let told = desk.done(&["history", shown, "--data", "data"]);
        assert!(told.contains(sound.as_str()), "{told}");
        let out = format!("out{nth}");
        desk.done(&["export", "--data", "data", "--out", &out, "--asset", shown]);
    }
}

#[tokio::test]
async fn numbers_and_things_agree() {
    let desk = Desk::new().await;
    let one = ["export", "--data", "data", "--out", "one", "--asset", &desk.ids[0]];
    assert!(desk.done(&one).starts_with("one: 1 asset, 3 events, "));
    let told = desk.done(&["verify", "--file", "one"]);
    assert!(told.contains("checked 1 asset with 3 events and 0 rows: 0 findings"), "{told}");
    let told = desk.done(&["import", "one", "--data", "other"]);
    assert_eq!(told, "imported 1 asset, 3 events, 0 already present\n");
    let told = desk.done(&["checkpoint", "--data", "other", "--out", "heads"]);
    assert!(told.contains("the heads of 1 asset, "), "{told}");
}

#[tokio::test]
async fn what_is_wrong_is_said_on_one_line_and_by_an_example() {
    let desk = Desk::new().await;
    fs::write(desk.at("no.key"), "nonsense\n").unwrap();
    let cases: [(&[&str], &str); 15] = [
        (&["serve", "--data", "x", "--listen", "nowhere"], "127.0.0.1:8080"),
        (&["project", "--journal-table", "a", "--views-table", "b", "--listen", "x"], "8080"),
        (&["export", "--data", "data", "--out", "x", "--since", "yesterday"], "2027-01-01"),
        (&["history", "main", "--data", "data"], "such as 019aaf6b"),
        (&["verify", "--data", "nowhere"], "--data"),
        (&["history", ID, "--data", "nowhere"], "--data"),
        (&["checkpoint", "--data", "data", "--key", "no.key", "--out", "x"], "`checkpoint keygen`"),
        (&["checkpoint", "--data", "data", "--key", "nowhere", "--out", "x"], "--key nowhere: "),
        (&["checkpoint", "--data", "data", "--key", ".", "--out", "x"], "--key .: "),
        (&["verify", "--data", "data", "--against", "x", "--key", "no.key"], "such as FILE.pub"),
        (&["verify", "--data", "data", "--against", "x", "--key", "nowhere"], "--key nowhere: "),
        (&["verify", "--data", "data", "--against", "x", "--key", "a+b"], "`checkpoint keygen`"),
        (&["proof", "--check", "x", "--key", "no.key"], "such as FILE.pub"),
        (&["proof", "--check", "x", "--key", "nowhere"], "--key nowhere: "),
        (&["export", "--data", "data", "--out", "no/such/x"], "there is no folder"),
    ];
    fs::set_permissions(desk.at("no.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    for (arguments, example) in cases {
        let (code, _, error) = desk.run(arguments);
        assert_ne!(code, 0, "{arguments:?}");
        let first = error.lines().next().unwrap_or_default();
        assert!(first.contains(example), "{arguments:?}: {error}");
        for debug in ["Os {", "Err(", "Some(", "kind:"] {
            assert!(!error.contains(debug), "{arguments:?}: {error}");
        }
        let clap = error.contains("try '--help'");
        assert!(clap || error.lines().count() == 1, "{arguments:?}: {error}");
    }
    let dated = ["export", "--data", "data", "--out", "later", "--since", "2999-01-01"];
    assert!(desk.done(&dated).starts_with("later: 0 assets, 0 events"));
}

/// An option has one explanation, which is the same for every command.
#[test]
fn an_option_of_the_stores_is_explained_in_the_same_words_everywhere() {
    // `serve` has them all: every other command is compared with it.
    let all = ["serve", "verify", "history", "export", "import", "checkpoint", "replay"];
    let tables = [&all[..], &["project", "migrate"]].concat();
    let shards = [&all[..], &["project"]].concat();
    let tenant = [&all[..], &["project", "proof"]].concat();
    for (option, commands) in [
        ("--store <", &all[..]),
        ("--data <", &all),
        ("--bucket <", &all),
        ("--journal-table <", &tables),
        ("--views-table <", &tables),
        ("--shards <", &shards),
        ("--tenant <", &tenant),
    ] {
        let said: Vec<_> = commands.iter().map(|command| explained(option, command)).collect();
        assert!(said[0].len() > 10, "`serve` does not explain {option}: {said:#?}");
        for (said_too, command) in said.iter().zip(commands) {
            // A longer explanation begins with the same words.
            assert!(said_too.starts_with(&said[0]), "{command}, {option}: {said:#?}");
        }
    }
    let said = ["verify", "history", "export", "import", "checkpoint", "replay"]
        .map(|command| explained("--tenant <", command));
    assert!(said.iter().all(|it| *it == said[0]), "{said:#?}");
    let output = program().arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert_eq!(help.matches("Ledger options").count(), 1, "{help}");
    for option in ["--data DIR", "--store dynamodb", "--journal-table TABLE", "--tenant NAME"] {
        assert_eq!(help.matches(option).count(), 1, "{option}: {help}");
    }
}

/// The explanation of an option in a command's help, without its other sources.
fn explained(option: &str, command: &str) -> String {
    let output = program().args([command, "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let lines = help.lines().skip_while(|line| !line.trim_start().starts_with(option)).skip(1);
    let said = lines.map(str::trim).take_while(|line| !line.is_empty() && !line.starts_with('['));
    said.collect::<Vec<_>>().join(" ")
}
