//! A whole service in memory, with a repeatable clock and repeatable randomness.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use ledger::access::{AccessCommand, AccessService, ApiKey, KeyName, KeyRequest, Scope};
use ledger::asset::{Asset, Declaration, UploadKind};
use ledger::error::StoreErrorKind;
use ledger::history::History;
use ledger::id::{Key, PartitionKey, StreamKey};
use ledger::journal::{Appended, Arrival, Arrivals, Journal, JournalDecorator};
use ledger::objects::{CurrentObject, ObjectVersion, Objects};
use ledger::record::{EventSource, StoredLine};
use ledger::service::{Caller, LedgerService};
use ledger::testing::MemoryJournal;
use ledger::url_log::{UrlLog, UrlLogStream};
use ledger::{Effects, StoreError, command_label, time};
use projections::feed::ArrivalFeed;
use projections::testing::MemoryViews;
use projections::views::{AssetPage, ListQuery, ViewsDecorator};
use projections::{Reader, TotalsReader};
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt;

use crate::http::{
    AllowedHosts, Api, AuthMode, Check, IamGrants, Limits, MetricsSource, NotReady, router,
};
use crate::jwt::TokenVerifier;
use crate::presign::{Presigned, Presigner};

/// The service and all its parts.
pub(crate) struct HttpFixture {
    pub(crate) app: Router,
    pub(crate) journal: Arc<Moody>,
    pub(crate) bucket: Arc<FixtureBucket>,
    pub(crate) ready: Arc<Mutex<Option<String>>>,
    pub(crate) access: Arc<AccessService>,
}

