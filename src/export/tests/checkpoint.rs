//! Faults that only a checkpoint reveals, made in either store.

use aws_sdk_dynamodb::types::AttributeValue;
use engine::{Engine, Tables};
use ledger::audit::{Finding, FindingKind};
use ledger::chain::Hash;
use ledger::checkpoint::SecretKey;
use ledger::id::Key;
use ledger::record::StoredLine;
use ledger::signer::{Signer, sign};
use rusqlite::{Connection, params};
use stores::sqlite::OpenMode;
use stores::{DynamoJournal, SqliteJournal};

use super::super::*;
use super::world::{ASSETS, Ledger, Place, Quiet, key, lines};

/// An attacker with the store's credentials.
enum Raw {
    Sqlite(Connection),
    Dynamo(Tables),
}

impl Raw {
    /// Replaces the history with these lines.
    async fn rewrite(&self, key: &Key, before: &[StoredLine], after: &[StoredLine]) {
        for line in before {
            self.erase(key, line.version).await;
        }
        for line in after {
            self.write(key, line).await;
        }
    }

    async fn erase(&self, key: &Key, version: u64) {
        match self {
            Self::Sqlite(file) => {
                let erase = "DELETE FROM events WHERE pk = ?1 AND sk = ?2";
                assert_eq!(file.execute(erase, params![key.partition(), version]), Ok(1));
            }
            Self::Dynamo(tables) => {
                let delete = tables.client.delete_item().table_name(&tables.journal);
                let delete = delete.key("pk", AttributeValue::S(key.partition()));
                let version = AttributeValue::N(version.to_string());
                delete.key("sk", version).send().await.unwrap();
            }
        }
    }

    async fn write(&self, key: &Key, line: &StoredLine) {
        match self {
            Self::Sqlite(file) => {
                let write = "INSERT INTO events (pk, sk, body) VALUES (?1, ?2, ?3)";
                let row = params![key.partition(), line.version, line.body];
                assert_eq!(file.execute(write, row), Ok(1));
            }
            Self::Dynamo(tables) => {
                let put = tables.client.put_item().table_name(&tables.journal);
                let put = put.item("pk", AttributeValue::S(key.partition()));
                let put = put.item("sk", AttributeValue::N(line.version.to_string()));
                put.item("body", AttributeValue::S(line.body.clone())).send().await.unwrap();
            }
        }
    }
}

