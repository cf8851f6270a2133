//! Commands over HTTP by the program on DynamoDB, compared with the bare requests of a command: a
//! strongly consistent query of the history, and a conditional put.
//!
//! The engine is another process for both, so CPU time is that of its client: the program, or the
//! bare requests in this process. The bare requests have no HTTP server, no access log and no
//! rules, and the program shares the cores with the clients' side of HTTP as well.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeValue, PutRequest, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure,
    WriteRequest,
};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use engine::{Engine, Tables};
use futures::{StreamExt, TryStreamExt, stream};
use ledger::record::StoredLine;
use projections::testing::Story;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::dynamodb::{CLIENTS, MEASURED, Measured};
use crate::http::{ask, connect};
use crate::journal::rate;
use crate::program::{Program, cpu};
use crate::table::ResultsTable;

/// The assets of each client: more than it deletes in a measurement.
const PREPARED: u32 = 3_000;
/// The items of one `BatchWriteItem`.
const BATCH: usize = 25;

pub(crate) async fn over_http(table: &mut ResultsTable) -> Result<()> {
    let before = bare().await?;
    let ours = commands().await?;
    let after = bare().await?;
    let what = format!("DynamoDB: commands over HTTP, {CLIENTS} clients");
    let limit = f64::midpoint(before.rate, after.rate);
    table.ratio(&what, ours.rate, "bare query and put", limit, "≥ 0.8");
    let beside = format!("bare query and put: {:.2} s", f64::midpoint(before.cpu, after.cpu));
    let figure = format!("{:.2} s", ours.cpu);
    table.figure("the same, CPU per thousand", &figure, &beside, "≤ 0.35 s");
    Ok(())
}

/// An engine behind a socket, for another process.
pub(crate) async fn serve_engine() -> Result<()> {
    let engine = Engine::new();
    let answer = async move |headers: HeaderMap, body: Bytes| {
        let target = headers.get("x-amz-target").and_then(|it| it.to_str().ok());
        let operation = target.and_then(|it| it.rsplit('.').next()).unwrap_or_default().to_owned();
        let run = move || engine.answer(&operation, &body);
        match tokio::task::spawn_blocking(run).await {
            Ok((status, answer)) => (StatusCode::from_u16(status).unwrap_or_default(), answer),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ENGINE http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, Router::new().fallback(answer)).await?)
}

/// A new engine, and in its journal the assets of all clients.
async fn prepared() -> Result<(Program, Tables)> {
    let engine = Program::engine()?;
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("engine", "engine", None, None, "engine"))
        .endpoint_url(format!("http://{}", engine.address));
    // Without streams: the engine's own cost more than the request.
    let tables = Tables::create(Client::from_conf(config.build()), false).await;
    let assets = (0..CLIENTS).flat_map(|client| (0..PREPARED).map(move |nth| story(client, nth)));
    stream::iter(assets)
        .map(|story| -> Result<_> {
            let put = PutRequest::builder().set_item(Some(item(&story, &story.lines[0])));
            Ok(WriteRequest::builder().put_request(put.build()?).build())
        })
        .chunks(BATCH)
        .map(async |batch| -> Result<()> {
            let batch = batch.into_iter().collect::<Result<Vec<_>>>()?;
            let writing = tables.client.batch_write_item().request_items(&tables.journal, batch);
            let left = writing.send().await?.unprocessed_items.unwrap_or_default();
            anyhow::ensure!(left.is_empty(), "an engine that writes in part");
            Ok(())
        })
        .buffer_unordered(4)
        .try_collect::<()>()
        .await?;
    Ok((engine, tables))
}

fn story(client: u32, nth: u32) -> Story {
    Story::begin("main", nth * CLIENTS + client)
}

fn item(story: &Story, line: &StoredLine) -> std::collections::HashMap<String, AttributeValue> {
    [
        ("pk", AttributeValue::S(story.key.partition())),
        ("sk", AttributeValue::N(line.version.to_string())),
        ("body", AttributeValue::S(line.body.clone())),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// What a client does with its `nth` asset, for all clients and as long as it is measured.
async fn repeated<F>(process: u32, deed: impl Fn(u32, u32) -> F) -> Result<Measured>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (start, before, deed) = (Instant::now(), cpu(process)?, &deed);
    let clients = (0..CLIENTS).map(async |client| {
        let mut count = 0;
        while start.elapsed() < MEASURED {
            anyhow::ensure!(count < PREPARED, "more commands in the time than prepared");
            tokio::spawn(deed(client, count)).await??;
            count += 1;
        }
        anyhow::Ok(u64::from(count))
    });
    let total: u64 = futures::future::try_join_all(clients).await?.into_iter().sum();
    let rate = rate(total, start.elapsed());
    Ok(Measured { rate, cpu: (cpu(process)? - before) / total as f64 * 1_000.0 })
}

/// Deletions by the program.
async fn commands() -> Result<Measured> {
    let (engine, tables) = prepared().await?;
    let program = Program::serve_on(&engine, &tables)?;
    let connections =
        futures::future::try_join_all((0..CLIENTS).map(|_| connect(&program.address)));
    let connections: Arc<[_]> = connections.await?.into_iter().map(Mutex::new).collect();
    repeated(program.process(), |client, nth| {
        let (connections, address) = (Arc::clone(&connections), program.address.clone());
        async move {
            let path = format!("/asset/{}", story(client, nth).key.asset);
            let connection = connections.get(client as usize).context("a connection")?;
            ask(&mut *connection.lock().await, &address, "DELETE", &path, None).await
        }
    })
    .await
}

/// The same requests of the table, with the same item put at their end.
async fn bare() -> Result<Measured> {
    let (_engine, tables) = prepared().await?;
    repeated(std::process::id(), |client, nth| {
        let tables = tables.clone();
        async move {
            let story = story(client, nth).deleted();
            let history = tables
                .client
                .query()
                .table_name(&tables.journal)
                .consistent_read(true)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", AttributeValue::S(story.key.partition()))
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await?;
            anyhow::ensure!(history.count() == 1, "another history than prepared");
            tables
                .client
                .put_item()
                .table_name(&tables.journal)
                .set_item(Some(item(&story, &story.lines[1])))
                .condition_expression("attribute_not_exists(pk)")
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                )
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await?;
            Ok(())
        }
    })
    .await
}
