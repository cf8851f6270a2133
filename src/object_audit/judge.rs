//! Compares an asset's files with its history.

use ledger::asset::{Asset, AssetStatus, Event};
use ledger::audit::{Finding, FindingKind};
use ledger::error::{self, StoreError, chain};
use ledger::history::History;
use ledger::objects::ObjectVersion;
use ledger::service::Refusal;

use super::ObjectAudit;
use crate::plural::{count, count_are};

/// The depth of the inspection of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectAuditDepth {
    /// The bucket's metadata of it.
    Described,
    /// Its bytes, read and hashed.
    Deep,
}

impl ObjectAudit {
    /// The differences between an asset's files and its history.
    pub(super) async fn judge(&self, history: &History) -> Result<Vec<Finding>, StoreError> {
        let asset = history.asset();
        if matches!(asset.status(), AssetStatus::Purging | AssetStatus::Purged) {
            return Ok(self.destroyed(asset).await?.into_iter().collect());
        }
        let pinned = match &asset.pin {
            Some(pin) => self.pinned(asset, pin).await?,
            None => None,
        };
        let news = match self.service.unrecorded(history).await {
            // The missing pinned version is reported already.
            Ok(Some(Event::Purged) | None) => None,
            Ok(Some(event)) => {
                let says = format!("the bucket shows what no event records: {}", event.kind());
                Some(tell(FindingKind::ObjectUnrecorded, asset, says))
            }
            Err(Refusal::Store(error)) => return Err(error),
            Err(refusal) => Some(tell(FindingKind::ObjectUnrecorded, asset, chain(&refusal))),
        };
        Ok(pinned.into_iter().chain(news).collect())
    }

    async fn destroyed(&self, asset: &Asset) -> Result<Option<Finding>, StoreError> {
        let left = self.inventory.versions(&asset.key).await?.len();
        let purged = asset.status() == AssetStatus::Purged;
        Ok(match left {
            0 if purged => None,
            0 => {
                let says = "the bucket shows what no event records: purged".to_owned();
                Some(tell(FindingKind::ObjectUnrecorded, asset, says))
            }
            left => {
                let when = if purged { "was destroyed" } else { "is to be destroyed" };
                let says = format!("it {when}, and {} there", count_are(left as u64, "version"));
                Some(tell(FindingKind::ObjectPresent, asset, says))
            }
        })
    }

    async fn pinned(
        &self,
        asset: &Asset,
        pin: &ObjectVersion,
    ) -> Result<Option<Finding>, StoreError> {
        let id = &pin.version_id;
        let altered = |says| Ok(Some(tell(FindingKind::ObjectAltered, asset, says)));
        let gone = || {
            let says = format!("version {id} is not there");
            Ok(Some(tell(FindingKind::ObjectMissing, asset, says)))
        };
        match self.inventory.version(&asset.key, id).await {
            Ok(None) => return gone(),
            Ok(Some(found)) => {
                if let Some(says) = differs(pin, &found) {
                    return altered(says);
                }
            }
            Err(error) if error.kind == error::StoreErrorKind::Corrupt => {
                return altered(chain(&error));
            }
            Err(error) => return Err(error),
        }
        if self.depth == ObjectAuditDepth::Described {
            return Ok(None);
        }
        match self.inventory.digest(&asset.key, id).await? {
            None => gone(),
            Some((size, _)) if size != pin.size => {
                altered(format!("its bytes are {size}, not {}", pin.size))
            }
            Some((_, sha256)) => match &pin.sha256 {
                Some(recorded) if *recorded != sha256.to_string() => {
                    altered(format!("its bytes hash to {sha256}, not {recorded}"))
                }
                // If the hash was never known, only the number of bytes can be compared.
                _ => Ok(None),
            },
        }
    }
}

/// Metadata of the version that changed since it was pinned.
fn differs(pin: &ObjectVersion, found: &ObjectVersion) -> Option<String> {
    let known = |version: &ObjectVersion| version.sha256.clone();
    if pin.size != found.size {
        return Some(format!("it has {}, not {}", count(found.size, "byte"), pin.size));
    }
    if let (Some(recorded), Some(now)) = (known(pin), known(found))
        && recorded != now
    {
        return Some(format!("its SHA-256 is {now}, not {recorded}"));
    }
    let (recorded, now) = (&pin.etag, &found.etag);
    (recorded != now).then(|| format!("its entity tag is {now}, not {recorded}"))
}

fn tell(kind: FindingKind, asset: &Asset, says: String) -> Finding {
    Finding::new(kind, asset.key.partition(), says).at(asset.version)
}
