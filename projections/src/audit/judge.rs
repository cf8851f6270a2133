//! Compares a row with its history.

use chrono::{DateTime, Utc};
use ledger::asset::{Asset, Life};
use ledger::audit::{ExpectedHeads, Finding, FindingKind, Witness, examine_with};
use ledger::chain::Hash;
use ledger::error::{self, StoreError};
use ledger::history::History;
use ledger::journal::scan::Chain;
use serde_json::Value;

use crate::row::{self, Row};

/// A row as it was read.
#[derive(Debug)]
pub(super) enum ObservedRow {
    /// The row, or none.
    Row(Option<Box<Asset>>),
    /// An unreadable row, and the cause.
    Unreadable(String),
}

/// The verdict on a history and its row.
#[derive(Debug)]
pub(super) enum RowVerdict {
    /// Both are correct.
    Sound,
    /// Correct while the row is late; the finding if it does not arrive.
    Waiting(Finding),
    /// Not correct.
    Wrong(Vec<Finding>),
}

impl RowVerdict {
    /// The findings when there is no more waiting.
    pub(super) fn findings(self) -> Vec<Finding> {
        match self {
            Self::Sound => Vec::new(),
            Self::Waiting(finding) => vec![finding],
            Self::Wrong(findings) => findings,
        }
    }

    fn of(findings: Vec<Finding>) -> Self {
        if findings.is_empty() { Self::Sound } else { Self::Wrong(findings) }
    }
}

impl ObservedRow {
    /// The answer of a read table. An unreadable row is an observation too.
    pub(super) fn of(answer: Result<Option<Asset>, StoreError>) -> Result<Self, StoreError> {
        match answer {
            Ok(row) => Ok(Self::Row(row.map(Box::new))),
            Err(error) if error.kind.is_of_one_asset() => {
                Ok(Self::Unreadable(error::chain(&error)))
            }
            Err(error) => Err(error),
        }
    }

    /// The version of the row.
    pub(super) fn version(&self) -> u64 {
        match self {
            Self::Row(Some(row)) => row.version,
            Self::Row(None) | Self::Unreadable(_) => 0,
        }
    }

    fn known(&self) -> Option<ExpectedHeads> {
        match self {
            Self::Row(Some(row)) => {
                Some(ExpectedHeads { version: row.version, hash: row.head, by: Witness::Row })
            }
            Self::Row(None) | Self::Unreadable(_) => None,
        }
    }
}

/// The verdict, and the history if it is sound.
pub(super) struct JudgedRow {
    pub(super) verdict: RowVerdict,
    pub(super) history: Option<History>,
}

/// Compares a history with a row that was read before it.
pub(super) fn judge(chain: &Chain, seen: &ObservedRow, now: DateTime<Utc>) -> JudgedRow {
    if chain.lines.is_empty() && chain.strays.is_empty() {
        let verdict = RowVerdict::of(orphaned(chain, seen).into_iter().collect());
        return JudgedRow { verdict, history: None };
    }
    let examined = examine_with(chain, seen.known().as_slice());
    match examined.history.filter(|_| examined.findings.is_empty()) {
        Some(history) => {
            JudgedRow { verdict: compare(&history, seen, now), history: Some(history) }
        }
        // The row of a broken history proves only the version that the history once had.
        None => JudgedRow { verdict: RowVerdict::of(examined.findings), history: None },
    }
}

/// Whether the row is of an event that the history does not have. Then the row is not wrong: it may
/// be the last evidence of events that were cut or edited, even if the history has new events.
pub(super) fn is_witness(chain: &Chain, seen: &ObservedRow) -> bool {
    match seen {
        ObservedRow::Row(Some(row)) => {
            !chain.lines.iter().any(|line| Hash::of(line.body.as_bytes()) == row.head)
        }
        ObservedRow::Row(None) | ObservedRow::Unreadable(_) => false,
    }
}

fn orphaned(chain: &Chain, seen: &ObservedRow) -> Option<Finding> {
    let finding = |says: &str| Finding::new(FindingKind::RowOrphaned, &chain.partition, says);
    match seen {
        ObservedRow::Row(None) => None,
        ObservedRow::Row(Some(row)) => {
            let finding = finding("there is a row, but not one event").at(row.version);
            Some(finding.hashes(None, Some(row.head)))
        }
        ObservedRow::Unreadable(_) => Some(finding("there is a row, but not one event")),
    }
}

/// Whether the row shows all of the asset's history.
pub(super) fn is_row_of(asset: &Asset, seen: &ObservedRow, now: DateTime<Utc>) -> bool {
    match seen {
        ObservedRow::Unreadable(_) => false,
        ObservedRow::Row(None) => row::expires_at(asset).is_some_and(|at| at <= now),
        ObservedRow::Row(Some(row)) => **row == *asset,
    }
}

fn compare(history: &History, seen: &ObservedRow, now: DateTime<Utc>) -> RowVerdict {
    let asset = history.asset();
    if is_row_of(asset, seen, now) {
        return RowVerdict::Sound;
    }
    match seen {
        ObservedRow::Unreadable(why) => altered(asset, None, why.clone()),
        ObservedRow::Row(None) => {
            let finding = tell(FindingKind::RowMissing, asset, None, "there is no row".to_owned());
            RowVerdict::Waiting(finding)
        }
        ObservedRow::Row(Some(row)) => match history.at_version(row.version) {
            Some(then) if then == **row => behind(asset, row),
            then => altered(asset, Some(row.head), differs(then.as_ref().unwrap_or(asset), row)),
        },
    }
}

