//! Properties of only this store: its columns, its indexes, its files.

use futures::future::join_all;
use ledger::asset::AssetStatus;
use ledger::testing::MemoryJournal;
use tempfile::TempDir;

use super::list::ListPart;
use super::*;
use projections::generations::{GenerationList, Generations};
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
    announced(&views, "a").await;
    for (table, key) in [("assets", 3), ("assets_2", 2)] {
        let names = views.database.read(move |file| {
            file.prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<String>>>()
        });
        assert_eq!(names.await.unwrap()[key..], *Row::ATTRIBUTES);
    }
}

#[tokio::test]
async fn lists_are_read_from_an_index_in_its_order() {
    let (views, _folder) = views();
    let null = || Value::Null;
    let (_, second) = announced(&views, "a").await;
    let parts = [ListPart::All, ListPart::InState(null()), ListPart::OfOwner(null(), null())];
    let own = Statements::of(Some(second));
    let each = parts.iter().flat_map(|part| [&*statements::SQL, &own].map(|sql| (part, sql)));
    for (part, sql) in each {
        let explain = format!("EXPLAIN QUERY PLAN {}", part.statement(sql));
        let plan = views.database.read(move |file| {
            let mut explain = file.prepare(&explain)?;
            let bound = vec!["x"; explain.parameter_count()];
            explain
                .query_map(params_from_iter(bound), |row| row.get(3))?
                .collect::<rusqlite::Result<Vec<String>>>()
        });
        let plan = plan.await.unwrap().join("; ");
        assert!(plan.starts_with("SEARCH assets") && plan.contains(" USING INDEX"), "{plan}");
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

/// The tables of rows, and the number of their indexes.
async fn tables(views: &SqliteViews) -> Vec<(String, u32)> {
    let read = views.database.read(|file| {
        let tables = "SELECT name, (SELECT count(*) FROM pragma_index_list(kept.name)) \
            FROM sqlite_schema AS kept WHERE type = 'table' AND name LIKE 'assets%' ORDER BY name";
        file.prepare(tables)?.query_map([], |row| row.try_into())?.collect()
    });
    read.await.unwrap()
}

fn named(tables: &[(&str, u32)]) -> Vec<(String, u32)> {
    tables.iter().map(|(name, indexes)| ((*name).to_owned(), *indexes)).collect()
}

async fn announced(views: &SqliteViews, run: &str) -> (GenerationList, Generation) {
    let list = views.generations().await.unwrap();
    let next = list.announced(run, DateTime::UNIX_EPOCH).unwrap();
    assert!(views.replace(&list, &next).await.unwrap());
    let generation = next.building.as_ref().unwrap().generation;
    (next, generation)
}

#[tokio::test]
async fn an_announced_generation_has_a_table_that_is_dropped_when_it_is_removed() {
    let (views, _folder) = views();
    let [one, two] = [Story::begin("main", 1).received(), Story::begin("main", 2)];
    views.put(&one.asset()).await.unwrap();
    let (next, second) = announced(&views, "a").await;
    // The primary key is an index too.
    let (first, all) = (("assets", 5), [("assets", 5), ("assets_2", 5)]);
    assert_eq!(tables(&views).await, named(&all));
    let rows = views.rows(second);
    rows.put(&two.asset()).await.unwrap();
    assert_eq!(rows.tenants().await.unwrap(), [Tenant::default()].into());
    let asset = |views: &Arc<dyn Rows>, story: &Story| {
        let (views, key) = (views.clone(), story.key.clone());
        async move { views.get(&key).await.unwrap() }
    };
    assert_eq!((asset(&rows, &one).await, asset(&rows, &two).await), (None, Some(two.asset())));
    let listed = rows.list(&ListQuery::all(Tenant::default(), 9)).await.unwrap();
    assert_eq!(listed.assets, [two.asset()]);

    let given_up = next.given_up(DateTime::UNIX_EPOCH);
    assert!(views.replace(&next, &given_up).await.unwrap());
    assert_eq!(tables(&views).await, named(&all), "readers and writers may still use it");
    assert_eq!(views.remove(second).await.unwrap(), 1);
    assert_eq!(tables(&views).await, named(&[first]));
    assert_eq!(
        (asset(&rows, &two).await, views.get(&one.key).await.unwrap()),
        (None, Some(one.asset()))
    );
    assert_eq!(views.remove(second).await.unwrap(), 0);
    assert_eq!(announced(&views, "b").await.1.number(), 3);
}

#[tokio::test]
async fn a_removal_that_was_cut_off_is_gone_on_with_and_drops_no_other_table() {
    let (views, folder) = views();
    let (_, second) = announced(&views, "a").await;
    let rows = views.rows(second);
    rows.put(&Story::begin("main", 1).asset()).await.unwrap();
    let other = "CREATE TABLE assets_3 (own TEXT)";
    views.database.write(move |file| file.execute_batch(other)).await.unwrap();
    for _ in 0..2 {
        let tables = views.tables.clone();
        let drop = move |file: &Connection| tables.drop_next(file, second);
        assert!(views.database.write(drop).await.unwrap());
    }
    drop((rows, views));
    let views = SqliteViews::open(folder.path(), OpenMode::Existing).unwrap();
    assert_eq!(tables(&views).await, named(&[("assets", 5), ("assets_2", 3), ("assets_3", 0)]));
    assert_eq!(views.remove(second).await.unwrap(), 1);
    assert_eq!(tables(&views).await, named(&[("assets", 5), ("assets_3", 0)]));
    // A table of another program is not taken for the one of a generation.
    let list = views.generations().await.unwrap().given_up(DateTime::UNIX_EPOCH);
    assert!(views.replace(&views.generations().await.unwrap(), &list).await.unwrap());
    let next = list.announced("b", DateTime::UNIX_EPOCH).unwrap();
    views.replace(&list, &next).await.unwrap_err();
    assert_eq!(views.generations().await.unwrap(), list, "the announcement was rolled back");
}

/// A file as the third step left it, while a replay was at work.
#[tokio::test]
async fn generations_of_an_older_file_stay_in_its_one_table() {
    let (folder, building) = (TempDir::new().unwrap(), GenerationList::default());
    let building = building.announced("a", DateTime::UNIX_EPOCH).unwrap();
    let older = Schema { steps: &SCHEMA.steps[..3], ..SCHEMA };
    let file = Database::open(&folder.path().join(FILE), &older, OpenMode::OrCreate).unwrap();
    let body = serde_json::to_string(&building).unwrap();
    let note = "INSERT INTO notes (name, body) VALUES ('generations', ?1)";
    file.write(move |file| file.execute(note, [body])).await.unwrap();
    let story = Story::begin("main", 1);
    for number in [1, 2] {
        let mut values = values(Generation::FIRST, &story.asset()).unwrap();
        values[0] = Value::Integer(number);
        file.write(move |file| put(file, &statements::SQL, &values)).await.unwrap();
    }
    drop(file);
    let views = SqliteViews::open(folder.path(), OpenMode::Existing).unwrap();
    let second = building.building.clone().unwrap().generation;
    assert_eq!(views.generations().await.unwrap(), building);
    for rows in [views.rows(Generation::FIRST), views.rows(second)] {
        assert_eq!(rows.get(&story.key).await.unwrap(), Some(story.asset()));
    }
    let switched = building.switched(second, None, DateTime::UNIX_EPOCH).unwrap();
    assert!(views.replace(&building, &switched).await.unwrap());
    assert_eq!(views.remove(Generation::FIRST).await.unwrap(), 1);
    assert_eq!(tables(&views).await, named(&[("assets", 5)]));
    assert_eq!(announced(&views, "b").await.1.number(), 3);
    assert_eq!(tables(&views).await, named(&[("assets", 5), ("assets_3", 5)]));
    let refused = Database::open(&folder.path().join(FILE), &older, OpenMode::Existing);
    assert!(refused.unwrap_err().to_string().contains("newer asset-ledger"));
}
