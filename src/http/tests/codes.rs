//! The codes of errors are the same in the program, in docs/API.md and in the description.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;

use super::world::HttpFixture;
use crate::http::AuthMode;
use crate::http::errors::Code;
use crate::jwt::TokenVerifier;
use crate::jwt::tests::config;
use crate::system::SystemEffects;

const CONTRACT: &str = include_str!("../../../docs/API.md");
/// The code of a listener before the router.
const BEFORE_ANY_ROUTE: (&str, u16) = ("server.busy", 503);
/// Codes of no operation of the description.
const OF_NO_OPERATION: [&str; 5] =
    ["request.invalid", "method.not_allowed", "caller.nameless", "caller.unlisted", "server.busy"];

fn trusting_one() -> TokenVerifier {
    TokenVerifier::new(config("https://id.example", &json!({})), Arc::new(SystemEffects))
}

fn of_the_program() -> BTreeMap<String, u16> {
    let own = Code::ALL.iter().map(|code| code.facts());
    let own = own.map(|(name, status)| (name.to_owned(), status.as_u16()));
    own.chain([(BEFORE_ANY_ROUTE.0.to_owned(), BEFORE_ANY_ROUTE.1)]).collect()
}

/// The rows of the contract's table: code, status, whose turn it is, `Retry-After`.
fn of_the_contract() -> Vec<[String; 4]> {
    let table = CONTRACT.split("## Every error").nth(1).expect("the table's heading");
    let table = table.split("\n## ").next().unwrap_or_default();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [code, status, turn, again] = cells[..] else { panic!("{row}") };
        [code.trim_matches('`'), status, turn, again].map(str::to_owned)
    })
    .collect()
}

#[test]
fn every_code_is_in_the_contract_with_its_status() {
    let (program, rows) = (of_the_program(), of_the_contract());
    let told: BTreeMap<_, _> =
        rows.iter().map(|row| (row[0].clone(), row[1].parse::<u16>().unwrap())).collect();
    assert_eq!(told.len(), rows.len(), "a code stands twice");
    assert_eq!(told, program);
    for [code, status, turn, again] in &rows {
        assert!(!turn.is_empty(), "{code}: whose turn?");
        assert_eq!(
            again,
            if ["429", "503"].contains(&&**status) { "yes" } else { "" },
            "{code}: Retry-After"
        );
    }
}

#[tokio::test]
async fn every_code_is_shown_by_the_description_at_its_status() {
    let world = HttpFixture::trusting(trusting_one());
    let document = world.call("GET /openapi.json").await.json();
    let (program, mut shown) = (of_the_program(), BTreeSet::new());
    let operations = document["paths"].as_object().unwrap().values();
    for operation in operations.flat_map(|item| item.as_object().unwrap().values()) {
        for (status, answer) in operation["responses"].as_object().unwrap() {
            let examples = &answer["content"]["application/problem+json"]["examples"];
            for code in examples.as_object().into_iter().flat_map(|all| all.keys()) {
                assert_eq!(program[code].to_string(), *status, "{code}");
                shown.insert(code.clone());
            }
        }
    }
    let missing = program.keys().filter(|code| !shown.contains(*code));
    assert_eq!(missing.collect::<Vec<_>>(), {
        let mut expected = OF_NO_OPERATION.to_vec();
        expected.sort_unstable();
        expected
    });
}

#[tokio::test]
async fn a_token_is_an_alternative_to_a_key_where_an_issuer_is_trusted() {
    let document = async |world: HttpFixture| world.call("GET /openapi.json").await.json();
    let found = document(HttpFixture::trusting(trusting_one())).await;
    assert_eq!(found["components"]["securitySchemes"]["jwt"]["bearerFormat"], "JWT");
    let needs = json!([{"api_key": ["write"]}, {"jwt": ["write"]}]);
    assert_eq!(found["paths"]["/asset"]["post"]["security"], needs);
    assert_eq!(found["paths"]["/healthz"]["get"]["security"], json!([]));
    let found = document(HttpFixture::deciding(AuthMode::Required)).await.to_string();
    assert!(!found.contains("jwt\":") && !found.contains("token.invalid"));
}
