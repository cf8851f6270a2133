//! Conformance suites for adapters of the ports, and test doubles for the simulation. They are
//! compiled only with the feature `testing`, which no production build enables.
//!
//! Randomness, the clock, lost replies and latency all come from a seed: a failed run can be
//! repeated.

pub mod absences;
pub mod effects;
pub mod faults;
pub mod journal;
pub mod key_uses;
pub mod objects;
pub mod reservations;
pub mod streams;

pub use effects::{Chance, TestEffects};
pub use faults::{Faults, FaultyJournal, persist};
pub use objects::MemoryBucket;

/// Implements [`Scan`](crate::journal::Scan) for a test's journal by delegating to its field.
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