/// An answer, read completely.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl HttpFixture {
    pub(crate) fn new() -> Self {
        Self::with(AllowedHosts::Any, Limits::default())
    }

    pub(crate) fn with(hosts: AllowedHosts, limits: Limits) -> Self {
        Self::guarded(AuthMode::None, hosts, limits, None)
    }

    /// The service that accepts tokens of these issuers, too.
    pub(crate) fn trusting(tokens: TokenVerifier) -> Self {
        let tokens = Some(Arc::new(tokens));
        Self::guarded(AuthMode::Required, AllowedHosts::Any, Limits::default(), tokens)
    }

    /// The service as others decide about its callers.
    pub(crate) fn deciding(auth: AuthMode) -> Self {
        Self::guarded(auth, AllowedHosts::Any, Limits::default(), None)
    }

    /// The service behind API Gateway, for these callers.
    pub(crate) fn listing(iam: IamGrants) -> Self {
        let limits = (AllowedHosts::Any, Limits::default());
        Self::composed(AuthMode::Gateway, limits, None, Some(Arc::new(iam)))
    }

    pub(crate) fn guarded(
        auth: AuthMode,
        hosts: AllowedHosts,
        limits: Limits,
        tokens: Option<Arc<TokenVerifier>>,
    ) -> Self {
        Self::composed(auth, (hosts, limits), tokens, None)
    }

    fn composed(
        auth: AuthMode,
        (hosts, limits): (AllowedHosts, Limits),
        tokens: Option<Arc<TokenVerifier>>,
        iam: Option<Arc<IamGrants>>,
    ) -> Self {
        let (journal, bucket) = (Arc::new(Moody::default()), Arc::new(FixtureBucket::default()));
        let effects = Arc::new(Repeating::default());
        let ready = Arc::new(Mutex::new(None));
        let tenant = "main".parse().unwrap();
        let service = LedgerService::new(journal.clone(), bucket.clone(), effects.clone(), "files");
        let totals = TotalsReader::new(
            journal.clone(),
            Arc::<MemoryViews>::default(),
            effects.clone(),
            Duration::from_secs(10),
        );
        let access = Arc::new(AccessService::new(journal.clone(), effects.clone()));
        let api = Api {
            access: access.clone(),
            urls: Arc::new(UrlLog::new(journal.clone(), effects.clone())),
            tokens,
            iam,
            auth,
            service: Arc::new(service),
            reader: Reader::new(journal.clone(), Arc::new(Folding(journal.clone()))),
            totals: Arc::new(totals),
            feed: Arc::new(ArrivalFeed::new(journal.clone())),
            presigner: Arc::new(Signer(effects.clone())),
            tenant,
            effects,
            checks: vec![Arc::new(Part(ready.clone())) as Arc<dyn Check>].into(),
            limits,
            hosts,
            meter: Some(Arc::new(Figure)),
        };
        Self { app: router(api), journal, bucket, ready, access }
    }

    /// A command on a tenant's access, by an operator.
    pub(crate) async fn operate(&self, tenant: &str, command: AccessCommand) {
        self.access.execute(&operator(tenant), &command).await.unwrap();
    }

    /// A new key of a tenant, which is created too.
    pub(crate) async fn key(&self, tenant: &str, scopes: &[Scope]) -> ApiKey {
        self.key_of(tenant, scopes, false).await
    }

    /// The same, perhaps of its own assets alone.
    pub(crate) async fn key_of(&self, tenant: &str, scopes: &[Scope], own_only: bool) -> ApiKey {
        self.operate(tenant, AccessCommand::Create).await;
        let (name, scopes) =
            (KeyName::new("one".into()).unwrap(), scopes.iter().copied().collect());
        let request = KeyRequest { name, scopes, own_only, expires_at: None };
        self.access.create_key(&operator(tenant), request, None).await.unwrap().0
    }

    /// Sends `METHOD /path` with a key.
    pub(crate) async fn call_as(&self, key: &ApiKey, line: &str) -> HttpAnswer {
        let bearer = format!("Bearer {}", key.reveal());
        self.send(request(line, &[("authorization", &bearer), ("x-request-id", "r")], "")).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> HttpAnswer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let body = String::from_utf8(bytes.into()).unwrap();
        HttpAnswer { status: parts.status, headers: parts.headers, body }
    }

    /// Sends `METHOD /path`.
    pub(crate) async fn call(&self, line: &str) -> HttpAnswer {
        self.send(request(line, &[], "")).await
    }

    /// A created asset's id.
    pub(crate) async fn created(&self) -> String {
        self.call("POST /asset").await.json()["id"].as_str().unwrap().to_owned()
    }

    /// A confirmed asset's id.
    pub(crate) async fn uploaded(&self) -> String {
        let id = self.created().await;
        self.bucket.put(&id, b"hello world");
        assert_eq!(self.call(&format!("PUT /asset/{id}")).await.status, 202);
        id
    }

    /// A deleted asset's id.
    pub(crate) async fn deleted(&self) -> String {
        let id = self.uploaded().await;
        assert_eq!(self.call(&format!("DELETE /asset/{id}")).await.status, 204);
        id
    }

    /// The number of events that were ever appended.
    pub(crate) async fn events(&self) -> usize {
        self.journal.inner.arrivals(0, usize::MAX).await.unwrap().len()
    }
}

fn operator(tenant: &str) -> Caller {
    let (tenant, actor, source) = (tenant.parse().unwrap(), "cli:ann".into(), EventSource::Cli);
    Caller { tenant, actor, source, request: "r".into(), own_only: false }
}

/// A request from its line, headers and body.
pub(crate) fn request(line: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

impl HttpAnswer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or("none").to_owned()
    }

    /// The answer in its wire format, with sorted headers and indented JSON.
    pub(crate) fn shown(&self) -> String {
        let mut shown = format!("{}\n", self.status);
        let headers: BTreeMap<_, _> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value)).collect();
        for (name, value) in headers {
            writeln!(shown, "{name}: {}", value.to_str().unwrap()).unwrap();
        }
        let spread = serde_json::from_str::<Value>(&self.body)
            .and_then(|value| serde_json::to_string_pretty(&value));
        let body = spread.unwrap_or_else(|_| self.body.clone());
        if body.is_empty() { shown } else { format!("{shown}\n{}\n", body.trim_end()) }
    }
}

/// The clock advances by a millisecond with every call.
#[derive(Default)]
struct Repeating {
    looks: AtomicU64,
    throws: AtomicU64,
}

impl Effects for Repeating {
    fn now(&self) -> DateTime<Utc> {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        time::parse("2026-11-23T08:00:00.000000Z").unwrap()
            + TimeDelta::milliseconds(i64::try_from(looks).unwrap())
    }

