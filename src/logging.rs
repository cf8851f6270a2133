//! The log levels of the libraries, and what may wait, for every program and format.

use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{ParseError, Targets};

/// The libraries log what they sign: their spans and debug lines contain whole URLs, and those of
/// the functions' runtime whole requests, so only their warnings are logged, at any filter. s3s
/// logs every refused request as an error, so it is not logged at all: its caller logs the answer.
const BENEATH: &str = "trace,aws_config=warn,aws_smithy_runtime=warn,aws_sdk_s3=warn,\
    aws_sdk_dynamodb=warn,aws_sigv4=warn,aws_runtime=warn,s3s=off,hyper=warn,hyper_util=warn,\
    reqwest=warn,lambda_http=info,lambda_runtime=info,lambda_runtime_api_client=info";

/// The name of lines that need not be written at once.
pub(crate) const MAY_WAIT: &str = "may wait";

/// The filter for `wanted`: a level, or levels by module.
pub(crate) fn filter<S: Subscriber>(wanted: &str) -> Result<impl Layer<S>, ParseError> {
    let (wanted, ceiling): (Targets, Targets) = (wanted.parse()?, BENEATH.parse()?);
    Ok(wanted.and_then(ceiling))
}

#[cfg(test)]
mod tests {
    use tracing::subscriber::with_default;
    use tracing::{Level, enabled};
    use tracing_subscriber::prelude::*;

    use super::*;

    #[test]
    fn no_filter_makes_those_beneath_tell_what_they_sign() {
        for wanted in ["trace", "s3s::service=trace", "aws_sigv4::http_request=trace,info"] {
            let heard = tracing_subscriber::registry().with(filter(wanted).unwrap());
            with_default(heard, || {
                assert!(!enabled!(target: "s3s::service", Level::ERROR), "{wanted}");
                assert!(!enabled!(target: "aws_sigv4::http_request", Level::DEBUG), "{wanted}");
            });
        }
        let heard = tracing_subscriber::registry().with(filter("info,asset_ledger=debug").unwrap());
        with_default(heard, || {
            assert!(enabled!(target: "asset_ledger::http", Level::DEBUG));
            assert!(enabled!(target: "aws_sigv4", Level::WARN) && !enabled!(Level::TRACE));
        });
    }
}
