//! The rules that neither Cargo nor a lint can enforce.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic, its helpers too")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Columns of a line: two files side by side on a screen.
const COLUMNS: usize = 100;
/// Lines of a file before its tests. A hint: a longer file most likely has more than one reason to
/// exist. Splitting a file with a single reason only for this limit is worse.
const LINES: usize = 500;

/// Libraries used in only one place, and the place.
const PLACES: [(&str, &[&str]); 20] = [
    (
        "aws_sdk_dynamodb::",
        &[
            "stores/src/dynamodb.rs",
            "stores/src/journal/dynamodb",
            "stores/src/lanes.rs",
            "stores/src/rows/dynamodb",
            "src/aws",
            "src/bin",
        ],
    ),
    ("aws_sdk_dynamodbstreams::", &["src/aws"]),
    ("aws_config::", &["src/aws", "src/objects/client.rs"]),
    ("aws_sdk_s3::", &["src/objects"]),
    ("aws_sigv4::", &["src/objects/url_signer.rs"]),
    ("aws_lambda_events::", &["src/bucket", "src/lambda"]),
    ("lambda_http::", &["src/lambda", "src/bin"]),
    ("lambda_runtime::", &["src/lambda", "src/bin"]),
    ("s3s::", &["src/s3"]),
    ("utoipa", &["src/http"]),
    (
        "axum::",
        &["src/http", "src/s3", "src/local", "src/lambda", "src/aws", "src/cors.rs", "src/server"],
    ),
    (
        "rusqlite::",
        &[
            "stores/src/sqlite",
            "stores/src/journal/sqlite",
            "stores/src/rows/sqlite",
            "src/backup",
            "src/s3",
        ],
    ),
    ("clap::", &["src/cli"]),
    ("reqwest::", &["src/cli/demo"]),
    ("ed25519_compact::", &["ledger/src/access/upload_key.rs", "ledger/src/checkpoint/key.rs"]),
    ("flate2::", &["src/export"]),
    ("tar::", &["src/export"]),
    ("jsonwebtoken::", &["src/jwt/jwk.rs"]),
    ("aws_smithy_http_client::", &["src/jwt/fetch.rs"]),
    ("percent_encoding::", &["src/percent.rs"]),
];

/// The domain; what it must not use.
const DOMAIN: [&str; 23] = [
    "ledger/src/access/api_key.rs",
    "ledger/src/access/decide.rs",
    "ledger/src/access/event.rs",
    "ledger/src/access/history.rs",
    "ledger/src/access/scope.rs",
    "ledger/src/access/state.rs",
    "ledger/src/access/upload_key.rs",
    "ledger/src/access/upload_token.rs",
    "ledger/src/asset",
    "ledger/src/audit",
    "ledger/src/chain.rs",
    "ledger/src/checkpoint",
    "ledger/src/history.rs",
    "ledger/src/id.rs",
    "ledger/src/idempotency.rs",
    "ledger/src/record.rs",
    "ledger/src/time.rs",
    "ledger/src/effects.rs",
    "ledger/src/url_log/event.rs",
    "ledger/src/url_log/stream.rs",
    "src/jwt/judge.rs",
    "src/jwt/token.rs",
    "src/jwt/trust.rs",
];
const IMPURE: [&str; 6] = ["tokio", "async ", "Utc::now", "std::env", "std::fs", "rusqlite"];

/// The folders of the API, and what each must not use.
const HTTP: [(&str, &[&str]); 5] = [
    ("src/http/errors", &["routes", "openapi", "api", "middleware", "wire"]),
    ("src/http/wire", &["routes", "openapi", "api", "middleware"]),
    ("src/http/middleware", &["routes", "openapi", "api", "wire"]),
    ("src/http/openapi", &["routes", "api", "middleware"]),
    ("src/http/api", &["routes", "openapi", "wire"]),
];

struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The part without tests.
    fn code(&self) -> &str {
        if self.path.contains("/tests/") || self.path.ends_with("/tests.rs") {
            return "";
        }
        self.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
    }

    fn is_in(&self, place: &str) -> bool {
        self.path.starts_with(place)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    let mut waiting: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            found.push(Source { path, text });
        }
    }
    assert!(found.len() > 5, "no sources found in {folders:?}");
    found
}

fn product() -> Vec<Source> {
    sources(&["ledger/src", "projections/src", "stores/src", "src"])
}

