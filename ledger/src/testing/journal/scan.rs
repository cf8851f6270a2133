//! The contract of [`Scan`] as a suite.

use std::collections::BTreeMap;

use super::super::faults::persist;
use super::{answer, key, line, write};
use crate::error::StoreErrorKind;
use crate::journal::scan::{Chain, Chains, Segment};
use crate::journal::{Journal, Scan};
use crate::record::StoredLine;

/// The whole contract of [`Scan`], for an empty journal.
///
/// # Panics
/// If `journal` violates it.
pub async fn scan_conformance<J: Journal + Scan>(journal: &J) {
    an_empty_journal_has_segments_too(journal).await;
    let given = many_histories(journal).await;
    for count in [1, 2, 5] {
        let segments = answer(persist(|| journal.segments(count)).await);
        assert!((1..=count as usize).contains(&segments.len()), "{count}: {segments:?}");
        histories_are_given_once_and_whole(journal, &segments, &given).await;
        a_walk_goes_on_where_another_ended(journal, &segments, &given).await;
        what_comes_later_is_in_a_segment_too(journal, &segments, 100 + u128::from(count)).await;
    }
    what_is_ordered_comes_in_order(journal).await;
}

async fn an_empty_journal_has_segments_too(journal: &dyn Scan) {
    let segments = answer(persist(|| journal.segments(3)).await);
    assert!(!segments.is_empty());
    for segment in &segments {
        let page = answer(persist(|| journal.page(segment, None)).await);
        assert_eq!((page.items, page.next), (Vec::new(), None));
    }
}

/// Histories of one to many events, of two tenants, larger than one page.
async fn many_histories<J: Journal>(journal: &J) -> BTreeMap<String, Vec<StoredLine>> {
    let mut given = BTreeMap::new();
    for nth in 1..=60 {
        let key = key(if nth % 7 == 0 { "main-2" } else { "main" }, nth);
        let lines: Vec<_> =
            (1..=u64::try_from(nth).unwrap_or(0)).map(|n| line(n, &"x".repeat(700))).collect();
        for line in &lines {
            write(journal, &key, line).await;
        }
        given.insert(key.partition(), lines);
    }
    given
}

async fn histories_are_given_once_and_whole(
    journal: &dyn Scan,
    segments: &[Segment],
    given: &BTreeMap<String, Vec<StoredLine>>,
) {
    let mut found = BTreeMap::new();
    for segment in segments {
        let mut chains = Chains::new(journal, segment, None);
        while let Some(chain) = next(&mut chains).await {
            assert_eq!(chain.strays, []);
            let twice = found.insert(chain.partition, chain.lines);
            assert!(twice.is_none(), "each history comes once");
        }
    }
    found.retain(|partition, _| given.contains_key(partition));
    assert_eq!(&found, given);
}

/// Each history is read by a new reader, which knows only the end of the previous one.
async fn a_walk_goes_on_where_another_ended(
    journal: &dyn Scan,
    segments: &[Segment],
    given: &BTreeMap<String, Vec<StoredLine>>,
) {
    let (mut found, mut place) = (0, None);
    for segment in segments {
        loop {
            let mut chains = Chains::new(journal, segment, place.take());
            let Some(chain) = next(&mut chains).await else { break };
            if let Some(lines) = given.get(&chain.partition) {
                assert_eq!(&chain.lines, lines);
                found += 1;
            }
            place = chains.place().cloned();
        }
    }
    assert_eq!(found, given.len());
}

async fn what_is_ordered_comes_in_order(journal: &dyn Scan) {
    let segments = answer(persist(|| journal.segments(1)).await);
    let (mut chains, mut met) = (Chains::new(journal, &segments[0], None), Vec::new());
    while let Some(chain) = next(&mut chains).await {
        met.push(chain.partition);
    }
    assert_eq!(segments.len(), 1);
    assert!(!journal.ordered() || met.is_sorted_by(|a, b| a < b), "{met:?}");
}

async fn what_comes_later_is_in_a_segment_too<J: Journal + Scan>(
    journal: &J,
    segments: &[Segment],
    nth: u128,
) {
    let later = key("main", nth);
    write(journal, &later, &line(1, "later")).await;
    let mut found = 0;
    for segment in segments {
        let mut chains = Chains::new(journal, segment, None);
        while let Some(chain) = next(&mut chains).await {
            found += u32::from(chain.key() == Some(later.clone()));
        }
    }
    assert_eq!(found, 1);
}

/// The next history; a failed page is requested again.
async fn next(chains: &mut Chains<'_>) -> Option<Chain> {
    loop {
        match chains.next().await {
            Ok(next) => return next,
            Err(error) => {
                let passing =
                    matches!(error.kind, StoreErrorKind::Unavailable | StoreErrorKind::Throttled);
                assert!(passing, "{error:?}");
            }
        }
    }
}
