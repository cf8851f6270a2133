//! On an engine: new tables, repeated runs, other tables, and tables that must not be changed.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    TimeToLiveSpecification,
};
use engine::{Engine, Fault};

use super::*;

struct World {
    engine: Engine,
    client: Client,
}

impl World {
    fn new() -> Self {
        let engine = Engine::new();
        Self { client: engine.client(), engine }
    }

    async fn run(&self, dry_run: bool) -> (Result<(), String>, Vec<String>) {
        let migration = Migration {
            client: self.client.clone(),
            journal: "journal".to_owned(),
            views: "views".to_owned(),
            now: DateTime::UNIX_EPOCH,
        };
        let mut said = Vec::new();
        let ran = migration.run(dry_run, &mut |line| said.push(line.to_owned())).await;
        (ran.map_err(|error| format!("{error:#}")), said)
    }

    async fn migrate(&self) -> Vec<String> {
        let (ran, said) = self.run(false).await;
        ran.unwrap();
        said
    }

    async fn tables(&self) -> Vec<String> {
        self.client.list_tables().send().await.unwrap().table_names.unwrap_or_default()
    }

    /// A table with a key of one part.
    async fn create(&self, table: &str, key: &str) {
        let attribute = AttributeDefinition::builder().attribute_name(key);
        let attribute = attribute.attribute_type(ScalarAttributeType::S).build().unwrap();
        let part = KeySchemaElement::builder().attribute_name(key).key_type(KeyType::Hash);
        let create = self.client.create_table().table_name(table);
        let create = create.attribute_definitions(attribute).key_schema(part.build().unwrap());
        create.billing_mode(BillingMode::PayPerRequest).send().await.unwrap();
    }

    async fn expire(&self, table: &str, attribute: &str, on: bool) {
        let ttl = TimeToLiveSpecification::builder().attribute_name(attribute).enabled(on);
        let update = self.client.update_time_to_live().table_name(table);
        update.time_to_live_specification(ttl.build().unwrap()).send().await.unwrap();
    }

    fn changes(&self) -> Vec<String> {
        let tally = self.engine.take_tally();
        let all = tally.operations().into_iter().map(|(_, operation, _)| operation.to_owned());
        all.filter(|operation| !operation.starts_with("Describe")).collect()
    }
}

fn has(said: &[String], text: &str) -> bool {
    said.iter().any(|line| line.contains(text))
}

#[tokio::test]
async fn both_tables_are_made_from_nothing_and_found_as_they_should_be_again() {
    let world = World::new();
    let said = world.migrate().await;
    assert_eq!(world.tables().await, ["journal", "views"]);
    assert!(has(&said, "journal: creating") && has(&said, "views: creating"), "{said:?}");
    assert!(has(&said, "journal.1: applied and recorded"), "{said:?}");
    let again = world.migrate().await;
    assert!(has(&again, "journal: is there and as it should be"), "{again:?}");
    assert!(has(&again, "views.1: was applied before") && !has(&again, "creating"), "{again:?}");
    let stream = world.client.describe_table().table_name("journal").send().await.unwrap();
    assert_eq!(stream_view(&stream.table.unwrap()), Some("NEW_AND_OLD_IMAGES".to_owned()));
}

fn stream_view(table: &TableDescription) -> Option<String> {
    table.stream_specification()?.stream_view_type().map(|view| view.as_str().to_owned())
}

#[tokio::test]
async fn what_the_endpoint_has_is_switched_on_and_what_it_has_not_is_said_aloud() {
    let world = World::new();
    let said = world.migrate().await;
    assert!(has(&said, "views: time to live on expires_at is on"), "{said:?}");
    assert!(has(&said, "journal: deletion protection is on"), "{said:?}");
    assert!(has(&said, "journal: NO point-in-time recovery: this endpoint has none"), "{said:?}");
    let there = world.client.describe_time_to_live().table_name("views").send().await.unwrap();
    let there = there.time_to_live_description.unwrap();
    assert_eq!(there.attribute_name(), Some("expires_at"));
    assert!(world.client.delete_table().table_name("journal").send().await.is_err());
}

#[tokio::test]
async fn a_dry_run_tells_and_changes_nothing() {
    let world = World::new();
    let (ran, said) = world.run(true).await;
    ran.unwrap();
    assert!(
        has(&said, "journal: would be created") && has(&said, "views: would be created"),
        "{said:?}"
    );
    assert_eq!(world.changes(), [""; 0]);
    world.migrate().await;
    let (_, said) = world.run(true).await;
    assert!(has(&said, "journal: is there and as it should be"), "{said:?}");
}