fn refuse(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn lines_fit_a_screen_and_files_have_one_reason() {
    let mut complaints = Vec::new();
    let all = sources(&["ledger", "projections", "stores", "src", "tests", "benches"]);
    for source in all.iter().filter(|source| !source.path.contains("/target/")) {
        for (number, line) in (1..).zip(source.text.lines()) {
            // A golden text may be longer.
            let exempt = line.contains("\"{") || line.contains("{\"") || line.contains("include");
            if line.chars().count() > COLUMNS && !exempt {
                complaints.push(format!("{}:{number}: over {COLUMNS} columns", source.path));
            }
        }
        let lines = source.code().lines().count();
        if lines > LINES && !source.path.starts_with("tests/") {
            complaints.push(format!("{}: {lines} lines before its tests", source.path));
        }
    }
    refuse(&complaints);
}

#[test]
fn libraries_stand_in_their_places() {
    let mut complaints = Vec::new();
    for source in product() {
        for (library, places) in PLACES {
            let allowed = places.iter().any(|place| source.is_in(place));
            if source.code().contains(library) && !allowed {
                complaints.push(format!("{}: {library} stands only in {places:?}", source.path));
            }
        }
    }
    refuse(&complaints);
}

#[test]
fn the_folders_of_the_api_use_each_other_one_way() {
    let mut complaints = Vec::new();
    for source in product() {
        for (folder, others) in HTTP.iter().filter(|(folder, _)| source.is_in(folder)) {
            let uses = |other: &&&str| {
                let paths = [format!("http::{other}::"), format!("super::{other}::")];
                paths.iter().any(|path| source.code().contains(path))
            };
            for other in others.iter().filter(uses) {
                complaints.push(format!("{}: {folder} does not use {other}", source.path));
            }
        }
    }
    refuse(&complaints);
}

#[test]
fn the_domain_is_pure() {
    let mut complaints = Vec::new();
    for source in product() {
        let pure = DOMAIN.iter().any(|place| source.is_in(place));
        for word in IMPURE.iter().filter(|word| pure && source.code().contains(**word)) {
            complaints.push(format!("{}: the domain knows no {word:?}", source.path));
        }
    }
    refuse(&complaints);
}

/// The names of the types that a source defines at its top level.
fn types(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter_map(|line| {
        let definition = match line.strip_prefix("pub") {
            Some(rest) => rest.split_once(' ')?.1,
            None => line,
        };
        let (kind, name) = definition.split_once(' ')?;
        let name = name.split(|c: char| !c.is_alphanumeric()).next()?;
        ["struct", "enum", "trait", "type"].contains(&kind).then_some(name)
    })
}

#[test]
fn a_type_has_one_name_and_a_name_one_type() {
    let mut places = BTreeMap::<String, Vec<String>>::new();
    let product = product();
    for source in &product {
        for name in types(source.code()) {
            places.entry(name.to_owned()).or_default().push(source.path.clone());
        }
    }
    assert!(places.len() > 300, "only {} types were found", places.len());
    let twice = places.into_iter().filter(|(_, places)| places.len() > 1);
    refuse(&twice.map(|(name, places)| format!("{name}: {places:?}")).collect::<Vec<_>>());
}

#[test]
fn every_module_is_on_the_map() {
    let map = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let mut complaints = Vec::new();
    for room in ["ledger/src", "projections/src", "stores/src", "src"] {
        for entry in fs::read_dir(root().join(room)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let shown = [format!("`{name}`"), format!("`{name}/`")];
            let known = ["lib", "main"].contains(&name);
            if !known
                && !shown.iter().any(|name| map.contains(name))
                && !map.contains(&format!("`{name}`,"))
            {
                complaints.push(format!("{room}/{name} is not in docs/ARCHITECTURE.md"));
            }
        }
    }
    refuse(&complaints);
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent = product().into_iter().filter(|source| !source.text.starts_with("//! "));
    refuse(
        &silent.map(|source| format!("{} opens without a word", source.path)).collect::<Vec<_>>(),
    );
}

#[test]
fn no_test_is_skipped() {
    let skip = concat!("#[ign", "ore");
    let all = sources(&["ledger", "projections", "stores", "src", "tests"]);
    let skipped = all.into_iter().filter(|source| source.text.contains(skip));
    refuse(
        &skipped.map(|source| format!("{}: a test is skipped", source.path)).collect::<Vec<_>>(),
    );
}
