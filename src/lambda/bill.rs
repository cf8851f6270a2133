//! The bills of docs/DEPLOY.md, computed: from the units of docs/COST.md, which are asserted, from
//! the bytes of stored items and of log lines, which are measured here, and from list prices.

use std::fmt::Write as _;
use std::sync::Arc;

use engine::Engine;
use lambda_runtime::Context;
use ledger::asset::{Declaration, UploadKind};
use ledger::journal::Journal;
use metrics::{counter, histogram, with_local_recorder};
use projections::Runner;
use projections::runner::ProjectionHint;
use projections::testing::{Clock, Story};
use stores::{DynamoJournal, DynamoViews};
use tracing_subscriber::prelude::*;

use super::emf::Emf;
use super::function::lines;
use super::testing::CapturedLines;

// Dollars of us-east-1: for a million, or for a GB, or for a GB and month.
const API_REQUESTS: f64 = 1.0;
const READ_UNITS: f64 = 0.125;
const INVOCATIONS: f64 = 0.2;
/// A GB for a second, on arm64.
const GB_SECONDS: f64 = 13.3334;
const S3_PUTS: f64 = 5.0;
const S3_HEADS: f64 = 0.4;
const NOTIFICATIONS: f64 = 1.0;
const QUEUE_REQUESTS: f64 = 0.4;
const LOG_GB: f64 = 0.5;
const LOG_GB_KEPT: f64 = 0.03;
const TABLE_GB: f64 = 0.25;
const TABLE_GB_INFREQUENT: f64 = 0.1;
const RECOVERY_GB: f64 = 0.2;
/// Key, alarms, dashboard, receives of the queue, and metrics.
const FIXED: f64 = 1.0 + 2.8 + 3.0 + 0.5 + 6.0;

/// Assumed, not measured: the seconds of an invocation, and the share that logs are compressed to.
const SECONDS: [(f64, f64, f64); 3] = [(2.0, 0.5, 0.02), (1.0, 0.25, 0.06), (3.0, 0.5, 0.05)];
const COMPRESSED: f64 = 0.15;
/// Months for which logs are kept.
const LOGS_KEPT: f64 = 3.0;

/// Months for which an entry of the feed is stored with a retention of 30 days: half a week to the
/// end of its week, two days after the retention, and a day until DynamoDB removes it.
const FEED_STORED: f64 = 36.5 / 30.4;

/// A life has three events, and a million lives of it are the unit of these tables.
const EVENTS: f64 = 3.0;
/// Millions of lives in a month of a hundred million events.
const LIVES: f64 = 100.0 / EVENTS;
/// DynamoDB adds so many bytes to each item that is stored.
const ITEM: usize = 100;

const DEPLOY: &str = include_str!("../../docs/DEPLOY.md");
const COST: &str = include_str!("../../docs/COST.md");

/// Write and read units, and dollars a million, of a line of docs/COST.md.
fn cost(what: &str) -> [f64; 3] {
    let begin = format!("| {what} | ");
    let line = COST.lines().find(|line| line.starts_with(&begin)).unwrap();
    let numbers: Vec<_> = line.trim_end_matches(" |").split(" | ").skip(2).collect();
    let [write, read, dollars] = numbers[..] else { panic!("{line}") };
    [write, read, dollars].map(|number| number.parse().unwrap())
}

/// The bytes of lines on standard error, of an invocation and a request.
fn logged(say: impl FnOnce()) -> usize {
    let captured = CapturedLines::default();
    let subscriber = tracing_subscriber::registry().with(lines(captured.clone()));
    tracing::subscriber::with_default(subscriber, || {
        let mut context = Context::default();
        context.request_id = "0c5b3a52-6f6d-4f0e-9f52-8f7f7f0f9d00".to_owned();
        let trace = "Root=1-6926d5a4-1f2e3d4c5b6a79881f2e3d4c;Parent=53995c3f42cd8ad8;Sampled=0";
        context.xray_trace_id = Some(trace.to_owned());
        lambda_runtime::layers::trace::request_span(&context).in_scope(say);
    });
    captured.text().len()
}

/// The bytes of the line with the metrics.
fn measured(function: &str, count: impl FnOnce()) -> usize {
    let (emf, mut out) = (Emf::new(function), Vec::new());
    with_local_recorder(&emf, count);
    emf.flush(ledger::time::parse("2026-11-27T08:00:00.000000Z").unwrap(), &mut out).unwrap();
    out.len()
}

