//! The faults of a request on its way.

use serde_json::Value;

/// Returns each request's fault.
pub(crate) type Plan = Box<dyn FnMut(&Asked<'_>) -> Option<Fault> + Send>;

/// The fault of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It never arrives, and the connection breaks.
    Lost,
    /// It takes effect, and the connection breaks before the reply.
    ReplyLost,
    /// It never arrives, and no reply ever comes.
    Hang,
    /// It takes effect, and no reply ever comes.
    ReplyHangs,
    /// Only so many keys of a batch are processed. The reply names the others.
    Partly(usize),
    /// It is refused with this status and code.
    Refused(u16, &'static str),
}

impl Fault {
    /// The table's capacity is used up.
    pub const THROTTLED: Self = Self::Refused(400, "ProvisionedThroughputExceededException");
    /// The account's capacity is used up.
    pub const THROTTLED_ACCOUNT: Self = Self::Refused(400, "ThrottlingException");
    /// The service has an error.
    pub const INTERNAL: Self = Self::Refused(500, "InternalServerError");
}

/// A request.
#[derive(Debug)]
pub struct Asked<'a> {
    /// For example `PutItem`.
    pub operation: &'a str,
    /// The table; empty if the request has none.
    pub table: String,
    /// The request as JSON.
    pub body: Value,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(operation: &'a str, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let of_batch = || body["RequestItems"].as_object()?.keys().next().cloned();
        let table = body["TableName"].as_str().map(ToOwned::to_owned).or_else(of_batch);
        // `INSERT INTO "table" …`: all statements of a batch are of one table.
        let of_statement = || body["Statements"][0]["Statement"].as_str()?.split('"').nth(1);
        let table = table.or_else(|| of_statement().map(ToOwned::to_owned));
        let table = table.unwrap_or_default();
        Self { operation, table, body }
    }
}
