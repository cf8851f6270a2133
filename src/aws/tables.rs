//! The two tables as defined in `migrations/`, and how an existing table differs.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, StreamSpecification, TableDescription,
};
use serde::{Deserialize, Serialize};

/// The journal's table.
pub(super) const JOURNAL: &str = include_str!("../../migrations/dynamodb/journal.json");
/// The rows' table.
pub(super) const VIEWS: &str = include_str!("../../migrations/dynamodb/views.json");

/// A table as the request that creates it. A migration may have no other fields.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Definition {
    pub(super) table_name: String,
    attribute_definitions: Vec<KeyAttribute>,
    key_schema: Vec<KeyPart>,
    billing_mode: String,
    stream_specification: Option<StreamDefinition>,
    #[serde(default)]
    pub(super) deletion_protection_enabled: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KeyAttribute {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KeyPart {
    attribute_name: String,
    key_type: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct StreamDefinition {
    stream_enabled: bool,
    stream_view_type: String,
}

impl Definition {
    /// The definition in `text`, for a table named `table`.
    pub(super) fn read(text: &str, table: &str) -> serde_json::Result<Self> {
        let definition: Self = serde_json::from_str(text)?;
        Ok(Self { table_name: table.to_owned(), ..definition })
    }

    /// The request that creates the table.
    pub(super) fn create(&self, client: &Client) -> Result<CreateTableFluentBuilder, BuildError> {
        let stream = self.stream_specification.as_ref().map(StreamDefinition::build).transpose()?;
        let mut create = client
            .create_table()
            .table_name(&self.table_name)
            .billing_mode(BillingMode::from(self.billing_mode.as_str()))
            .set_stream_specification(stream)
            .deletion_protection_enabled(self.deletion_protection_enabled);
        for attribute in &self.attribute_definitions {
            create = create.attribute_definitions(attribute.build()?);
        }
        for part in &self.key_schema {
            create = create.key_schema(part.build()?);
        }
        Ok(create)
    }

    /// The differences of a table that cannot be changed without moving its data, or must not be
    /// changed without its users' knowledge: its key, its stream, its indexes. Each as a message.
    pub(super) fn differences(&self, there: &TableDescription) -> Vec<String> {
        let pairs = [
            ("key", self.key(), key_of(there)),
            ("stream", self.stream(), stream_of(there)),
            ("indexes", "none".to_owned(), indexes_of(there)),
        ];
        let differs = pairs.into_iter().filter(|(_, wanted, found)| wanted != found);
        let told = |(what, wanted, found)| format!("{what}: {found}, not {wanted}");
        differs.map(told).collect()
    }

    fn key(&self) -> String {
        let type_of = |name: &str| {
            let of = self.attribute_definitions.iter().find(|it| it.attribute_name == name);
            of.map_or("?", |it| it.attribute_type.as_str()).to_owned()
        };
        let part = |it: &KeyPart| format_part(&it.attribute_name, &it.key_type, &type_of);
        join(self.key_schema.iter().map(part))
    }

    fn stream(&self) -> String {
        let wanted = self.stream_specification.as_ref().filter(|wanted| wanted.stream_enabled);
        wanted.map_or("off".to_owned(), |wanted| wanted.stream_view_type.clone())
    }
}

impl KeyAttribute {
    fn build(&self) -> Result<AttributeDefinition, BuildError> {
        let (name, kind) = (&self.attribute_name, self.attribute_type.as_str());
        AttributeDefinition::builder().attribute_name(name).attribute_type(kind.into()).build()
    }
}

impl KeyPart {
    fn build(&self) -> Result<KeySchemaElement, BuildError> {
        let (name, kind) = (&self.attribute_name, self.key_type.as_str());
        KeySchemaElement::builder().attribute_name(name).key_type(kind.into()).build()
    }
}

impl StreamDefinition {
    fn build(&self) -> Result<StreamSpecification, BuildError> {
        let stream = StreamSpecification::builder().stream_enabled(self.stream_enabled);
        stream.stream_view_type(self.stream_view_type.as_str().into()).build()
    }
}

fn key_of(there: &TableDescription) -> String {
    let type_of = |name: &str| {
        let of = there.attribute_definitions().iter().find(|it| it.attribute_name() == name);
        of.map_or("?", |it| it.attribute_type().as_str()).to_owned()
    };
    let schema = there.key_schema().iter();
    join(schema.map(|it| format_part(it.attribute_name(), it.key_type().as_str(), &type_of)))
}

fn stream_of(there: &TableDescription) -> String {
    let on = there.stream_specification().filter(|stream| stream.stream_enabled());
    let view = on.map(|stream| stream.stream_view_type().map_or("?", |view| view.as_str()));
    view.unwrap_or("off").to_owned()
}

fn indexes_of(there: &TableDescription) -> String {
    let global = there.global_secondary_indexes().iter().filter_map(|it| it.index_name());
    let local = there.local_secondary_indexes().iter().filter_map(|it| it.index_name());
    let all = join(global.chain(local).map(str::to_owned));
    if all.is_empty() { "none".to_owned() } else { all }
}

fn format_part(name: &str, kind: &str, type_of: &impl Fn(&str) -> String) -> String {
    format!("{name} {} {kind}", type_of(name))
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use aws_sdk_dynamodb::types::AttributeValue;
    use engine::Engine;
    use ledger::journal::Journal;
    use projections::feed::{FeedLane, FeedWeek, LaneEntry};
    use projections::generations::{GenerationList, ReplayProgress};
    use projections::row::Row;
    use projections::testing::Story;
    use projections::views::Parked;
    use projections::{Generations, Views};
    use stores::DynamoJournal;
    use stores::DynamoViews;

    use super::*;
    use crate::aws::migrate::{EXPIRES, Migration};

    /// The lines of a resource of the template, up to the next one.
    fn resource(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/template.yaml");
        let template = std::fs::read_to_string(path).unwrap();
        let (_, after) = template.split_once(&format!("\n  {name}:\n")).unwrap();
        let own = after.lines().take_while(|line| line.is_empty() || line.starts_with("   "));
        own.collect::<Vec<_>>().join("\n")
    }

    /// The value after `name: ` in each place of the resource.
    fn values<'a>(resource: &'a str, name: &str) -> Vec<&'a str> {
        let name = format!("{name}: ");
        let after = resource.split(&name).skip(1);
        after.map(|rest| rest.split([',', '}', '\n']).next().unwrap()).collect()
    }

    #[test]
    fn the_template_makes_the_tables_that_the_migrations_make() {
        for (name, text) in [("Journal", JOURNAL), ("Views", VIEWS)] {
            let (there, wanted) = (resource(name), Definition::read(text, "t").unwrap());
            assert!(there.contains("Type: AWS::DynamoDB::Table"), "{name}");
            let types: Vec<_> =
                wanted.attribute_definitions.iter().map(|it| it.attribute_type.as_str()).collect();
            let kinds: Vec<_> = wanted.key_schema.iter().map(|it| it.key_type.as_str()).collect();
            assert_eq!(values(&there, "AttributeType"), types, "{name}");
            assert_eq!(values(&there, "KeyType"), kinds, "{name}");
            let named = wanted.attribute_definitions.iter().map(|it| it.attribute_name.as_str());
            let keyed = wanted.key_schema.iter().map(|it| it.attribute_name.as_str());
            let expiring = (name == "Views").then_some(EXPIRES);
            let all: Vec<_> = named.chain(keyed).chain(expiring).collect();
            assert_eq!(values(&there, "AttributeName"), all, "{name}");
            let stream: Vec<_> =
                wanted.stream_specification.iter().map(|it| it.stream_view_type.as_str()).collect();
            assert_eq!(values(&there, "StreamViewType"), stream, "{name}");
            assert_eq!(values(&there, "BillingMode"), [wanted.billing_mode.as_str()], "{name}");
            assert_eq!(values(&there, "DeletionProtectionEnabled"), ["true"], "{name}");
            // Of the rows as a parameter says; deploy/check has the default.
            let recovery: &[_] = if name == "Views" { &["true", "false"] } else { &["true"] };
            assert_eq!(values(&there, "PointInTimeRecoveryEnabled"), recovery, "{name}");
            assert!(!there.contains("SecondaryIndexes"), "{name}");
        }
    }

    async fn items(client: &Client, table: &str) -> Vec<Vec<(String, AttributeValue)>> {
        let found = client.scan().table_name(table).send().await.unwrap().items.unwrap();
        found.into_iter().map(|item| item.into_iter().collect()).collect()
    }

    fn names(item: &[(String, AttributeValue)]) -> BTreeSet<&str> {
        item.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Writes one item of each form in either table, except the record of `migrate`.
    async fn write_everything(journal: &DynamoJournal, views: &DynamoViews) {
        let story = Story::begin("main", 1).received().deleted().purged();
        for line in &story.lines {
            journal.append(&story.key, line.clone()).await.unwrap();
        }
        let (key, at) = (story.key.clone(), chrono::DateTime::UNIX_EPOCH);
        let (lane, place) =
            (FeedLane::of(&key), LaneEntry { number: 1, text: "{}".to_owned(), expires_at: None });
        views.put(&story.asset()).await.unwrap();
        views.lanes().unwrap().put(&lane, &place).await.unwrap();
        let (lane, expires_at) = (lane.in_week(Some(FeedWeek::of(at))), Some(at));
        views.lanes().unwrap().put(&lane, &LaneEntry { expires_at, ..place }).await.unwrap();
        views
            .park(&Parked { key, version: 9, error: "strange".to_owned(), at, contradicted: false })
            .await
            .unwrap();
        let list = GenerationList::default().announced("run", at).unwrap();
        assert!(views.replace(&GenerationList::default(), &list).await.unwrap());
        let progress = ReplayProgress {
            generation: list.building.unwrap().generation,
            run: "run".to_owned(),
            at,
            stopped: false,
            stretches: Vec::new(),
            broken: Vec::new(),
            broken_count: 0,
            unknown: Vec::new(),
            unknown_count: 0,
        };
        assert!(views.save(None, &progress).await.unwrap());
    }

    #[tokio::test]
    async fn the_adapters_write_what_the_migrations_define() {
        let client = Engine::new().client();
        let (journal, views) = ("journal".to_owned(), "views".to_owned());
        let migration =
            Migration { client: client.clone(), journal, views, now: chrono::DateTime::UNIX_EPOCH };
        migration.run(false, &mut |_| ()).await.unwrap();
        let journal = DynamoJournal::new(client.clone(), "journal");
        let views = DynamoViews::new(client.clone(), "views", 8);
        write_everything(&journal, &views).await;
        for event in items(&client, "journal").await {
            assert_eq!(names(&event), BTreeSet::from(["pk", "sk", "body"]));
        }
        let mut forms = BTreeMap::<_, usize>::new();
        for item in items(&client, "views").await {
            let value = |name| item.iter().find(|it| it.0 == name).map(|(_, value)| value);
            let form = form_of(value("pk").unwrap().as_s().unwrap());
            let names: Vec<_> = names(&item).into_iter().filter(|it| !is_key(it)).collect();
            match form {
                "row" => assert!(names.iter().all(|it| Row::ATTRIBUTES.contains(it)), "{item:?}"),
                "place in a lane" => assert_eq!(names, ["events"]),
                "place in a week" => assert_eq!(names, ["events", EXPIRES]),
                "parked" => assert_eq!(names, ["at", "error", "version"]),
                "note" => assert_eq!(names, ["body"]),
                _ => assert_eq!(names, ["applied_at", "definition", "program"], "{item:?}"),
            }
            // A number of seconds; and only rows and weeks of the feed expire.
            let expiring = ["row", "place in a week"].contains(&form);
            assert_eq!(value(EXPIRES).is_some_and(AttributeValue::is_n), expiring);
            assert!(value("sk").is_some());
            *forms.entry(form).or_default() += 1;
        }
        let each = [
            ("note", 2),
            ("parked", 1),
            ("place in a lane", 1),
            ("place in a week", 1),
            ("record", 2),
            ("row", 1),
        ];
        assert_eq!(forms, each.into());
    }

    fn is_key(name: &str) -> bool {
        ["pk", "sk"].contains(&name)
    }

    /// The form of an item of the read table, by its partition.
    fn form_of(partition: &str) -> &'static str {
        let parts: Vec<_> = partition.split('#').collect();
        match parts[..] {
            ["main", "feed", lane] if lane.contains('.') => "place in a week",
            ["main", "feed", _] => "place in a lane",
            ["main", "parked"] => "parked",
            ["main", _, _] => "row",
            ["notes"] => "note",
            _ => "record",
        }
    }
}