/// A row that shows an earlier state of the asset.
fn behind(asset: &Asset, row: &Asset) -> RowVerdict {
    let (kind, says) = match asset.life {
        Life::Purged => (FindingKind::RowAltered, "it shows an asset that was purged".to_owned()),
        _ => (FindingKind::RowStale, format!("it shows version {}", row.version)),
    };
    RowVerdict::Waiting(tell(kind, asset, Some(row.head), says))
}

fn altered(asset: &Asset, found: Option<Hash>, says: String) -> RowVerdict {
    RowVerdict::Wrong(vec![tell(FindingKind::RowAltered, asset, found, says)])
}

fn tell(kind: FindingKind, asset: &Asset, found: Option<Hash>, says: String) -> Finding {
    let finding = Finding::new(kind, asset.key.partition(), says).at(asset.version);
    finding.hashes(Some(asset.head), found)
}

/// The attributes that differ from the fold of the events.
fn differs(asset: &Asset, row: &Asset) -> String {
    let attributes = |asset| match serde_json::to_value(Row::from(asset)) {
        Ok(Value::Object(attributes)) => attributes,
        _ => serde_json::Map::new(),
    };
    let (made, found) = (attributes(asset), attributes(row));
    let other = |name: &&&str| made.get(**name) != found.get(**name);
    let names: Vec<_> = Row::ATTRIBUTES.iter().filter(other).copied().collect();
    format!("it differs from its events in {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use ledger::asset::Event;

    use super::*;
    use crate::testing::{Clock, Story};

    fn told(story: &Story, row: Option<Asset>) -> (&'static str, bool, String) {
        told_at(story, row, Clock::default().0)
    }

    fn told_at(
        story: &Story,
        row: Option<Asset>,
        now: DateTime<Utc>,
    ) -> (&'static str, bool, String) {
        let (partition, lines) = (story.key.partition(), story.lines.clone());
        let chain = Chain { partition, lines, strays: Vec::new() };
        let verdict = judge(&chain, &ObservedRow::Row(row.map(Box::new)), now).verdict;
        let waits = matches!(verdict, RowVerdict::Waiting(_));
        match verdict.findings().as_slice() {
            [] => ("sound", waits, String::new()),
            [finding] => (finding.kind.name(), waits, finding.says.clone()),
            more => panic!("{more:?}"),
        }
    }

    #[test]
    fn a_row_is_what_its_events_made_or_on_its_way() {
        let story = Story::begin("main", 1).received().uploaded();
        assert_eq!(told(&story, Some(story.asset())).0, "sound");
        let (kind, waits, says) = told(&story, Some(story.at(2)));
        assert_eq!((kind, waits, says.as_str()), ("row-stale", true, "it shows version 2"));
        assert_eq!(told(&story, None), ("row-missing", true, "there is no row".into()));
    }

    #[test]
    fn a_row_that_differs_was_altered() {
        let story = Story::begin("main", 1).received().uploaded();
        let mut row = story.asset();
        row.declared.filename = Some("other.pdf".into());
        row.confirmed = false;
        let (kind, waits, says) = told(&story, Some(row));
        assert_eq!((kind, waits), ("row-altered", false));
        assert_eq!(says, "it differs from its events in state, confirmed, filename");
        let unowned = Asset { owner: None, ..story.asset() };
        let (kind, waits, says) = told(&story, Some(unowned));
        assert_eq!((kind, waits), ("row-altered", false), "an older version wrote it");
        assert_eq!(says, "it differs from its events in owner");
        let mut early = story.at(2);
        early.head = Hash::ZERO;
        assert_eq!(told(&story, Some(early)).0, "row-altered");
    }

    #[test]
    fn of_a_last_event_and_a_row_with_different_hashes_either_was_changed() {
        let story = Story::begin("main", 1).received();
        let mut row = story.asset();
        row.head = Hash::ZERO;
        assert_eq!(told(&story, Some(row)).0, "edited");
    }

    #[test]
    fn a_row_that_knows_more_than_its_history_shows_what_is_lost() {
        let whole = Story::begin("main", 1).received().uploaded();
        let mut cut = whole.clone();
        cut.lines.pop();
        assert_eq!(told(&cut, Some(whole.asset())).0, "truncated");
        cut.lines.clear();
        assert_eq!(told(&cut, Some(whole.asset())).0, "row-orphaned");
        assert_eq!(told(&cut, None).0, "sound");
    }

    #[test]
    fn a_purged_asset_has_a_tombstone_or_none_and_never_a_row() {
        let story = Story::begin("main", 1).received().deleted().purged();
        let purged = story.asset();
        let later = purged.updated_at + row::TOMBSTONE;
        let before = later - TimeDelta::seconds(1);
        for now in [before, later] {
            assert_eq!(told_at(&story, Some(purged.clone()), now).0, "sound");
            assert_eq!(told_at(&story, Some(story.at(2)), now).0, "row-altered");
        }
        assert_eq!(told_at(&story, None, before).0, "row-missing");
        assert_eq!(told_at(&story, None, later).0, "sound");
    }

    #[test]
    fn of_a_broken_history_the_row_says_nothing_more() {
        let mut story = Story::begin("main", 1).received().uploaded().then(Event::PurgeRequested);
        story.lines.remove(1);
        assert_eq!(told(&story, None).0, "deleted");
    }
}
