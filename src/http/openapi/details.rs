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

use super::KEY;
use crate::http::errors::{Code, PROBLEM_JSON};
use crate::http::wire::params::{ACTOR_MAX, AFTER_MAX, PAGE, PAGE_MAX};

/// A SHA-256 in an answer.
const HASH: &str = "^[0-9a-f]{64}$";
/// A key's id.
const KEY_ID: &str = "^[0-9a-f]{16}$";
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
                complete_answers(path, method, operation, with_tokens);
            }
        }
    }
}

fn complete_schemas(schemas: &mut Map<String, Value>) {
    let hash = json!({"pattern": HASH});
    let id = json!({"format": "uuid"});
    let from_one = json!({"minimum": 1});
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
        ("Key", "id", &json!({"pattern": KEY_ID})),
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
        (
            "Standing",
            "state",
            &json!({"enum": ["CREATED", "RECEIVED", "UPLOADED", "DELETED", "PURGED"]}),
        ),
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

/// What the refusals of an operation depend on.
struct OperationFacts<'a> {
    path: &'a str,
    method: &'a str,
    parameters: Vec<String>,
    reads_body: bool,
    /// Whether it needs a credential.
    keyed: bool,
    /// Whether a token is a credential.
    with_tokens: bool,
}

fn complete_answers(path: &str, method: &str, operation: &mut Value, with_tokens: bool) {
    let named = operation["parameters"].as_array().into_iter().flatten();
    let parameters = named.filter_map(|it| Some(it["name"].as_str()?.to_owned())).collect();
    let Some(Value::Object(answers)) = operation.get_mut("responses") else { return };
    let (reads_body, keyed) = (answers.contains_key("413"), answers.contains_key("401"));
    let facts = OperationFacts { path, method, parameters, reads_body, keyed, with_tokens };
    for (status, answer) in answers.iter_mut().filter(|(status, _)| status.as_str() >= "400") {
        let of_status = |code: Code| code.facts().1.as_str() == status;
        let here = EXAMPLES.iter().filter(|(code, _)| of_status(*code) && facts.answer(*code));
        let examples = here.map(|(code, detail)| {
            let (name, status) = code.facts();
            (name.to_owned(), json!({"value": problem(name, status, facts.detail(*code, detail))}))
        });
        answer["content"][PROBLEM_JSON]["examples"] = Value::Object(examples.collect());
    }
}

fn problem(code: &str, status: StatusCode, detail: &str) -> Value {
    json!({
        "type": "about:blank", "title": status.canonical_reason(), "status": status.as_u16(),
        "detail": detail, "code": code, "request_id": "0c5b3a52-6f6d-4f0e-9f52-8f7f7f0f9d00",
        "error_message": detail
    })
}

