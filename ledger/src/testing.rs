//! What shows that an adapter keeps its port's contract, and doubles for the simulation. Compiled
//! with the feature `testing` only, which no production build turns on.
//!
//! Chance, the clock, lost replies and latency all come from a seed: a run that failed can be run
//! again.

pub mod absences;
pub mod effects;
pub mod faults;
pub mod journal;
pub mod objects;
pub mod streams;

pub use effects::{Chance, TestEffects};
pub use faults::{Faults, FaultyJournal, persist};
pub use objects::MemoryBucket;

/// Implements [`Scan`](crate::journal::Scan) for a test's journal by the journal in its field.
#[macro_export]
macro_rules! scan_by_field {
    ($journal:ty, $field:ident) => {
        #[async_trait::async_trait]
        impl $crate::journal::Scan for $journal {
            async fn segments(
                &self,
                count: u32,
            ) -> Result<Vec<$crate::journal::scan::Segment>, $crate::StoreError> {
                self.$field.segments(count).await
            }

            async fn page(
                &self,
                segment: &$crate::journal::scan::Segment,
                after: Option<&$crate::journal::scan::ScanPosition>,
            ) -> Result<$crate::journal::scan::Scanned, $crate::StoreError> {
                self.$field.page(segment, after).await
            }
        }
    };
}