/// The same history from another start, each event linked to the previous one.
fn rewritten(lines: &[StoredLine]) -> Vec<StoredLine> {
    let mut all: Vec<StoredLine> = Vec::new();
    for line in lines {
        let body = line.body.replace("bob", "eve");
        let (said, prev) = body.rsplit_once(r#""prev":""#).unwrap();
        let prev = all.last().map_or_else(|| prev[..64].parse().unwrap(), StoredLine::hash);
        let body = format!(r#"{said}"prev":"{}"}}"#, prev as Hash);
        all.push(StoredLine { version: line.version, body });
    }
    all
}

async fn filled(ledger: &Ledger) {
    for nth in 1..=ASSETS {
        ledger.append(nth, &lines(nth, 3)).await;
    }
}

pub(super) async fn checkpoint(ledger: &Ledger, place: &Place) -> std::path::PathBuf {
    let (path, mut heads) = (place.at("heads"), Vec::new());
    let (rising, _) =
        ledger.source().heads(&mut heads, BrokenHistories::Refuse, &mut Quiet).await.unwrap();
    std::fs::write(&path, heads).unwrap();
    let key = signing(1);
    let note = sign(&key, &rising.checkpoint(Signer::verifier(&key).name())).await.unwrap();
    std::fs::write(note_beside(&path), note.to_string()).unwrap();
    path
}

fn signing(seed: u8) -> SecretKey {
    SecretKey::new("files.example/ledger", [seed; 32]).unwrap()
}

pub(super) async fn compared(
    ledger: &Ledger,
    heads: &std::path::Path,
) -> (Vec<Finding>, ComparisonResult) {
    let against = CheckpointHeads::open(heads, Some(signing(1).verifier())).unwrap();
    let mut found = Vec::new();
    let met = against.journal(&*ledger.journal, &mut |finding| found.push(finding)).await.unwrap();
    (found, met)
}

async fn each_deed_is_named(ledger: Ledger, raw: Raw) {
    let place = Place::new();
    filled(&ledger).await;
    let heads = checkpoint(&ledger, &place).await;
    ledger.append(1, &lines(1, 5)[3..]).await;
    ledger.append(ASSETS + 1, &lines(ASSETS + 1, 1)).await;
    assert_eq!(compared(&ledger, &heads).await.0, [], "what came later is no finding");

    let deeds: [(&str, u64, Vec<StoredLine>, &[FindingKind]); 5] = [
        ("a tail deleted", 2, lines(2, 2), &[FindingKind::Truncated]),
        ("a last event edited", 3, rewritten_last(3), &[FindingKind::Edited]),
        ("an asset removed", 4, Vec::new(), &[FindingKind::Removed]),
        ("a history written anew", 5, rewritten(&lines(5, 4)), &[FindingKind::Rewritten]),
        // No event follows the checkpoint's: it may have been edited alone.
        ("the same, no longer", 6, rewritten(&lines(6, 3)), &[FindingKind::Edited]),
    ];
    for (_, nth, after, _) in &deeds {
        raw.rewrite(&key(*nth), &lines(*nth, 3), after).await;
    }
    let (found, met) = compared(&ledger, &heads).await;
    assert_eq!((met.heads, met.removed, met.others), (ASSETS - 1, 1, 1));
    for (what, nth, _, kinds) in &deeds {
        let of = key(*nth).partition();
        let named: Vec<_> = found.iter().filter(|finding| finding.asset == of).collect();
        assert!(!named.is_empty(), "{what}: nothing found");
        assert!(named.iter().all(|it| kinds.contains(&it.kind)), "{what}: {named:#?}");
    }
    let assets: std::collections::BTreeSet<_> = found.iter().map(|it| &it.asset).collect();
    assert_eq!(assets.len(), deeds.len(), "and nothing of others: {found:#?}");
}

fn rewritten_last(nth: u64) -> Vec<StoredLine> {
    let mut edited = lines(nth, 3);
    edited[2].body = edited[2].body.replace("bob", "eve");
    edited
}

#[tokio::test]
async fn in_sqlite_a_checkpoint_shows_what_a_journal_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(folder.path(), OpenMode::OrCreate).await.unwrap();
    let raw = Connection::open(folder.path().join("journal.sqlite")).unwrap();
    for trigger in ["changed", "deleted", "replaced"] {
        raw.execute_batch(&format!("DROP TRIGGER events_are_never_{trigger}")).unwrap();
    }
    each_deed_is_named(Ledger::of(journal), Raw::Sqlite(raw)).await;
}

#[tokio::test]
async fn on_dynamodb_a_checkpoint_shows_what_a_journal_cannot() {
    let tables = Engine::new().tables().await;
    let journal = DynamoJournal::new(tables.client.clone(), &tables.journal);
    each_deed_is_named(Ledger::of(journal), Raw::Dynamo(tables)).await;
}

#[tokio::test]
async fn a_checkpoint_is_believed_only_with_its_note_and_its_key() {
    let (place, full) = (Place::new(), Ledger::full().await);
    let heads = checkpoint(&full, &place).await;
    let refused = |key: Option<&SecretKey>| {
        let opened = CheckpointHeads::open(&heads, key.map(Signer::verifier));
        format!("{:#}", opened.err().expect("it was believed"))
    };
    let (right, wrong) = (signing(1), signing(2));
    assert!(refused(Some(&wrong)).contains("not signed by"), "{}", refused(Some(&wrong)));
    let whole = std::fs::read_to_string(&heads).unwrap();
    let fewer = whole.split_once('\n').unwrap().1;
    std::fs::write(&heads, fewer).unwrap();
    assert!(refused(Some(&right)).contains("not the heads"), "a line was taken away");
    std::fs::write(&heads, whole.replacen("\"version\":2", "\"version\":3", 1)).unwrap();
    assert!(refused(None).contains("not the heads"), "also without the key");
    std::fs::write(&heads, format!("{whole}{}", whole.lines().next().unwrap())).unwrap();
    let told = refused(None);
    assert!(told.contains(&format!(":{}:", ASSETS + 1)), "{told}");
    std::fs::write(&heads, &whole).unwrap();
    std::fs::remove_file(note_beside(&heads)).unwrap();
    assert!(refused(Some(&right)).contains("no note"));
    assert_eq!(CheckpointHeads::open(&heads, None).unwrap().vouched(), &HeadsProvenance::Bare);
}

#[tokio::test]
async fn an_export_is_compared_with_a_checkpoint_too() {
    let (place, full) = (Place::new(), Ledger::full().await);
    let heads = checkpoint(&full, &place).await;
    let filter = ExportFilter { actor: Some("ann".into()), ..ExportFilter::default() };
    let shape = place.shape("export", Layout::Segment, false);
    full.export(&shape, filter).await;
    let against = CheckpointHeads::open(&heads, Some(signing(1).verifier())).unwrap();
    let (mut found, archive) = (Vec::new(), Archive::open(&shape.out).unwrap());
    let tell = &mut |finding| found.push(finding);
    let mut comparison = against.begin().unwrap();
    check_against(&archive, Some(&mut comparison), tell, &mut |_| ()).unwrap();
    let met = comparison.end(tell).unwrap();
    assert_eq!((met.heads, met.removed), (6, ASSETS - 6), "a part is told as a part");
    assert!(found.iter().all(|finding| finding.kind == FindingKind::Removed));
}

/// The compared heads are those that were vouched for, or the comparison fails.
#[tokio::test]
async fn heads_that_change_between_the_look_and_the_comparison_are_noticed() {
    let (place, full) = (Place::new(), Ledger::full().await);
    let heads = checkpoint(&full, &place).await;
    let whole = std::fs::read_to_string(&heads).unwrap();
    let fewer: String = whole.split_inclusive('\n').skip(1).collect();
    for (other, in_place) in [("", true), (fewer.as_str(), true), (fewer.as_str(), false)] {
        std::fs::write(&heads, &whole).unwrap();
        let against = CheckpointHeads::open(&heads, Some(signing(1).verifier())).unwrap();
        if !in_place {
            std::fs::remove_file(&heads).unwrap(); // the path leads to another file now
        }
        std::fs::write(&heads, other).unwrap();
        let compared = against.journal(&*full.journal, &mut |_| ()).await;
        match compared {
            Ok(met) => assert!(!in_place && met.heads == ASSETS, "{met:?}"),
            Err(error) => {
                assert!(in_place && error.to_string().contains("changed while"), "{error:#}");
            }
        }
    }
}
