//! The SDK's HTTP client, with the engine instead of the network.

use std::fmt;
use std::future::pending;
use std::sync::Arc;

use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::dispatch::{self, EngineReply};
use crate::fault::Fault;
use crate::{Asked, Server, lock};

#[derive(Clone)]
pub(crate) struct Connector(Arc<Server>);

impl Connector {
    pub(crate) fn client(server: Arc<Server>) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(Self(server));
        http_client_fn(move |_, _| connector.clone())
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = request.body().bytes().unwrap_or_default().to_vec();
        let server = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move { respond(server, operation, body).await })
    }
}

async fn respond(
    server: Arc<Server>,
    operation: String,
    body: Vec<u8>,
) -> Result<HttpResponse, ConnectorError> {
    let asked = Asked::new(&operation, &body);
    let fault = lock(&server.plan).as_mut().and_then(|plan| plan(&asked));
    lock(&server.tally).ask(&asked);
    match fault {
        Some(Fault::Lost) => Err(broken("the request was lost")),
        Some(Fault::Hang) => pending().await,
        Some(Fault::Refused(status, code)) => response(EngineReply::refusal(status, code)),
        Some(Fault::ReplyLost) => {
            run(server, operation, body).await?;
            Err(broken("the reply was lost"))
        }
        Some(Fault::ReplyHangs) => {
            run(server, operation, body).await?;
            pending().await
        }
        Some(Fault::Partly(count)) => response(run_partly(server, operation, &body, count).await?),
        None => response(run(server, operation, body).await?),
    }
}

/// Processes the first `count` keys of a batch, of one table.
async fn run_partly(
    server: Arc<Server>,
    operation: String,
    body: &[u8],
    count: usize,
) -> Result<EngineReply, ConnectorError> {
    let mut request: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut rest = request["RequestItems"].clone();
    for table in request["RequestItems"].as_object_mut().into_iter().flatten() {
        let keys = table.1["Keys"].as_array_mut().map(|keys| keys.split_off(count.min(keys.len())));
        rest[table.0.as_str()]["Keys"] = keys.into();
    }
    let mut reply = if count == 0 {
        EngineReply { status: 200, body: r#"{"Responses":{}}"#.to_owned() }
    } else {
        run(server, operation, request.to_string().into_bytes()).await?
    };
    let mut answer: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    let whole = rest.as_object().is_none_or(|tables| {
        tables.values().all(|table| table["Keys"].as_array().is_none_or(Vec::is_empty))
    });
    answer["UnprocessedKeys"] = if whole { json!({}) } else { rest };
    reply.body = answer.to_string();
    Ok(reply)
}

async fn run(
    server: Arc<Server>,
    operation: String,
    body: Vec<u8>,
) -> Result<EngineReply, ConnectorError> {
    let work = move || {
        let answer = dispatch::run(&server.database, &operation, &body);
        lock(&server.tally).answer(&Asked::new(&operation, &body), &answer.body);
        answer
    };
    spawn_blocking(work).await.map_err(|e| ConnectorError::other(e.into(), None))
}

fn response(answer: EngineReply) -> Result<HttpResponse, ConnectorError> {
    let status = answer.status.try_into().map_err(|e| ConnectorError::other(Box::new(e), None))?;
    Ok(HttpResponse::new(status, answer.body.into()))
}

fn broken(what: &str) -> ConnectorError {
    ConnectorError::io(what.into())
}
