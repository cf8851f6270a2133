//! Merges many shards into one list, newest first.
//!
//! If a shard was not read to its end, it may have rows older than the last one read. So the page
//! has no row older than the newest such position, the horizon; above it, all shards are complete.

use ledger::id::AssetId;

use projections::views::{AssetPage, ListQuery, ListedRow};

/// Rows that one request reads, at most.
const MOST: usize = 1_000;

/// Rows that one request reads for a page of `limit`: a shard's average share and three standard
/// deviations, so that few pages need a second round.
pub(super) fn share(limit: usize, shards: u8) -> i32 {
    let fair = limit.min(MOST).div_ceil(shards.into());
    let spare = if shards == 1 { 0 } else { 3 * fair.isqrt() + 3 };
    i32::try_from((fair + spare).min(limit).min(MOST)).unwrap_or(i32::MAX)
}

/// The result of one request to a shard.
pub(super) struct ShardPart {
    /// The rows that passed the filter.
    pub(super) rows: Vec<ListedRow>,
    /// The last row that was read; `None` if it was the shard's last.
    pub(super) end: Option<AssetId>,
}

/// A page under construction.
pub(super) struct PageMerge<'a> {
    query: &'a ListQuery,
    shards: Vec<ShardCursor>,
}

struct ShardCursor {
    rows: Vec<ListedRow>,
    read: ShardProgress,
}

/// The extent to which a shard was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ShardProgress {
    /// Not at all; the page starts after this row.
    Nothing(Option<AssetId>),
    UpTo(AssetId),
    All,
}

impl<'a> PageMerge<'a> {
    pub(super) fn new(shards: u8, query: &'a ListQuery) -> Self {
        let shard = |_| ShardCursor { rows: Vec::new(), read: ShardProgress::Nothing(query.after) };
        Self { query, shards: (0..shards).map(shard).collect() }
    }

    /// The shards to read next, each with the row to start after: all of them at first; then, if
    /// the page is not full, those without a spare row above the horizon.
    pub(super) fn wanted(&self) -> Vec<(u8, Option<AssetId>)> {
        let horizon = self.horizon();
        let given = self.shards.iter().flat_map(|shard| &shard.rows);
        let full = given.filter(|row| Some(row.id()) >= horizon).count() >= self.query.limit;
        let wants = |shard: &ShardCursor| match shard.read {
            ShardProgress::Nothing(after) => Some(after),
            ShardProgress::UpTo(end) if !full && !shard.has_reserve(horizon) => Some(Some(end)),
            ShardProgress::UpTo(_) | ShardProgress::All => None,
        };
        (0..).zip(&self.shards).filter_map(|(nth, shard)| Some((nth, wants(shard)?))).collect()
    }

    pub(super) fn add(&mut self, shard: u8, part: ShardPart) {
        let Some(shard) = self.shards.get_mut(usize::from(shard)) else { return };
        shard.rows.extend(part.rows);
        shard.read = part.end.map_or(ShardProgress::All, ShardProgress::UpTo);
    }

    /// The resulting page.
    pub(super) fn page(self) -> AssetPage {
        let (horizon, query) = (self.horizon(), self.query);
        let mut rows: Vec<_> = self.shards.into_iter().flat_map(|shard| shard.rows).collect();
        rows.retain(|row| Some(row.id()) >= horizon);
        rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.id()));
        let page = AssetPage::cut(rows, query);
        AssetPage { next: page.next.or(horizon), ..page }
    }

    /// Below this row the shards are not complete; `None` if all are complete.
    fn horizon(&self) -> Option<AssetId> {
        self.shards.iter().filter_map(ShardCursor::end).max()
    }
}

impl ShardCursor {
    fn end(&self) -> Option<AssetId> {
        if let ShardProgress::UpTo(end) = self.read { Some(end) } else { None }
    }

    fn has_reserve(&self, horizon: Option<AssetId>) -> bool {
        self.rows.iter().any(|row| Some(row.id()) < horizon)
    }
}

#[cfg(test)]
mod tests {
    use ledger::asset::Asset;
    use ledger::id::Tenant;
    use ledger::testing::Chance;

    use super::*;
    use projections::testing::Story;

    /// Shards with any number of rows, newest first, some of which a filter rejects.
    struct Table {
        shards: Vec<Vec<(Asset, bool)>>,
        /// Rows that one request reads.
        share: usize,
    }

    fn table(chance: &Chance) -> Table {
        let count = 1 + chance.below(5);
        let mut shards = vec![Vec::new(); usize::try_from(count).unwrap()];
        // Runs of neighbours in one shard, so that some shards are read much further than others.
        let mut shard = 0;
        for nth in (0..u32::try_from(chance.below(60)).unwrap()).rev() {
            if chance.happens(300) {
                shard = usize::try_from(chance.below(count)).unwrap();
            }
            shards[shard].push((Story::begin("main", nth).asset(), chance.happens(600)));
        }
        Table { shards, share: usize::try_from(1 + chance.below(6)).unwrap() }
    }

    impl Table {
        fn part(&self, shard: u8, after: Option<AssetId>) -> ShardPart {
            let older = |(asset, _): &&(Asset, bool)| after.is_none_or(|it| asset.key.asset < it);
            let rows: Vec<_> = self.shards[usize::from(shard)].iter().filter(older).collect();
            let looked = &rows[..rows.len().min(self.share)];
            let end = (rows.len() > self.share).then(|| looked[self.share - 1].0.key.asset);
            let shown = looked.iter().filter(|(_, shown)| *shown);
            ShardPart {
                rows: shown.map(|(asset, _)| ListedRow::from(asset.clone())).collect(),
                end,
            }
        }

        fn page(&self, query: &ListQuery) -> AssetPage {
            let mut merge = PageMerge::new(u8::try_from(self.shards.len()).unwrap(), query);
            for _ in 0..3 {
                for (shard, after) in merge.wanted() {
                    merge.add(shard, self.part(shard, after));
                }
            }
            merge.page()
        }

        fn shown(&self) -> Vec<AssetId> {
            let rows = self.shards.iter().flatten().filter(|(_, shown)| *shown);
            let mut ids: Vec<_> = rows.map(|(asset, _)| asset.key.asset).collect();
            ids.sort_by(|a, b| b.cmp(a));
            ids
        }
    }

    #[test]
    fn however_uneven_the_shards_a_walk_gives_every_row_once_newest_first() {
        for seed in 0..1_000 {
            let chance = Chance::new(seed);
            let table = table(&chance);
            let limit = usize::try_from(1 + chance.below(9)).unwrap();
            let tenant = Tenant::default();
            let (mut query, mut walked) = (ListQuery::all(tenant, limit), Vec::new());
            loop {
                let page = table.page(&query);
                assert!(page.assets.len() <= limit, "seed {seed}");
                walked.extend(page.assets.iter().map(|asset| asset.key.asset));
                let Some(next) = page.next else { break };
                assert!(query.after.is_none_or(|after| next < after), "seed {seed}: no end");
                query.after = Some(next);
            }
            assert_eq!(walked, table.shown(), "seed {seed}");
        }
    }

    #[test]
    fn a_share_is_more_than_fair_and_within_what_was_asked_for() {
        let shares = [(1, 8), (10, 8), (100, 8), (100, 1), (1_000, 8), (usize::MAX, 8)];
        let shares = shares.map(|(limit, shards)| share(limit, shards));
        assert_eq!(shares, [1, 8, 25, 100, 161, 161]);
    }
}
