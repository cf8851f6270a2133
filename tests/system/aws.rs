//! The AWS form as processes: `migrate`, `serve --store dynamodb` and `project`, on an engine
//! behind a socket and on the S3 endpoint of a data folder.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Instant;

use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use engine::Engine;
use reqwest::{Client, Method};
use serde_json::Value;
use tempfile::TempDir;

use crate::server::{PATIENCE, program};

const TABLES: [&str; 4] = ["--journal-table", "journal", "--views-table", "views"];

/// An engine and a bucket, reached like AWS.
struct Cloud {
    engine: Engine,
    dynamodb: String,
    s3: Process,
    folder: TempDir,
}

impl Cloud {
    async fn start() -> Self {
        let (engine, folder) = (Engine::new(), TempDir::new().unwrap());
        let dynamodb = listen(engine.clone()).await;
        let mut s3 = program();
        s3.args(["serve", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0", "--data"]);
        s3.arg(folder.path().join("data"));
        Self { engine, dynamodb, s3: Process::start(s3), folder }
    }

    /// The program with the environment variables of AWS tools.
    fn program(&self) -> Command {
        let file = self.folder.path().join("data/s3/credentials.json");
        let key: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let mut program = program();
        program
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", key["access_key"].as_str().unwrap())
            .env("AWS_SECRET_ACCESS_KEY", key["secret_key"].as_str().unwrap())
            .env("AWS_ENDPOINT_URL_DYNAMODB", &self.dynamodb)
            .env("AWS_ENDPOINT_URL_S3", self.s3.word("S3"))
            .env_remove("AWS_ENDPOINT_URL_DYNAMODB_STREAMS");
        program
    }

    fn migrate(&self, more: &[&str]) -> Output {
        self.program().arg("migrate").args(TABLES).args(more).output().unwrap()
    }

    fn serve(&self) -> Process {
        let mut serve = self.program();
        serve.args(["serve", "--store", "dynamodb", "--listen", "127.0.0.1:0"]).args(TABLES);
        serve.args(["--bucket", "assets", "--public-url", "https://ledger.example"]);
        Process::start(serve)
    }

    fn project(&self) -> Process {
        let mut project = self.program();
        project.args(["project", "--listen", "127.0.0.1:0"]).args(TABLES);
        Process::start(project)
    }
}

/// The engine behind a socket, for other processes.
async fn listen(engine: Engine) -> String {
    let answer = async move |headers: HeaderMap, body: Bytes| {
        let target = headers["x-amz-target"].to_str().unwrap().to_owned();
        let run = move || engine.answer(target.rsplit('.').next().unwrap(), &body);
        let (status, answer) = tokio::task::spawn_blocking(run).await.unwrap();
        (StatusCode::from_u16(status).unwrap(), answer)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, Router::new().fallback(answer)).await });
    url
}

/// A process that runs until it is dropped.
struct Process {
    child: Child,
    out: BufReader<ChildStdout>,
    greeting: Vec<String>,
}

