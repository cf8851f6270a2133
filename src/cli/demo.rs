//! `asset-ledger demo`: an asset's whole life in half a minute, over real sockets.

mod file;
mod walk;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use ledger::id::Tenant;
use serde_json::json;

use self::file::DemoFile;
use self::walk::{DemoWalk, HttpReply};
use super::signals::unless_stopped;
use crate::http::AuthMode;
use crate::local::{LocalOptions, LocalServer};
use crate::plural::count;
use crate::server::DRAIN;

/// The time limit for a notification to take effect.
const PATIENCE: Duration = Duration::from_secs(10);

/// Run the whole life cycle of one file, and show each step as a curl command.
///
/// Starts the API and the S3 endpoint on a new temporary folder, sends them HTTP requests, and
/// removes the folder at the end. Exits with 1 at the first step that fails.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  asset-ledger demo
  asset-ledger demo ./photo.jpg")]
pub(super) struct Demo {
    /// The file to upload; by default a small text file.
    file: Option<PathBuf>,
}

impl Demo {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
        let file = match self.file {
            Some(path) => DemoFile::existing(path).await?,
            None => DemoFile::sample(folder.path()).await?,
        };
        let local = LocalServer::start(options(folder.path().join("data"))).await?;
        let mut walk = DemoWalk::new(local.api_url());
        let outcome = unless_stopped(live(&mut walk, &file), "stopped").await;
        local.stop().await;
        outcome
    }
}

fn options(data: PathBuf) -> LocalOptions {
    let any_port = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    LocalOptions {
        data,
        listen: any_port,
        s3_listen: any_port,
        s3_url: None,
        cors_origins: Vec::new(),
        public_urls: Vec::new(),
        auth: AuthMode::None,
        rate: None,
        issuers: None,
        metrics_listen: None,
        tenant: Tenant::default(),
        any_host: false,
        drain: DRAIN,
    }
}

/// The whole life. A failing step reports the actual and the expected result.
async fn live(walk: &mut DemoWalk, file: &DemoFile) -> anyhow::Result<()> {
    let created = create(walk, file).await?;
    let id = created.text("id")?;
    upload(walk, file, &created).await?;
    wait_until_received(walk, &id).await?;
    confirm(walk, &id).await?;
    download(walk, file, &id).await?;
    list(walk, &id).await?;
    expired_url(walk, &id).await?;
    second_upload(walk, file, &created).await?;
    delete_and_restore(walk, &id).await?;
    purge(walk, &id).await?;
    history(walk, &id).await
}

async fn create(walk: &mut DemoWalk, file: &DemoFile) -> anyhow::Result<HttpReply> {
    walk.title("Create an asset: declare the file, get an upload URL")?;
    let declared = json!({
        "filename": file.name, "content_type": file.content_type,
        "size": file.size, "sha256": file.sha256,
    });
    let answer = walk.call("POST", "/asset", Some(&declared)).await?.with_status(201)?;
    walk.say(&format!("asset {}", answer.text("id")?))?;
    Ok(answer)
}

async fn upload(walk: &mut DemoWalk, file: &DemoFile, created: &HttpReply) -> anyhow::Result<()> {
    walk.title("Upload the file directly to S3, by the presigned URL")?;
    let put = walk.put(file, created).await?;
    ensure!(put.status == 200, "the upload answered {}: {}", put.status, put.body);
    walk.say(&format!("{}; S3 checked their SHA-256", count(file.size, "byte")))
}

