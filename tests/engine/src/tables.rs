//! The two tables as in `migrations/`, with unique names.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::client::Waiters;
use aws_sdk_dynamodb::config::{BehaviorVersion, Builder, Config, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, StreamSpecification,
};
use serde_json::Value;

use crate::Engine;

/// The journal's table: the request that creates it.
pub const JOURNAL: &str = include_str!("../../../migrations/dynamodb/journal.json");
/// The read table: the request that creates it.
pub const VIEWS: &str = include_str!("../../../migrations/dynamodb/views.json");

/// An endpoint's time limit to create a table.
const PATIENCE: Duration = Duration::from_mins(1);

/// Two tables, empty at first.
#[derive(Debug, Clone)]
pub struct Tables {
    /// A client for them.
    pub client: Client,
    /// The journal's name.
    pub journal: String,
    /// The read table's name.
    pub views: String,
}

impl Tables {
    /// Creates both and waits until they exist.
    pub async fn create(client: Client, streams: bool) -> Self {
        let journal = create(&client, JOURNAL, streams).await;
        let views = create(&client, VIEWS, streams).await;
        Self { client, journal, views }
    }

    /// The same tables, with another client.
    #[must_use]
    pub fn through(&self, client: Client) -> Self {
        Self { client, ..self.clone() }
    }

    /// Drops both. An engine's tables end with it; an endpoint's remain and may cost.
    pub async fn remove(self) {
        for table in [self.journal, self.views] {
            self.client.delete_table().table_name(table).send().await.expect("it can be dropped");
        }
    }
}

/// New tables at the endpoint in `AWS_ENDPOINT_URL_DYNAMODB`, or on a new engine.
pub async fn endpoint_or_engine() -> Tables {
    match endpoint() {
        Some(config) => Tables::create(Client::from_conf(config.build()), false).await,
        None => Engine::new().tables().await,
    }
}

/// The configuration of clients for the endpoint in `AWS_ENDPOINT_URL_DYNAMODB`; `None` if it is
/// unset.
#[must_use]
pub fn endpoint() -> Option<Builder> {
    let url = variable("AWS_ENDPOINT_URL_DYNAMODB")?;
    let given = |name, otherwise: &str| variable(name).unwrap_or_else(|| otherwise.to_owned());
    let (key, secret) =
        (given("AWS_ACCESS_KEY_ID", "test"), given("AWS_SECRET_ACCESS_KEY", "test"));
    let token = variable("AWS_SESSION_TOKEN");
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(given("AWS_REGION", "us-east-1")))
        .credentials_provider(Credentials::new(key, secret, token, None, "environment"))
        .endpoint_url(url);
    Some(config)
}

#[expect(clippy::disallowed_methods, reason = "where to test is asked of no program's user")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Creates a table as in `definition`, but without deletion protection.
async fn create(client: &Client, definition: &str, streams: bool) -> String {
    let definition: Value = serde_json::from_str(definition).expect("a definition is JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let name =
        format!("{}-{:016x}", text(&definition["TableName"]), RandomState::new().hash_one(0));
    let mut create =
        client.create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
    for attribute in definition["AttributeDefinitions"].as_array().expect("attributes") {
        let definition = AttributeDefinition::builder()
            .attribute_name(text(&attribute["AttributeName"]))
            .attribute_type(text(&attribute["AttributeType"]).as_str().into());
        create = create.attribute_definitions(definition.build().expect("an attribute"));
    }
    for key in definition["KeySchema"].as_array().expect("keys") {
        let element = KeySchemaElement::builder()
            .attribute_name(text(&key["AttributeName"]))
            .key_type(text(&key["KeyType"]).as_str().into());
        create = create.key_schema(element.build().expect("a key"));
    }
    if let (true, Some(view)) =
        (streams, definition["StreamSpecification"]["StreamViewType"].as_str())
    {
        let stream = StreamSpecification::builder().stream_enabled(true);
        let stream = stream.stream_view_type(view.into());
        create = create.stream_specification(stream.build().expect("a stream"));
    }
    create.send().await.expect("a table");
    let there = client.wait_until_table_exists().table_name(&name).wait(PATIENCE);
    there.await.expect("the table is there");
    name
}
