//! Details that the derived description lacks: the limits that the code enforces, each taken from
//! its constant, and for every error an example of the problem.

use axum::http::StatusCode;
use ledger::access::Scope;
use ledger::asset::{
    CONTENT_TYPE_MAX, Event, FILENAME_MAX, REASON_MAX, SIZE_MAX, TAGS_BYTES_MAX, TAGS_MAX,
};
use ledger::idempotency::KEY_MAX;
use ledger::record::EventSource;
use serde_json::{Map, Value, json};

use crate::http::errors::{Code, PROBLEM_JSON};
use crate::http::wire::params::{ACTOR_MAX, AFTER_MAX, PAGE, PAGE_MAX};

/// A SHA-256 in an answer.
const HASH: &str = "^[0-9a-f]{64}$";
/// A key's id.
const KEY_ID: &str = "^[0-9a-f]{16}$";
/// The header that names a request.
const KEY: &str = "Idempotency-Key";
/// Characters of an id; the cursor of a list is an id.
const ID: usize = 36;
/// Characters that no text of a client may contain, as a class of a pattern: control characters,
/// line ends, and those that change the direction of writing.
const UNSAFE: &str = r"\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069";

/// Completes the description; with tokens, if any are accepted.
pub(super) fn complete(document: &mut Value, with_tokens: bool) {
    let (schemas, paths) = ("/components/schemas", "/paths");
    if let Some(Value::Object(schemas)) = document.pointer_mut(schemas) {
        complete_schemas(schemas);
    }
    if let Some(Value::Object(paths)) = document.pointer_mut(paths) {
        for (path, item) in paths.iter_mut() {
            for (method, operation) in item.as_object_mut().into_iter().flatten() {
                complete_parameters(path, operation);
                complete_answers(path, method, operation);
                if with_tokens {
                    complete_tokens(operation);
                }
            }
        }
    }
}

fn complete_schemas(schemas: &mut Map<String, Value>) {
    let hash = json!({"pattern": HASH});
    let states = json!({"enum": ["CREATED", "RECEIVED", "UPLOADED", "DELETED", "PURGED"]});
    let id = json!({"format": "uuid"});
    let from_one = json!({"minimum": 1});
    let key_id = json!({"pattern": KEY_ID});
    let scope = json!({"type": "string", "enum": Scope::ALL.map(Scope::as_str)});
    for (schema, field, rule) in [
        ("AssetEvent", "asset_id", &id),
        ("Confirmed", "status", &json!({"enum": ["UPLOADED"]})),
        ("Created", "id", &id),
        ("GivenUrl", "stream", &json!({"pattern": "^urls-[0-9]{8}-[0-9]+$"})),
        ("Declared", "sha256", &hash),
        ("Download", "asset_id", &id),
        ("Event", "hash", &hash),
        ("Event", "prev", &hash),
        ("Event", "source", &open_names(&EventSource::ALL.map(EventSource::as_str))),
        ("Event", "version", &from_one),
        ("File", "sha256", &hash),
        ("Health", "status", &json!({"enum": ["ok", "ready"]})),
        ("History", "asset_id", &id),
        ("Item", "asset_id", &id),
        ("NewAsset", "content_type", &content_type()),
        ("NewAsset", "filename", &filename()),
        ("NewAsset", "size", &json!({"minimum": 0, "maximum": SIZE_MAX})),
        ("NewAsset", "tags", &tags()),
        ("Key", "actor", &json!({"pattern": "^key:[0-9a-f]{16}/[0-9]+$"})),
        ("Key", "id", &key_id),
        ("Me", "method", &json!({"enum": ["anonymous", "api_key", "jwt", "iam"]})),
        ("NewKey", "name", &json!({"pattern": format!("^[^{UNSAFE}]+$")})),
        ("NewKey", "scopes", &json!({"minItems": 1, "items": scope})),
        ("Problem", "status", &json!({"minimum": 400, "maximum": 599})),
        ("Problem", "type", &json!({"const": "about:blank"})),
        ("Proof", "asset_id", &id),
        ("Proof", "hash", &hash),
        ("Proof", "leaf", &hash),
        ("Proof", "last_hash", &hash),
        ("Proof", "version", &from_one),
        ("Proof", "last_version", &from_one),
        ("Standing", "state", &states),
        ("Standing", "version", &from_one),
        ("State", "asset_id", &id),
        ("State", "head", &hash),
        ("State", "upload", &json!({"enum": ["plain", "declared"]})),
        ("Urls", "asset_id", &id),
        ("Upload", "method", &json!({"const": "PUT"})),
    ] {
        if let Some(found) = schemas.get_mut(schema).and_then(|schema| own(schema, field)) {
            merge(found, rule);
        }
    }
    for body in ["NewAsset", "NewKey", "KeyRotation", "NewUploadToken"] {
        if let Some(body) = schemas.get_mut(body) {
            merge(body, &json!({"additionalProperties": false}));
        }
    }
}

