//! A tenant's access, read from its stored lines and checked as a chain.

use crate::history::{HistoryError, HistoryFault, StreamChain};
use crate::id::{AccessStream, Tenant};
use crate::idempotency::RepeatableCommand;
use crate::record::{AccessRecord, CommandId, StoredLine};

use super::event::AccessEvent;
use super::state::TenantAccess;

/// All events of a tenant's access, complete and in order.
#[derive(Debug, Clone)]
pub struct AccessHistory {
    access: TenantAccess,
    lines: Vec<StoredLine>,
    chain: StreamChain,
}

impl AccessHistory {
    /// Reads the lines of a tenant's stream; `None` for no lines.
    pub fn read(tenant: &Tenant, lines: Vec<StoredLine>) -> Result<Option<Self>, HistoryError> {
        let mut lines = lines.into_iter();
        let Some(first) = lines.next() else { return Ok(None) };
        let version = first.version;
        let begun = Self::begin(tenant, first).map_err(|fault| HistoryError { version, fault })?;
        lines.try_fold(begun, Self::then).map(Some)
    }

    fn begin(tenant: &Tenant, line: StoredLine) -> Result<Self, HistoryFault> {
        let mut chain = StreamChain::new(AccessStream(tenant.clone()).into());
        chain.push(&line)?;
        let access = TenantAccess::begin(&AccessRecord::read_line(&line.body)?, line.hash())?;
        Ok(Self { access, lines: vec![line], chain })
    }

    /// The history after one more line.
    pub fn then(mut self, line: StoredLine) -> Result<Self, HistoryError> {
        let version = line.version;
        self.push(line).map_err(|fault| HistoryError { version, fault })?;
        Ok(self)
    }

    fn push(&mut self, line: StoredLine) -> Result<(), HistoryFault> {
        self.chain.push(&line)?;
        self.access.apply(&AccessRecord::read_line(&line.body)?, line.hash())?;
        self.lines.push(line);
        Ok(())
    }

    /// The access that the events fold to.
    #[must_use]
    pub fn access(&self) -> &TenantAccess {
        &self.access
    }

    /// The same, without the lines.
    #[must_use]
    pub fn into_access(self) -> TenantAccess {
        self.access
    }

    /// The stored lines, oldest first.
    #[must_use]
    pub fn lines(&self) -> &[StoredLine] {
        &self.lines
    }

    /// The event with this command.
    #[must_use]
    pub fn by_command(&self, command: &CommandId) -> Option<AccessEvent> {
        let version = self.chain.version_of(command)?;
        let line = self.lines.get(usize::try_from(version).ok()?.checked_sub(1)?)?;
        Some(AccessRecord::read_line(&line.body).ok()?.event)
    }

    /// Whether an event has the idempotency key of this command, with any request.
    #[must_use]
    pub fn has_key_of(&self, command: &RepeatableCommand) -> bool {
        self.chain.has_key_of(command)
    }
}
