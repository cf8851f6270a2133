//! The requests, and their costs.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Asked;

/// One operation's use of one table.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Used {
    /// Requests, also failed.
    pub requests: u64,
    /// Read units, from the replies.
    pub read: f64,
    /// Write units, from the replies. A failed condition costs as much as a write, but its reply
    /// does not report it.
    pub write: f64,
}

/// Requests and units, by table and operation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UnitTally(BTreeMap<(String, String), Used>);

impl UnitTally {
    /// The total.
    #[must_use]
    pub fn total(&self) -> Used {
        self.0.values().fold(Used::default(), |all, used| Used {
            requests: all.requests + used.requests,
            read: all.read + used.read,
            write: all.write + used.write,
        })
    }

    /// An operation's use of a table.
    #[must_use]
    pub fn of(&self, table: &str, operation: &str) -> Used {
        self.0.get(&(table.to_owned(), operation.to_owned())).copied().unwrap_or_default()
    }

    /// The operations by table, and how often, as `(table, operation, times)`.
    #[must_use]
    pub fn operations(&self) -> Vec<(&str, &str, u64)> {
        let times = self.0.iter();
        times.map(|((table, operation), used)| (&**table, &**operation, used.requests)).collect()
    }

    /// Adds the requests and units of another tally.
    pub fn add(&mut self, other: &Self) {
        for (of, used) in &other.0 {
            let sum = self.0.entry(of.clone()).or_default();
            sum.requests += used.requests;
            sum.read += used.read;
            sum.write += used.write;
        }
    }

    pub(crate) fn ask(&mut self, asked: &Asked<'_>) {
        self.entry(asked).requests += 1;
    }

    pub(crate) fn answer(&mut self, asked: &Asked<'_>, answer: &str) {
        let answer: Value = serde_json::from_str(answer).unwrap_or_default();
        let consumed = &answer["ConsumedCapacity"];
        // A batch has a list, of each table.
        let of_table = if consumed.is_array() { &consumed[0] } else { consumed };
        let units = of_table["CapacityUnits"].as_f64().unwrap_or(0.0);
        let used = self.entry(asked);
        match asked.operation {
            "PutItem" | "UpdateItem" | "DeleteItem" | "BatchExecuteStatement" => {
                used.write += units;
            }
            _ => used.read += units,
        }
    }

    fn entry(&mut self, asked: &Asked<'_>) -> &mut Used {
        self.0.entry((asked.table.clone(), asked.operation.to_owned())).or_default()
    }
}
