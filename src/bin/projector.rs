//! The function behind the journal's stream.

use asset_ledger::lambda::{compose, function::Function};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start()?;
    let handler = compose::projector().await?;
    run(service_fn(async |batch: LambdaEvent<_>| {
        let answer = handler.receive(&batch.payload, batch.context.deadline());
        function.answer(answer).await.map_err(Error::from)
    }))
    .await
}
