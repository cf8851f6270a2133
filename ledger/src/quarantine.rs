//! The port to the assets on which commands are refused.

use async_trait::async_trait;

use crate::error::StoreError;
use crate::id::Key;

/// Knows the contradicted assets: a row has another event than the journal. An event appended to
/// such a history would hide the evidence, so commands on it are refused until an operator has
/// decided. Reads continue.
///
/// # Contract
/// * An asset that is set aside as contradicted is held within ten seconds in every process, and at
///   once in the process that set it aside. It is released with the same delay.
/// * The check costs a command no request: the answer was read before, or is read for many
///   commands.
#[async_trait]
pub trait Quarantine: Send + Sync {
    /// Whether commands on this asset are refused.
    async fn holds(&self, key: &Key) -> Result<bool, StoreError>;
}
