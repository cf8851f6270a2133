//! The usage of tenants, by request and by command, and its check against the journal.

use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::server::{ServeProcess, program};

#[tokio::test]
async fn usage_is_counted_shown_and_held_against_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = ServeProcess::start(&data);
    let id = server.received("twelve bytes").await;
    let declared = json!({"filename": "a.bin", "size": 30});
    let awaited = server.request(Method::POST, "/asset").json(&declared).send().await.unwrap();
    assert_eq!(awaited.status(), 201);
    let awaited: Value = awaited.json().await.unwrap();
    for id in [&id, awaited["id"].as_str().unwrap()] {
        server.wait_for_row(id).await;
    }
    let usage = server.get("/usage").await;
    assert_eq!(usage.status(), 200);
    let mut usage: Value = usage.json().await.unwrap();
    assert!(usage["asOf"].take().as_str().is_some_and(|at| at.ends_with('Z')));
    assert_eq!(usage, json!({"assets": 2, "awaiting": 1, "bytes": 42, "asOf": null}));
    assert_eq!(server.get("/usage?tenant=other").await.status(), 400);

    let run = |args: &[&str]| {
        let mut program = program();
        let ran = program.args(args).arg("--data").arg(&data).output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stdout).unwrap())
    };
    let (code, lines) = run(&["usage", "--format", "json"]);
    let mut line: Value = serde_json::from_str(&lines).unwrap();
    line["asOf"].take();
    assert_eq!(code, Some(0));
    let expected = json!({"tenant": "main", "assets": 2, "awaiting": 1, "bytes": 42, "asOf": null});
    assert_eq!(line, expected);
    let (_, table) = run(&["usage"]);
    assert!(table.contains("tenant") && table.contains("42"), "{table}");
    assert_eq!(run(&["verify"]).0, Some(0));

    let rows = Connection::open(data.join("views.sqlite")).unwrap();
    let alter = "UPDATE notes SET body = replace(body, '\"bytes\":42', '\"bytes\":4200') \
                 WHERE name = 'totals#1#main#'";
    assert_eq!(rows.execute(alter, []), Ok(1));
    let (code, found) = run(&["verify", "--json"]);
    assert_eq!(code, Some(1));
    assert!(found.contains("totals-drifted") && found.contains("bytes is 4200"), "{found}");
    run(&["verify", "--repair"]);
    assert_eq!(run(&["verify"]).0, Some(0));
    assert!(server.stop());
}