/// A text with known values, to which a newer program may add others.
fn open_names(known: &[&str]) -> Value {
    json!({"anyOf": [{"enum": known}, {"type": "string"}]})
}

fn content_type() -> Value {
    let token = r"[A-Za-z0-9!#$&\-^_.+]+";
    let pattern = format!("^{token}/{token} *(;[ -~]*)?$");
    json!({"maxLength": CONTENT_TYPE_MAX, "pattern": pattern})
}

fn filename() -> Value {
    let pattern = format!(r"^[^/\\{UNSAFE}]+$");
    json!({"minLength": 1, "maxLength": FILENAME_MAX, "pattern": pattern,
        "not": {"enum": [".", ".."]}})
}

fn tags() -> Value {
    let name = json!({"type": "string", "maxLength": TAGS_BYTES_MAX});
    json!({"maxProperties": TAGS_MAX, "propertyNames": name, "additionalProperties": name})
}

/// A property of the schema itself, not of a schema that it is composed of.
fn own<'a>(schema: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    if schema.get("properties").is_some() {
        return schema.get_mut("properties")?.get_mut(field);
    }
    let parts = schema.get_mut("allOf")?.as_array_mut()?.iter_mut();
    parts.filter_map(|part| part.get_mut("properties")).find_map(|all| all.get_mut(field))
}

fn merge(into: &mut Value, rule: &Value) {
    if let (Value::Object(into), Value::Object(rule)) = (into, rule) {
        into.extend(rule.clone());
    }
}

fn complete_parameters(path: &str, operation: &mut Value) {
    let Some(Value::Array(parameters)) = operation.get_mut("parameters") else { return };
    for parameter in parameters {
        let name = parameter["name"].as_str().unwrap_or_default();
        if let Some(schema) = parameter_schema(path, name) {
            parameter["schema"] = schema;
        }
    }
}

