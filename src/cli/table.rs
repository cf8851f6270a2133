//! Tables for people: as wide as the terminal, and with ids in one piece.

use std::io::{self, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use ledger::asset::Event;
use ledger::history::{Entry, History};
use ledger::time;

use super::render;
use crate::plural::count;

/// Hex digits of a hash that are shown: enough to follow the chain.
const SHORT: usize = 12;
/// The minimum width of a readable column of words.
const NARROW: usize = 12;
/// Columns of a cell's border and the space around its text.
const EDGE: usize = 3;

/// The width of the terminal, if it is known.
pub(super) fn columns() -> Option<u16> {
    #[allow(clippy::disallowed_methods, reason = "the command line is told by its environment")]
    let told = std::env::var("COLUMNS").ok();
    let told = told.and_then(|told| told.trim().parse().ok()).filter(|columns| *columns > 0);
    told.or_else(|| Table::new().width())
}

/// Rows under their headers, in this width. The cells of the columns `whole` are never broken; if
/// the other columns then have no room, each row becomes a few lines.
pub(super) fn fit(
    headers: &[&str],
    rows: &[Vec<String>],
    whole: &[usize],
    columns: Option<u16>,
) -> String {
    let widest = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.chain([headers[at].chars().count()]).max().unwrap_or_default()
    };
    let least = |at: usize| if whole.contains(&at) { widest(at) } else { widest(at).min(NARROW) };
    let needed: usize = (0..headers.len()).map(|at| least(at) + EDGE).sum();
    if columns.is_some_and(|columns| needed + 1 > usize::from(columns)) {
        let rows = rows.iter().map(|row| stacked(headers, row, whole, columns));
        return rows.collect::<Vec<_>>().join("\n\n");
    }
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(headers)
        .add_rows(rows);
    if let Some(columns) = columns {
        table.set_width(columns);
    }
    for at in whole {
        if let Some(column) = table.column_mut(*at) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.to_string()
}

/// A row as several lines, each cell after its header. Cells of `whole` are not broken at any
/// width.
fn stacked(headers: &[&str], row: &[String], whole: &[usize], columns: Option<u16>) -> String {
    let filled = headers.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
    let longest = whole.iter().map(|at| row[*at].chars().count()).max().unwrap_or_default();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.add_rows(filled.map(|(header, cell)| [(*header).to_owned(), cell.clone()]));
    if let Some(columns) = columns {
        table.set_width(columns);
    }
    let widths = [headers.iter().map(|it| it.chars().count()).max().unwrap_or_default(), longest];
    for (column, width) in table.column_iter_mut().zip(widths) {
        let width = u16::try_from(width + 2).unwrap_or(u16::MAX);
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Writes the events of `history`, oldest first, and the result of the verification.
pub(super) fn write(out: &mut impl Write, history: &History) -> io::Result<()> {
    let headers = ["#", "at (UTC)", "event", "by", "through", "details", "prev", "hash"];
    let rows: Vec<_> = history.entries().iter().map(row).collect();
    writeln!(out, "{}", fit(&headers, &rows, &[0, 1, 2, 4, 6, 7], columns()))?;
    let asset = history.asset();
    let (state, version) = (asset.status().shown(), asset.version);
    writeln!(out, "asset {} is {state} at version {version}", asset.key.asset)?;
    let events = count(version, "event");
    writeln!(out, "hash chain verified: {events}, head {}", asset.head)
}

fn row(entry: &Entry) -> Vec<String> {
    let Entry { record, hash, .. } = entry;
    vec![
        record.version.to_string(),
        time::format(record.at).replace('T', " ").replace('Z', ""),
        record.event.kind().to_owned(),
        render::line(&record.cause.actor).into_owned(),
        record.cause.source.as_str().to_owned(),
        render::line(&details(&record.event)).into_owned(),
        record.prev.to_string()[..SHORT].to_owned(),
        hash.to_string()[..SHORT].to_owned(),
    ]
}

fn details(event: &Event) -> String {
    match event {
        Event::Created(declared) => declared.filename.clone().unwrap_or_default(),
        Event::Received(version) => count(version.size, "byte"),
        Event::SoftDeleted { reason } => reason.clone().unwrap_or_default(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "019aaf6b-5a00-7123-8456-0123456789ab";

    #[test]
    fn a_table_is_as_wide_as_its_reader_and_never_breaks_an_id() {
        let what = "the event is not the one that was appended, and the row remembers another one";
        let row = |what: &str| vec!["edited".to_owned(), ID.to_owned(), what.to_owned()];
        let rows = [row(what), row("")];
        for columns in [40, 50, 60, 80, 100, 120, 200] {
            let text = fit(&["finding", "asset", "what"], &rows, &[0, 1], Some(columns));
            assert_eq!(text.matches(ID).count(), 2, "{columns}:\n{text}");
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            // An id after its header is the minimum width.
            assert!(widest <= usize::from(columns.max(50)), "{columns}, {widest}:\n{text}");
            let words: Vec<_> = what.split(' ').filter(|word| text.contains(word)).collect();
            assert_eq!(words.len(), what.split(' ').count(), "{columns}:\n{text}");
        }
        assert!(fit(&["finding", "asset", "what"], &rows, &[0, 1], None).contains(what));
    }
}
