//! A history as a table for people.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use ledger::asset::Event;
use ledger::history::{Entry, History};
use ledger::time;

/// Hex digits of a hash that are shown: enough for an eye to follow the chain.
const SHORT: usize = 12;

/// Writes the events of `history`, oldest first, and what their chain proves.
pub(super) fn write(out: &mut impl Write, history: &History) -> io::Result<()> {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["#", "at (UTC)", "event", "by", "through", "details", "prev", "hash"])
        .add_rows(history.entries().iter().map(row));
    writeln!(out, "{table}")?;
    let asset = history.asset();
    let (state, version) = (asset.status().shown(), asset.version);
    writeln!(out, "asset {} is {state} at version {version}", asset.key.asset)?;
    writeln!(out, "hash chain verified: {version} events, head {}", asset.head)
}

fn row(entry: &Entry) -> [String; 8] {
    let Entry { record, hash, .. } = entry;
    [
        record.version.to_string(),
        time::format(record.at).replace('T', " ").replace('Z', ""),
        record.event.kind().to_owned(),
        record.cause.actor.clone(),
        record.cause.source.as_str().to_owned(),
        details(&record.event),
        record.prev.to_string()[..SHORT].to_owned(),
        hash.to_string()[..SHORT].to_owned(),
    ]
}

fn details(event: &Event) -> String {
    match event {
        Event::Created(declared) => declared.filename.clone().unwrap_or_default(),
        Event::Received(version) => format!("{} bytes", version.size),
        Event::SoftDeleted { reason } => reason.clone().unwrap_or_default(),
        Event::Uploaded | Event::Restored | Event::PurgeRequested | Event::Purged => String::new(),
    }
}
