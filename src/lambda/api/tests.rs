//! Requests of API Gateway, converted for the router.

use lambda_http::IntoResponse;
use lambda_http::request::LambdaRequest;
use ledger::access::Scope;
use serde_json::{Value, json};

use super::{behind_gateway, request};
use crate::http::AuthMode;
use crate::http::tests::world::{HttpAnswer, HttpFixture};

/// A request as API Gateway passes it to Lambda (HTTP API, payload 2.0).
fn event(line: &str, authorizer: &Value) -> Value {
    let (method, target) = line.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
        "headers": {
            "accept": "*/*", "host": "abcdefghij.execute-api.eu-central-1.amazonaws.com",
            "x-amzn-trace-id": "Root=1-5e66d96f-7491f09xmpl79d18acf3d050",
            "x-forwarded-for": "1.2.3.4", "x-forwarded-port": "443", "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "123456789012", "apiId": "abcdefghij", "authorizer": authorizer,
            "domainName": "abcdefghij.execute-api.eu-central-1.amazonaws.com",
            "domainPrefix": "abcdefghij",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1",
                "sourceIp": "1.2.3.4", "userAgent": "curl/8"},
            "requestId": "JKJaXmPLvHcESHA=", "routeKey": "$default", "stage": "$default",
            "time": "23/Nov/2026:08:00:00 +0000", "timeEpoch": 1_795_420_800_000_u64,
        },
        "isBase64Encoded": false,
    })
}

fn jwt(claims: &Value) -> Value {
    json!({"jwt": {"claims": claims, "scopes": null}})
}

fn iam() -> Value {
    json!({"iam": {
        "accessKey": "ARIA2ZJZYVUEREEIHAKY", "accountId": "123456789012",
        "callerId": "AROA7ZJZYVRE7C3DUXHH6:session", "cognitoIdentity": null,
        "principalOrgId": "aws:PrincipalOrgID",
        "userArn": "arn:aws:sts::123456789012:assumed-role/uploader/session",
        "userId": "AROA7ZJZYVRE7C3DUXHH6:session",
    }})
}

async fn send(world: &HttpFixture, event: &Value) -> HttpAnswer {
    let given: LambdaRequest = serde_json::from_value(event.clone()).unwrap();
    world.send(request(given.into())).await
}

/// The event that a creation recorded.
async fn recorded(event: &Value) -> Value {
    let world = HttpFixture::deciding(AuthMode::Gateway);
    let answer = send(&world, event).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let history = self::event(&format!("GET /asset/{id}/history"), &iam());
    send(&world, &history).await.json()["events"][0].clone()
}

#[tokio::test]
async fn who_asks_is_whom_the_authorizer_found() {
    let token = json!({"iss": "https://issuer.example/pool", "sub": "auth0|7", "exp": "1"});
    for (authorizer, actor) in [
        (jwt(&token), "https://issuer.example/pool|auth0|7"),
        (iam(), "arn:aws:sts::123456789012:assumed-role/uploader/session"),
    ] {
        let event = recorded(&event("POST /asset", &authorizer)).await;
        assert_eq!((&event["actor"], &event["source"]), (&actor.into(), &"api".into()));
    }
}

#[tokio::test]
async fn whoever_was_let_in_without_a_name_is_not_recorded_as_anonymous() {
    let world = HttpFixture::deciding(AuthMode::Gateway);
    let issuer = "https://issuer.example/pool";
    for authorizer in [
        jwt(&json!({"iss": issuer})),
        jwt(&json!({"iss": issuer, "sub": ""})),
        jwt(&json!({"sub": "auth0|7"})),
        json!({"lambda": {"iss": "a", "sub": "b"}}),
    ] {
        let answer = send(&world, &event("POST /asset", &authorizer)).await;
        assert_eq!((answer.status.as_u16(), world.events().await), (401, 0), "{authorizer}");
        assert_eq!(answer.json()["code"], "caller.nameless");
        assert_eq!(answer.headers["www-authenticate"], "Bearer error=\"invalid_token\"");
    }
}

#[tokio::test]
async fn a_request_that_no_authorizer_let_in_is_refused() {
    let world = HttpFixture::deciding(AuthMode::Gateway);
    let mut event = event("POST /asset", &Value::Null);
    for name in ["x-actor", "actor", "x-amzn-oidc-identity", "authorization"] {
        let answer = send(&world, &event).await;
        assert_eq!((answer.status.as_u16(), world.events().await), (401, 0));
        assert_eq!(answer.json()["code"], "credential.missing");
        assert_eq!(answer.headers["www-authenticate"], "Bearer realm=\"asset-ledger\"");
        event["headers"][name] = "Bearer root".into();
    }
    assert_eq!(send(&world, &self::event("GET /healthz", &Value::Null)).await.status, 200);
}

