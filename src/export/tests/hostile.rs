//! Files made to do harm, and damaged files.

use std::fs::{self, File};
use std::io::{Cursor, Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;

use ledger::Effects;
use ledger::audit::FindingKind;
use ledger::history::History;
use ledger::record::StoredLine;
use ledger::testing::{MemoryJournal, TestEffects};

use super::super::form::{EVENTS, HISTORY};
use super::super::*;
use super::world::{Ledger, Place, chain, files, findings, found_in, gzip, key, lines};

/// The reason of a refusal, and its input.
type Case<T> = (&'static str, T);
/// A file of a tar.
type Entry = (&'static str, tar::EntryType, &'static [u8]);

fn refused(export: &Path) -> String {
    format!("{:#}", Archive::open(export).err().expect("it was taken for an export"))
}

#[test]
fn a_file_that_is_no_chain_says_where_it_ceases_to_be_one() {
    let whole = chain(3, 4);
    let cut = &whole[..whole.len() - 10];
    let long = format!("{whole}{}\n", "x".repeat(500_000));
    let mut bytes = whole.clone().into_bytes();
    bytes[whole.find("bob").unwrap()] = 0xff;
    let packed = gzip(whole.as_bytes());
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("cut", cut.into(), "chain.jsonl:4: it ends without a line feed"),
        ("long", long.into_bytes(), "chain.jsonl:5: it is longer than 409600 bytes"),
        ("not text", bytes, "not UTF-8"),
        ("cut gzip", packed[..packed.len() - 9].to_vec(), "cannot be read"),
        ("joined", [packed.clone(), packed.clone()].concat(), "over again"),
        ("trailing", [packed, b"more".to_vec()].concat(), "cannot be read"),
        ("twice", (whole.clone() + &whole).into_bytes(), "chain.jsonl:5: this is version 1 over"),
    ];
    for (name, bytes, why) in cases {
        let found = found_in(Cursor::new(bytes));
        assert!(found.iter().any(|it| it.says.contains(why)), "{name}: {found:#?}");
    }
}

#[test]
fn what_unpacks_to_no_end_is_not_unpacked_to_its_end() {
    struct Endless(u64);
    impl Read for Endless {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            self.0 += to.len() as u64;
            assert!(self.0 < 50_000_000, "it was read on and on");
            to.fill(b' ');
            Ok(to.len())
        }
    }
    let found = found_in(Endless(0));
    assert!(found[0].says.contains("longer than"), "{found:?}");
    // A thousand times smaller than its content.
    let bomb = gzip(&vec![b' '; 16 * 1024 * 1024]);
    assert!(bomb.len() < 256 * 1024);
    let found = found_in(Cursor::new(bomb));
    assert!(found[0].says.contains("chain.jsonl:1: it is longer than"), "{found:?}");
}

#[test]
fn one_history_is_held_only_as_far_as_histories_go() {
    struct Again {
        line: String,
        left: usize,
    }
    impl Read for Again {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            self.left = self.left.checked_sub(self.line.len()).expect("it was read on and on");
            self.line.as_bytes().read(to)
        }
    }
    let first = chain(3, 1).replace("\"}\n", "");
    let large = format!("{first}{}\"}}\n", "x".repeat(200_000));
    for (line, number) in [(large.as_str(), HISTORY / large.len() + 1), ("\n", EVENTS + 1)] {
        let line = line.to_owned();
        // One more buffer is read, and no more.
        let left = (number + 4) * line.len() + 512 * 1024;
        let found = found_in(Again { line, left });
        assert_eq!(found.len(), 1, "{found:?}");
        let why = format!("chain.jsonl:{number}: over {HISTORY} bytes or {EVENTS} events of one");
        assert!(found[0].says.starts_with(&why), "{found:?}");
    }
}

#[test]
fn assets_out_of_order_are_found() {
    let found = found_in(Cursor::new(chain(4, 2) + &chain(3, 2)));
    assert_eq!((found[0].kind, found[0].asset.clone()), (FindingKind::Copied, key(4).partition()));
}

