//! Rules for every route: the description contains it, and its answers are safe.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use ledger::chain::Hash;
use ledger::id::{Key, Tenant};
use ledger::journal::Journal;
use ledger::record::{EventSource, StoredLine};
use serde_json::{Value, json};

use super::world::{HttpFixture, request};
use crate::http::routes::{description, routes};

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

fn described() -> Value {
    let json = description().to_json().unwrap();
    serde_json::from_str(&json).unwrap()
}

/// Every path and method of the description.
fn operations() -> BTreeSet<(String, String)> {
    let document = described();
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &Value)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(|method| (path.clone(), method.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

#[tokio::test]
async fn every_operation_of_the_description_is_served_and_no_other() {
    let (world, operations) = (HttpFixture::new(), operations());
    let paths: BTreeSet<_> = operations.iter().map(|(path, _)| path.clone()).collect();
    assert!(paths.len() >= 11, "{paths:?}");
    for path in &paths {
        for method in METHODS {
            let line = format!("{} {path}", method.to_uppercase());
            let line = line.replace("{id}", "none").replace("{file}", "index.css");
            let answer = world.call(&line).await;
            let served = answer.status != 405;
            let described = operations.contains(&(path.clone(), method.to_owned()));
            assert_eq!(served, described, "{line}");
            let unknown = answer.status == 404 && answer.code() == "path.unknown";
            assert!(!unknown, "{line}");
        }
    }
}

#[test]
fn every_path_of_the_router_is_in_the_description() {
    let shown = format!("{:?}", routes());
    let quoted = shown.split('"').filter(|part| part.starts_with('/'));
    // The fallback, which answers 404, is a pair of routes too.
    let own = quoted.filter(|path| *path != "/" && !path.contains("__private"));
    let served: BTreeSet<_> = own.map(str::to_owned).collect();
    let described: BTreeSet<_> = operations().into_iter().map(|(path, _)| path).collect();
    assert_eq!(served, described);
}

#[tokio::test]
async fn what_an_operation_asks_of_the_stores_is_counted_by_its_label() {
    let mut counted = BTreeMap::new();
    for (path, method) in operations() {
        let world = HttpFixture::new();
        let id = match path.rsplit('/').next().unwrap() {
            "restore" | "purge" => world.deleted().await,
            _ => world.uploaded().await,
        };
        world.journal.labels();
        let line = format!("{} {}", method.to_uppercase(), path.replace("{id}", &id));
        let line = line.replace(&format!("/keys/{id}"), "/keys/0123456789abcdef");
        world.call(&line).await;
        let labels = world.journal.labels();
        counted.insert(format!("{method} {path}"), labels);
    }
    // Without a tenant, the keys are those of nobody; the routes read all the same.
    counted.retain(|_, labels| !labels.is_empty());
    let expected = [
        ("delete /asset/{id}", "delete"),
        ("delete /keys/{id}", "key_revoke"),
        ("get /access", "access"),
        ("get /asset", "list"),
        ("get /asset/{id}", "get"),
        ("get /asset/{id}/history", "history"),
        ("get /asset/{id}/proof", "proof"),
        ("get /asset/{id}/state", "state"),
        ("get /asset/{id}/urls", "urls"),
        ("get /events", "events"),
        ("get /keys", "key_list"),
        ("get /keys/{id}", "key_get"),
        ("post /asset", "create"),
        ("post /asset/{id}/purge", "purge"),
        ("post /asset/{id}/restore", "restore"),
        ("post /asset/{id}/upload-url", "upload_url"),
        ("post /keys/{id}/rotate", "key_rotate"),
        ("put /asset/{id}", "confirm"),
    ];
    let expected = expected.map(|(operation, label)| (operation.to_owned(), [label].into()));
    assert_eq!(counted, BTreeMap::from(expected));
}

#[tokio::test]
async fn the_description_is_whole() {
    let document = HttpFixture::new().call("GET /openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let body = &document["paths"]["/asset"]["post"]["requestBody"];
    assert_eq!(body["required"], false);
    let schema = &body["content"]["application/json"]["schema"]["$ref"];
    assert_eq!(schema, "#/components/schemas/NewAsset");
    let mut told = String::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let answers = operation["responses"].as_object().unwrap();
            let statuses: Vec<_> = answers.keys().map(String::as_str).collect();
            let (method, statuses) = (method.to_uppercase(), statuses.join(" "));
            writeln!(told, "{method} {path}: {statuses}").unwrap();
            for (status, answer) in answers.iter().filter(|(status, _)| status.as_str() >= "4") {
                let schema = &answer["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{method} {path} {status}");
            }
        }
    }
    insta::assert_snapshot!("operations", told);
}

const JSON: (&str, &str) = ("content-type", "application/json");

/// Each limit of the description, at its edge and beyond it.
#[tokio::test]
async fn the_limits_of_the_description_are_those_of_the_code() {
    let world = HttpFixture::new();
    let document = world.call("GET /openapi.json").await.json();
    let parameter = |path: &str, name: &str| {
        let all = document["paths"][path].as_object().unwrap().values();
        let mut all = all.flat_map(|it| it["parameters"].as_array().cloned().unwrap_or_default());
        all.find(|it| it["name"] == name).unwrap()["schema"].clone()
    };
    let number = |value: &Value| value.as_u64().unwrap();
    for path in ["/asset", "/events"] {
        let limit = parameter(path, "limit");
        let (least, most) = (number(&limit["minimum"]), number(&limit["maximum"]));
        for (value, status) in [(least, 200), (most, 200), (least - 1, 400), (most + 1, 400)] {
            let answer = world.call(&format!("GET {path}?limit={value}")).await;
            assert_eq!(answer.status, status, "{path} {value}");
        }
    }
    let id = world.deleted().await;
    let history = format!("/asset/{id}/history");
    for (path, described, name) in
        [("/asset", "/asset", "state"), (&history, "/asset/{id}/history", "type")]
    {
        for value in parameter(described, name)["enum"].as_array().unwrap() {
            let line = format!("GET {path}?{name}={}", value.as_str().unwrap());
            assert_eq!(world.call(&line).await.status, 200, "{line}");
        }
        assert_eq!(world.call(&format!("GET {path}?{name}=other")).await.status, 400);
    }
    for (method, path, described, name, right) in [
        ("DELETE", format!("/asset/{id}"), "/asset/{id}", "reason", 204),
        ("GET", "/events".to_owned(), "/events", "actor", 200),
    ] {
        let most = usize::try_from(number(&parameter(described, name)["maxLength"])).unwrap();
        for (length, status) in [(most, right), (most + 1, 400)] {
            let line = format!("{method} {path}?{name}={}", "x".repeat(length));
            assert_eq!(world.call(&line).await.status, status, "{name} of {length}");
        }
    }
}

/// Each field of an answer has the form of its text in the description.
#[tokio::test]
async fn every_field_of_the_description_says_its_form() {
    let document = HttpFixture::new().call("GET /openapi.json").await.json();
    let (mut waiting, mut seen) = (vec![&document["components"]["schemas"]], 0);
    while let Some(value) = waiting.pop() {
        waiting.extend(value.as_object().into_iter().flat_map(|it| it.values()));
        waiting.extend(value.as_array().into_iter().flatten());
        for (name, field) in value["properties"].as_object().into_iter().flatten() {
            let rule = match name.as_str() {
                "asset_id" | "createdAt" | "updatedAt" | "at" => "format",
                "sha256" | "hash" | "prev" | "leaf" | "last_hash" => "pattern",
                "state" => "enum",
                "source" => "anyOf",
                "version" | "last_version" => "minimum",
                _ => continue,
            };
            assert!(!field[rule].is_null(), "{name} has no {rule}: {value}");
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen} fields");
}

/// The same for a client's declaration.
#[tokio::test]
async fn a_declaration_is_held_to_its_description() {
    let world = HttpFixture::new();
    let document = world.call("GET /openapi.json").await.json();
    let schema = &document["components"]["schemas"]["NewAsset"];
    let of = |field: &str, rule: &str| {
        let value = schema["properties"][field][rule].as_u64();
        usize::try_from(value.unwrap_or_else(|| panic!("{field} has no {rule}"))).unwrap()
    };
    let text = |length: usize| "x".repeat(length);
    let (name, kind) = (of("filename", "maxLength"), of("content_type", "maxLength"));
    let (size, tags) = (of("size", "maximum"), of("tags", "maxProperties"));
    let tagged = |count| (0..count).map(|n| format!("\"{n}\":\"\"")).collect::<Vec<_>>().join(",");
    for (body, status) in [
        (format!("{{\"filename\":\"{}\"}}", text(name)), 201),
        (format!("{{\"filename\":\"{}\"}}", text(name + 1)), 400),
        ("{\"filename\":\"\"}".to_owned(), 400),
        (format!("{{\"content_type\":\"x/{}\"}}", text(kind - 2)), 201),
        (format!("{{\"content_type\":\"x/{}\"}}", text(kind - 1)), 400),
        (format!("{{\"size\":{size}}}"), 201),
        (format!("{{\"size\":{}}}", size + 1), 413),
        (format!("{{\"tags\":{{{}}}}}", tagged(tags)), 201),
        (format!("{{\"tags\":{{{}}}}}", tagged(tags + 1)), 400),
        (format!("{{\"sha256\":\"{}\"}}", "aB".repeat(32)), 201),
        (format!("{{\"sha256\":\"{}\"}}", "aB".repeat(31)), 400),
        ("{\"filename\":null,\"tags\":null}".to_owned(), 201),
        ("{\"other\":1}".to_owned(), 400),
    ] {
        let answer = world.send(request("POST /asset", &[JSON], &body)).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
    assert_eq!(schema["additionalProperties"], false);
}

#[tokio::test]
async fn every_error_of_the_description_is_shown_by_examples_that_fit() {
    let document = HttpFixture::new().call("GET /openapi.json").await.json();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let answers = operation["responses"].as_object().unwrap();
            for (status, answer) in answers.iter().filter(|(status, _)| status.as_str() >= "4") {
                let place = format!("{method} {path} {status}");
                let shown = &answer["content"]["application/problem+json"]["examples"];
                let shown = shown.as_object().unwrap_or_else(|| panic!("{place}: no examples"));
                assert!(!shown.is_empty(), "{place}: no examples");
                for (code, example) in shown {
                    let value = &example["value"];
                    assert_eq!(value["status"].to_string(), *status, "{place} {code}");
                    assert_eq!(value["code"], *code, "{place}");
                }
            }
        }
    }
}

#[tokio::test]
async fn errors_that_occur_are_among_the_examples() {
    let world = HttpFixture::new();
    let document = world.call("GET /openapi.json").await.json();
    let (created, deleted) = (world.created().await, world.deleted().await);
    let none = "019aaf6b-5a00-7123-8456-0123456789ab";
    let other = ("if-match", "\"9\"");
    for (line, header, body) in [
        ("POST /asset".to_owned(), JSON, "{\"size\":-1}"),
        ("POST /asset".to_owned(), JSON, "{\"size\":99999999999}"),
        ("POST /asset".to_owned(), ("content-type", "text/plain"), "x"),
        ("GET /asset?limit=0".to_owned(), JSON, ""),
        ("GET /asset?state=x".to_owned(), JSON, ""),
        ("GET /asset?cursor=x".to_owned(), JSON, ""),
        (format!("GET /asset/{none}"), JSON, ""),
        (format!("GET /asset/{created}"), JSON, ""),
        (format!("GET /asset/{created}?timeout=0"), JSON, ""),
        (format!("PUT /asset/{created}"), JSON, ""),
        (format!("PUT /asset/{created}"), other, ""),
        (format!("PUT /asset/{created}"), ("if-match", "9"), ""),
        (format!("DELETE /asset/{created}?reason=%00"), JSON, ""),
        (format!("POST /asset/{created}/restore"), JSON, ""),
        (format!("POST /asset/{created}/purge"), JSON, ""),
        (format!("POST /asset/{deleted}/upload-url"), JSON, ""),
        (format!("POST /asset/{deleted}/restore"), JSON, "x"),
        (format!("POST /asset/{deleted}/purge?x=1"), JSON, ""),
        (format!("GET /asset/{created}/state?version=9"), JSON, ""),
        (format!("GET /asset/{created}/state?as_of=x"), JSON, ""),
        (format!("GET /asset/{created}/history?type=x"), JSON, ""),
        (format!("GET /asset/{created}/history?since=x"), JSON, ""),
        (format!("GET /asset/{created}/history?until=x"), JSON, ""),
        (format!("GET /asset/{created}/proof?version=9"), JSON, ""),
        ("GET /events?after=x".to_owned(), JSON, ""),
        ("GET /events?actor=".to_owned(), JSON, ""),
        ("GET /docs/none".to_owned(), JSON, ""),
    ] {
        let answer = world.send(request(&line, &[header], body)).await;
        let (method, path) = line.split_once(' ').unwrap();
        let path = path.split('?').next().unwrap();
        let ids = [created.as_str(), &deleted, none];
        let path = ids.iter().fold(path.to_owned(), |path, id| path.replace(*id, "{id}"));
        let path = path.replace("/docs/none", "/docs/{file}");
        let operation = &document["paths"][&path][method.to_lowercase()];
        let shown = &operation["responses"][answer.status.as_str()];
        let shown = &shown["content"]["application/problem+json"]["examples"];
        assert!(!shown[answer.code()].is_null(), "{line}: {} {}", answer.status, answer.body);
    }
}

#[tokio::test]
async fn the_examples_are_what_is_answered() {
    fn names(value: &Value) -> BTreeSet<&String> {
        value.as_object().unwrap().keys().collect()
    }
    let world = HttpFixture::new();
    let document = world.call("GET /openapi.json").await.json();
    let list = {
        world.created().await;
        world.call("GET /asset").await.json()
    };
    let id = world.uploaded().await;
    let of = |schema: &str| &document["components"]["schemas"][schema]["example"];
    assert_eq!(names(&of("List")["items"][0]), names(&list["items"][0]));
    for (schema, line) in [
        ("Created", "POST /asset".to_owned()),
        ("Download", format!("GET /asset/{id}")),
        ("State", format!("GET /asset/{id}/state")),
        ("History", format!("GET /asset/{id}/history")),
        ("Proof", format!("GET /asset/{id}/proof")),
        ("Events", "GET /events".to_owned()),
        ("Problem", "GET /asset/none".to_owned()),
    ] {
        let answer = world.call(&line).await.json();
        assert_eq!(names(of(schema)), names(&answer), "{schema}");
        let (event, shown) = (&answer["events"][0], &of(schema)["events"][0]);
        assert!(event.is_null() || names(event) == names(shown));
    }
}

#[tokio::test]
async fn every_reference_of_the_description_leads_somewhere() {
    let answer = HttpFixture::new().call("GET /openapi.json").await;
    let document = answer.json();
    let mut references = answer.body.split("\"$ref\":\"#").skip(1);
    assert!(references.clone().count() > 50);
    assert!(references.all(|rest| {
        let pointer = rest.split('"').next().unwrap();
        document.pointer(pointer).is_some()
    }));
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let world = HttpFixture::new();
    let page = world.call("GET /docs").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("http"), "{policy}");
    assert!(!page.body.contains("http"), "{}", page.body);
    for link in page.body.split("docs/").skip(1) {
        let file = link.split('"').next().unwrap();
        let request = request(&format!("GET /docs/{file}"), &[], "");
        let answer = tower::ServiceExt::oneshot(world.app.clone(), request).await.unwrap();
        assert_eq!(answer.status(), 200, "{file}");
    }
    let config = world.call("GET /docs/swagger-initializer.js").await.body;
    assert!(config.contains("\"validatorUrl\": \"none\""), "{config}");
    assert!(config.contains("\"openapi.json\"") && !config.contains("http"), "{config}");
}