#[tokio::test]
async fn a_function_that_checks_keys_itself_ignores_the_authorizer() {
    let world = HttpFixture::deciding(AuthMode::Required);
    let key = world.key("acme", &[Scope::Read]).await;
    let mut event = event("GET /me", &iam());
    let refused = send(&world, &event).await;
    assert_eq!(refused.json()["code"], "credential.missing");
    event["headers"]["authorization"] = format!("Bearer {}", key.reveal()).into();
    let me = send(&world, &event).await.json();
    assert_eq!((&me["tenant"], &me["method"]), (&"acme".into(), &"api_key".into()));
}

#[tokio::test]
async fn a_client_says_nothing_of_who_it_is() {
    let mut event = event("POST /asset", &iam());
    for name in ["x-actor", "actor", "x-amzn-oidc-identity", "authorization"] {
        event["headers"][name] = "Bearer root".into();
    }
    assert_eq!(recorded(&event).await["actor"], iam()["iam"]["userArn"]);
}

#[tokio::test]
async fn a_request_has_the_gateway_s_name_unless_the_client_gives_it_one() {
    let mut event = event("POST /asset", &iam());
    assert_eq!(recorded(&event).await["request"], "JKJaXmPLvHcESHA=");
    event["headers"]["x-request-id"] = "mine-1".into();
    assert_eq!(recorded(&event).await["request"], "mine-1");
    event["headers"]["x-request-id"] = "not fit".into();
    assert_eq!(recorded(&event).await["request"], "JKJaXmPLvHcESHA=");
    event["requestContext"]["requestId"] = "x".repeat(65).into();
    assert_eq!(recorded(&event).await["request"].as_str().unwrap().len(), 36, "a fresh one");
}

#[tokio::test]
async fn bodies_and_queries_arrive_as_they_were_sent() {
    let mut event = event("POST /asset", &iam());
    event["headers"]["content-type"] = "application/json".into();
    event["body"] = r#"{"filename":"ä +%20.pdf"}"#.into();
    assert_eq!(recorded(&event).await["data"]["filename"], "ä +%20.pdf");
    event["isBase64Encoded"] = true.into();
    event["body"] = "eyJmaWxlbmFtZSI6ImIucGRmIn0=".into();
    assert_eq!(recorded(&event).await["data"]["filename"], "b.pdf");

    let world = HttpFixture::deciding(AuthMode::Gateway);
    let asked = |line: String| self::event(&line, &iam());
    let created = send(&world, &asked("POST /asset".to_owned())).await.json();
    let id = created["id"].as_str().unwrap();
    let deleted = asked(format!("DELETE /asset/{id}?reason=a%20b%2Bc"));
    assert_eq!(send(&world, &deleted).await.status, 204);
    let events = send(&world, &asked(format!("GET /asset/{id}/history"))).await.json();
    assert_eq!(events["events"][1]["data"]["reason"], "a b+c");
}

#[tokio::test]
async fn a_named_stage_is_not_part_of_the_path() {
    let world = HttpFixture::deciding(AuthMode::Gateway);
    for (stage, path, status) in [
        ("$default", "/healthz", 200),
        ("dev", "/dev/healthz", 200),
        ("dev", "/healthz", 200),
        ("dev", "/dev/readyz?x=1", 200),
        ("dev", "/dev", 404),
        ("dev", "/develop/healthz", 404),
        ("$default", "/dev/healthz", 404),
    ] {
        let mut event = event(&format!("GET {path}"), &iam());
        event["requestContext"]["stage"] = stage.into();
        assert_eq!(send(&world, &event).await.status, status, "{stage} {path}");
    }
}

#[tokio::test]
async fn what_a_browser_asks_first_is_answered_and_goes_no_further() {
    let mut world = HttpFixture::deciding(AuthMode::Gateway);
    world.app = behind_gateway(world.app);
    for path in ["/asset", "/asset/019aaf6b-5a00-7123-8456-0123456789ab/purge", "/nowhere"] {
        let mut event = event(&format!("OPTIONS {path}"), &Value::Null);
        event["headers"]["origin"] = "https://app.example".into();
        event["headers"]["access-control-request-method"] = "POST".into();
        let answer = send(&world, &event).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""), "{path}");
    }
    let created = send(&world, &event("POST /asset", &iam())).await;
    assert_eq!(created.status, 201, "what follows is asked for as ever");
}

#[tokio::test]
async fn answers_are_text_for_the_gateway_not_base64() {
    let world = HttpFixture::deciding(AuthMode::Gateway);
    for line in ["GET /healthz", "GET /nowhere", "GET /openapi.json"] {
        let given: LambdaRequest = serde_json::from_value(event(line, &Value::Null)).unwrap();
        let response = tower::ServiceExt::oneshot(world.app.clone(), request(given.into())).await;
        let body = response.unwrap().into_response().await.into_body();
        assert!(matches!(body, lambda_http::Body::Text(_)), "{line}");
    }
}