    fn random(&self) -> u128 {
        let throws = u128::from(self.throws.fetch_add(1, Ordering::Relaxed) + 1);
        throws.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }
}

/// The state of a store.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) enum Mood {
    #[default]
    Well,
    Fails(StoreErrorKind),
    /// Another writer is always faster.
    Races,
    /// The rows of lists are still being projected.
    Fills,
    /// As it is well, but the access log takes nothing.
    LogFails,
    Hangs,
    Panics,
}

/// A journal with injected faults.
#[derive(Default)]
pub(crate) struct Moody {
    inner: MemoryJournal,
    mood: Mutex<Mood>,
    labels: Mutex<BTreeMap<&'static str, usize>>,
}

impl Moody {
    pub(crate) fn feel(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// The labels of the calls since the last call of this.
    pub(crate) fn labels(&self) -> BTreeSet<&'static str> {
        self.calls().into_keys().collect()
    }

    /// The calls since the last call of this, by label.
    pub(crate) fn calls(&self) -> BTreeMap<&'static str, usize> {
        std::mem::take(&mut *self.labels.lock().unwrap())
    }

    fn count(&self) {
        *self.labels.lock().unwrap().entry(command_label::current()).or_default() += 1;
    }

    async fn bear(&self) -> Result<(), StoreError> {
        self.count();
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Well | Mood::Races | Mood::Fills | Mood::LogFails => Ok(()),
            Mood::Fails(kind) => {
                Err(StoreError::caused(kind, "secret context", "secret source".to_owned()))
            }
            Mood::Hangs => std::future::pending().await,
            Mood::Panics => panic!("secret panic"),
        }
    }
}

impl JournalDecorator for Moody {
    type Inner = MemoryJournal;

    fn inner(&self) -> &MemoryJournal {
        &self.inner
    }

    async fn around<T: Send>(
        &self,
        _: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.bear().await?;
        call.await
    }

    async fn append_to(
        &self,
        partition: &PartitionKey,
        line: StoredLine,
    ) -> Result<Appended, StoreError> {
        self.bear().await?;
        if *self.mood.lock().unwrap() == Mood::Races {
            // Not our bytes: those would be our own append whose reply was lost.
            return Ok(Appended::Taken(StoredLine { body: line.body + " ", ..line }));
        }
        if *self.mood.lock().unwrap() == Mood::LogFails && UrlLogStream::of(partition).is_some() {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "away"));
        }
        self.inner.append_to(partition, line).await
    }
}

#[async_trait]
impl Arrivals for Moody {
    async fn arrivals(&self, after: u64, limit: usize) -> Result<Vec<Arrival>, StoreError> {
        self.bear().await?;
        self.inner.arrivals(after, limit).await
    }

    fn latest(&self) -> watch::Receiver<u64> {
        self.inner.latest()
    }
}

/// Rows that are folded on every read.
struct Folding(Arc<Moody>);

impl ViewsDecorator for Folding {
    type Inner = MemoryViews;

    async fn inner(&self) -> Result<Arc<MemoryViews>, StoreError> {
        self.0.count();
        Ok(Arc::default())
    }

    async fn list(&self, query: &ListQuery) -> Result<AssetPage, StoreError> {
        self.0.bear().await?;
        let mut lines: BTreeMap<Key, Vec<StoredLine>> = BTreeMap::new();
        for arrival in self.0.inner.arrivals(0, usize::MAX).await? {
            lines.entry(arrival.key).or_default().push(arrival.line.unwrap());
        }
        let read = |(key, lines)| History::read(&key, lines).unwrap().unwrap().asset().clone();
        lines.retain(|key, _| key.tenant == query.tenant);
        let older = |asset: &Asset| query.after.is_none_or(|after| asset.key.asset < after);
        let mut assets: Vec<_> =
            lines.into_iter().rev().map(read).filter(|a| query.takes(a) && older(a)).collect();
        let more = assets.len() > query.limit;
        assets.truncate(query.limit);
        let next = assets.last().map(|asset| asset.key.asset).filter(|_| more);
        let incomplete = *self.0.mood.lock().unwrap() == Mood::Fills;
        Ok(AssetPage { assets, next, incomplete, ..AssetPage::default() })
    }
}

