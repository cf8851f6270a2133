//! What can become of a request on the way.

use serde_json::Value;

/// Says what becomes of each request.
pub(crate) type Plan = Box<dyn FnMut(&Asked<'_>) -> Option<Fault> + Send>;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It never arrives, and the connection breaks.
    Lost,
    /// It takes effect, and the connection breaks before the reply.
    ReplyLost,
    /// It never arrives, and nothing is ever answered.
    Hang,
    /// It takes effect, and nothing is ever answered.
    ReplyHangs,
    /// It is refused with this status and code.
    Refused(u16, &'static str),
}

impl Fault {
    /// The table's capacity is used up.
    pub const THROTTLED: Self = Self::Refused(400, "ProvisionedThroughputExceededException");
    /// The account's capacity is used up.
    pub const THROTTLED_ACCOUNT: Self = Self::Refused(400, "ThrottlingException");
    /// Something broke in the service.
    pub const INTERNAL: Self = Self::Refused(500, "InternalServerError");
}

/// A request.
#[derive(Debug)]
pub struct Asked<'a> {
    /// `PutItem` and the like.
    pub operation: &'a str,
    /// Of which table; empty where none is named.
    pub table: String,
    /// The request as JSON.
    pub body: Value,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(operation: &'a str, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let table = body["TableName"].as_str().unwrap_or_default().to_owned();
        Self { operation, table, body }
    }
}
