//! Events of an export checked per second, on one core; and bare JSON parsing and SHA-256 of the
//! same lines.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use asset_ledger::export::{Archive, ExportFilter, ExportShape, ExportWriter, Layout, check};
use ledger::chain::Hash;
use ledger::history::History;
use ledger::id::AssetId;
use ledger::record::EventRecord;

use crate::journal::rate;
use crate::replay::SAMPLES;
use crate::table::ResultsTable;

/// Assets of the export, of five events each.
const ASSETS: u64 = 100_000;

pub(crate) fn checked(table: &mut ResultsTable) -> Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let out = folder.path().join("export");
    let events = export(&out)?;
    let bare = timed(events, || bare(&out))?;
    let ours = timed(events, || {
        let mut findings = 0_u64;
        let checked = check(&Archive::open(&out)?, &mut |_| findings += 1, &mut |_| ())?;
        ensure!((checked.events, findings) == (events, 0), "the export is not whole");
        Ok(())
    })?;
    let below = "bare JSON parsing and SHA-256, from the same files";
    table.ratio("verify --file, events, one core", ours, below, bare, "≥ 300000/s or ≥ 0.6");
    Ok(())
}

fn export(out: &Path) -> Result<u64> {
    let shape = ExportShape { out: out.to_owned(), layout: Layout::Segment, gzip: false };
    let mut writer = ExportWriter::create(shape, chrono::Utc::now(), ExportFilter::default())?;
    for number in 0..ASSETS {
        writer.add(&history(number)?)?;
    }
    Ok(writer.finish()?.events)
}

/// The samples' history, with another asset's id.
pub(crate) fn history(number: u64) -> Result<History> {
    let (mut lines, mut prev, mut asset) = (Vec::new(), Hash::ZERO, None);
    for sample in SAMPLES {
        let mut record = EventRecord::read(sample.trim_end())?;
        let at = record.at + chrono::TimeDelta::microseconds(number.cast_signed());
        record.key.asset = *asset.get_or_insert(AssetId::new(at, u128::from(number)));
        record.prev = prev;
        lines.push(record.line()?);
        prev = lines.last().map_or(prev, ledger::record::StoredLine::hash);
    }
    let key = EventRecord::read(&lines[0].body)?.key;
    History::read(&key, lines)?.context("a history has events")
}

fn bare(export: &Path) -> Result<()> {
    for file in std::fs::read_dir(export.join("events"))? {
        let mut lines = BufReader::with_capacity(256 * 1024, File::open(file?.path())?);
        let mut line = String::new();
        while lines.read_line(&mut line)? > 0 {
            black_box(serde_json::from_str::<serde_json::Value>(&line)?);
            black_box(Hash::of(line.trim_end().as_bytes()));
            line.clear();
        }
    }
    Ok(())
}

fn timed(events: u64, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(rate(events, start.elapsed()))
}
