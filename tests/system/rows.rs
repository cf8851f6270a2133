//! Rows that another program wrote to the file, in lists of assets.

use std::path::Path;

use reqwest::Method;
use rusqlite::Connection;
use serde_json::Value;

use crate::server::{ServeProcess, program};

async fn created(server: &ServeProcess, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let id = server.create().await["id"].as_str().unwrap().to_owned();
        server.wait_for_row(&id).await;
        ids.insert(0, id);
    }
    ids
}

async fn listed(server: &ServeProcess, query: &str) -> Vec<String> {
    let page = server.get(&format!("/asset{query}")).await;
    assert_eq!(page.status(), 200, "{query}");
    let page: Value = page.json().await.unwrap();
    let ids = page["items"].as_array().unwrap().iter();
    ids.map(|item| item["asset_id"].as_str().unwrap().to_owned()).collect()
}

async fn counted(server: &ServeProcess, name: &str) -> u64 {
    let metrics = server.get("/metrics").await.text().await.unwrap();
    let line = metrics.lines().find(|line| line.split(' ').next() == Some(name));
    line.and_then(|line| line.split(' ').nth(1)).unwrap().parse().unwrap()
}

fn verified(data: &Path) -> String {
    let mut verify = program();
    verify.args(["verify", "--json", "--patience", "1", "--data"]).arg(data);
    String::from_utf8(verify.output().unwrap().stdout).unwrap()
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_folded_counted_told_and_named_by_verify() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = ServeProcess::start(&data);
    let ids = created(&server, 4).await;
    let rows = Connection::open(data.join("views.sqlite")).unwrap();
    for (id, set) in [(&ids[1], "state = 'ARCHIVED'"), (&ids[2], "tags = 'no JSON'")] {
        let changed = rows.execute(&format!("UPDATE assets SET {set} WHERE sk = ?1"), [id]);
        assert_eq!(changed, Ok(1));
    }
    let before = counted(&server, "asset_ledger_rows_unreadable").await;
    for query in ["", "?state=CREATED", "?limit=4"] {
        assert_eq!(listed(&server, query).await, ids, "{query}");
    }
    assert_eq!(listed(&server, "?state=UPLOADED").await, [""; 0]);
    assert!(counted(&server, "asset_ledger_rows_unreadable").await >= before + 6);
    assert_eq!(counted(&server, "asset_ledger_list_left_out").await, 0);
    let log = server.log_text();
    for id in &ids[1..3] {
        let line = log.lines().find(|it| it.contains(id) && it.contains("cannot read a row"));
        let line: Value = serde_json::from_str(line.unwrap()).unwrap();
        assert_eq!(line["asset"], format!("main#{id}"));
        assert!(line["cause"].as_str().is_some_and(|cause| !cause.is_empty()), "{line}");
    }
    let found = verified(&data);
    for id in &ids[1..3] {
        assert!(found.lines().any(|it| it.contains(id) && it.contains("row-altered")), "{found}");
    }
    assert!(server.stop());
}

#[tokio::test]
async fn an_asset_with_neither_row_nor_history_is_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = ServeProcess::start(&data);
    let ids = created(&server, 3).await;
    let rows = Connection::open(data.join("views.sqlite")).unwrap();
    rows.execute("UPDATE assets SET head = 'garbage' WHERE sk = ?1", [&ids[1]]).unwrap();
    let journal = Connection::open(data.join("journal.sqlite")).unwrap();
    journal.execute_batch("DROP TRIGGER events_are_never_changed").unwrap();
    let edit = "UPDATE events SET body = 'garbage' WHERE pk = 'main#' || ?1";
    assert_eq!(journal.execute(edit, [&ids[1]]), Ok(1));
    assert_eq!(listed(&server, "").await, [ids[0].clone(), ids[2].clone()]);
    assert_eq!(counted(&server, "asset_ledger_list_left_out").await, 1);
    let log = server.log_text();
    let told = |line: &str| line.contains(&ids[1]) && line.contains("left out of a list");
    assert!(log.lines().any(told), "{log}");
    let command = server.request(Method::DELETE, &format!("/asset/{}", ids[0])).send().await;
    assert_eq!(command.unwrap().status(), 204, "the others are as they were");
    assert!(server.stop());
}