#[tokio::test]
async fn every_answer_is_named_and_careful() {
    let world = HttpFixture::new();
    let id = world.uploaded().await;
    for line in [
        "POST /asset",
        "GET /asset",
        &format!("GET /asset/{id}"),
        &format!("DELETE /asset/{id}"),
        "GET /asset/none",
        "GET /nowhere",
        "PATCH /asset",
        "GET /docs",
        "GET /docs/none",
        "GET /openapi.json",
        "GET /events",
        "GET /healthz",
    ] {
        let answer = world.send(request(line, &[("x-request-id", "mine-1")], "")).await;
        assert_eq!(answer.headers["x-request-id"], "mine-1", "{line}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{line}");
        assert!(answer.headers.contains_key("content-security-policy"), "{line}");
        let signed = answer.body.contains("http://s3.test/");
        let expected = if signed { "no-store" } else { "no-cache" };
        assert_eq!(answer.headers["cache-control"], expected, "{line}");
        let unnamed = world.send(request(line, &[("x-request-id", "not fit")], "")).await;
        assert_eq!(unnamed.headers["x-request-id"].len(), 36, "{line}");
    }
}

#[tokio::test]
async fn an_event_names_its_request() {
    let world = HttpFixture::new();
    let created = world.send(request("POST /asset", &[("x-request-id", "mine-2")], "")).await;
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let history = world.call(&format!("GET /asset/{id}/history")).await.json();
    let event = &history["events"][0];
    assert_eq!(event["request"], "mine-2");
    assert_eq!((&event["actor"], &event["source"]), (&"anonymous".into(), &"api".into()));
}