impl OperationFacts<'_> {
    fn takes(&self, parameter: &str) -> bool {
        self.parameters.iter().any(|name| name == parameter)
    }

    fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }

    /// Whether the operation can answer with this code, if it has an answer of the code's status.
    fn answer(&self, code: Code) -> bool {
        use Code as C;
        let Self { path, method, keyed, .. } = *self;
        let (of_keys, of_assets) = (path.starts_with("/keys"), path.starts_with("/asset"));
        let of_access = of_keys || path == "/access";
        let changes = method != "get";
        let changes_asset = changes && of_assets && path != "/asset";
        let uploads = self.is("post", "/asset") || self.is("post", "/asset/{id}/upload-url");
        let downloads = self.is("get", "/asset/{id}");
        let restores = path == "/asset/{id}/restore";
        let creates_key = of_keys && method == "post";
        match code {
            C::LimitInvalid => self.takes("limit"),
            C::CursorInvalid => self.takes("cursor"),
            C::StateInvalid => self.takes("state"),
            C::TimeoutInvalid => self.takes("timeout"),
            C::VersionInvalid | C::VersionNotFound => self.takes("version"),
            C::AsOfInvalid => self.takes("as_of"),
            C::TypeInvalid => self.takes("type"),
            C::ActorInvalid => self.takes("actor"),
            C::SinceInvalid => self.takes("since"),
            C::UntilInvalid => self.takes("until"),
            C::AfterInvalid => self.takes("after"),
            C::IfMatchInvalid | C::VersionConflict => self.takes("If-Match"),
            C::IdempotencyKeyInvalid => self.takes(KEY),
            C::QueryInvalid => path != "/asset" || self.parameters.iter().any(|name| name != KEY),
            C::BodyInvalid => self.reads_body,
            C::UploadTooLarge => path == "/asset",
            C::CredentialMissing
            | C::CredentialInvalid
            | C::OnBehalfOfInvalid
            | C::TenantSuspended
            | C::UploadOutside => keyed,
            C::TokenInvalid | C::IssuerUnavailable => keyed && self.with_tokens,
            C::ScopeMissing => keyed && path != "/me",
            C::OwnOnlyForbidden => keyed && ["/usage", "/events", "/access"].contains(&path),
            C::UploadUndeclared => keyed && uploads,
            C::QuotaExceeded => keyed && self.is("post", "/asset"),
            C::TenantNotFound => of_access,
            C::KeyOutdated => path == "/upload-tokens",
            C::KeyNotFound => of_keys && self.takes("id"),
            C::AccessFull | C::AccessOutOfTime => of_keys,
            C::KeyLimit | C::KeyWidened | C::KeyShownOnce => creates_key,
            C::KeyEnded => creates_key && path.ends_with("/rotate"),
            C::AccessContended => changes && of_keys,
            C::PathUnknown => !self.takes("id") && !of_access,
            C::AssetNotFound => of_assets && self.takes("id"),
            C::AssetPurged => of_assets,
            C::AfterExpired => path == "/events",
            C::AssetNotDownloadable => downloads,
            C::AssetStateIncorrect | C::UploadMismatch => method == "put",
            C::AssetFull | C::AssetOutOfTime | C::HistoryContradicted => changes_asset,
            C::AssetNotDeleted => restores || path == "/asset/{id}/purge",
            C::AssetBeingPurged | C::AssetBytesGone => restores,
            C::AssetNotAwaitingUpload => path == "/asset/{id}/upload-url",
            C::AssetContended => changes && of_assets,
            C::UrlsContended => uploads || downloads,
            C::ListIncomplete => self.is("get", "/asset"),
            C::NotReady => path == "/readyz",
            _ => true,
        }
    }

    fn detail<'a>(&self, code: Code, example: &'a str) -> &'a str {
        match code {
            Code::QueryInvalid if self.takes("reason") => {
                "reason: must be at most 256 bytes, not 300"
            }
            Code::CredentialMissing if self.with_tokens => {
                "this needs an API key or a token: Authorization: Bearer …"
            }
            Code::ScopeMissing if self.with_tokens => {
                "this needs an API key or a token with the scope read"
            }
            _ => example,
        }
    }
}

