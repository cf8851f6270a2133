//! Properties of only this store: its columns, its indexes, its files.

use futures::future::join_all;
use ledger::asset::AssetStatus;
use ledger::testing::MemoryJournal;
use tempfile::TempDir;

use super::list::ListPart;
use super::*;
use projections::position::{Position, PositionCommit, Positions};
use projections::reader::Reader;
use projections::rows::Rows;
use projections::testing::Story;

fn views() -> (SqliteViews, TempDir) {
    let folder = TempDir::new().unwrap();
    (SqliteViews::open(folder.path(), OpenMode::OrCreate).unwrap(), folder)
}

#[tokio::test]
async fn the_table_has_the_attributes_and_no_others() {
    let (views, _folder) = views();
    let names = views.database.read(|file| {
        file.prepare("SELECT name FROM pragma_table_info('assets')")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<String>>>()
    });
    assert_eq!(names.await.unwrap()[3..], *Row::ATTRIBUTES);
}

#[tokio::test]
async fn lists_are_read_from_an_index_in_its_order() {
    let (views, _folder) = views();
    let null = || Value::Null;
    for part in [ListPart::All, ListPart::InState(null()), ListPart::OfOwner(null(), null())] {
        let explain = format!("EXPLAIN QUERY PLAN {}", part.statement());
        let plan = views.database.read(move |file| {
            let mut explain = file.prepare(&explain)?;
            let bound = vec!["x"; explain.parameter_count()];
            explain
                .query_map(params_from_iter(bound), |row| row.get(3))?
                .collect::<rusqlite::Result<Vec<String>>>()
        });
        let plan = plan.await.unwrap().join("; ");
        assert!(plan.starts_with("SEARCH assets USING INDEX"), "{plan}");
        assert!(plan.contains("sk<?") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_stored_does_not_fail_its_neighbours() {
    let (views, _folder) = views();
    let mut assets: Vec<_> = (1..=64).map(|nth| Story::begin("main", nth).asset()).collect();
    assets[31].declared.size = Some(u64::MAX);
    let puts = join_all(assets.iter().map(|asset| views.put(asset))).await;
    for (put, nth) in puts.iter().zip(0..) {
        match put {
            Ok(put) => assert_eq!((*put, nth == 31), (PutOutcome::Written, false)),
            Err(error) => assert_eq!((error.kind, nth), (StoreErrorKind::Corrupt, 31)),
        }
    }
}

#[tokio::test]
async fn a_tombstone_is_dropped_in_the_second_in_which_it_expires() {
    let (views, _folder) = views();
    let purged = Story::begin("main", 1).received().deleted().purged().asset();
    views.put(&purged).await.unwrap();
    let expires_at = projections::row::expires_at(&purged).unwrap();
    for (late, swept) in [(-1, 0), (0, 1), (1, 0)] {
        let now = expires_at + chrono::TimeDelta::seconds(late);
        assert_eq!(views.sweep(now).await.unwrap(), swept, "{late} s late");
    }
}

#[tokio::test]
async fn rows_and_position_are_there_when_the_file_is_opened_again() {
    let (views, folder) = views();
    let asset = Story::begin("main", 1).asset();
    views.put(&asset).await.unwrap();
    let start = views.load().await.unwrap();
    let there = Position { number: 1, hash: asset.head };
    let moved = views.commit(&[], &[], &start, &there).await.unwrap();
    assert_eq!(moved, PositionCommit::Moved(Vec::new()));
    drop(views);
    let views = SqliteViews::open(folder.path(), OpenMode::Existing).unwrap();
    assert_eq!(views.get(&asset.key).await.unwrap(), Some(asset));
    assert_eq!(views.load().await.unwrap(), there);
}

#[tokio::test]
async fn a_list_takes_from_the_journal_what_no_row_tells() {
    let (views, _folder) = views();
    let views = Arc::new(views);
    let stories = [Story::begin("main", 1), Story::begin("main", 2).received().deleted()];
    let known = MemoryJournal::default();
    for story in &stories {
        story.append_to(&known).await;
    }
    let stranger = Story::begin("main", 3);
    for story in stories.iter().chain([&stranger]) {
        views.put(&story.asset()).await.unwrap();
    }
    for alter in ["tags = '{'", "head = 'none'", "state = 'ARCHIVED'"] {
        let alter = format!("UPDATE assets SET {alter}");
        views.database.write(move |file| file.execute(&alter, [])).await.unwrap();
    }
    let reader = Reader::new(Arc::new(known), views);
    let mut query = ListQuery::all(Tenant::default(), 9);
    let list = reader.list(&query).await.unwrap();
    assert_eq!(list.assets, [stories[1].asset(), stories[0].asset()]);
    assert_eq!((list.unreadable, list.next), (Vec::new(), None));
    query.limit = 2;
    let list = reader.list(&query).await.unwrap();
    assert_eq!(list.assets, [stories[1].asset()], "what has no history is left out");
    query.after = list.next;
    assert_eq!(reader.list(&query).await.unwrap().assets, [stories[0].asset()]);
}

/// They sort before every asset's key, so a walk meets them first.
#[tokio::test]
async fn rows_of_no_asset_do_not_end_a_list() {
    let (views, _folder) = views();
    let stories = [1, 2, 3].map(|nth| Story::begin("main", nth));
    for story in &stories {
        views.put(&story.asset()).await.unwrap();
    }
    let names = Row::ATTRIBUTES.join(", ");
    let strange = "x'ff'"; // not text
    for sk in ["'zz1'", "'zz2'", &format!("CAST({strange} AS TEXT)")] {
        let plant = format!(
            "INSERT INTO assets (generation, pk, sk, {names}) \
             SELECT generation, pk, {sk}, {names} FROM assets LIMIT 1"
        );
        views.database.write(move |file| file.execute(&plant, [])).await.unwrap();
    }
    for state in [None, Some(AssetStatus::Created)] {
        for limit in 1..=4 {
            let mut query = ListQuery { state, ..ListQuery::all(Tenant::default(), limit) };
            let mut found = Vec::new();
            loop {
                let page = views.list(&query).await.unwrap();
                found.extend(page.assets);
                let Some(next) = page.next else { break };
                query.after = Some(next);
            }
            assert_eq!(found.len(), 3, "{state:?}, {limit} a page");
        }
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_given_as_such_among_the_others() {
    let (views, _folder) = views();
    let stories = [1, 2, 3].map(|nth| Story::begin("main", nth));
    for story in &stories {
        views.put(&story.asset()).await.unwrap();
    }
    let alter = "UPDATE assets SET tags = 'not JSON' WHERE sk = ?1";
    let altered = stories[1].key.asset.to_string();
    views.database.write(move |file| file.execute(alter, [altered])).await.unwrap();
    let query = ListQuery::all(Tenant::default(), 2);
    let list = views.list(&query).await.unwrap();
    assert_eq!(list.assets, [stories[2].asset()]);
    assert_eq!(list.unreadable[0].asset, stories[1].key.asset);
    assert!(list.unreadable[0].error.contains("cannot be read"), "{:?}", list.unreadable);
    let next = ListQuery { after: list.next, ..query };
    assert_eq!(views.list(&next).await.unwrap().assets, [stories[0].asset()]);

    let page = views.page(&stories[0].key.tenant, 0, None).await.unwrap();
    let ids: Vec<_> = page.rows.iter().map(|row| row.id.clone()).collect();
    assert_eq!(ids, stories.clone().map(|story| story.key.asset.to_string()));
    let kinds: Vec<_> =
        page.rows.iter().map(|row| row.asset.as_ref().err().map(|e| e.kind)).collect();
    assert_eq!(kinds, [None, Some(StoreErrorKind::Corrupt), None]);
}