/// Whether a value fits a schema of types, lists of values, and alternatives.
fn fits(schema: &Value, value: &Value) -> bool {
    let typed = match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some(other) => panic!("a type that is not expected here: {other}"),
        None => true,
    };
    let listed = schema["enum"].as_array().is_none_or(|values| values.contains(value));
    let any = |any: &Vec<Value>| any.iter().any(|schema| fits(schema, value));
    typed && listed && schema["anyOf"].as_array().is_none_or(any)
}

#[tokio::test]
async fn the_description_names_the_known_sources_and_allows_the_ones_of_newer_versions() {
    let world = HttpFixture::new();
    let document = world.call("GET /openapi.json").await.json();
    let source = &document["components"]["schemas"]["Event"]["properties"]["source"];
    let known = EventSource::ALL.map(EventSource::as_str);
    assert_eq!(source["anyOf"][0]["enum"], json!(known));
    for name in known.into_iter().chain(["robot"]) {
        assert!(fits(source, &json!(name)), "{name}: {source}");
    }
    for no_text in [json!(7), json!(null), json!({})] {
        assert!(!fits(source, &no_text), "{no_text}: {source}");
    }

    let (id, other) = (world.created().await, "019aaf6b-5a00-7123-8456-0123456789ab");
    let key = |id: &str| Key { tenant: Tenant::default(), asset: id.parse().unwrap() };
    let line = world.journal.last(&key(&id)).await.unwrap().unwrap();
    let body = line.body.replace(&id, other).replace(r#""source":"api""#, r#""source":"robot""#);
    world.journal.append(&key(other), StoredLine { body, ..line }).await.unwrap();
    let history = world.call(&format!("GET /asset/{other}/history")).await.json();
    assert_eq!(history["events"][0]["source"], "robot", "{history}");
}

#[tokio::test]
async fn the_raw_chain_is_what_its_hashes_say() {
    let world = HttpFixture::new();
    let id = world.deleted().await;
    let line = format!("GET /asset/{id}/history");
    let events = world.call(&line).await.json()["events"].as_array().unwrap().clone();
    let raw = world.send(request(&line, &[("accept", "text/html, application/jsonl;q=0.9")], ""));
    let raw = raw.await;
    assert_eq!(raw.headers["content-type"], "application/jsonl");
    assert!(raw.body.ends_with('\n'));
    let hashes: Vec<_> = raw.body.lines().map(|l| Hash::of(l.as_bytes()).to_string()).collect();
    assert_eq!(hashes.len(), 4);
    for (event, hash) in events.iter().zip(&hashes) {
        assert_eq!(event["hash"], *hash);
    }
}

#[tokio::test]
async fn a_proof_is_the_line_that_a_checkpoint_had_for_that_version() {
    let world = HttpFixture::new();
    let id = world.deleted().await;
    let events = world.call(&format!("GET /asset/{id}/history")).await.json();
    for (version, event) in (1_u64..).zip(events["events"].as_array().unwrap()) {
        let proof = world.call(&format!("GET /asset/{id}/proof?version={version}")).await.json();
        let hash = event["hash"].as_str().unwrap();
        let line =
            format!(r#"{{"tenant":"main","asset":"{id}","version":{version},"hash":"{hash}"}}"#);
        assert_eq!(proof["head"], line);
        let leaf = Hash::of(&[&[0], line.as_bytes()].concat()).to_string();
        assert_eq!((&proof["leaf"], &proof["last_version"]), (&leaf.into(), &4.into()));
    }
    let last = world.call(&format!("GET /asset/{id}/proof")).await.json();
    assert_eq!((&last["version"], &last["hash"]), (&4.into(), &last["last_hash"]));
}

/// The four events of an asset, a millisecond or more apart, are at 0, 1, 2 and 3.
#[tokio::test]
async fn a_part_of_a_history_is_of_what_was_asked_for() {
    let world = HttpFixture::new();
    let id = world.deleted().await;
    let line = format!("GET /asset/{id}/history");
    let events = world.call(&line).await.json()["events"].as_array().unwrap().clone();
    let at = |nth: usize| events[nth]["at"].as_str().unwrap();
    for (query, versions) in [
        ("type=uploaded".to_owned(), vec![3]),
        ("actor=anonymous".to_owned(), vec![1, 2, 3, 4]),
        ("actor=anonymou".to_owned(), vec![]),
        ("actor=anonymous&type=soft_deleted".to_owned(), vec![4]),
        (format!("since={}", at(1)), vec![2, 3, 4]),
        (format!("until={}", at(1)), vec![1]),
        (format!("since={}&until={}", at(1), at(3)), vec![2, 3]),
        (format!("since={}&limit=2", at(1)), vec![2, 3]),
        (format!("since={}&limit=2&cursor=3", at(1)), vec![4]),
        ("until=9999-12-31T23:59:59Z".to_owned(), vec![1, 2, 3, 4]),
    ] {
        let answer = world.call(&format!("{line}?{query}")).await.json();
        let shown = answer["events"].as_array().unwrap();
        let shown: Vec<_> = shown.iter().map(|it| it["version"].as_u64().unwrap()).collect();
        assert_eq!(shown, versions, "{query}");
        let more = query.contains("limit=2") && !query.contains("cursor");
        assert_eq!(answer["next_cursor"].as_str(), more.then_some("3"), "{query}");
    }
}

#[tokio::test]
async fn the_link_of_the_feed_leads_through_all_that_happens() {
    let world = HttpFixture::new();
    let ids = [world.deleted().await, world.uploaded().await];
    let mut path = "/events?limit=3&actor=anonymous".to_owned();
    let mut told = Vec::new();
    for _ in 0..5 {
        let answer = world.call(&format!("GET {path}")).await;
        let link = answer.headers["link"].to_str().unwrap();
        assert!(link.starts_with("</events?limit=3&actor=anonymous&after="), "{link}");
        path = link[1..].split('>').next().unwrap().to_owned();
        let events = answer.json()["events"].as_array().unwrap().clone();
        told.extend(events.iter().map(|it| it["asset_id"].as_str().unwrap().to_owned()));
    }
    assert_eq!(told, [vec![ids[0].clone(); 4], vec![ids[1].clone(); 3]].concat());
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let world = HttpFixture::new();
    let id = world.created().await;
    let answer = world.call(&format!("HEAD /asset/{id}/state")).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, ""));
    assert_eq!(answer.headers["etag"], "\"1\"");
}
