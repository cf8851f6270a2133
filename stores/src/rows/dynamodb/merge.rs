//! One list out of many shards, newest first.
//!
//! A shard that was not read to its end may hold anything older than where its reading stopped.
//! So nothing is given out that is older than the newest such place, the horizon; whatever is
//! newer, of all shards, is complete.

use ledger::id::AssetId;

use projections::views::{AssetPage, ListQuery, ListedRow};

/// Rows that one request looks at, at most.
const MOST: usize = 1_000;

/// Rows that one request looks at for a page of `limit`: a shard's fair share and three standard
/// deviations, so that hardly any page needs a second round.
pub(super) fn share(limit: usize, shards: u8) -> i32 {
    let fair = limit.min(MOST).div_ceil(shards.into());
    let spare = if shards == 1 { 0 } else { 3 * fair.isqrt() + 3 };
    i32::try_from((fair + spare).min(limit).min(MOST)).unwrap_or(i32::MAX)
}

/// What one request found of a shard.
pub(super) struct ShardPart {
    /// The rows that the filter let through.
    pub(super) rows: Vec<ListedRow>,
    /// The last row that was looked at; `None` if it was the shard's last.
    pub(super) end: Option<AssetId>,
}

/// A page in the making.
pub(super) struct PageMerge {
    limit: usize,
    shards: Vec<ShardCursor>,
}

struct ShardCursor {
    rows: Vec<ListedRow>,
    read: ShardProgress,
}

/// How far a shard was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ShardProgress {
    /// Not at all; the page starts after this.
    Nothing(Option<AssetId>),
    UpTo(AssetId),
    All,
}

impl PageMerge {
    pub(super) fn new(shards: u8, query: &ListQuery) -> Self {
        let shard = |_| ShardCursor { rows: Vec::new(), read: ShardProgress::Nothing(query.after) };
        Self { limit: query.limit, shards: (0..shards).map(shard).collect() }
    }

    /// Which shards to read on, and after which row: all of them at first; then, if the page is
    /// not full, those that hold nothing in reserve beyond the horizon.
    pub(super) fn wanted(&self) -> Vec<(u8, Option<AssetId>)> {
        let horizon = self.horizon();
        let given = self.shards.iter().flat_map(|shard| &shard.rows);
        let full = given.filter(|row| Some(row.id()) >= horizon).count() >= self.limit;
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

    /// The page that was made.
    pub(super) fn page(self) -> AssetPage {
        let (horizon, limit) = (self.horizon(), self.limit);
        let mut rows: Vec<_> = self.shards.into_iter().flat_map(|shard| shard.rows).collect();
        rows.retain(|row| Some(row.id()) >= horizon);
        rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.id()));
        let page = AssetPage::cut(rows, limit);
        AssetPage { next: page.next.or(horizon), ..page }
    }

    /// Nothing older than this is known in full; `None` if everything is.
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

    /// Shards of any fill, newest first, with rows that a filter holds back.
    struct Table {
        shards: Vec<Vec<(Asset, bool)>>,
        /// Rows that one request looks at.
        share: usize,
    }

    fn table(chance: &Chance) -> Table {
        let count = 1 + chance.below(5);
        let mut shards = vec![Vec::new(); usize::try_from(count).unwrap()];
        // Runs of neighbours in one shard, so that some are read far beyond others.
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
