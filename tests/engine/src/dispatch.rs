//! One request to the engine: the method that it calls, and the reply in DynamoDB's form.

use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An HTTP response.
pub(crate) struct EngineReply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl EngineReply {
    pub(crate) fn refusal(status: u16, code: &str) -> Self {
        let body = format!(
            r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"as the test asked"}}"#
        );
        Self { status, body }
    }
}

/// Executes the request.
pub(crate) fn run(db: &Database, operation: &str, body: &[u8]) -> EngineReply {
    match operation {
        "CreateTable" => call(body, |it| db.create_table(it)),
        "DeleteTable" => call(body, |it| db.delete_table(it)),
        "DescribeTable" => call(body, |it| db.describe_table(it)),
        "UpdateTable" => call(body, |it| db.update_table(it)),
        "ListTables" => call(body, |it| db.list_tables(it)),
        "UpdateTimeToLive" => call(body, |it| db.update_time_to_live(it)),
        "DescribeTimeToLive" => call(body, |it| db.describe_time_to_live(it)),
        "PutItem" => call(body, |it| db.put_item(it)),
        "GetItem" => call(body, |it| db.get_item(it)),
        "DeleteItem" => call(body, |it| db.delete_item(it)),
        "UpdateItem" => call(body, |it| db.update_item(it)),
        "Query" => call(body, |it| db.query(it)),
        "Scan" => call(body, |it| db.scan(it)),
        "BatchGetItem" => call(body, |it| db.batch_get_item(it)),
        "BatchWriteItem" => call(body, |it| db.batch_write_item(it)),
        "BatchExecuteStatement" => call(body, |it| db.batch_execute_statement(it)),
        "TransactWriteItems" => call(body, |it| db.transact_write_items(it)),
        "TransactGetItems" => call(body, |it| db.transact_get_items(it)),
        "ListStreams" => call(body, |it| db.list_streams(it)),
        "DescribeStream" => call(body, |it| db.describe_stream(it)),
        "GetShardIterator" => call(body, |it| db.get_shard_iterator(it)),
        "GetRecords" => call(body, |it| db.get_records(it)),
        _ => EngineReply::refusal(400, "UnknownOperationException"),
    }
}

fn call<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    method: impl FnOnce(Q) -> Result<A, DynoxideError>,
) -> EngineReply {
    let Ok(request) = serde_json::from_slice(body) else {
        return EngineReply::refusal(400, "SerializationException");
    };
    match method(request) {
        Ok(answer) => EngineReply {
            status: 200,
            body: serde_json::to_string(&answer).expect("an answer is JSON"),
        },
        Err(error) => EngineReply { status: error.status_code(), body: error.to_json() },
    }
}
