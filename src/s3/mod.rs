//! The local S3 endpoint: one versioned bucket in a folder, for a service on one machine. s3s
//! implements the protocol and checks signatures; this module implements storage, visibility and
//! notifications like S3.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use http_body::Frame;
use ledger::Effects;
use ledger::absences::Absences;
use ledger::error::StoreError;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use stores::sqlite::Database;

mod absences;
mod checked;
mod conditions;
mod credentials;
mod deliver;
mod event;
mod folder;
mod folder_sync;
mod guard;
mod listing;
mod local_bucket;
mod outbox;
mod range;
mod refusal;
mod rows;
mod service;
mod signature;
mod spares;
mod staged;
mod store;
mod sync_threads;
#[cfg(test)]
mod testing;
mod upload;
mod view;

pub(crate) use self::folder::drafts_of;
pub use credentials::Credentials;
pub use deliver::{DeliveryOutcome, Receiver};
pub use event::REGION;
pub use local_bucket::LocalBucket;
pub use outbox::{Backlog, Outbox};

use crate::cors;
use crate::http::AllowedOrigins;
use event::NotificationSource;
use service::BucketService;
use store::ObjectStore;
use view::ObjectReads;

/// A bucket in a folder, and the notifications that it sends.
pub struct LocalS3 {
    store: Arc<ObjectStore>,
    effects: Arc<dyn Effects>,
}

impl LocalS3 {
    /// Opens the bucket in `dir`, or creates it, and finishes interrupted changes. Files without a
    /// row in the database are moved to `lost/`.
    ///
    /// # Errors
    /// As [`LocalS3::claim`].
    pub async fn open(
        dir: &Path,
        bucket: &str,
        effects: Arc<dyn Effects>,
    ) -> Result<Self, StoreError> {
        Self::claim(dir, bucket, effects)?.settle().await
    }

    /// Opens the bucket in `dir`, or creates it, without moving any file.
    ///
    /// # Errors
    /// `Misconfigured` if another process serves the folder, or if objects exist without the
    /// database; otherwise as [`stores::sqlite::Database::open`].
    pub fn claim(
        dir: &Path,
        bucket: &str,
        effects: Arc<dyn Effects>,
    ) -> Result<ClaimedBucket, StoreError> {
        let store = ObjectStore::open(dir, bucket, Arc::clone(&effects))?;
        Ok(ClaimedBucket(Self { store: Arc::new(store), effects }))
    }

    /// The file, for its checks and its end.
    #[must_use]
    pub fn database(&self) -> &Database {
        self.store.database()
    }

    /// The bucket without its endpoint, for this process.
    #[must_use]
    pub fn bucket(&self) -> LocalBucket {
        LocalBucket::of(Arc::clone(&self.store))
    }

    /// The undelivered notifications; [`Outbox::deliver`] delivers them.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        self.store.outbox.clone()
    }

    /// The notes about missing versions, stored with the bucket's rows.
    #[must_use]
    pub fn absences(&self) -> Arc<dyn Absences> {
        self.store.absences()
    }

    /// The endpoint, for requests signed with `credentials`. Scripts of pages on this machine and
    /// of `pages` may use it. Serve it with connect info, or notifications have 127.0.0.1 as every
    /// client's address.
    pub fn router(&self, credentials: &Credentials, pages: AllowedOrigins) -> Router {
        let mut service = S3ServiceBuilder::new(BucketService { store: Arc::clone(&self.store) });
        let secret = credentials.secret_key.clone();
        service.set_auth(SimpleAuth::from_single(credentials.access_key.clone(), secret));
        service.set_route(ObjectReads { store: Arc::clone(&self.store) });
        let (credentials, effects) = (Arc::new(credentials.clone()), Arc::clone(&self.effects));
        let door = Endpoint { service: service.build(), credentials, effects };
        Router::new().fallback(answer).with_state(door).layer(cors::layer(pages))
    }
}

/// A bucket that is locked by this process and not changed yet.
pub struct ClaimedBucket(LocalS3);

impl ClaimedBucket {
    /// The ids of files without a row in the database.
    ///
    /// # Errors
    /// If the folder or the database cannot be read.
    pub async fn strays(&self) -> Result<Vec<String>, StoreError> {
        let Self(LocalS3 { store, .. }) = self;
        let mut strays = store.strays().await?;
        strays.extend(store.unanswered().await?);
        Ok(strays)
    }

    /// Finishes interrupted changes, moves strays to `lost/`, and returns the bucket.
    ///
    /// # Errors
    /// If the folder cannot be changed.
    pub async fn settle(self) -> Result<LocalS3, StoreError> {
        self.0.store.settle().await?;
        Ok(self.0)
    }
}

#[derive(Clone)]
struct Endpoint {
    service: S3Service,
    credentials: Arc<Credentials>,
    effects: Arc<dyn Effects>,
}

async fn answer(State(door): State<Endpoint>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let request_id = format!("{:016X}", door.effects.random() >> 64);
    let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip().to_string());
    let source_ip = address.unwrap_or_else(|| "127.0.0.1".to_owned());
    parts.extensions.insert(NotificationSource { request_id: request_id.clone(), source_ip });
    // Only the path: a query contains a signature.
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let Credentials { access_key, secret_key } = &*door.credentials;
    let (answered, refused) = match guard::check(&parts, access_key) {
        Ok(claim) => {
            if let Some(host) = claim.host(&parts, secret_key) {
                parts.headers.insert(header::HOST, host);
            }
            let (seen, body) = (parts.clone(), s3s::Body::http_body_unsync(body));
            let answered = door.service.call(Request::from_parts(parts, body)).await.ok();
            (answered, Some((seen, claim)))
        }
        Err(refusal) => (refusal.to_http_response().ok(), None),
    };
    let spelt = answered.map(|mut answered| {
        let failed = answered.status().is_client_error() || answered.status().is_server_error();
        if failed {
            let expected = || refused.map(|(seen, claim)| claim.expected(&seen));
            let expected = || expected().unwrap_or_default();
            refusal::spell(&mut answered, &path, &request_id, expected);
        }
        answered
    });
    let mut response = spelt.map_or_else(
        || StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        IntoResponse::into_response,
    );
    if response.status() == StatusCode::NOT_MODIFIED {
        *response.body_mut() = axum::body::Body::new(EmptyBody);
    }
    let status = response.status().as_u16();
    tracing::debug!(%method, path, status, request_id, "answered");
    mark(&mut response, &request_id);
    response
}

/// The body of an answer without one. axum would send the length of an empty body, which a client
/// would take for the object's.
struct EmptyBody;

impl http_body::Body for EmptyBody {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}

/// Headers of every answer.
fn mark(response: &mut Response, request_id: &str) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amz-request-id", id);
    }
    // An object is served with its declared type, without content sniffing by the browser.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
