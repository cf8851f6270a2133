//! Named streams beside the assets: exported, checked, imported, and vouched for.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use engine::Engine;
use ledger::Effects;
use ledger::audit::{Finding, FindingKind};
use ledger::id::{PartitionKey, Tenant};
use ledger::journal::scan::Chains;
use ledger::record::StoredLine;
use ledger::testing::streams::{access, altered, events, urls};
use ledger::testing::{MemoryJournal, TestEffects};
use stores::DynamoJournal;

use super::super::*;
use super::checkpoint::{checkpoint, compared};
use super::world::{
    ASSETS, Ledger, Place, Quiet, chain, every_flipped_bit_is_located, files, findings, found_in,
    lines,
};

fn tenant(name: &str) -> Tenant {
    name.parse().unwrap()
}

/// A ledger with all assets, a stream of their tenant, and one of a tenant that sorts first.
async fn with_streams() -> Ledger {
    let full = Ledger::full().await;
    for of in ["main", "else"] {
        full.append_stream(&access(&tenant(of))).await;
    }
    full
}

async fn exported(ledger: &Ledger, shape: &ExportShape) -> (ExportManifest, PathBuf) {
    let (manifest, left_out) = ledger.export(shape, ExportFilter::default()).await;
    assert_eq!(left_out, 0);
    (manifest, shape.out.clone())
}

/// The content of a journal.
async fn held(ledger: &Ledger) -> Vec<(String, Vec<StoredLine>)> {
    let (whole, mut all) = (ledger.journal.segments(1).await.unwrap(), Vec::new());
    let mut chains = Chains::new(&*ledger.journal, &whole[0], None);
    while let Some(chain) = chains.next().await.unwrap() {
        all.push((chain.partition, chain.lines));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[tokio::test]
async fn an_export_with_streams_differs_by_their_files_alone() {
    let place = Place::new();
    let shape = |name| place.shape(name, Layout::Segment, false);
    let (_, plain) = exported(&Ledger::full().await, &shape("plain")).await;
    let (manifest, more) = exported(&with_streams().await, &shape("streams")).await;
    let (plain, mut more) = (files(&plain), files(&more));
    let names: Vec<_> = plain.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["events/000001.jsonl", "heads.jsonl", "manifest.json"]);
    let whole = more.clone();
    more.retain(|(name, _)| !name.contains("streams") && name != "manifest.json");
    assert_eq!(more, plain[..2]);
    let file = |name: &str| {
        let (_, bytes) = whole.iter().find(|it| it.0 == name).unwrap();
        String::from_utf8(bytes.clone()).unwrap()
    };
    let (key, lines) = access(&tenant("main"));
    let bodies: String = lines.iter().flat_map(|line| [line.body.as_str(), "\n"]).collect();
    assert_eq!(file("streams/main/access.jsonl"), bodies);
    let heads = file("heads-streams.jsonl");
    let last = format!(
        r#"{{"tenant":"main","stream":"access","version":3,"hash":"{}"}}"#,
        lines[2].hash()
    );
    assert_eq!(heads.lines().collect::<Vec<_>>()[1], last, "{}", key.partition());
    let of_streams = manifest.streams.unwrap();
    assert_eq!((of_streams.count, of_streams.events, manifest.assets), (2, 6, ASSETS));
    assert!(!String::from_utf8(plain[2].1.clone()).unwrap().contains("streams"));
}

#[tokio::test]
async fn every_shape_of_an_export_brings_streams_back() {
    let (place, full) = (Place::new(), with_streams().await);
    for (name, layout, gzip) in [
        ("plain", Layout::Segment, false),
        ("packed", Layout::Segment, true),
        ("packed.tar", Layout::Segment, true),
        ("assets.tar", Layout::Asset, false),
    ] {
        let (manifest, out) = exported(&full, &place.shape(name, layout, gzip)).await;
        assert_eq!(findings(&out).unwrap(), [], "{name}");
        let empty = Ledger::of(MemoryJournal::default());
        let imported = empty.import(&out).await.unwrap();
        assert_eq!((imported.assets, imported.streams), (ASSETS, 2), "{name}");
        assert_eq!((imported.events, imported.there), (manifest.events + 6, 0), "{name}");
        assert_eq!(held(&empty).await, held(&full).await, "{name}");
        let again = empty.import(&out).await.unwrap();
        assert_eq!(again.there, again.events, "{name}");
    }
}

#[tokio::test]
async fn the_log_of_urls_is_exported_and_a_changed_url_is_named() {
    let (place, full) = (Place::new(), with_streams().await);
    full.append_stream(&urls(&tenant("main"))).await;
    let (_, out) = exported(&full, &place.shape("plain", Layout::Segment, false)).await;
    assert_eq!(findings(&out).unwrap(), []);
    let empty = Ledger::of(MemoryJournal::default());
    assert_eq!(empty.import(&out).await.unwrap().streams, 3);
    assert_eq!(held(&empty).await, held(&full).await);
    let file = out.join("streams/main/urls-20241004-2.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    for to in ["PUT", "get"] {
        fs::write(&file, text.replacen("GET", to, 1)).unwrap();
        let found = findings(&out).unwrap();
        let named = |it: &Finding| it.asset == "main#urls-20241004-2" && it.version == Some(1);
        let edited = |it: &Finding| named(it) && it.kind == FindingKind::Edited;
        assert!(found.iter().any(edited), "{to}: {found:#?}");
    }
}

#[tokio::test]
async fn streams_go_through_every_store_byte_for_byte() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    let shape = |name| place.shape(name, Layout::Segment, true);
    let (_, first) = exported(&with_streams().await, &shape("first")).await;
    let sqlite = Ledger::sqlite(folder.path()).await;
    sqlite.import(&first).await.unwrap();
    let (_, second) = exported(&sqlite, &shape("second")).await;
    let tables = Engine::new().tables().await;
    let dynamodb = Ledger::of(DynamoJournal::new(tables.client, tables.journal));
    dynamodb.import(&second).await.unwrap();
    let (_, third) = exported(&dynamodb, &shape("third")).await;
    assert_eq!(files(&first).len(), 6);
    assert!(files(&second) == files(&first) && files(&third) == files(&first));
}

