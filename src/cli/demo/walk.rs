//! A client of the API that prints each request as an equivalent curl command.

use std::fmt::Write as _;
use std::io::{self, Write};

use anyhow::{Context, bail, ensure};
use ledger::chain::Hash;
use ledger::history::History;
use ledger::id::Key;
use ledger::record::{EventRecord, StoredLine};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::file::DemoFile;
use crate::cli::table;

/// Characters of an answer that are shown.
const SHOWN: usize = 400;

pub(super) struct DemoWalk {
    http: Client,
    api: String,
    step: u32,
}

/// An answer of the API or of S3.
pub(super) struct HttpReply {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) json: Value,
}

impl DemoWalk {
    pub(super) fn new(api: String) -> Self {
        Self { http: Client::new(), api, step: 0 }
    }

    pub(super) fn title(&mut self, what: &str) -> anyhow::Result<()> {
        self.step += 1;
        Ok(writeln!(io::stdout(), "\n{:>2}. {what}", self.step)?)
    }

    #[allow(clippy::unused_self)] // a walk speaks, whatever it speaks through
    pub(super) fn say(&self, what: &str) -> anyhow::Result<()> {
        Ok(writeln!(io::stdout(), "    {what}")?)
    }

    /// Sends a request to the API and prints it.
    pub(super) async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<HttpReply> {
        let url = format!("{}{path}", self.api);
        let mut request = self.http.request(method.parse()?, &url);
        let mut curl = format!("curl -X {method} '{url}'");
        if let Some(body) = body {
            write!(curl, " --json '{}'", body.to_string().replace('\'', r"'\''"))?;
            request = request.json(body);
        }
        let answer = HttpReply::of(request.send().await?).await?;
        self.show_answer(&curl, &answer)?;
        Ok(answer)
    }

    /// Sends a request to the API without printing it.
    pub(super) async fn ask(&self, path: &str) -> anyhow::Result<HttpReply> {
        HttpReply::of(self.http.get(format!("{}{path}", self.api)).send().await?).await
    }

    /// Prints a request that was sent before.
    pub(super) fn show(&self, method: &str, path: &str, answer: &HttpReply) -> anyhow::Result<()> {
        self.show_answer(&format!("curl -X {method} '{}{path}'", self.api), answer)
    }

    /// Sends a file by the upload URL of a created asset, with the headers that were signed.
    pub(super) async fn put(
        &self,
        file: &DemoFile,
        created: &HttpReply,
    ) -> anyhow::Result<HttpReply> {
        let url = created.text("upload_url")?;
        let headers = created.json.pointer("/upload/headers").and_then(Value::as_object);
        let headers = headers.context("the answer has no headers to send")?;
        let mut request = self.http.request(Method::PUT, &url);
        let mut curl = format!("curl -X PUT --upload-file '{}'", file.path.display());
        for (name, value) in headers {
            let value = value.as_str().with_context(|| format!("header {name} is not a string"))?;
            request = request.header(name, value);
            write!(curl, " -H '{name}: {value}'")?;
        }
        let opened = tokio::fs::File::open(&file.path).await?;
        // A stream has no length of its own; curl sends the header by itself.
        request = request.header("content-length", opened.metadata().await?.len());
        let bytes = tokio_util::io::ReaderStream::new(opened);
        let answer = send(request.body(reqwest::Body::wrap_stream(bytes))).await?;
        self.show_answer(&format!("{curl} '{url}'"), &answer)?;
        Ok(answer)
    }

    /// Fetches a URL of S3 and prints the request.
    pub(super) async fn fetch(&self, url: &str) -> anyhow::Result<HttpReply> {
        let answer = send(self.http.get(url)).await?;
        self.show_answer(&format!("curl '{url}'"), &answer)?;
        Ok(answer)
    }

    /// Fetches a URL of S3 and returns the SHA-256 of the body.
    pub(super) async fn download(&self, url: &str) -> anyhow::Result<(u16, String)> {
        let mut answer = self.http.get(url).send().await?;
        let status = answer.status().as_u16();
        let mut sha256 = Sha256::new();
        while let Some(chunk) = answer.chunk().await? {
            sha256.update(chunk);
        }
        writeln!(io::stdout(), "    $ curl -OJ '{url}'\n    {status}")?;
        Ok((status, hex::encode(sha256.finalize())))
    }

    /// The raw history, with its chain verified here.
    pub(super) async fn history(&self, id: &str) -> anyhow::Result<History> {
        let url = format!("{}/asset/{id}/history", self.api);
        let accept = "application/jsonl";
        let answer = send(self.http.get(&url).header("accept", accept)).await?.with_status(200)?;
        writeln!(io::stdout(), "    $ curl -H 'Accept: {accept}' '{url}'")?;
        let lines = answer.body.lines().zip(1..);
        let lines = lines.map(|(body, version)| StoredLine { version, body: body.to_owned() });
        let history = History::read(&key_of(&answer.body)?, lines.collect())?;
        history.context("the history is empty")
    }

    #[allow(clippy::unused_self)]
    pub(super) fn conclude(&self, history: &History) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        table::write(&mut out, history)?;
        ensure!(history.asset().head != Hash::ZERO, "the chain has no head");
        writeln!(out, "\nAll steps succeeded. To continue by hand:")?;
        writeln!(out, "  asset-ledger serve --data ./data")?;
        Ok(())
    }

    #[allow(clippy::unused_self)]
    fn show_answer(&self, curl: &str, answer: &HttpReply) -> anyhow::Result<()> {
        let shown: String = answer.body.trim().chars().take(SHOWN).collect();
        let more = if shown.len() < answer.body.trim().len() { " …" } else { "" };
        writeln!(io::stdout(), "    $ {curl}\n    {} {shown}{more}", answer.status)?;
        Ok(())
    }
}

impl HttpReply {
    async fn of(response: Response) -> anyhow::Result<Self> {
        let status = response.status().as_u16();
        let body = response.text().await?;
        let json = serde_json::from_str(&body).unwrap_or(Value::Null);
        Ok(Self { status, body, json })
    }

    pub(super) fn with_status(self, expected: u16) -> anyhow::Result<Self> {
        if self.status != expected {
            bail!("expected the status {expected}, got {}: {}", self.status, self.body);
        }
        Ok(self)
    }

    pub(super) fn text(&self, field: &str) -> anyhow::Result<String> {
        let text = self.json.get(field).and_then(Value::as_str).map(str::to_owned);
        text.with_context(|| format!("the answer has no {field}: {}", self.body))
    }

    pub(super) fn must_say(&self, field: &str, expected: &str) -> anyhow::Result<()> {
        let actual = self.text(field)?;
        ensure!(actual == expected, "{field} should be {expected}, but is {actual}");
        Ok(())
    }
}

async fn send(request: RequestBuilder) -> anyhow::Result<HttpReply> {
    HttpReply::of(request.send().await?).await
}

fn key_of(jsonl: &str) -> anyhow::Result<Key> {
    let first = jsonl.lines().next().context("the history is empty")?;
    Ok(EventRecord::read(first)?.key)
}