async fn wait_until_received(walk: &mut DemoWalk, id: &str) -> anyhow::Result<()> {
    walk.title("S3 notifies the ledger, which reads the object's metadata: RECEIVED")?;
    let path = format!("/asset/{id}/state");
    let asked = tokio::time::timeout(PATIENCE, async {
        loop {
            let state = walk.ask(&path).await?.with_status(200)?;
            if state.text("state")? == "RECEIVED" {
                return anyhow::Ok(state);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let state = asked.await.context("the asset was not RECEIVED within ten seconds")??;
    walk.show("GET", &path, &state)?;
    walk.say(&format!("version of the object: {}", state.text("version_id")?))
}

async fn confirm(walk: &mut DemoWalk, id: &str) -> anyhow::Result<()> {
    walk.title("Confirm the upload: this version is now the asset's content")?;
    let answer = walk.call("PUT", &format!("/asset/{id}"), None).await?.with_status(202)?;
    answer.must_say("status", "UPLOADED")
}

async fn download(walk: &mut DemoWalk, file: &DemoFile, id: &str) -> anyhow::Result<()> {
    walk.title("Download the file, and compare the bytes")?;
    let answer = walk.call("GET", &format!("/asset/{id}"), None).await?.with_status(202)?;
    let (status, sha256) = walk.download(&answer.text("download_url")?).await?;
    ensure!(status == 200, "the download answered {status}");
    ensure!(sha256 == file.sha256, "SHA-256 sent: {}, got back: {sha256}", file.sha256);
    walk.say(&format!("the same bytes: SHA-256 {sha256}"))
}

async fn list(walk: &mut DemoWalk, id: &str) -> anyhow::Result<()> {
    walk.title("List assets, newest first")?;
    let answer = walk.call("GET", "/asset?limit=10", None).await?.with_status(200)?;
    let first = answer.json.pointer("/items/0/asset_id").and_then(|id| id.as_str());
    ensure!(first == Some(id), "the list does not begin with {id}: {}", answer.body);
    Ok(())
}

async fn expired_url(walk: &mut DemoWalk, id: &str) -> anyhow::Result<()> {
    walk.title("Use a URL after it expired: S3 refuses it")?;
    let path = format!("/asset/{id}?timeout=1");
    let answer = walk.call("GET", &path, None).await?.with_status(202)?;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let refused = walk.fetch(&answer.text("download_url")?).await?;
    ensure!(refused.status == 403, "an expired URL answered {}", refused.status);
    ensure!(refused.body.contains("expired"), "S3 gave another reason: {}", refused.body);
    Ok(())
}

async fn second_upload(
    walk: &mut DemoWalk,
    file: &DemoFile,
    created: &HttpReply,
) -> anyhow::Result<()> {
    walk.title("Use the upload URL again: S3 refuses it, and nothing is overwritten")?;
    let refused = walk.put(file, created).await?;
    ensure!(refused.status == 412, "a second upload answered {}", refused.status);
    Ok(())
}

async fn delete_and_restore(walk: &mut DemoWalk, id: &str) -> anyhow::Result<()> {
    walk.title("Soft-delete the asset: the bytes stay, downloads are refused")?;
    let path = format!("/asset/{id}");
    walk.call("DELETE", &format!("{path}?reason=demo"), None).await?.with_status(204)?;
    walk.call("GET", &path, None).await?.with_status(403)?;
    walk.title("Restore the asset")?;
    let restored = walk.call("POST", &format!("{path}/restore"), None).await?.with_status(200)?;
    restored.must_say("state", "UPLOADED")
}

async fn purge(walk: &mut DemoWalk, id: &str) -> anyhow::Result<()> {
    walk.title("Delete and purge the asset: every version of the object is destroyed")?;
    let path = format!("/asset/{id}");
    let url = walk.ask(&path).await?.with_status(202)?.text("download_url")?;
    walk.call("DELETE", &path, None).await?.with_status(204)?;
    walk.call("POST", &format!("{path}/purge"), None).await?.with_status(202)?;
    walk.call("GET", &path, None).await?.with_status(404)?;
    let gone = walk.fetch(&url).await?;
    ensure!(gone.status == 404, "a URL of the purged bytes answered {}", gone.status);
    Ok(())
}

async fn history(walk: &mut DemoWalk, id: &str) -> anyhow::Result<()> {
    walk.title("Read the history that remains, and verify its hash chain")?;
    let history = walk.history(id).await?;
    let kinds: Vec<_> = history.entries().iter().map(|e| e.record.event.kind()).collect();
    let expected = [
        "created",
        "received",
        "uploaded",
        "soft_deleted",
        "restored",
        "soft_deleted",
        "purge_requested",
        "purged",
    ];
    ensure!(kinds == expected, "the history should be {expected:?}, but is {kinds:?}");
    walk.conclude(&history)
}