#[tokio::test]
async fn a_table_of_another_shape_is_named_with_its_difference_and_nothing_is_touched() {
    let world = World::new();
    world.create("views", "id").await;
    world.changes();
    let (ran, said) = world.run(false).await;
    let error = ran.unwrap_err();
    assert!(error.contains("table views is not as it should be"), "{error}");
    assert!(error.contains("key: id S HASH, not pk S HASH, sk S RANGE"), "{error}");
    assert!(error.contains("Nothing was changed"), "{error}");
    assert_eq!((world.changes(), said), (vec![], vec![]));
}

#[tokio::test]
async fn a_journal_without_its_stream_is_refused() {
    let world = World::new();
    let definition = Definition::read(JOURNAL, "journal").unwrap();
    let create = definition.create(&world.client).unwrap();
    create.set_stream_specification(None).send().await.unwrap();
    let error = world.run(false).await.0.unwrap_err();
    assert!(error.contains("stream: off, not NEW_AND_OLD_IMAGES"), "{error}");
}

#[tokio::test]
async fn rows_that_expire_by_something_else_are_refused_before_anything_is_touched() {
    let world = World::new();
    world.migrate().await;
    world.expire("views", "expires_at", false).await;
    world.expire("views", "updated_at", true).await;
    world.changes();
    let (ran, said) = world.run(false).await;
    let error = ran.unwrap_err();
    assert!(error.contains("rows expire by updated_at, not by expires_at"), "{error}");
    assert_eq!((world.changes(), said), (vec![], vec![]));
}

#[tokio::test]
async fn a_journal_whose_events_expire_is_refused_also_by_a_dry_run() {
    let world = World::new();
    world.migrate().await;
    world.expire("journal", "sk", true).await;
    world.changes();
    for dry_run in [true, false] {
        let (ran, said) = world.run(dry_run).await;
        let error = ran.unwrap_err();
        assert!(error.contains("journal has a time to live, by sk: events must never"), "{error}");
        assert!(error.contains("switch it off and run this again"), "{error}");
        assert_eq!((world.changes(), said), (vec![], vec![]));
    }
    world.expire("journal", "sk", false).await;
    world.migrate().await;
}

#[tokio::test(start_paused = true)]
async fn a_table_that_somebody_else_is_making_is_waited_for() {
    let world = World::new();
    let mut asked = 0;
    world.engine.fail(move |request| {
        let describes = request.operation == "DescribeTable" && request.table == "journal";
        asked += u32::from(describes);
        // Missing at the first check, then present, then as if it were still being created.
        let missing = describes && matches!(asked, 1..=3);
        missing.then_some(Fault::Refused(400, "ResourceNotFoundException"))
    });
    let definition = Definition::read(JOURNAL, "journal").unwrap();
    definition.create(&world.client).unwrap().send().await.unwrap();
    let began = Instant::now();
    let said = world.migrate().await;
    assert!(has(&said, "journal: somebody else is creating it"), "{said:?}");
    assert!(has(&said, "journal: waiting until it is active"), "{said:?}");
    assert!(began.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn a_refusal_names_the_call_and_the_table() {
    let world = World::new();
    world.engine.fail(|request| {
        let creates = request.operation == "CreateTable";
        creates.then_some(Fault::Refused(400, "AccessDeniedException"))
    });
    let error = world.run(false).await.0.unwrap_err();
    assert!(error.contains("journal: CreateTable failed"), "{error}");
    assert!(error.contains("AccessDeniedException"), "{error}");
}

#[tokio::test]
async fn the_record_says_what_was_applied() {
    let world = World::new();
    world.migrate().await;
    let get = world.client.get_item().table_name("views");
    let get = get.key("pk", AttributeValue::S("#migrations".to_owned()));
    let found = get.key("sk", AttributeValue::S("journal.1".to_owned())).send().await.unwrap();
    let item = found.item.unwrap();
    let definition = item["definition"].as_s().unwrap();
    assert_eq!(Definition::read(definition, "journal").unwrap().table_name, "journal");
    assert_eq!(item["applied_at"].as_s().unwrap(), "1970-01-01T00:00:00.000000Z");
}