#[tokio::test]
async fn a_folder_that_is_no_whole_export_is_none() {
    let place = Place::new();
    let export = place.exported().await;
    let files = files(&export);
    let restore = || {
        let _ = fs::remove_dir_all(&export);
        for (name, bytes) in &files {
            let path = export.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    };
    let cases: [Case<fn(&Path)>; 8] = [
        ("never finished", |it| fs::remove_file(it.join("manifest.json")).unwrap()),
        ("no heads.jsonl", |it| fs::remove_file(it.join("heads.jsonl")).unwrap()),
        ("no name", |it| fs::write(it.join("events/notes.txt"), "x").unwrap()),
        ("no plain file", |it| symlink("/etc/hosts", it.join("events/000002.jsonl")).unwrap()),
        ("no plain file", |it| fs::create_dir_all(it.join("events/main/x")).unwrap()),
        ("of the form", |it| fs::write(it.join("manifest.json"), r#"{"format":"9"}"#).unwrap()),
        ("no manifest", |it| fs::write(it.join("manifest.json"), "{").unwrap()),
        ("bytes", |it| fs::write(it.join("manifest.json"), vec![b' '; 2_000_000]).unwrap()),
    ];
    for (why, change) in cases {
        restore();
        change(&export);
        let told = refused(&export);
        assert!(told.contains(why), "{why}: {told}");
    }
    restore();
    let events = export.join("events");
    fs::rename(&events, export.join("elsewhere")).unwrap();
    symlink("elsewhere", &events).unwrap();
    assert!(refused(&export).contains("no folder"), "a link is not followed");
    assert!(refused(Path::new("/nowhere")).contains("cannot be opened"));
}

fn tar(path: &Path, entries: &[Entry]) {
    let mut archive = tar::Builder::new(File::create(path).unwrap());
    for (name, kind, bytes) in entries {
        let mut header = tar::Header::new_ustar();
        // By hand: the library refuses such names.
        header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_entry_type(*kind);
        header.set_cksum();
        archive.append(&header, *bytes).unwrap();
    }
    archive.finish().unwrap();
}

#[test]
fn a_hostile_tar_is_refused_by_name_and_writes_nothing() {
    use tar::EntryType as T;
    let place = Place::new();
    let path = place.at("hostile.tar");
    let cases: [Case<Vec<Entry>>; 8] = [
        ("no name", vec![("../../events/000001.jsonl", T::Regular, b"x")]),
        ("no name", vec![("/etc/passwd", T::Regular, b"x")]),
        ("no name", vec![("export/events/000001.jsonl", T::Regular, b"x")]),
        ("no plain file", vec![("events/000001.jsonl", T::Symlink, b"")]),
        ("no plain file", vec![("events/000001.jsonl", T::Link, b"")]),
        ("no plain file", vec![("events/000001.jsonl", T::GNULongName, b"../x")]),
        ("no plain file", vec![("events/000001.jsonl", T::XHeader, b"20 path=../../../x\n")]),
        ("twice", vec![("manifest.json", T::Regular, b"{}"), ("manifest.json", T::Regular, b"{}")]),
    ];
    for (why, entries) in cases {
        tar(&path, &entries);
        let told = refused(&path);
        assert!(told.contains(why) && told.contains(entries[0].0), "{why}: {told}");
    }
    assert_eq!(files(&place.at("")).len(), 1, "something was unpacked");
}

#[tokio::test]
async fn a_tar_that_was_packed_as_a_whole_is_no_chain() {
    let (place, full) = (Place::new(), Ledger::full().await);
    let shape = place.shape("whole.tar", Layout::Segment, true);
    full.export(&shape, ExportFilter::default()).await;
    let is_export = |path: &Path| {
        Ok::<_, anyhow::Error>(matches!(InputKind::open(path)?, InputKind::Export(_)))
    };
    assert!(is_export(&shape.out).unwrap());
    let other = place.at("whole.tar.gz");
    fs::write(&other, gzip(&fs::read(&shape.out).unwrap())).unwrap();
    let told = is_export(&other).unwrap_err().to_string();
    assert!(told.contains("whole.tar.gz") && told.contains("gunzip"), "{told}");
    assert!(refused(&other).contains("gunzip"));
    for chain in [gzip(chain(3, 4).as_bytes()), chain(3, 4).into_bytes(), Vec::new()] {
        fs::write(&other, chain).unwrap();
        assert!(!is_export(&other).unwrap());
    }
}

#[tokio::test]
async fn a_tar_that_was_cut_or_joined_is_refused() {
    let place = Place::new();
    let shape = place.shape("whole.tar", Layout::Segment, false);
    Ledger::full().await.export(&shape, ExportFilter::default()).await;
    let whole = fs::read(&shape.out).unwrap();
    let other = place.at("other.tar");
    for length in [0, 100, 600, whole.len() / 2, whole.len() - 1024, whole.len() - 512] {
        fs::write(&other, &whole[..length]).unwrap();
        let told = refused(&other);
        assert!(told.contains("cut"), "{length} of {}: {told}", whole.len());
    }
    fs::write(&other, [&whole[..], &whole[..]].concat()).unwrap();
    assert!(refused(&other).contains("joined"));
    fs::write(&other, [&whole[..], &[0; 4096]].concat()).unwrap();
    assert_eq!(findings(&other).unwrap(), [], "padding is no harm");
    let mut damaged = whole;
    damaged[10] ^= 1;
    fs::write(&other, damaged).unwrap();
    assert!(!refused(&other).is_empty());
}

#[tokio::test]
async fn nothing_of_a_damaged_export_is_imported() {
    let place = Place::new();
    let export = place.exported().await;
    let events = export.join("events/000001.jsonl");
    let mut file = File::options().append(true).open(&events).unwrap();
    file.write_all(b"one line too many\n").unwrap();
    let empty = Ledger::of(MemoryJournal::default());
    let refused = empty.import(&export).await.unwrap_err().to_string();
    assert!(refused.contains("nothing was imported") && refused.contains(".jsonl:"), "{refused}");
    assert_eq!(empty.journal.history(&key(1)).await.unwrap(), []);
}

/// An export with sound heads, counts and chains, of one event, altered by `change`.
fn export_of(place: &Place, change: impl Fn(String) -> String) -> std::path::PathBuf {
    let shape = place.shape("odd", Layout::Segment, false);
    let _ = fs::remove_dir_all(&shape.out);
    let body = change(lines(1, 1).remove(0).body);
    let line = StoredLine { version: 1, body };
    let history = History::read(&key(1), vec![line]).unwrap().unwrap();
    let at = TestEffects::seeded(1).now();
    let mut writer = ExportWriter::create(shape.clone(), at, ExportFilter::default()).unwrap();
    writer.add(&history).unwrap();
    writer.finish().unwrap();
    shape.out
}

#[tokio::test]
async fn what_the_ledger_would_not_have_written_so_is_found_and_not_imported() {
    type Change = Box<dyn Fn(String) -> String>;
    let at = |it: &str| it.find(r#""at":""#).unwrap() + 6;
    let far = "9999-12-31T23:59:59.999999Z";
    let cases: [(FindingKind, Change); 6] = [
        (FindingKind::OddSpelling, Box::new(|it| it.replacen(',', ", ", 1))),
        (FindingKind::OddSpelling, Box::new(|it| it + "\r")),
        (FindingKind::OddSpelling, Box::new(|it| it.replacen("version", r"\u0076ersion", 1))),
        (
            FindingKind::OddSpelling,
            Box::new(|it| {
                let (tenant, rest) = it[1..].split_once(',').unwrap();
                let rest = rest.strip_suffix('}').unwrap();
                format!("{{{rest},{tenant}}}")
            }),
        ),
        (
            FindingKind::OverLimit,
            Box::new(move |it| {
                let start = at(&it);
                format!("{}{far}{}", &it[..start], &it[start + far.len()..])
            }),
        ),
        (
            FindingKind::OverLimit,
            Box::new(|it| {
                it.replace(r#""upload":"plain""#, r#""upload":"plain","filename":"../x""#)
            }),
        ),
    ];
    let place = Place::new();
    for (kind, change) in cases {
        let export = export_of(&place, change);
        let found = findings(&export).unwrap();
        assert_eq!(found.iter().map(|it| it.kind).collect::<Vec<_>>(), [kind], "{found:#?}");
        let empty = Ledger::of(MemoryJournal::default());
        let refused = empty.import(&export).await.unwrap_err().to_string();
        assert!(refused.contains(kind.name()) && refused.contains(":1:"), "{refused}");
        assert_eq!(empty.journal.history(&key(1)).await.unwrap(), []);
    }
    assert_eq!(findings(&export_of(&place, |it| it)).unwrap(), []);
}
