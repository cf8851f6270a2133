//! A table's settings besides its form: time to live, recovery, protection. Some endpoints lack
//! some of these, which is reported because users rely on them.

use std::time::Duration;

use anyhow::bail;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{
    PointInTimeRecoverySpecification, PointInTimeRecoveryStatus, TableDescription,
    TimeToLiveSpecification, TimeToLiveStatus,
};
use tokio::time::sleep;

use super::{Say, code, told};

/// The attribute of a row that holds its expiry.
pub(in crate::aws) const EXPIRES: &str = "expires_at";
/// The wait until a new table's backups are available.
const BACKUPS_WAIT: Duration = Duration::from_secs(2);
/// The number of such waits.
const BACKUPS_TRIES: u32 = 30;

/// One table.
pub(super) struct Extras<'a> {
    pub(super) client: &'a Client,
    pub(super) table: &'a str,
}

impl Extras<'_> {
    /// Turns on deletion protection.
    pub(super) async fn protect(
        &self,
        there: &TableDescription,
        say: Say<'_>,
    ) -> anyhow::Result<()> {
        let on = |table: Option<&TableDescription>| {
            table.and_then(TableDescription::deletion_protection_enabled) == Some(true)
        };
        let mut protected = on(Some(there));
        if !protected {
            let update = self.client.update_table().table_name(self.table);
            match update.deletion_protection_enabled(true).send().await {
                Ok(answer) => protected = on(answer.table_description.as_ref()),
                Err(error) if is_unknown(&error) => {}
                Err(error) => return Err(told("UpdateTable", self.table, &error)),
            }
        }
        self.tell("deletion protection", protected, "anybody who may drop it can", say);
        Ok(())
    }

    /// Turns on recovery to any second of the last 35 days.
    pub(super) async fn point_in_time(&self, say: Say<'_>) -> anyhow::Result<()> {
        let on = self.has_point_in_time().await? || self.begin_point_in_time().await?;
        self.tell("point-in-time recovery", on, "back it up by other means", say);
        Ok(())
    }

    async fn has_point_in_time(&self) -> anyhow::Result<bool> {
        let asked = self.client.describe_continuous_backups().table_name(self.table).send().await;
        match asked {
            Ok(answer) => {
                let backups = answer.continuous_backups_description();
                let point = backups.and_then(|it| it.point_in_time_recovery_description());
                let status = point.and_then(|it| it.point_in_time_recovery_status());
                Ok(status == Some(&PointInTimeRecoveryStatus::Enabled))
            }
            Err(error) if is_unknown(&error) => Ok(false),
            Err(error) => Err(told("DescribeContinuousBackups", self.table, &error)),
        }
    }

    /// Turns it on; `false` if the endpoint does not support it.
    async fn begin_point_in_time(&self) -> anyhow::Result<bool> {
        let wanted = PointInTimeRecoverySpecification::builder();
        let wanted = wanted.point_in_time_recovery_enabled(true).build()?;
        let update = self.client.update_continuous_backups().table_name(self.table);
        let update = update.point_in_time_recovery_specification(wanted);
        for _ in 0..BACKUPS_TRIES {
            match update.clone().send().await {
                Ok(_) => return Ok(true),
                Err(error) if is_unknown(&error) => return Ok(false),
                Err(error) if code(&error) == Some("ContinuousBackupsUnavailableException") => {
                    sleep(BACKUPS_WAIT).await;
                }
                Err(error) => return Err(told("UpdateContinuousBackups", self.table, &error)),
            }
        }
        bail!("{}: backups are still not ready; run this again later", self.table)
    }

    /// The TTL attribute of the table, if it has one; `None` on an endpoint without TTL.
    pub(super) async fn expiry(&self) -> anyhow::Result<Option<String>> {
        use TimeToLiveStatus::{Enabled, Enabling};
        let there = match self.client.describe_time_to_live().table_name(self.table).send().await {
            Ok(answer) => answer.time_to_live_description,
            Err(error) if is_unknown(&error) => None,
            Err(error) => return Err(told("DescribeTimeToLive", self.table, &error)),
        };
        let on = there.filter(|it| matches!(it.time_to_live_status(), Some(Enabled | Enabling)));
        Ok(on.map(|it| it.attribute_name.unwrap_or_else(|| "an unnamed attribute".to_owned())))
    }

    /// Turns on the expiry of tombstones. The check before excludes any other TTL attribute.
    pub(super) async fn time_to_live(&self, say: Say<'_>) -> anyhow::Result<()> {
        let on = self.expiry().await?.is_some() || self.begin_to_expire().await?;
        self.tell("time to live on expires_at", on, "tombstones stay for ever", say);
        Ok(())
    }

    /// Turns it on; `false` if the endpoint does not support it.
    async fn begin_to_expire(&self) -> anyhow::Result<bool> {
        let wanted = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES);
        let update = self.client.update_time_to_live().table_name(self.table);
        match update.time_to_live_specification(wanted.build()?).send().await {
            Ok(_) => Ok(true),
            Err(error) if is_unknown(&error) => Ok(false),
            Err(error) => Err(told("UpdateTimeToLive", self.table, &error)),
        }
    }

    fn tell(&self, what: &str, on: bool, otherwise: &str, say: Say<'_>) {
        let table = self.table;
        if on {
            return say(&format!("{table}: {what} is on"));
        }
        say(&format!("{table}: NO {what}: this endpoint has none, so {otherwise}"));
    }
}

/// Whether the endpoint does not support the call at all.
fn is_unknown<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    let codes =
        ["UnknownOperationException", "InvalidAction", "NotImplemented", "UnknownOperation"];
    code(error).is_some_and(|code| codes.contains(&code))
}
