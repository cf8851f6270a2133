//! The functions, started as on Lambda: the time to the first answer, and the size.
//!
//! The Lambda Runtime API is a local server, and no AWS is reachable: the measurement covers the
//! process, from its start until its answer to the first invocation arrives.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::{Path as Params, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::table::ResultsTable;

const STARTS: usize = 30;
/// After this time, it hangs.
const PATIENCE: Duration = Duration::from_secs(10);
const VERSION: &str = "/2018-06-01/runtime";

/// Builds the functions as for deployment, and measures them.
pub(crate) async fn functions(table: &mut ResultsTable) -> Result<()> {
    let built = Command::new(root().join("deploy/build")).stdout(Stdio::null()).status()?;
    ensure!(built.success(), "deploy/build failed");
    for name in ["api", "projector", "bucket"] {
        let zip = std::fs::metadata(root().join(format!("target/lambda/{name}.zip")))?.len();
        let mb = format!("{:.2} MB", zip as f64 / 1e6);
        table.figure(&format!("function {name}, zip"), &mb, "", "<= 5 MB");
        let mut starts = Vec::new();
        for _ in 0..STARTS {
            starts.push(start(name).await?);
        }
        starts.sort();
        let ms = |at: usize| format!("{:.1} ms", starts[at].as_secs_f64() * 1e3);
        let what = format!("function {name}, start to first answer, p50");
        let slowest = format!("the slowest of {STARTS}: {}", ms(STARTS - 1));
        table.figure(&what, &ms(STARTS / 2), &slowest, "<= 10 ms");
    }
    Ok(())
}

/// One process, from its start to its first answer.
async fn start(name: &str) -> Result<Duration> {
    let (answered, mut answers) = channel(1);
    let invocation = Invocation { event: event(name).to_string(), answered };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move { axum::serve(listener, runtime(invocation)).await });
    let begun = Instant::now();
    let function = Function::spawn(name, &address.to_string())?;
    let took = first(&mut answers, name).await.map(|at| at - begun);
    drop(function);
    server.abort();
    took
}

async fn first(answers: &mut Receiver<Answer>, name: &str) -> Result<Instant> {
    let answer = tokio::time::timeout(PATIENCE, answers.recv()).await;
    let (at, answer) = answer.context("no answer")?.context("no answer")?;
    let right = match name {
        "api" => answer["statusCode"] == 200 && answer["body"] == r#"{"status":"ok"}"#,
        _ => answer == json!({"batchItemFailures": []}),
    };
    ensure!(right, "{name} answered {answer}");
    Ok(at)
}

type Answer = (Instant, Value);

#[derive(Clone)]
struct Invocation {
    event: String,
    answered: Sender<Answer>,
}

fn runtime(invocation: Invocation) -> Router {
    Router::new()
        .route(&format!("{VERSION}/invocation/next"), get(next))
        .route(&format!("{VERSION}/invocation/{{id}}/{{what}}"), post(answer))
        .route(&format!("{VERSION}/{{id}}/{{what}}"), post(answer))
        .with_state(invocation)
}

async fn next(State(invocation): State<Invocation>) -> Response {
    let headers = [
        ("content-type", "application/json"),
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
        ("lambda-runtime-deadline-ms", "4102444800000"),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:1:function:f"),
        ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0"),
    ];
    (headers, invocation.event).into_response()
}

/// An answer, or an error instead.
async fn answer(
    State(invocation): State<Invocation>,
    Params((_, what)): Params<(String, String)>,
    body: String,
) -> StatusCode {
    let at = Instant::now();
    let body = serde_json::from_str(&body).unwrap_or_else(|_| json!({ what: body }));
    // A second answer comes after the measurement.
    let _ = invocation.answered.try_send((at, body));
    StatusCode::ACCEPTED
}

fn event(name: &str) -> Value {
    if name != "api" {
        return json!({"Records": []});
    }
    let http = json!({"method": "GET", "path": "/healthz", "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1", "userAgent": "bench"});
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/healthz", "rawQueryString": "",
        "headers": {"host": "api.execute-api.eu-central-1.amazonaws.com"},
        "requestContext": {"accountId": "1", "apiId": "api", "http": http, "requestId": "id",
            "routeKey": "$default", "stage": "$default", "timeEpoch": 0},
        "isBase64Encoded": false,
    })
}

struct Function(Child);

impl Function {
    fn spawn(name: &str, runtime: &str) -> Result<Self> {
        let bootstrap = root().join(format!("target/lambda/{name}/bootstrap"));
        let mut command = Command::new(bootstrap);
        command.env_clear().stdout(Stdio::null()).stderr(Stdio::null());
        command.envs([
            ("AWS_LAMBDA_RUNTIME_API", runtime),
            ("AWS_LAMBDA_FUNCTION_NAME", name),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "not a secret"),
            ("ASSET_LEDGER_JOURNAL_TABLE", "journal"),
            ("ASSET_LEDGER_VIEWS_TABLE", "views"),
            ("ASSET_LEDGER_BUCKET", "files"),
            ("ASSET_LEDGER_AUTH", "gateway"),
        ]);
        Ok(Self(command.spawn()?))
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