fn units(of: &[(&'static str, &'static str, &'static str, u64)]) {
    for (command, operation, table, units) in of {
        counter!("asset_ledger_consumed_units",
            "command" => *command, "operation" => *operation, "table" => *table)
        .increment(*units);
    }
}

/// Bytes of log lines and of metrics of an invocation: of the API, the bucket and the projector.
fn log_bytes() -> [(&'static str, usize, usize); 3] {
    const JOURNAL: &str = "ledger-journal";
    const VIEWS: &str = "ledger-views";
    let (method, route, status, ms) = ("PUT", "/asset/{id}", 200, 14.073_512_000_000_001);
    let (records, projected, stale, parked) = (1, 1, 0, 0);
    [
        (
            "api",
            logged(|| {
                tracing::error_span!("request", id = "JKJaXmPLvHcESHA=").in_scope(|| {
                    tracing::info!(target: "asset_ledger::http::middleware::access_log",
                        %method, route, status, ms, "answered");
                });
            }),
            measured("ledger-api", || {
                counter!("asset_ledger_events_recorded").increment(1);
                units(&[("confirm", "PutItem", JOURNAL, 1), ("confirm", "Query", JOURNAL, 1)]);
            }),
        ),
        (
            "bucket",
            0,
            measured("ledger-bucket", || {
                counter!("asset_ledger_events_recorded").increment(1);
                units(&[("notify", "PutItem", JOURNAL, 1), ("notify", "Query", JOURNAL, 1)]);
            }),
        ),
        (
            "projector",
            logged(|| {
                tracing::info!(target: "asset_ledger::lambda::projector",
                    records, projected, stale, parked, "projected a batch");
            }),
            measured("ledger-projector", || {
                histogram!("asset_ledger_visible_lag_ms").record(1_041.337);
                units(&[
                    ("project", "Query", JOURNAL, 1),
                    ("project", "GetItem", VIEWS, 1),
                    ("project", "Query", VIEWS, 1),
                    ("project", "PutItem", VIEWS, 2),
                ]);
            }),
        ),
    ]
}

/// A line of the gateway's access log, in the form of the template.
fn access_log_bytes() -> usize {
    let template = include_str!("../../deploy/template.yaml");
    let (_, form) = template.split_once("Format: >-\n").unwrap();
    let form = form.lines().take_while(|line| line.starts_with("          ")).map(str::trim);
    let mut line = form.collect::<Vec<_>>().join(" ");
    for (name, value) in [
        ("$context.requestTime", "27/Nov/2026:08:00:00 +0000"),
        ("$context.requestId", "JKJaXmPLvHcESHA="),
        ("$context.httpMethod", "PUT"),
        ("$context.path", "/asset/019ad2f0-5c00-7000-8000-000000000001"),
        ("$context.status", "200"),
        ("$context.responseLatency", "23"),
        ("$context.integrationLatency", "21"),
        ("$context.responseLength", "512"),
        ("$context.identity.sourceIp", "198.51.100.217"),
        ("$context.error.message", "-"),
        ("$context.authorizer.error", "-"),
    ] {
        assert!(line.contains(name), "{name}");
        line = line.replace(name, value);
    }
    assert!(!line.contains("$context"), "{line}");
    line.len() + 1
}

/// The bytes that a life leaves in the journal and in the rows' table, and of these in the lanes.
async fn stored_bytes() -> (usize, usize, usize) {
    let tables = Engine::new().tables().await;
    let journal = Arc::new(DynamoJournal::new(tables.client.clone(), &tables.journal));
    let views = Arc::new(DynamoViews::new(tables.client.clone(), &tables.views, 8));
    let runner = Runner::new(journal.clone(), views, Arc::new(Clock::default()));
    let sha256 = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
    let declared = Declaration {
        upload: UploadKind::Declared,
        filename: Some("q3 report.pdf".to_owned()),
        content_type: Some("application/pdf".to_owned()),
        size: Some(11),
        sha256: Some(sha256.to_owned()),
        tags: [("team".to_owned(), "finance".to_owned())].into(),
    };
    let arn = "arn:aws:sts::123456789012:assumed-role/uploads/019ad2f0";
    let begun = Story::declared("main", 1, declared).by(arn);
    for line in &begun.clone().received().uploaded().lines {
        journal.append(&begun.key, line.clone()).await.unwrap();
        let (key, version, lines) = (begun.key.clone(), line.version, vec![line.clone()]);
        runner.project(&[ProjectionHint { key, version, lines }]).await;
    }
    let size = async |table: &str, of: &str| {
        let items = tables.client.scan().table_name(table).send().await.unwrap();
        let items = items.items.unwrap_or_default().into_iter();
        let bytes = items.filter(|item| item["pk"].as_s().unwrap().contains(of)).map(|item| {
            let attributes = item.iter().map(|(name, value)| {
                // A number takes a byte for two digits.
                let digits = value.as_n().map(|digits| digits.len().div_ceil(2) + 1).ok();
                name.len() + digits.or(value.as_s().map(String::len).ok()).unwrap_or(32)
            });
            attributes.sum::<usize>() + ITEM
        });
        bytes.sum()
    };
    let (journal, views) = (size(&tables.journal, "").await, size(&tables.views, "").await);
    (journal, views, size(&tables.views, "#feed#").await)
}

/// Lines of a bill, and their sum.
fn bill<const N: usize>(title: &str, lines: &[(String, [f64; N])]) -> String {
    let mut text = format!("{title}\n|---|{}\n", "---:|".repeat(N));
    let digits = if N == 1 { 2 } else { 0 };
    let mut sums = [0.0; N];
    for (what, dollars) in lines {
        let shown: Vec<_> = dollars.iter().map(|it| format!("{it:.digits$}")).collect();
        writeln!(text, "| {what} | {} |", shown.join(" | ")).unwrap();
        for (sum, dollars) in sums.iter_mut().zip(dollars) {
            *sum += dollars;
        }
    }
    let sums: Vec<_> = sums.iter().map(|it| format!("{it:.digits$}")).collect();
    writeln!(text, "| Sum | {} |", sums.join(" | ")).unwrap();
    text
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn per_life() -> (String, Vec<(String, [f64; 1])>) {
    let of = log_bytes();
    let access = access_log_bytes();
    let mut bytes = String::from("| Lines | The log's | The metrics' |\n|---|---:|---:|\n");
    for (function, log, metrics) in of {
        writeln!(bytes, "| an invocation of {function} | {log} | {metrics} |").unwrap();
    }
    writeln!(bytes, "| a request in the access log | {access} | |").unwrap();
    let [api, bucket, projector] = of.map(|(_, log, metrics)| log + metrics);
    let logs = (2 * (api + access) + bucket + 3 * projector) as f64;
    let units: f64 = ["create", "notification of an upload", "confirm, bytes noticed before"]
        .map(|what| cost(what)[2])
        .iter()
        .sum();
    let feed = cost("feed, a page of 100 events of as many assets")[1] * EVENTS / 100.0;
    let seconds: f64 = SECONDS.iter().map(|(times, gb, seconds)| times * gb * seconds).sum();
    let lines = vec![
        ("API: 2 requests".to_owned(), [2.0 * API_REQUESTS]),
        (
            "DynamoDB: create, notification, confirmation, each with row and feed".to_owned(),
            [units],
        ),
        (format!("The feed, read once by one consumer: {feed:.2} read units"), [feed * READ_UNITS]),
        (
            format!("Lambda: 6 invocations, {seconds:.2} GB-seconds"),
            [6.0 * INVOCATIONS + seconds * GB_SECONDS],
        ),
        ("S3: 1 PUT, 2 HEAD".to_owned(), [S3_PUTS + 2.0 * S3_HEADS]),
        (
            "EventBridge and SQS: 1 event, 3 requests".to_owned(),
            [NOTIFICATIONS + 3.0 * QUEUE_REQUESTS],
        ),
        (format!("Logs and metrics: {logs} bytes"), [logs / 1_000.0 * LOG_GB]),
    ];
    (bytes, lines)
}

/// A month of a hundred million events, the first and the twelfth.
#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn months(once: &[(String, [f64; 1])], journal: usize, views: usize) -> Vec<(String, [f64; 2])> {
    let mut lines = Vec::new();
    for (what, [dollars]) in once {
        let name = what.split(':').next().unwrap().to_owned();
        lines.push((name, [dollars * LIVES; 2]));
    }
    let logs = once.last().unwrap().1[0] / LOG_GB * LIVES * COMPRESSED * LOG_GB_KEPT;
    lines.push(("Logs, kept for 90 days".to_owned(), [logs / 2.0, logs * LOGS_KEPT]));
    // Thousands of bytes a life are GB for a million lives. Half a month's are there on average.
    let kept = |bytes: usize| [0.5, 11.5].map(|months| months * LIVES * bytes as f64 / 1_000.0);
    let at = |bytes: usize, price: f64| kept(bytes).map(|gb| gb * price);
    lines.push((format!("Journal: {journal} bytes a life"), at(journal, TABLE_GB)));
    lines.push(("Point-in-time recovery of the journal".to_owned(), at(journal, RECOVERY_GB)));
    lines.push((format!("Rows and lanes: {views} bytes a life"), at(views, TABLE_GB)));
    lines.push(("Key, alarms, dashboard, metrics".to_owned(), [FIXED; 2]));
    lines
}

/// What three parameters change in the twelfth month.
#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn options(journal: usize, views: usize, lanes: usize) -> [String; 3] {
    let twelfth = |bytes: usize, price: f64| 11.5 * LIVES * bytes as f64 / 1_000.0 * price;
    let infrequent = twelfth(journal, TABLE_GB - TABLE_GB_INFREQUENT);
    let recovery = twelfth(views, RECOVERY_GB);
    let expired = twelfth(lanes, TABLE_GB) * (1.0 - FEED_STORED / 11.5);
    [
        format!("saves ${infrequent:.0} of the twelfth month"),
        format!("adds ${recovery:.0} to it"),
        format!("are {lanes} bytes of a life. `FeedRetentionDays=30` saves ${expired:.0}"),
    ]
}

#[tokio::test]
async fn the_bills_are_those_in_the_documentation() {
    let (journal, views, lanes) = stored_bytes().await;
    let (bytes, once) = per_life();
    let million = bill("| Per million lives | $ |", &once);
    let months = months(&once, journal, views);
    let month = bill("| A month of 100 million events | First, $ | Twelfth, $ |", &months);
    let [infrequent, recovery, expired] = options(journal, views, lanes);
    let parts = [bytes, million, month, infrequent, recovery, expired];
    let missing: Vec<_> = parts.into_iter().filter(|it| !DEPLOY.contains(it.as_str())).collect();
    assert!(missing.is_empty(), "docs/DEPLOY.md should have:\n\n{}", missing.join("\n"));
}
