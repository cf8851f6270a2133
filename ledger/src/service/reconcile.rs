//! Observes an asset's object, after the load, and reports the result.

use chrono::TimeDelta;

use super::{AbsenceProof, LedgerService, Reconciled, Refusal};
use crate::absences::Absence;
use crate::asset::{
    Asset, AssetStatus, Command, Event, ObservedObject, PinnedVersion, Rejection, decide,
};
use crate::error::StoreError;
use crate::history::History;
use crate::id::Key;
use crate::objects::CurrentObject;
use crate::record::CommandId;

/// A pinned version that is still missing this long after the first observation is gone.
const PATIENCE: TimeDelta = TimeDelta::minutes(15);

impl LedgerService {
    /// Observes an asset's object and returns the next event. `grounds`: why a missing pinned
    /// version may be considered gone.
    pub(super) async fn observe(
        &self,
        history: &History,
        grounds: &AbsenceProof,
        looked: &mut Reconciled,
    ) -> Result<Option<(Event, Option<CommandId>)>, Refusal> {
        let asset = history.asset();
        let mut sight = match asset.status() {
            AssetStatus::Purging | AssetStatus::Purged => self.sweep(&asset.key, looked).await?,
            _ => self.sight(asset).await?,
        };
        if let ObservedObject::Key { pin: pin @ PinnedVersion::Missing, .. } = &mut sight
            && self.is_gone(asset, grounds).await?
        {
            *pin = PinnedVersion::Gone;
        }
        looked.overwrite = is_overwrite(asset, &sight);
        looked.missing = matches!(sight, ObservedObject::Key { pin: PinnedVersion::Missing, .. });
        let news = self.news(history, &sight)?;
        let there = asset.pin.is_some()
            && matches!(sight, ObservedObject::Key { pin: PinnedVersion::There, .. });
        // An event that was just recorded made any note void: it is of an earlier asset version.
        let noted = looked.recorded == 0 && *grounds != AbsenceProof::NotAsked;
        if news.is_none() && there && noted {
            self.absences.ended(&asset.key).await?;
        }
        Ok(news.map(|(event, command)| (event, Some(command))))
    }

    /// Whether a pinned version that was not found is gone permanently.
    async fn is_gone(&self, asset: &Asset, grounds: &AbsenceProof) -> Result<bool, StoreError> {
        let Some(pin) = &asset.pin else { return Ok(false) };
        match grounds {
            AbsenceProof::NotAsked => return Ok(false),
            AbsenceProof::Accepted => return Ok(true),
            AbsenceProof::Removed(version_id) if *version_id == pin.version_id => return Ok(true),
            AbsenceProof::Removed(_) | AbsenceProof::Time => {}
        }
        let (key, version_id) = (asset.key.clone(), pin.version_id.clone());
        let absence = Absence { key, version_id, asset_version: asset.version };
        let now = self.effects.now();
        let first = self.absences.missed(&absence, now).await?;
        Ok(now - first > PATIENCE)
    }

    /// The event that reconciling would record, if the bucket shows an unrecorded change. Nothing
    /// is changed. Purging and purged assets are left out: reconciling them does more than record.
    pub async fn unrecorded(&self, history: &History) -> Result<Option<Event>, Refusal> {
        let asset = history.asset();
        if matches!(asset.status(), AssetStatus::Purging | AssetStatus::Purged) {
            return Ok(None);
        }
        let sight = self.sight(asset).await?;
        Ok(self.news(history, &sight)?.map(|(event, _)| event))
    }

    fn news(
        &self,
        history: &History,
        sight: &ObservedObject,
    ) -> Result<Option<(Event, CommandId)>, Rejection> {
        let asset = history.asset();
        let event = decide(asset, &Command::Observe(sight.clone()))?;
        let seen = event.map(|event| (self.command_of_sight(history, &event, sight), event));
        // Recorded before, and undone since: if the delete marker of a restored asset is still
        // there, the asset was not deleted again.
        let news = seen.filter(|(command, event)| {
            matches!(event, Event::Received(_)) || history.by_command(command).is_none()
        });
        Ok(news.map(|(command, event)| (event, command)))
    }

    /// Observes S3. The existence of the pinned version is requested only if it matters.
    async fn sight(&self, asset: &Asset) -> Result<ObservedObject, StoreError> {
        let current = self.objects.current(&asset.key).await?;
        let pin_exists = match &current {
            CurrentObject::Object(seen) if asset.is_pinned(&seen.version_id) => true,
            // The new object replaces it.
            CurrentObject::Object(_) if asset.status() == AssetStatus::Received => true,
            _ => self.pin_exists(asset).await?,
        };
        if pin_exists {
            return Ok(ObservedObject::Key { current, pin: PinnedVersion::There });
        }
        // A version that is gone stays gone, but others may have come since the first request. The
        // second request makes the answers consistent, so new bytes are not missed.
        let current = self.objects.current(&asset.key).await?;
        Ok(ObservedObject::Key { current, pin: PinnedVersion::Missing })
    }

    pub(super) async fn pin_exists(&self, asset: &Asset) -> Result<bool, StoreError> {
        match &asset.pin {
            Some(pin) => self.objects.exists(&asset.key, &pin.version_id).await,
            None => Ok(true),
        }
    }

    async fn sweep(
        &self,
        key: &Key,
        looked: &mut Reconciled,
    ) -> Result<ObservedObject, StoreError> {
        let versions = self.objects.versions(key).await?;
        for version_id in &versions {
            self.objects.delete(key, version_id).await?;
        }
        looked.swept += versions.len();
        let left = if versions.is_empty() { versions } else { self.objects.versions(key).await? };
        Ok(ObservedObject::Swept { left: left.len() })
    }

    fn command_of_sight(
        &self,
        history: &History,
        event: &Event,
        sight: &ObservedObject,
    ) -> CommandId {
        let asset = history.asset();
        let pin = asset.pin.as_ref().map(|pin| pin.version_id.as_str());
        let (version_id, replaced) = match (event, sight) {
            (Event::Received(seen), _) => (seen.version_id.as_str(), pin),
            (
                _,
                ObservedObject::Key {
                    current: CurrentObject::DeleteMarker { version_id },
                    pin: PinnedVersion::There,
                },
            ) => (version_id.as_str(), None),
            _ => (pin.unwrap_or_default(), None),
        };
        let of = |replaced| {
            CommandId::of_sight(&self.bucket, &asset.key, version_id, event.kind(), replaced)
        };
        let command = of(replaced);
        // The same version may replace the same other one twice, if that one was missing for a
        // while.
        match (event, history.by_command(&command)) {
            (Event::Received(_), Some(_)) => {
                of(Some(&format!("{} at {}", replaced.unwrap_or_default(), asset.version)))
            }
            _ => command,
        }
    }
}

fn is_overwrite(asset: &Asset, sight: &ObservedObject) -> bool {
    let ObservedObject::Key { current: CurrentObject::Object(seen), pin: PinnedVersion::There } =
        sight
    else {
        return false;
    };
    asset.status() == AssetStatus::Uploaded && !asset.is_pinned(&seen.version_id)
}
