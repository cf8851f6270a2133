//! Looking at an asset's object, after the load, and what came of it.

use super::{Looked, Refusal, Service};
use crate::asset::{Asset, Command, Event, Rejection, Sight, Status, decide};
use crate::error::StoreError;
use crate::history::History;
use crate::id::Key;
use crate::objects::Current;
use crate::record::CommandId;

impl Service {
    pub(super) async fn observe(
        &self,
        history: &History,
        looked: &mut Looked,
    ) -> Result<Option<(Event, Option<CommandId>)>, Refusal> {
        let asset = history.asset();
        let sight = match asset.status() {
            Status::Purging | Status::Purged => self.sweep(&asset.key, looked).await?,
            _ => self.sight(asset).await?,
        };
        looked.overwrite = is_overwrite(asset, &sight);
        Ok(self.news(history, &sight)?.map(|(event, command)| (event, Some(command))))
    }

    /// What the bucket shows of an asset that no event records, and a look would; nothing is
    /// changed. For an asset whose bytes are to be destroyed, or are, a look does more than record.
    pub async fn unrecorded(&self, history: &History) -> Result<Option<Event>, Refusal> {
        let asset = history.asset();
        if matches!(asset.status(), Status::Purging | Status::Purged) {
            return Ok(None);
        }
        let sight = self.sight(asset).await?;
        Ok(self.news(history, &sight)?.map(|(event, _)| event))
    }

    fn news(
        &self,
        history: &History,
        sight: &Sight,
    ) -> Result<Option<(Event, CommandId)>, Rejection> {
        let asset = history.asset();
        let event = decide(asset, &Command::Observe(sight.clone()))?;
        let seen = event.map(|event| (self.command_of_sight(asset, &event, sight), event));
        // Recorded before, and undone since: a restored asset whose delete marker still lies
        // there was not deleted again.
        let news = seen.filter(|(command, _)| history.by_command(command).is_none());
        Ok(news.map(|(command, event)| (event, command)))
    }

    /// What S3 shows now. Whether the pinned version exists is asked only where it matters.
    async fn sight(&self, asset: &Asset) -> Result<Sight, StoreError> {
        let current = self.objects.current(&asset.key).await?;
        let pin_exists = match &current {
            Current::Object(seen) if asset.is_pinned(&seen.version_id) => true,
            Current::Object(_) if asset.status() == Status::Received => true, // it is replaced
            _ => self.pin_exists(asset).await?,
        };
        if pin_exists {
            return Ok(Sight::Key { current, pin_exists });
        }
        // A version that is gone stays gone, but others may have come since the first question:
        // asked again, the answers fit together, and nobody's fresh bytes are taken for none.
        let current = self.objects.current(&asset.key).await?;
        Ok(Sight::Key { current, pin_exists })
    }

    pub(super) async fn pin_exists(&self, asset: &Asset) -> Result<bool, StoreError> {
        match &asset.pin {
            Some(pin) => self.objects.exists(&asset.key, &pin.version_id).await,
            None => Ok(true),
        }
    }

    async fn sweep(&self, key: &Key, looked: &mut Looked) -> Result<Sight, StoreError> {
        let versions = self.objects.versions(key).await?;
        for version_id in &versions {
            self.objects.delete(key, version_id).await?;
        }
        looked.swept += versions.len();
        let left = if versions.is_empty() { versions } else { self.objects.versions(key).await? };
        Ok(Sight::Swept { left: left.len() })
    }

    fn command_of_sight(&self, asset: &Asset, event: &Event, sight: &Sight) -> CommandId {
        let pin = asset.pin.as_ref().map(|pin| pin.version_id.as_str());
        let (version_id, replaced) = match (event, sight) {
            (Event::Received(seen), _) => (seen.version_id.as_str(), pin),
            (_, Sight::Key { current: Current::DeleteMarker { version_id }, pin_exists: true }) => {
                (version_id.as_str(), None)
            }
            _ => (pin.unwrap_or_default(), None),
        };
        CommandId::of_sight(&self.bucket, &asset.key, version_id, event.kind(), replaced)
    }
}

fn is_overwrite(asset: &Asset, sight: &Sight) -> bool {
    let Sight::Key { current: Current::Object(seen), pin_exists: true } = sight else {
        return false;
    };
    asset.status() == Status::Uploaded && !asset.is_pinned(&seen.version_id)
}
