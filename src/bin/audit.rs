//! The function that audits the whole ledger once a day.

use asset_ledger::lambda::{compose, function::Function};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde::de::IgnoredAny;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start()?;
    let handler = compose::auditor().await?;
    run(service_fn(async |_: LambdaEvent<IgnoredAny>| {
        function.answer(handler.look()).await.map(|it| it.count()).map_err(Error::from)
    }))
    .await
}
