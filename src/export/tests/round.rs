//! An import restores every exported byte.

use engine::Engine;
use ledger::Effects;
use ledger::id::{Key, Tenant};
use ledger::journal::scan::Chains;
use ledger::record::EventRecord;
use ledger::testing::{MemoryJournal, TestEffects};
use stores::DynamoJournal;

use super::super::*;
use super::world::{ASSETS, Ledger, Place, Quiet, chain, files, findings, found_in, key, lines};

const SHAPES: [(&str, Layout, bool); 6] = [
    ("plain", Layout::Segment, false),
    ("packed", Layout::Segment, true),
    ("plain.tar", Layout::Segment, false),
    ("packed.tar", Layout::Segment, true),
    ("assets", Layout::Asset, false),
    ("assets.tar", Layout::Asset, true),
];

#[tokio::test]
async fn every_shape_of_an_export_is_whole_and_is_imported() {
    let (place, full) = (Place::new(), Ledger::full().await);
    for (name, layout, gzip) in SHAPES {
        let shape = place.shape(name, layout, gzip);
        let (manifest, broken) = full.export(&shape, ExportFilter::default()).await;
        assert_eq!((manifest.assets, broken), (ASSETS, 0));
        assert_eq!(findings(&shape.out).unwrap(), [], "{name}");
        let empty = Ledger::of(MemoryJournal::default());
        let imported = empty.import(&shape.out).await.unwrap();
        assert_eq!((imported.events, imported.there), (manifest.events, 0), "{name}");
        for nth in 1..=ASSETS {
            let same = full.journal.history(&key(nth)).await.unwrap();
            assert_eq!(empty.journal.history(&key(nth)).await.unwrap(), same, "{name}");
        }
    }
}

#[tokio::test]
async fn sqlite_to_dynamodb_and_back_gives_the_same_bytes() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    let export = async |ledger: &Ledger, name| {
        let shape = place.shape(name, Layout::Segment, true);
        ledger.export(&shape, ExportFilter::default()).await;
        shape.out
    };
    let first = export(&Ledger::full().await, "first").await;
    let sqlite = Ledger::sqlite(folder.path()).await;
    sqlite.import(&first).await.unwrap();
    let second = export(&sqlite, "second").await;
    let tables = Engine::new().tables().await;
    let dynamodb = Ledger::of(DynamoJournal::new(tables.client, tables.journal));
    dynamodb.import(&second).await.unwrap();
    let third = export(&dynamodb, "third").await;
    let back = tempfile::tempdir().unwrap();
    let back = Ledger::sqlite(back.path()).await;
    back.import(&third).await.unwrap();
    let fourth = export(&back, "fourth").await;
    let all = files(&first);
    assert!(all.len() == 3 && all.iter().all(|(_, bytes)| !bytes.is_empty()));
    for other in [second, third, fourth] {
        assert_eq!(files(&other), all, "{}", other.display());
    }
}

