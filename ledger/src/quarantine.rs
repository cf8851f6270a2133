//! The port to the assets that no command may touch.

use async_trait::async_trait;

use crate::error::StoreError;
use crate::id::Key;

/// Knows the assets that are contradicted: something else remembers another event than the
/// journal has. An event appended to such a history would bury the evidence, so commands on it are
/// refused until a person has decided. Reads go on.
///
/// # Contract
/// * An asset that was set aside as contradicted is held within ten seconds in every process, and
///   at once in the one that set it aside. It is let go of as late.
/// * Asking costs a command nothing: what is answered was read before, or is read for many.
#[async_trait]
pub trait Quarantine: Send + Sync {
    /// Whether commands on this asset are to be refused.
    async fn holds(&self, key: &Key) -> Result<bool, StoreError>;
}
