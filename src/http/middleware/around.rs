//! The one layer around every route. A layer that wraps the next one copies all layers inside it
//! for every request, so the steps that need the request are in one layer, each as a function.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ledger::Effects;
use tracing::Instrument;

use super::access_log::AccessLogLine;
use super::origin::AllowedHosts;
use super::request_id::RequestId;
use super::{headers, legacy_envelope, problems};

/// What the steps need.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) effects: Arc<dyn Effects>,
    pub(crate) hosts: AllowedHosts,
}

/// Names the request, refuses other sites' pages, and writes the access log; writes errors as
/// problem details, in the original service's form for clients that request it; sets safe headers.
pub(crate) async fn answer(
    State(around): State<Surroundings>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = RequestId::name(&mut request, &*around.effects);
    // Of the highest level, so that warnings show their request at any filter.
    let span = tracing::error_span!("request", id = id.as_str());
    let steps = async {
        let wrapped = legacy_envelope::is_wanted(&request);
        let line = AccessLogLine::begin(&request);
        let answer = match around.hosts.check(&request) {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        };
        let answer = problems::render(answer, &id);
        line.write(&answer);
        if wrapped { legacy_envelope::wrap(answer).await } else { answer }
    };
    let mut answer = steps.instrument(span).await;
    headers::secure(answer.headers_mut());
    id.tell(answer.headers_mut());
    answer
}