#[tokio::test]
async fn an_import_leaves_a_journal_with_another_stream_alone() {
    let place = Place::new();
    let (_, out) =
        exported(&with_streams().await, &place.shape("export", Layout::Segment, false)).await;
    let (key, lines) = access(&tenant("main"));
    let other = altered(&lines[0], "ann", "eve");
    let longer = events(&tenant("main"), 4);
    let foreign = PartitionKey::from_partition("main#other").unwrap();
    for held in [(key.clone(), vec![other]), (key.clone(), longer), (foreign, lines.clone())] {
        let journal = Ledger::of(MemoryJournal::default());
        journal.append_stream(&held).await;
        let refused = journal.import(&out).await.unwrap_err().to_string();
        assert!(refused.contains("not empty"), "{refused}");
    }
    let half = Ledger::of(MemoryJournal::default());
    half.append_stream(&(key, lines[..2].to_vec())).await;
    assert_eq!(half.import(&out).await.unwrap().there, 2);
}

fn edit(file: &Path, change: impl Fn(&mut Vec<String>)) {
    let text = fs::read_to_string(file).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(file, lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>())
        .unwrap();
}

#[tokio::test]
async fn what_was_done_to_a_stream_of_an_export_has_its_name_and_its_line() {
    type Case = (&'static str, FindingKind, &'static str, fn(&mut Vec<String>));
    let place = Place::new();
    let (_, out) =
        exported(&with_streams().await, &place.shape("export", Layout::Segment, false)).await;
    let cases: [Case; 9] = [
        ("streams/main/access.jsonl", FindingKind::Edited, ":2:", |l| {
            l[1] = l[1].replace("ann", "eve");
        }),
        ("streams/main/access.jsonl", FindingKind::Edited, ":3:", |l| {
            l[2] = l[2].replace("ann", "eve");
        }),
        ("streams/main/access.jsonl", FindingKind::Deleted, ":2:", |l| drop(l.remove(1))),
        ("streams/main/access.jsonl", FindingKind::Truncated, ":3:", |l| drop(l.pop())),
        ("streams/main/access.jsonl", FindingKind::Removed, "heads-streams.jsonl:2:", Vec::clear),
        ("streams/main/access.jsonl", FindingKind::Inserted, ":4:", |l| {
            l.push(events(&tenant("main"), 4).remove(3).body);
        }),
        ("heads-streams.jsonl", FindingKind::Inserted, ":1:", |l| drop(l.pop())),
        ("heads-streams.jsonl", FindingKind::Edited, "heads-streams.jsonl:2:", |l| {
            l[1] = l[1].replace(r#""version":3"#, r#""version":4"#);
        }),
        ("heads-streams.jsonl", FindingKind::Truncated, ":4:", |l| {
            let four = events(&tenant("main"), 4).remove(3).hash();
            let head = &l[1][..l[1].rfind(":\"").unwrap()];
            l[1] = format!("{head}:\"{four}\"}}").replace(r#""version":3"#, r#""version":4"#);
        }),
    ];
    for (name, kind, line, change) in cases {
        let file = out.join(name);
        let whole = fs::read_to_string(&file).unwrap();
        edit(&file, change);
        let found = findings(&out).unwrap();
        let named = |it: &&Finding| it.kind == kind && it.asset == "main#access";
        let named = found.iter().find(named);
        let named = named.unwrap_or_else(|| panic!("{name} {kind}: {found:#?}"));
        assert!(named.says.contains(line), "{name} {kind}: {named:#?}");
        let refused = Ledger::of(MemoryJournal::default()).import(&out).await.unwrap_err();
        assert!(refused.to_string().contains("nothing was imported"), "{refused}");
        fs::write(&file, &whole).unwrap();
    }
    assert_eq!(findings(&out).unwrap(), []);
}

/// As in the assets' files.
#[tokio::test]
async fn a_flipped_bit_of_a_stream_is_found_and_located_wherever_it_is() {
    let (place, small) = (Place::new(), Ledger::of(MemoryJournal::default()));
    small.append(1, &lines(1, 1)).await;
    for (of, count) in [("else", 1), ("main", 3)] {
        let (key, _) = access(&tenant(of));
        small.append_stream(&(key, events(&tenant(of), count))).await;
    }
    let (_, out) = exported(&small, &place.shape("export", Layout::Segment, false)).await;
    every_flipped_bit_is_located(
        &out,
        &["streams/else/access.jsonl", "streams/main/access.jsonl", "heads-streams.jsonl"],
    );
}

#[tokio::test]
async fn a_stream_among_the_assets_or_without_its_heads_is_found() {
    let place = Place::new();
    let out = place.exported().await;
    let (_, lines) = access(&tenant("main"));
    let events = out.join("events/000001.jsonl");
    let whole = fs::read_to_string(&events).unwrap();
    fs::write(&events, whole.clone() + &lines[0].body + "\n").unwrap();
    let found = findings(&out).unwrap();
    assert!(found.iter().any(|it| it.kind == FindingKind::Copied), "{found:#?}");
    fs::write(&events, &whole).unwrap();
    fs::create_dir_all(out.join("streams/main")).unwrap();
    let planted = out.join("streams/main/access.jsonl");
    fs::write(&planted, lines[0].body.clone() + "\n").unwrap();
    let found = findings(&out).unwrap();
    assert_eq!((found[0].kind, found[0].asset.as_str()), (FindingKind::Inserted, "main#access"));
    fs::rename(&planted, out.join("streams/main/Access.jsonl")).unwrap();
    assert!(findings(&out).is_err(), "it is no name of a stream");
    let (_, streams) =
        exported(&with_streams().await, &place.shape("streams", Layout::Segment, false)).await;
    fs::remove_file(streams.join("heads-streams.jsonl")).unwrap();
    let refused = format!("{:#}", findings(&streams).unwrap_err());
    assert!(refused.contains("there is no heads-streams.jsonl"), "{refused}");
}

#[tokio::test]
async fn a_bare_file_may_hold_a_stream() {
    let bodies = |lines: &[StoredLine]| -> String {
        lines.iter().flat_map(|line| [line.body.as_str(), "\n"]).collect()
    };
    let (_, lines) = access(&tenant("main"));
    assert_eq!(found_in(Cursor::new(bodies(&lines))), []);
    assert_eq!(found_in(Cursor::new(chain(3, 4) + &bodies(&lines))), []);
    let edited = [lines[0].clone(), altered(&lines[1], "ann", "eve"), lines[2].clone()];
    let found = found_in(Cursor::new(chain(3, 4) + &bodies(&edited)));
    assert_eq!((found.len(), found[0].kind), (1, FindingKind::Edited));
    assert_eq!(found[0].asset, "main#access");
    assert!(found[0].says.contains("chain.jsonl:6:"), "{found:#?}");
}

#[tokio::test]
async fn a_filter_of_assets_takes_no_stream_and_one_of_a_tenant_takes_its_own() {
    let (place, full) = (Place::new(), with_streams().await);
    let ann = ExportFilter { actor: Some("ann".into()), ..ExportFilter::default() };
    let of_else = ExportFilter { tenant: Some("else".into()), ..ExportFilter::default() };
    for (name, filter, streams) in [("ann", ann, 0), ("else", of_else, 1)] {
        let shape = place.shape(name, Layout::Segment, false);
        let tenant = filter.tenant.as_deref().map(tenant);
        let source = ExportSource { tenant: tenant.as_ref(), ..full.source() };
        let at = TestEffects::seeded(1).now();
        let mut writer = ExportWriter::create(shape.clone(), at, filter.clone()).unwrap();
        source.export(Vec::new(), &filter, &mut writer, &mut Quiet).await.unwrap();
        let manifest = writer.finish().unwrap();
        assert_eq!(manifest.streams.map_or(0, |it| it.count), streams, "{name}");
        assert_eq!(findings(&shape.out).unwrap(), [], "{name}");
        let (heads, _) =
            source.heads(&mut Vec::new(), BrokenHistories::Refuse, &mut Quiet).await.unwrap();
        assert_eq!(heads.streams(), if tenant.is_some() { 1 } else { 2 }, "{name}");
    }
}

#[tokio::test]
async fn a_stream_that_does_not_verify_is_left_out_and_named() {
    let (place, full) = (Place::new(), Ledger::full().await);
    let (key, mut lines) = access(&tenant("main"));
    lines.remove(1);
    full.append_stream(&(key, lines)).await;
    let shape = place.shape("export", Layout::Segment, false);
    let (manifest, left_out) = full.export(&shape, ExportFilter::default()).await;
    assert_eq!((left_out, manifest.left_out_assets), (1, vec!["main#access".to_owned()]));
    assert_eq!(manifest.streams, None);
    let refused = full
        .source()
        .heads(&mut Vec::new(), BrokenHistories::Refuse, &mut Quiet)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("1 history broken"), "{refused}");
}

#[tokio::test]
async fn a_checkpoint_vouches_for_streams_too() {
    let (place, full) = (Place::new(), with_streams().await);
    let heads = checkpoint(&full, &place).await;
    let text = fs::read_to_string(&heads).unwrap();
    let of_streams: Vec<_> = text.lines().filter(|line| line.contains("stream")).collect();
    assert_eq!((text.lines().count() as u64, of_streams.len()), (ASSETS + 2, 2));
    let plain = Place::new();
    let alone = checkpoint(&Ledger::full().await, &plain).await;
    let assets: String = text.split_inclusive('\n').filter(|it| !it.contains("stream")).collect();
    assert_eq!(fs::read_to_string(alone).unwrap(), assets, "the heads of assets are the same");
    assert_eq!(compared(&full, &heads).await.0, []);

    let lines = events(&tenant("main"), 4);
    let edited = [&lines[..2], &[altered(&lines[2], "ann", "eve")]].concat();
    let (key, _) = access(&tenant("main"));
    for (what, lines, kind) in [
        ("longer", lines.clone(), None),
        ("cut", lines[..2].to_vec(), Some(FindingKind::Truncated)),
        ("edited", edited, Some(FindingKind::Edited)),
        ("removed", Vec::new(), Some(FindingKind::Removed)),
    ] {
        let other = Ledger::full().await;
        other.append_stream(&access(&tenant("else"))).await;
        other.append_stream(&(key.clone(), lines)).await;
        let (found, _) = compared(&other, &heads).await;
        let told: Vec<_> = found.iter().map(|it| (it.asset.as_str(), it.kind)).collect();
        assert_eq!(told, kind.map(|kind| ("main#access", kind)).into_iter().collect::<Vec<_>>());
        let shape = place.shape(what, Layout::Segment, false);
        let (_, out) = exported(&other, &shape).await;
        let (against, mut found) = (CheckpointHeads::open(&heads, None).unwrap(), Vec::new());
        let mut comparison = against.begin().unwrap();
        let tell = &mut |finding: Finding| found.push((finding.asset, finding.kind));
        let archive = Archive::open(&out).unwrap();
        check_against(&archive, Some(&mut comparison), tell, &mut |_| ()).unwrap();
        comparison.end(tell).unwrap();
        let expected = kind.map(|kind| ("main#access".to_owned(), kind));
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{what}, offline");
    }
}