impl Process {
    /// Starts it and waits for its greeting.
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut process = Self { child, out, greeting: Vec::new() };
        process.read();
        if process.greeting[0].starts_with("API") {
            process.read();
        }
        process
    }

    fn read(&mut self) {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "it ended without a greeting");
        self.greeting.push(line);
    }

    /// The word after `before`.
    fn word(&self, before: &str) -> &str {
        let mut words = self.greeting.iter().flat_map(|line| line.split_whitespace());
        words.find(|word| *word == before).unwrap();
        words.next().unwrap()
    }

    fn stop(mut self) -> bool {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn get(url: &str) -> (u16, String) {
    let answer = Client::new().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Polls until the answer has `wanted`.
async fn wait_for(url: &str, wanted: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (_, answer) = get(url).await;
        if answer.contains(wanted) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{url} still without {wanted}: {answer}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn ask(method: Method, url: String) -> Value {
    let answer = Client::new().request(method, &url).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{url}: {status} {text}");
    serde_json::from_str(&text).unwrap_or_default()
}

/// Uploads and confirms an asset.
async fn upload(api: &str, bytes: &'static str) -> String {
    let created = ask(Method::POST, format!("{api}/asset")).await;
    let url = created["upload_url"].as_str().unwrap();
    assert_eq!(Client::new().put(url).body(bytes).send().await.unwrap().status(), 200);
    let id = created["id"].as_str().unwrap().to_owned();
    ask(Method::PUT, format!("{api}/asset/{id}")).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_lives_on_dynamodb_and_is_listed_once_projected() {
    let cloud = Cloud::start().await;
    let migrated = cloud.migrate(&[]);
    assert!(migrated.status.success(), "{}", text(&migrated.stderr));
    let serve = cloud.serve();
    let api = serve.word("API");
    assert_eq!(get(&format!("{api}/readyz")).await, (200, r#"{"status":"ready"}"#.to_owned()));

    let id = upload(api, "hello world").await;
    let download = ask(Method::GET, format!("{api}/asset/{id}")).await;
    let url = download["download_url"].as_str().unwrap();
    assert_eq!(get(url).await, (200, "hello world".to_owned()));
    assert_eq!(ask(Method::GET, format!("{api}/asset")).await["items"], serde_json::json!([]));

    let project = cloud.project();
    let watch = project.word("see").trim_end_matches("/readyz");
    wait_for(&format!("{watch}/readyz"), "\"ready\"").await;
    wait_for(&format!("{api}/asset"), &id).await;
    let told = wait_for(&format!("{api}/events"), "uploaded").await;
    assert_eq!(versions_of(&told, &id), [1, 2, 3]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["more"], false);
    let rest = ask(Method::GET, format!("{api}/events?after={}", told["next"].as_str().unwrap()));
    assert_eq!(rest.await["events"], serde_json::json!([]));
    assert!(project_counts(watch).await.contains("asset_ledger_tamper 0"));
    assert!(project.stop() && serve.stop());
}

/// Both stores have the same guard of hosts and origins; it runs before table access.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_host_and_pages_of_other_sites_are_refused_on_dynamodb_too() {
    let cloud = Cloud::start().await;
    assert!(cloud.migrate(&[]).status.success());
    let serve = cloud.serve();
    let url = format!("{}/asset", serve.word("API"));
    for (header, value, status, code) in [
        ("host", "ledger.example", 201, ""),
        ("host", "evil.example", 403, "host.forbidden"),
        ("origin", "https://ledger.example", 201, ""),
        ("origin", "https://evil.example", 403, "origin.forbidden"),
    ] {
        let answer = Client::new().post(&url).header(header, value).send().await.unwrap();
        let (was, said) = (answer.status(), answer.text().await.unwrap());
        assert!(was == status && said.contains(code), "{header}: {value}: {was} {said}");
    }
    assert!(serve.stop());
}

/// The versions of an asset in a page of the feed.
fn versions_of(page: &str, id: &str) -> Vec<u64> {
    let page: Value = serde_json::from_str(page).unwrap();
    let events = page["events"].as_array().unwrap().iter();
    let own = events.filter(|event| event["asset_id"] == id);
    own.map(|event| event["version"].as_u64().unwrap()).collect()
}

/// Each worker reads the stream from its beginning.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_projects_what_is_projected_already_announces_nothing() {
    let cloud = Cloud::start().await;
    assert!(cloud.migrate(&[]).status.success());
    let serve = cloud.serve();
    let api = serve.word("API");
    let first = cloud.project();
    let id = upload(api, "hello world").await;
    wait_for(&format!("{api}/events"), "uploaded").await;
    assert!(first.stop());
    for _ in 0..2 {
        let again = cloud.project();
        wait_for(again.word("see"), "\"ready\"").await;
        assert!(again.stop());
    }
    let (_, page) = get(&format!("{api}/events")).await;
    assert_eq!(versions_of(&page, &id), [1, 2, 3]);
}

async fn project_counts(watch: &str) -> String {
    get(&format!("{watch}/metrics")).await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_changed_raises_the_alarm_of_every_worker() {
    let cloud = Cloud::start().await;
    assert!(cloud.migrate(&[]).status.success());
    let serve = cloud.serve();
    let workers = [cloud.project(), cloud.project()];
    let id = upload(serve.word("API"), "hello world").await;
    let put = cloud.engine.client().put_item().table_name("journal");
    let put = put.item("pk", AttributeValue::S(format!("main#{id}")));
    let put = put.item("sk", AttributeValue::N("2".to_owned()));
    put.item("body", AttributeValue::S("forged".to_owned())).send().await.unwrap();
    for worker in &workers {
        let watch = worker.word("see").trim_end_matches("/readyz");
        let counted = wait_for(&format!("{watch}/metrics"), "asset_ledger_tamper 1").await;
        assert!(counted.contains("asset_ledger_stream_lag_ms"), "{counted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_tables_the_api_is_not_ready_and_says_what_to_run() {
    let cloud = Cloud::start().await;
    let serve = cloud.serve();
    let (status, answer) = get(&format!("{}/readyz", serve.word("API"))).await;
    assert_eq!(status, 503);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let failing = answer["failures"].as_array().unwrap().iter();
    let failing: Vec<_> = failing.map(|failure| failure["check"].as_str().unwrap()).collect();
    assert_eq!(failing, ["journal", "views", "journal_table", "views_table"]);
    let project = cloud.project();
    let watch = project.word("see");
    assert_eq!(get(watch).await.0, 503);
    assert!(cloud.migrate(&[]).status.success());
    wait_for(watch, "\"ready\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn migrating_tells_each_step_and_a_dry_run_changes_nothing() {
    let cloud = Cloud::start().await;
    let dry = text(&cloud.migrate(&["--dry-run"]).stdout);
    assert!(dry.contains("journal: would be created"), "{dry}");
    assert!(dry.contains("nothing was changed"), "{dry}");
    let told = text(&cloud.migrate(&[]).stdout);
    for step in ["journal: creating", "NO point-in-time recovery", "views.1: applied"] {
        assert!(told.contains(step), "{told}");
    }
    let again = text(&cloud.migrate(&[]).stdout);
    assert!(again.contains("is there and as it should be"), "{again}");
    assert!(again.contains("journal.1: was applied before"), "{again}");
}

#[test]
fn each_store_says_what_it_needs() {
    let refused = |arguments: &[&str]| {
        let output = program().arg("serve").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr)
    };
    assert!(refused(&[]).contains("--data <DIR>"));
    assert!(refused(&["--store", "sqlite"]).contains("--data <DIR>"));
    let aws = refused(&["--store", "dynamodb"]);
    for flag in ["--journal-table <TABLE>", "--views-table <TABLE>", "--bucket <BUCKET>"] {
        assert!(aws.contains(flag), "{aws}");
    }
    assert!(!aws.contains("--data"), "{aws}");
}

#[tokio::test]
async fn one_machine_tells_what_was_counted_and_what_waits() {
    let folder = TempDir::new().unwrap();
    let mut serve = program();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0", "--data"]);
    serve.arg(folder.path().join("data"));
    let serve = Process::start(serve);
    let api = serve.word("API");
    upload(api, "hello world").await;
    let metrics = format!("{api}/metrics");
    wait_for(&metrics, "asset_ledger_arrivals_behind 0").await;
    wait_for(&metrics, "asset_ledger_outbox_waiting 0").await;
    let told = wait_for(&metrics, "asset_ledger_visible_lag_ms_bucket").await;
    for line in ["events_recorded 3", "outbox_dead 0", "tamper 0", "notifications_dropped 0"] {
        assert!(told.contains(&format!("asset_ledger_{line}")), "no {line}:\n{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_is_clean_beside_the_service_and_names_what_was_done_to_it() {
    let cloud = Cloud::start().await;
    assert!(cloud.migrate(&[]).status.success());
    let (serve, project) = (cloud.serve(), cloud.project());
    let api = serve.word("API").to_owned();
    let id = upload(&api, "hello world").await;
    let verify = |more: &[&str]| {
        let mut verify = cloud.program();
        verify.args(["verify", "--json", "--store", "dynamodb", "--bucket", "assets"]);
        let output = verify.args(TABLES).args(more).output().unwrap();
        let (code, errors) = (output.status.code().unwrap(), text(&output.stderr));
        (code, text(&output.stdout), errors)
    };
    let (code, out, errors) = verify(&["--objects=deep"]);
    assert_eq!(code, 0, "{out}{errors}");
    assert!(out.contains(r#""assets":1"#), "{out}");

    let client = cloud.engine.client();
    let key = AttributeValue::S(format!("main#{id}"));
    let second = AttributeValue::N("2".to_owned());
    let delete = client.delete_item().table_name("journal").key("pk", key).key("sk", second);
    delete.send().await.unwrap();
    let (code, out, _) = verify(&["--objects"]);
    assert_eq!((code, out.matches("\"kind\":\"deleted\"").count()), (1, 1), "{out}");

    let mut other = cloud.program();
    other.args(["verify", "--store", "dynamodb", "--bucket", "another", "--objects"]).args(TABLES);
    let output = other.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "a bucket that is not there holds no findings");
    drop((serve, project));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_moves_to_a_folder_and_to_other_tables_as_the_same_bytes() {
    let cloud = Cloud::start().await;
    assert!(cloud.migrate(&[]).status.success());
    let serve = cloud.serve();
    for _ in 0..3 {
        upload(serve.word("API"), "hello world").await;
    }
    assert!(serve.stop());
    let other = ["--journal-table", "past", "--views-table", "past-views"];
    let done = |arguments: &[&[&str]]| {
        let mut command = cloud.program();
        let command = command.args(arguments.concat()).current_dir(cloud.folder.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    };
    let dynamodb = ["--store", "dynamodb"];
    done(&[&["export", "--out", "first"], &dynamodb, &TABLES]);
    done(&[&["import", "first", "--data", "moved"]]);
    done(&[&["export", "--out", "second", "--data", "moved"]]);
    done(&[&["migrate"], &other]);
    done(&[&["import", "second"], &dynamodb, &other]);
    done(&[&["export", "--out", "third"], &dynamodb, &other]);
    done(&[&["checkpoint", "--out", "heads"], &dynamodb, &TABLES]);
    done(&[&["verify", "--file", "third", "--against", "heads"]]);
    for file in ["heads.jsonl", "events/000001.jsonl"] {
        let read = |export: &str| std::fs::read(cloud.folder.path().join(export).join(file));
        let first = read("first").unwrap();
        assert!(first.len() > 400 && first == read("second").unwrap(), "{file}");
        assert_eq!(first, read("third").unwrap(), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_on_the_tables_and_lets_its_holder_in() {
    let cloud = Cloud::start().await;
    assert!(cloud.migrate(&[]).status.success());
    let operate = |arguments: &[&str]| {
        let mut command = cloud.program();
        let output = command.args(arguments).args(["--store", "dynamodb"]).args(TABLES).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    operate(&["tenant", "create", "acme"]);
    let create = ["key", "create", "--tenant", "acme", "--name", "a", "--scope", "write"];
    let key = operate(&create).trim().to_owned();
    let mut serve = cloud.program();
    serve.args(["serve", "--store", "dynamodb", "--listen", "127.0.0.1:0"]).args(TABLES);
    let serve = serve.args(["--bucket", "assets", "--auth", "required"]);
    let server = Process::start(std::mem::replace(serve, program()));
    let url = format!("{}/asset", server.word("API"));
    let sent = |key: Option<&str>| {
        let request = Client::new().post(&url);
        key.map_or(request.try_clone().unwrap(), |key| request.bearer_auth(key)).send()
    };
    assert_eq!(sent(None).await.unwrap().status(), 401);
    assert_eq!(sent(Some(&key)).await.unwrap().status(), 201);
    assert!(operate(&["tenant", "list"]).contains("acme"));
    assert!(operate(&["key", "list", "--tenant", "acme"]).contains("cli:"));
    assert!(server.stop());
}
