//! What is heard of the crates beneath, whoever logs and in whatever form.

use tracing_subscriber::filter::{ParseError, Targets};

/// The crates beneath speak of what they sign; their spans and debug lines hold whole URLs, and
/// those of the functions' runtime whole requests, so they are heard only where something is
/// wrong. s3s calls every refusal of a client an error: it is not heard at all, what it answers is
/// logged by its caller.
const BENEATH: &str = "aws_config=warn,aws_smithy_runtime=warn,aws_sdk_s3=warn,\
    aws_sdk_dynamodb=warn,aws_sigv4=warn,aws_runtime=warn,s3s=off,hyper=warn,hyper_util=warn,\
    reqwest=warn,lambda_http=info,lambda_runtime=info,lambda_runtime_api_client=info";

/// A filter of what is `wanted`: a level, or levels by module.
pub(crate) fn filter(wanted: &str) -> Result<Targets, ParseError> {
    format!("{wanted},{BENEATH}").parse()
}