/// A versioned bucket.
#[derive(Default)]
pub(crate) struct FixtureBucket {
    objects: Mutex<HashMap<String, Vec<ObjectVersion>>>,
    stuck: AtomicBool,
    looks: AtomicU64,
}

impl FixtureBucket {
    /// Uploads bytes for an asset.
    pub(crate) fn put(&self, id: &str, bytes: &[u8]) {
        let mut objects = self.objects.lock().unwrap();
        let versions = objects.entry(format!("main/{id}")).or_default();
        versions.push(ObjectVersion {
            version_id: format!("v{}", versions.len() + 1),
            size: bytes.len() as u64,
            sha256: Some(ledger::chain::Hash::of(bytes).to_string()),
            etag: "5eb63bbbe01eeed093cb22bb8f5acdc3".to_owned(),
        });
    }

    /// Removes every version of an asset's object outside the ledger.
    pub(crate) fn lose(&self, id: &str) {
        self.objects.lock().unwrap().remove(&format!("main/{id}"));
    }

    /// Whether versions cannot be deleted, as under a retention rule.
    pub(crate) fn stick(&self, stuck: bool) {
        self.stuck.store(stuck, Ordering::Relaxed);
    }

    /// The number of reads so far.
    pub(crate) fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    fn of(&self, key: &Key) -> Vec<ObjectVersion> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.objects.lock().unwrap().get(&key.object()).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl Objects for FixtureBucket {
    async fn current(&self, key: &Key) -> Result<CurrentObject, StoreError> {
        Ok(self.of(key).pop().map_or(CurrentObject::Absent, CurrentObject::Object))
    }

    async fn exists(&self, key: &Key, version_id: &str) -> Result<bool, StoreError> {
        Ok(self.of(key).iter().any(|version| version.version_id == version_id))
    }

    async fn versions(&self, key: &Key) -> Result<Vec<String>, StoreError> {
        Ok(self.of(key).into_iter().map(|version| version.version_id).collect())
    }

    async fn delete(&self, key: &Key, version_id: &str) -> Result<(), StoreError> {
        if self.stuck.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut objects = self.objects.lock().unwrap();
        objects.entry(key.object()).or_default().retain(|v| v.version_id != version_id);
        Ok(())
    }
}

/// Signs nothing, but returns its parameters.
struct Signer(Arc<Repeating>);

impl Signer {
    fn signed(&self, method: &str, url: String, expires_in: Duration) -> Presigned {
        Presigned {
            method: method.to_owned(),
            url,
            headers: BTreeMap::new(),
            expires_at: self.0.now() + expires_in,
            expires_in: expires_in.as_secs(),
        }
    }
}

#[async_trait]
impl Presigner for Signer {
    async fn upload(
        &self,
        key: &Key,
        declared: &Declaration,
        expires_in: Duration,
    ) -> Result<Presigned, StoreError> {
        let mut signed = self.signed("PUT", format!("http://s3.test/{}", key.object()), expires_in);
        if declared.upload == UploadKind::Declared {
            signed.headers.insert("if-none-match".to_owned(), "*".to_owned());
        }
        Ok(signed)
    }

    async fn download(
        &self,
        key: &Key,
        version_id: &str,
        filename: Option<&str>,
        content_type: Option<&str>,
        expires_in: Duration,
    ) -> Result<Presigned, StoreError> {
        let (object, name, kind) =
            (key.object(), filename.unwrap_or("-"), content_type.unwrap_or("-"));
        let url = format!("http://s3.test/{object}?version={version_id}&name={name}&type={kind}");
        Ok(self.signed("GET", url, expires_in))
    }
}

/// A part of the service with a settable state.
struct Part(Arc<Mutex<Option<String>>>);

#[async_trait]
impl Check for Part {
    fn name(&self) -> &'static str {
        "bucket"
    }

    async fn check(&self) -> Result<(), NotReady> {
        self.0.lock().unwrap().clone().map_or(Ok(()), |problem| Err(NotReady(problem)))
    }
}

/// A source of one metric.
struct Figure;

#[async_trait]
impl MetricsSource for Figure {
    async fn text(&self) -> String {
        "things 1\n".to_owned()
    }
}