/// The schema of a parameter. The code limits bytes, which are never fewer than characters.
fn parameter_schema(path: &str, name: &str) -> Option<Value> {
    Some(match name {
        "id" if path.starts_with("/keys") => json!({"type": "string", "pattern": KEY_ID}),
        "id" => json!({"type": "string", "format": "uuid"}),
        "limit" => json!({"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE}),
        "cursor" if path == "/asset" => json!({"type": "string", "maxLength": ID}),
        "cursor" if path.ends_with("/urls") => {
            json!({"type": "string", "pattern": "^([0-9]{8}(-[0-9]{1,10}){4})?$"})
        }
        "cursor" => json!({"type": "string", "pattern": "^[0-9]*$"}),
        "state" => json!({"type": "string",
            "enum": ["CREATED", "RECEIVED", "UPLOADED", "DELETED"]}),
        "timeout" | "version" => json!({"type": "integer", "minimum": 1}),
        "as_of" | "since" | "until" => json!({"type": "string", "format": "date-time"}),
        "type" => json!({"type": "string", "enum": Event::KINDS}),
        "actor" => json!({"type": "string", "minLength": 1, "maxLength": ACTOR_MAX}),
        "after" => json!({"type": "string", "maxLength": AFTER_MAX}),
        "reason" => json!({"type": "string", "maxLength": REASON_MAX,
            "pattern": format!("^[^{UNSAFE}]*$")}),
        "If-Match" => json!({"type": "string", "pattern": r#"^(\*|(W/)?"[^"]*")$"#}),
        KEY => json!({"type": "string", "minLength": 1, "maxLength": KEY_MAX,
            "pattern": "^[!-~]+$"}),
        _ => return None,
    })
}

fn complete_answers(path: &str, method: &str, operation: &mut Value) {
    let names = operation["parameters"].as_array().into_iter().flatten();
    let names: Vec<_> =
        names.filter_map(|parameter| Some(parameter["name"].as_str()?.to_owned())).collect();
    let reads_body = operation["responses"].get("413").is_some();
    let keyed = operation["responses"].get("401").is_some();
    let Some(Value::Object(answers)) = operation.get_mut("responses") else { return };
    for (status, answer) in answers.iter_mut().filter(|(status, _)| status.as_str() >= "400") {
        let codes = match status.as_str() {
            "400" => invalid(path, &names, reads_body, keyed),
            "422" => vec![REUSED],
            other => codes(path, method, other, &names, keyed),
        };
        let content = &mut answer["content"][PROBLEM_JSON];
        let examples = codes.into_iter().map(|(code, detail)| {
            let (name, status) = code.facts();
            (name.to_owned(), json!({"value": problem(name, status, detail)}))
        });
        content["examples"] = Value::Object(examples.collect());
    }
}

/// The refusals of a token, and of those who have neither a token nor a key.
fn complete_tokens(operation: &mut Value) {
    if operation["responses"].get("401").is_none() {
        return;
    }
    for (code, detail) in [
        (Code::CredentialMissing, "this needs an API key or a token: Authorization: Bearer …"),
        (Code::ScopeMissing, "this needs an API key or a token with the scope read"),
    ] {
        let (name, status) = code.facts();
        let content = &mut operation["responses"][status.as_str()]["content"][PROBLEM_JSON];
        if let Some(example) = content["examples"].get_mut(name) {
            *example = json!({"value": problem(name, status, detail)});
        }
    }
    for (code, detail) in [
        (Code::TokenInvalid, "the token is not accepted: its exp is past, missing or no time"),
        (Code::IssuerUnavailable, "the issuer of the token does not give its keys"),
    ] {
        let (name, status) = code.facts();
        let content = &mut operation["responses"][status.as_str()]["content"][PROBLEM_JSON];
        content["examples"][name] = json!({"value": problem(name, status, detail)});
    }
}

fn problem(code: &str, status: StatusCode, detail: &str) -> Value {
    json!({
        "type": "about:blank", "title": status.canonical_reason(), "status": status.as_u16(),
        "detail": detail, "code": code, "request_id": "0c5b3a52-6f6d-4f0e-9f52-8f7f7f0f9d00",
        "error_message": detail
    })
}

/// A code and its message.
type ErrorExample = (Code, &'static str);

/// Refusals of an unreadable request, by its possible parts.
fn invalid(path: &str, parameters: &[String], reads_body: bool, keyed: bool) -> Vec<ErrorExample> {
    let told = |name: &String| {
        Some(match name.as_str() {
            "limit" => (Code::LimitInvalid, "limit: must be a number from 1 to 1000"),
            "cursor" => (Code::CursorInvalid, "cursor: must be the next_cursor of the page before"),
            "state" => {
                (Code::StateInvalid, "state: must be one of CREATED, RECEIVED, UPLOADED, DELETED")
            }
            "timeout" => (
                Code::TimeoutInvalid,
                "timeout: must be a whole number of seconds, 1 or more, in digits",
            ),
            "version" => {
                (Code::VersionInvalid, "version: must be a whole number, 1 or more, in digits")
            }
            "as_of" => {
                (Code::AsOfInvalid, "as_of: must be an RFC 3339 time such as 2026-11-23T08:00:00Z")
            }
            "type" => (Code::TypeInvalid, "type: must be one of created, received, uploaded, …"),
            "actor" => (Code::ActorInvalid, "actor: must be 1 to 128 bytes, as a history shows it"),
            "since" => (Code::SinceInvalid, "since: must be an RFC 3339 time"),
            "until" => (Code::UntilInvalid, "until: must be an RFC 3339 time"),
            "after" => (Code::AfterInvalid, "after: must be the next of a page of this ledger"),
            "reason" => (Code::QueryInvalid, "reason: must be at most 256 bytes, not 300"),
            "If-Match" => {
                (Code::IfMatchInvalid, "If-Match: must be one entity tag such as \"3\", or *")
            }
            KEY => (
                Code::IdempotencyKeyInvalid,
                "Idempotency-Key: must be one value of 1 to 128 visible ASCII characters",
            ),
            _ => return None,
        })
    };
    let mut all: Vec<_> = parameters.iter().filter_map(told).collect();
    if reads_body {
        all.push((Code::BodyInvalid, "size: must be a whole number of bytes"));
    }
    if keyed {
        let detail = "On-Behalf-Of: must be 1 to 64 visible ASCII characters";
        all.push((Code::OnBehalfOfInvalid, detail));
    }
    let few = parameters.iter().all(|name| name == KEY);
    if path != "/asset" && few
        || !few && !all.iter().any(|(_, detail)| detail.starts_with("reason"))
    {
        all.push((Code::QueryInvalid, "\"lmit\": is not a parameter of this path"));
    }
    all
}

const REUSED: ErrorExample = (
    Code::IdempotencyReused,
    "Idempotency-Key: was used for another request; a new request needs a new key",
);

const NOT_FOUND: &str = "ASSET 019aaf6b-5a00-7123-8456-0123456789ab not found";

/// The refusals of a caller.
fn forbidden(path: &str, method: &str, keyed: bool) -> Vec<Option<ErrorExample>> {
    use Code as C;
    let if_keyed = |code: C, detail| keyed.then_some((code, detail));
    vec![
        if_keyed(C::ScopeMissing, "this needs an API key with the scope read")
            .filter(|_| path != "/me"),
        if_keyed(C::OwnOnlyForbidden, "this tells of the whole tenant")
            .filter(|_| ["/usage", "/events", "/access"].contains(&path)),
        if_keyed(C::TenantSuspended, "the tenant is suspended; its operator knows more"),
        if_keyed(C::UploadUndeclared, "this tenant's uploads must be declared")
            .filter(|_| method == "post" && ["/asset", "/asset/{id}/upload-url"].contains(&path)),
        if_keyed(C::UploadOutside, "an upload token creates and confirms its own uploads"),
        if_keyed(C::QuotaExceeded, "this tenant's limit assets is 10, and 10 are used")
            .filter(|_| method == "post" && path == "/asset"),
        Some((C::HostForbidden, "this server does not answer under that name")),
        Some((C::OriginForbidden, "pages of this origin may not use this API")),
        (path == "/asset/{id}" && method == "get").then_some((
            C::AssetNotDownloadable,
            "Unable to download: Asset 019aaf6b-5a00-7123-8456-0123456789ab is marked as \
             CREATED, must be marked UPLOADED to retrieve.",
        )),
    ]
}

/// The refusals for a while.
fn unavailable(path: &str, method: &str) -> Vec<Option<ErrorExample>> {
    use Code as C;
    let changes = |of: &str| method != "get" && path.starts_with(of);
    let gives_urls =
        [("post", "/asset"), ("get", "/asset/{id}"), ("post", "/asset/{id}/upload-url")];
    vec![
        (path == "/readyz").then_some((C::NotReady, "a part of the service is not ready")),
        (path == "/asset" && method == "get")
            .then_some((C::ListIncomplete, "the rows that lists are made of are being made")),
        Some((C::StoreUnavailable, "a store is away; try again later")),
        Some((C::RequestTimeout, "the request took too long; try again")),
        changes("/keys").then_some((C::AccessContended, "it is changing too fast; try again")),
        changes("/asset")
            .then_some((C::AssetContended, "the asset is changing too fast; try again")),
        gives_urls
            .contains(&(method, path))
            .then_some((C::UrlsContended, "this tenant's log of URLs is changing too fast")),
    ]
}

/// The refusals of a change of keys by its rules.
fn key_conflicts(path: &str, method: &str) -> Vec<Option<ErrorExample>> {
    use Code as C;
    let gives = |code: C, detail| (method == "post").then_some((code, detail));
    vec![
        Some((C::AccessFull, "the tenant's access has as many events as it may have")),
        Some((C::AccessOutOfTime, "the event would be at no such time")),
        gives(C::KeyLimit, "the tenant has 100 live keys, the most it may have"),
        gives(C::KeyWidened, "the key would reach all assets, and its maker only its own"),
        gives(C::KeyShownOnce, "this request created key 5bf8a4d0c1e27f36 before"),
        gives(C::KeyEnded, "key 5bf8a4d0c1e27f36 has ended").filter(|_| path.ends_with("/rotate")),
    ]
}

/// The other refusals of a request.
fn codes(
    path: &str,
    method: &str,
    status: &str,
    parameters: &[String],
    keyed: bool,
) -> Vec<ErrorExample> {
    use Code as C;
    let takes = |name: &str| parameters.iter().any(|it| it == name);
    let on = |wanted: &str, code: C, detail| (path == wanted).then_some((code, detail));
    let if_takes = |name: &str, code: C, detail| takes(name).then_some((code, detail));
    let restore = "/asset/{id}/restore";
    let (of_keys, of_assets) = (path.starts_with("/keys"), path.starts_with("/asset"));
    let of_access = of_keys || path == "/access";
    let told: Vec<Option<ErrorExample>> = match status {
        "401" => vec![
            Some((C::CredentialMissing, "this needs an API key: Authorization: Bearer alk_…")),
            Some((C::CredentialInvalid, "the API key is not accepted")),
        ],
        "403" => forbidden(path, method, keyed),
        "404" => vec![
            if_takes("id", C::AssetNotFound, NOT_FOUND).filter(|_| of_assets),
            if_takes("id", C::KeyNotFound, "there is no such key").filter(|_| of_keys),
            of_access.then_some((C::TenantNotFound, "the tenant was not created")),
            if_takes("version", C::VersionNotFound, "there is no such version"),
            (!takes("id") && !of_access)
                .then_some((C::PathUnknown, "there is nothing at this path")),
        ],
        "408" => vec![Some((C::BodyTimeout, "the body did not come; send it again"))],
        "409" if of_keys => key_conflicts(path, method),
        "409" => vec![
            (of_assets && path.contains("{id}") && method != "get").then_some((
                C::AssetFull,
                "the asset has as many events as one can have; delete and purge it",
            )),
            (of_assets && path.contains("{id}") && method != "get").then_some((
                C::AssetOutOfTime,
                "the event would be at a time that cannot be recorded",
            )),
            on("/upload-tokens", C::KeyOutdated, "this key was created before upload tokens"),
            on(restore, C::AssetNotDeleted, "it is not deleted"),
            on(restore, C::AssetBeingPurged, "it is being purged"),
            on(restore, C::AssetBytesGone, "its bytes are gone"),
            on("/asset/{id}/purge", C::AssetNotDeleted, "it is not deleted"),
            on("/asset/{id}/upload-url", C::AssetNotAwaitingUpload, "bytes were received already"),
        ],
        "410" => vec![
            of_assets.then_some((C::AssetPurged, "it was purged")),
            on("/events", C::AfterExpired, "after: is older than this feed keeps events"),
        ],
        "412" => vec![
            if_takes("If-Match", C::VersionConflict, "the asset is at version 3"),
            (method == "put").then_some((
                C::AssetStateIncorrect,
                "ASSET 019aaf6b-5a00-7123-8456-0123456789ab state incorrect: State: \"CREATED\" \
                 must be one of ['RECEIVED', 'UPLOADED']",
            )),
            (method == "put").then_some((C::UploadMismatch, "the bytes are not as declared")),
        ],
        "413" => vec![
            Some((C::BodyTooLarge, "the body is over 65536 bytes")),
            on("/asset", C::UploadTooLarge, "size: must be at most 5368709120 bytes (5 GiB)"),
        ],
        "415" => {
            vec![Some((C::BodyUnsupported, "a body must be of Content-Type application/json"))]
        }
        "429" => vec![Some((C::RateLimited, "a caller may make 50 requests a second"))],
        "500" => vec![
            Some((C::Internal, "something went wrong here; the log knows more")),
            Some((C::StoreMisconfigured, "a store is missing, or of another shape")),
            Some((C::HistoryBroken, "what is stored cannot be read as it was written")),
            Some((C::EventUnknown, "a newer version of asset-ledger wrote an event of it")),
            (method != "get" && of_assets && path != "/asset").then_some((
                C::HistoryContradicted,
                "its history and its row contradict each other; nothing is changed",
            )),
        ],
        "503" => unavailable(path, method),
        _ => Vec::new(),
    };
    told.into_iter().flatten().collect()
}
