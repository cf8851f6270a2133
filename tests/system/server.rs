//! `asset-ledger serve` as a separate process, on a folder and on free ports.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Body, Client, Method, RequestBuilder, Response};
use serde_json::Value;

/// The time after which a step has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_asset-ledger"))
}

pub(crate) struct ServeProcess {
    child: Child,
    // Kept open: without a reader the server cannot greet.
    _out: BufReader<ChildStdout>,
    pub(crate) log: PathBuf,
    pub(crate) api: String,
    pub(crate) s3: String,
    pub(crate) http: Client,
}

impl ServeProcess {
    /// Starts on `data` and waits until it listens.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_as(program(), data)
    }

    /// The same by another command line, which must end in `asset-ledger`.
    pub(crate) fn start_as(mut command: Command, data: &Path) -> Self {
        let log = data.with_extension("log");
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"])
            .args(["--log", "debug", "--log-format", "json", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&log).unwrap())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let api = line.split_whitespace().nth(1).map(str::to_owned);
        line.clear();
        out.read_line(&mut line).unwrap();
        let s3 = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
        let api =
            api.unwrap_or_else(|| panic!("no address: {}", std::fs::read_to_string(&log).unwrap()));
        Self { child, _out: out, log, api, s3, http: Client::new() }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.api))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub(crate) async fn create(&self) -> Value {
        let created = self.request(Method::POST, "/asset").send().await.unwrap();
        assert_eq!(created.status(), 201);
        created.json().await.unwrap()
    }

    /// Creates an asset and uploads its bytes.
    pub(crate) async fn upload(&self, bytes: impl Into<Body>) -> String {
        let created = self.create().await;
        let url = created["upload_url"].as_str().unwrap();
        assert_eq!(self.http.put(url).body(bytes).send().await.unwrap().status(), 200);
        created["id"].as_str().unwrap().to_owned()
    }

    /// Uploads a file and waits until the ledger has recorded it.
    pub(crate) async fn received(&self, bytes: impl Into<Body>) -> String {
        let id = self.upload(bytes).await;
        self.wait_for(&id, "RECEIVED").await;
        id
    }

    pub(crate) async fn state(&self, id: &str) -> Value {
        let state = self.get(&format!("/asset/{id}/state")).await;
        assert_eq!(state.status(), 200);
        state.json().await.unwrap()
    }

    /// Waits until the asset's state is `state`.
    pub(crate) async fn wait_for(&self, id: &str, state: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.state(id).await;
            if shown["state"] == state {
                return;
            }
            assert!(Instant::now() < deadline, "still not {state}: {shown}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the list has the asset.
    pub(crate) async fn wait_for_row(&self, id: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.list().await.iter().any(|item| item["asset_id"] == id) {
            assert!(Instant::now() < deadline, "no row of {id}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Every asset in the list, page by page.
    pub(crate) async fn list(&self) -> Vec<Value> {
        let (mut all, mut path) = (Vec::new(), "/asset?limit=1000".to_owned());
        loop {
            let page = self.page(&path).await;
            all.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(cursor) => path = format!("/asset?limit=1000&cursor={cursor}"),
                None => return all,
            }
        }
    }

    /// A page of the list. Right after a start the rows may still be filling. The reply says so,
    /// and the request is retried.
    async fn page(&self, path: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path).await;
            let status = answer.status();
            let page: Value = answer.json().await.unwrap();
            if status == 200 {
                return page;
            }
            assert!(status == 503 && page["code"] == "list.incomplete", "{status}: {page}");
            assert!(Instant::now() < deadline, "the rows are still not made");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it ends, and returns whether it succeeded.
    pub(crate) fn ended(mut self) -> bool {
        let deadline = Instant::now() + PATIENCE * 2;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            if Instant::now() > deadline {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                panic!("it goes on");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `kill -9`: no shutdown.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its log after `kill -TERM`: lines about requests may be written some time later.
    pub(crate) fn stopped_log(self) -> String {
        let log = self.log.clone();
        assert!(self.stop());
        std::fs::read_to_string(log).unwrap()
    }

    /// `kill -TERM`, and whether it exited with success.
    pub(crate) fn stop(self) -> bool {
        self.stop_by("-TERM")
    }

    /// The same by another signal.
    pub(crate) fn stop_by(self, signal: &str) -> bool {
        self.signal(signal);
        self.ended()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for ServeProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