/// An example of the detail of each code.
const EXAMPLES: [(Code, &str); 70] = {
    use Code as C;
    [
        (C::LimitInvalid, "limit: must be a number from 1 to 1000"),
        (C::CursorInvalid, "cursor: must be the next_cursor of the page before"),
        (C::StateInvalid, "state: must be one of CREATED, RECEIVED, UPLOADED, DELETED"),
        (C::TimeoutInvalid, "timeout: must be a whole number of seconds, 1 or more, in digits"),
        (C::VersionInvalid, "version: must be a whole number, 1 or more, in digits"),
        (C::AsOfInvalid, "as_of: must be an RFC 3339 time such as 2026-11-23T08:00:00Z"),
        (C::TypeInvalid, "type: must be one of created, received, uploaded, …"),
        (C::ActorInvalid, "actor: must be 1 to 128 bytes, as a history shows it"),
        (C::SinceInvalid, "since: must be an RFC 3339 time"),
        (C::UntilInvalid, "until: must be an RFC 3339 time"),
        (C::AfterInvalid, "after: must be the next of a page of this ledger"),
        (C::IfMatchInvalid, "If-Match: must be one entity tag such as \"3\", or *"),
        (
            C::IdempotencyKeyInvalid,
            "Idempotency-Key: must be one value of 1 to 128 visible ASCII characters",
        ),
        (
            C::IdempotencyReused,
            "Idempotency-Key: was used for another request; a new request needs a new key",
        ),
        (C::QueryInvalid, "\"lmit\": is not a parameter of this path"),
        (C::BodyInvalid, "size: must be a whole number of bytes"),
        (C::BodyTimeout, "the body did not come; send it again"),
        (C::BodyTooLarge, "the body is over 65536 bytes"),
        (C::UploadTooLarge, "size: must be at most 5368709120 bytes (5 GiB)"),
        (C::BodyUnsupported, "a body must be of Content-Type application/json"),
        (C::CredentialMissing, "this needs an API key: Authorization: Bearer alk_…"),
        (C::CredentialInvalid, "the API key is not accepted"),
        (C::TokenInvalid, "the token is not accepted: its exp is past, missing or no time"),
        (C::IssuerUnavailable, "the issuer of the token does not give its keys"),
        (C::OnBehalfOfInvalid, "On-Behalf-Of: must be 1 to 64 visible ASCII characters"),
        (C::ScopeMissing, "this needs an API key with the scope read"),
        (C::OwnOnlyForbidden, "this tells of the whole tenant"),
        (C::TenantSuspended, "the tenant is suspended; its operator knows more"),
        (C::UploadUndeclared, "this tenant's uploads must be declared"),
        (C::UploadOutside, "an upload token creates and confirms its own uploads"),
        (C::QuotaExceeded, "this tenant's limit assets is 10, and 10 are used"),
        (C::RateLimited, "a caller may make 50 requests a second"),
        (C::HostForbidden, "this server does not answer under that name"),
        (C::OriginForbidden, "pages of this origin may not use this API"),
        (C::TenantNotFound, "the tenant was not created"),
        (C::KeyOutdated, "this key was created before upload tokens"),
        (C::KeyNotFound, "there is no such key"),
        (C::AccessFull, "the tenant's access has as many events as it may have"),
        (C::AccessOutOfTime, "the event would be at no such time"),
        (C::KeyLimit, "the tenant has 100 live keys, the most it may have"),
        (C::KeyWidened, "the key would reach all assets, and its maker only its own"),
        (C::KeyShownOnce, "this request created key 5bf8a4d0c1e27f36 before"),
        (C::KeyEnded, "key 5bf8a4d0c1e27f36 has ended"),
        (C::AccessContended, "it is changing too fast; try again"),
        (C::PathUnknown, "there is nothing at this path"),
        (C::AssetNotFound, "ASSET 019aaf6b-5a00-7123-8456-0123456789ab not found"),
        (C::VersionNotFound, "there is no such version"),
        (
            C::AssetNotDownloadable,
            "Unable to download: Asset 019aaf6b-5a00-7123-8456-0123456789ab is marked as \
             CREATED, must be marked UPLOADED to retrieve.",
        ),
        (
            C::AssetStateIncorrect,
            "ASSET 019aaf6b-5a00-7123-8456-0123456789ab state incorrect: State: \"CREATED\" \
             must be one of ['RECEIVED', 'UPLOADED']",
        ),
        (C::UploadMismatch, "the bytes are not as declared"),
        (C::VersionConflict, "the asset is at version 3"),
        (C::AssetFull, "the asset has as many events as one can have; delete and purge it"),
        (C::AssetOutOfTime, "the event would be at a time that cannot be recorded"),
        (C::AssetNotDeleted, "it is not deleted"),
        (C::AssetBeingPurged, "it is being purged"),
        (C::AssetBytesGone, "its bytes are gone"),
        (C::AssetNotAwaitingUpload, "bytes were received already"),
        (C::AssetPurged, "it was purged"),
        (C::AfterExpired, "after: is older than this feed keeps events"),
        (C::AssetContended, "the asset is changing too fast; try again"),
        (C::UrlsContended, "this tenant's log of URLs is changing too fast"),
        (C::ListIncomplete, "the rows that lists are made of are being made"),
        (
            C::HistoryContradicted,
            "its history and its row contradict each other; nothing is changed",
        ),
        (C::Internal, "something went wrong here; the log knows more"),
        (C::StoreMisconfigured, "a store is missing, or of another shape"),
        (C::HistoryBroken, "what is stored cannot be read as it was written"),
        (C::EventUnknown, "a newer version of asset-ledger wrote an event of it"),
        (C::StoreUnavailable, "a store is away; try again later"),
        (C::RequestTimeout, "the request took too long; try again"),
        (C::NotReady, "a part of the service is not ready"),
    ]
};
