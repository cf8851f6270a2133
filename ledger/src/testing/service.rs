//! Commands without an idempotency key, each by its name, as tests write them.

use crate::asset::{Declaration, Reason};
use crate::history::History;
use crate::id::AssetId;
use crate::service::{AssetChange, Caller, LedgerService, Refusal};

impl LedgerService {
    /// Creates an asset.
    pub async fn create(
        &self,
        caller: &Caller,
        declaration: Declaration,
    ) -> Result<History, Refusal> {
        Ok(self.create_once(caller, declaration, None).await?.history)
    }

    /// Confirms an upload.
    pub async fn confirm(
        &self,
        caller: &Caller,
        asset: AssetId,
        expected: Option<u64>,
    ) -> Result<History, Refusal> {
        Ok(self.change(caller, asset, expected, AssetChange::Confirm, None).await?.history)
    }

    /// Hides an asset.
    pub async fn delete(
        &self,
        caller: &Caller,
        asset: AssetId,
        expected: Option<u64>,
        reason: Option<Reason>,
    ) -> Result<History, Refusal> {
        Ok(self.change(caller, asset, expected, AssetChange::Delete(reason), None).await?.history)
    }

    /// Restores a deleted asset.
    pub async fn restore(
        &self,
        caller: &Caller,
        asset: AssetId,
        expected: Option<u64>,
    ) -> Result<History, Refusal> {
        Ok(self.change(caller, asset, expected, AssetChange::Restore, None).await?.history)
    }

    /// Destroys the bytes of a deleted asset.
    pub async fn purge(
        &self,
        caller: &Caller,
        asset: AssetId,
        expected: Option<u64>,
    ) -> Result<History, Refusal> {
        Ok(self.change(caller, asset, expected, AssetChange::Purge, None).await?.history)
    }
}
