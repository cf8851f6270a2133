//! The function behind the HTTP API.

use asset_ledger::lambda::{api, compose, function::Function};
use lambda_http::service_fn;
use tower::ServiceExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let function = Function::start()?;
    let router = compose::router().await?;
    lambda_http::run(service_fn(|request| {
        let answer = router.clone().oneshot(api::request(request));
        function.answer(answer)
    }))
    .await
}