#[tokio::test]
async fn histories_are_sorted_through_files_when_they_do_not_fit() {
    let full = Ledger::full().await;
    let tables = Engine::new().tables().await;
    let dynamodb = Ledger::of(DynamoJournal::new(tables.client, tables.journal));
    for nth in 1..=ASSETS {
        dynamodb.append(nth, &lines(nth, nth % 6 + 1)).await;
    }
    assert!(full.journal.ordered() && !dynamodb.journal.ordered());
    let whole = full.journal.segments(1).await.unwrap();
    let mut expected = Chains::new(&*full.journal, &whole[0], None);
    let whole = dynamodb.journal.segments(1).await.unwrap();
    let mut sorted =
        SortedHistories::with_runs_of(5_000, &*dynamodb.journal, &whole[0]).await.unwrap();
    while let Some(chain) = sorted.next().await.unwrap() {
        assert_eq!(Some(chain), expected.next().await.unwrap());
    }
    assert_eq!(expected.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_filter_takes_whole_assets_only() {
    let (place, full) = (Place::new(), Ledger::full().await);
    let taken = async |name, filter: ExportFilter| {
        let shape = place.shape(name, Layout::Asset, false);
        let (manifest, _) = full.export(&shape, filter).await;
        assert_eq!(findings(&shape.out).unwrap(), [], "{name}");
        manifest.assets
    };
    let at = |nth: u64| Some(key(nth).asset).map(|_| lines(nth, 1)[0].body.clone());
    let time = |nth| {
        let record = EventRecord::read(&at(nth).unwrap()).unwrap();
        Some(record.at)
    };
    let none = ExportFilter::default();
    assert_eq!(taken("actor", ExportFilter { actor: Some("ann".into()), ..none.clone() }).await, 6);
    assert_eq!(
        taken("time", ExportFilter { since: time(10), until: time(15), ..none.clone() }).await,
        5
    );
    assert_eq!(
        taken("state", ExportFilter { state: Some("CREATED".into()), ..none.clone() }).await,
        10
    );
    let both = ExportFilter { actor: Some("ann".into()), since: time(11), until: time(31), ..none };
    assert_eq!(taken("both", both).await, 2);
}

#[tokio::test]
async fn one_tenant_s_assets_are_taken_and_no_other_s() {
    let (place, full) = (Place::new(), Ledger::full().await);
    let mut theirs = EventRecord::read(&lines(1, 1)[0].body).unwrap();
    theirs.key.tenant = "other".parse().unwrap();
    full.journal.append(&theirs.key, theirs.line().unwrap()).await.unwrap();
    // A broken history of an unselected tenant does not matter.
    let broken = Key { tenant: "broken".parse().unwrap(), ..key(2) };
    full.journal.append(&broken, lines(2, 1)[0].clone()).await.unwrap();
    for (name, assets) in [("main", ASSETS), ("other", 1)] {
        let tenant: Tenant = name.parse().unwrap();
        let source = ExportSource { tenant: Some(&tenant), ..full.source() };
        let filter = ExportFilter { tenant: Some(name.to_owned()), ..ExportFilter::default() };
        let shape = place.shape(name, Layout::Segment, false);
        let at = TestEffects::seeded(1).now();
        let mut writer = ExportWriter::create(shape.clone(), at, filter.clone()).unwrap();
        let left_out = source.export(Vec::new(), &filter, &mut writer, &mut Quiet).await.unwrap();
        let manifest = writer.finish().unwrap();
        assert_eq!((left_out, manifest.assets, &manifest.selected), (0, assets, &filter), "{name}");
        assert_eq!(findings(&shape.out).unwrap(), [], "{name}");
        let (heads, _) =
            source.heads(&mut Vec::new(), BrokenHistories::Refuse, &mut Quiet).await.unwrap();
        assert_eq!(heads.count(), assets, "{name}");
    }
}

#[tokio::test]
async fn an_import_goes_on_where_one_was_cut_off() {
    let (place, half) = (Place::new(), Ledger::of(MemoryJournal::default()));
    let export = place.exported().await;
    half.append(7, &lines(7, 2)).await;
    half.append(9, &lines(9, 4)).await;
    let imported = half.import(&export).await.unwrap();
    assert_eq!(imported.there, 6);
    let again = half.import(&export).await.unwrap();
    assert_eq!(again.there, again.events);
}

#[tokio::test]
async fn a_journal_with_other_events_is_left_alone() {
    let place = Place::new();
    let export = place.exported().await;
    let longer = lines(5, 7);
    let mut other = lines(8, 3);
    other[1].body = other[1].body.replace("bob", "eve");
    for (nth, held) in [(ASSETS + 1, lines(ASSETS + 1, 1)), (5, longer), (8, other)] {
        let journal = Ledger::of(MemoryJournal::default());
        journal.append(nth, &held).await;
        let refused = journal.import(&export).await.unwrap_err().to_string();
        assert!(refused.contains("not empty"), "{refused}");
        assert_eq!(journal.journal.history(&key(1)).await.unwrap(), [], "nothing was appended");
    }
}

#[tokio::test]
async fn a_history_that_does_not_verify_is_left_out_and_named() {
    let (place, full) = (Place::new(), Ledger::full().await);
    let mut broken = lines(ASSETS + 1, 3);
    broken.remove(1);
    full.append(ASSETS + 1, &broken).await;
    let shape = place.shape("export", Layout::Segment, false);
    let (manifest, left_out) = full.export(&shape, ExportFilter::default()).await;
    assert_eq!((left_out, manifest.left_out), (1, 1));
    assert_eq!(manifest.left_out_assets, [key(ASSETS + 1).partition()]);
    assert_eq!(findings(&shape.out).unwrap(), []);
}

#[tokio::test]
async fn a_history_that_is_too_long_for_its_readers_is_left_out_and_named() {
    #[derive(Default)]
    struct Told(Vec<String>);
    impl ExportObserver for Told {
        fn read(&mut self, _: u64) {}

        fn broken(&mut self, _: Vec<ledger::audit::Finding>) {}

        fn too_long(&mut self, partition: &str, _: usize) {
            self.0.push(partition.to_owned());
        }
    }
    let (place, full, mut told) = (Place::new(), Ledger::full().await, Told::default());
    let shape = place.shape("export", Layout::Segment, false);
    let (at, all) = (chrono::DateTime::UNIX_EPOCH, ExportFilter::default());
    let mut writer = ExportWriter::create(shape.clone(), at, all.clone()).unwrap();
    // Every sixth asset has six events.
    let most = form::bytes(&lines(5, 6)) - 100;
    let source = full.source();
    let left_out = source.export_up_to(most, Vec::new(), &all, &mut writer, &mut told).await;
    let manifest = writer.finish().unwrap();
    assert_eq!((left_out.unwrap(), manifest.left_out, manifest.assets), (10, 10, ASSETS - 10));
    assert_eq!((told.0[0].clone(), &told.0), (key(5).partition(), &manifest.left_out_assets));
    assert_eq!(findings(&shape.out).unwrap(), []);
}

#[tokio::test]
async fn what_is_not_finished_leaves_nothing_behind() {
    let place = Place::new();
    for name in ["folder", "archive.tar"] {
        let shape = place.shape(name, Layout::Segment, false);
        let at = chrono::DateTime::UNIX_EPOCH;
        let mut writer = ExportWriter::create(shape.clone(), at, ExportFilter::default()).unwrap();
        let source = Ledger::full().await;
        let mut quiet = Quiet;
        source
            .source()
            .export(Vec::new(), &ExportFilter::default(), &mut writer, &mut quiet)
            .await
            .unwrap();
        // Leftovers of a killed run, or another run's files, do no harm.
        let second = ExportWriter::create(shape.clone(), at, ExportFilter::default()).unwrap();
        drop(writer);
        second.finish().unwrap();
        let refused =
            ExportWriter::create(shape.clone(), at, ExportFilter::default()).err().unwrap();
        assert!(refused.to_string().contains("there already"), "{refused}");
        let _ = std::fs::remove_dir_all(&shape.out);
        let _ = std::fs::remove_file(&shape.out);
    }
    assert_eq!(files(&place.at("")), []);
}

#[tokio::test]
async fn a_bare_chain_is_checked_by_itself() {
    let two = chain(3, 4) + &chain(4, 5);
    assert_eq!(found_in(std::io::Cursor::new(two)), []);
    assert_eq!(found_in(std::io::Cursor::new(super::world::gzip(chain(3, 4).as_bytes()))), []);
}
