//! What it costs to recognise a caller, and what many tenants cost.

#[allow(dead_code, clippy::unwrap_used, reason = "the unit tests use all of it")]
#[path = "../../src/jwt/tests/issuer.rs"]
mod issuer;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use asset_ledger::system::SystemEffects;
use futures::StreamExt;
use ledger::access::{AccessCommand, AccessService, KeyName, KeyRequest, Scope};
use ledger::record::EventSource;
use ledger::service::Caller;
use serde_json::json;
use stores::SqliteJournal;
use stores::sqlite::OpenMode;

use self::issuer::{LoopbackIssuer, SigningKey};
use crate::http::{load, uploaded};
use crate::program::Program;
use crate::table::ResultsTable;

/// Each form of credential is measured so often, in turn: other programs disturb all alike.
const ROUNDS: usize = 5;

const TENANTS: usize = 10_000;
/// Tenants that a process keeps in memory.
const KEPT: usize = 1_024;
/// Tenants whose keys are used.
const CALLING: usize = 2_000;

/// `GET /asset/{id}` without authentication, with an API key, and with an ES256 token.
pub(crate) async fn recognised(table: &mut ResultsTable) -> Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let (open, guarded) = (folder.path().join("open"), folder.path().join("guarded"));
    cli(&guarded, &["tenant", "create", "acme"])?;
    let scopes = ["--scope", "read,write"];
    let create = ["key", "create", "--tenant", "acme", "--name", "a"];
    let key = cli(&guarded, &[&create[..], &scopes].concat())?;

    let signing = SigningKey::es256("one");
    let issuer = LoopbackIssuer::start(&[&signing]).await;
    let config = json!({"issuers": [{"issuer": issuer.url, "audiences": ["ledger"],
        "tenant": {"fixed": "acme"}, "at_most": ["read"]}]});
    let now = chrono::Utc::now().timestamp();
    let token = signing.token(&json!({"iss": issuer.url, "aud": "ledger", "sub": "ann",
        "iat": now, "exp": now + 3_600, "scope": "ledger:read"}));

    let variables =
        [("ASSET_LEDGER_AUTH", "required"), ("ASSET_LEDGER_AUTH_CONFIG", &config.to_string())];
    let (open, guarded) = (Program::serve(&open)?, Program::serve_as(&guarded, &variables)?);
    let paths =
        [uploaded(&open.address, None).await?, uploaded(&guarded.address, Some(&key)).await?];
    let mut rates = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        let forms = [(&open, 0, None), (&guarded, 1, Some(&*key)), (&guarded, 1, Some(&*token))];
        for (rates, (server, path, credential)) in rates.iter_mut().zip(forms) {
            rates.push(load(&server.address, "GET", &paths[path], credential).await?.rate);
        }
    }
    let [none, key, token] = rates.map(median);
    let below = "without authentication";
    table.ratio("GET /asset/{id} with an API key", key, below, none, "≥ 0.9");
    table.ratio("GET /asset/{id} with an ES256 token", token, below, none, "≥ 0.8");
    Ok(())
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_unstable_by(f64::total_cmp);
    of[of.len() / 2]
}

/// Runs a command on a data folder; its standard output.
fn cli(data: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_asset-ledger"));
    let output = command.args(arguments).arg("--data").arg(data).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// The start beside that of an empty ledger, and the memory while many tenants call.
pub(crate) async fn tenants(table: &mut ResultsTable) -> Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let (empty, full) = (folder.path().join("empty"), folder.path().join("full"));
    std::fs::create_dir(&full)?;
    let keys = created(&full).await?;
    // The first start projects the events.
    let first = Program::serve(&full)?;
    first.caught_up().await?;
    first.stop()?;
    let mut starts = [const { Vec::new() }; 2];
    for _ in 0..=ROUNDS {
        for (starts, data) in starts.iter_mut().zip([&empty, &full]) {
            let begun = Instant::now();
            let program = Program::serve_as(data, &[("ASSET_LEDGER_AUTH", "required")])?;
            let ready = format!("http://{}/readyz", program.address);
            reqwest::get(ready).await?.error_for_status()?;
            starts.push(begun.elapsed().as_secs_f64() * 1e3);
            program.stop()?;
        }
    }
    let [empty, started] = starts.map(median);
    let (started, beside) = (format!("{started:.0} ms"), format!("an empty ledger: {empty:.0} ms"));
    table.figure(&format!("start with {TENANTS} tenants"), &started, &beside, "as an empty one");

    let program = Program::serve_as(&full, &[("ASSET_LEDGER_AUTH", "required")])?;
    let http = reqwest::Client::new();
    let ask = async |keys: &[String]| {
        for key in keys {
            let me = http.get(format!("http://{}/me", program.address)).bearer_auth(key);
            me.send().await?.error_for_status()?;
        }
        program.resident()
    };
    let kept = ask(&keys[..KEPT]).await?;
    let called = ask(&keys[KEPT..CALLING]).await?;
    let all = ask(&keys[CALLING..]).await?;
    let kept = format!("after {KEPT}: {kept:.1} MiB");
    let what = |count| format!("memory after requests of {count} tenants");
    table.figure(&what(CALLING), &format!("{called:.1} MiB"), &kept, "flat");
    table.figure(&what(TENANTS), &format!("{all:.1} MiB"), &kept, "flat");
    Ok(())
}

/// A journal with tenants, and a key of each.
async fn created(data: &Path) -> Result<Vec<String>> {
    let journal = Arc::new(SqliteJournal::open(data, OpenMode::OrCreate).await?);
    let service = AccessService::new(journal.clone(), Arc::new(SystemEffects));
    let create = async |number: usize| {
        let (actor, source) = ("cli:bench".to_owned(), EventSource::Cli);
        let tenant = format!("t{number}").parse().context("a tenant's name")?;
        let caller = Caller { tenant, actor, source, request: "bench".to_owned(), own_only: false };
        service.execute(&caller, &AccessCommand::Create).await?;
        let (name, scopes) = (KeyName::new("app".to_owned())?, [Scope::Read].into_iter().collect());
        let request = KeyRequest { name, scopes, own_only: false, expires_at: None };
        anyhow::Ok(service.create_key(&caller, request, None).await?.0.reveal().to_owned())
    };
    let keys = futures::stream::iter((0..TENANTS).map(create)).buffer_unordered(256);
    let keys = keys.collect::<Vec<_>>().await.into_iter().collect();
    journal.database().close().await;
    keys
}
