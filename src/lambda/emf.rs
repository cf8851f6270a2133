//! Metrics as log lines that CloudWatch reads (Embedded Metric Format), without agent and calls.
//!
//! The metrics of an invocation are written at its end and then reset. The form is described in
//! CloudWatch's user guide, under "Specification: Embedded metric format".

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use serde_json::{Map, Value, json};

/// The namespace of the metrics in CloudWatch; alarms and dashboards name it.
pub const NAMESPACE: &str = "AssetLedger";
/// The value of the dimension `Service`.
pub const SERVICE: &str = "asset-ledger";
/// Values of one metric in a line: CloudWatch drops any more.
const VALUES_MAX: usize = 100;

/// The metrics since the last write. A clone shares them.
#[derive(Debug, Clone)]
pub struct Emf {
    function: Arc<str>,
    counted: Arc<Mutex<MetricsByLabels>>,
}

/// By labels, then by name. Each set of labels gets its own lines.
type MetricsByLabels = BTreeMap<BTreeMap<String, String>, BTreeMap<String, Measured>>;

#[derive(Debug, Clone, PartialEq)]
enum Measured {
    Count(u64),
    Level(f64),
    Values(Vec<f64>),
}

impl Emf {
    /// Metrics of a function, whose name is the dimension `Function`.
    #[must_use]
    pub fn new(function: &str) -> Self {
        Self { function: function.into(), counted: Arc::default() }
    }

    /// Writes the metrics and resets them.
    ///
    /// # Errors
    /// If the write fails; the metrics are reset all the same.
    pub fn flush(&self, now: DateTime<Utc>, out: &mut dyn Write) -> io::Result<()> {
        let counted = std::mem::take(&mut *self.counted());
        for (labels, mut measured) in counted {
            while !measured.is_empty() {
                let (line, rest) = split(measured);
                writeln!(out, "{}", self.line(now, &labels, line))?;
                measured = rest;
            }
        }
        out.flush()
    }

    fn line(
        &self,
        now: DateTime<Utc>,
        labels: &BTreeMap<String, String>,
        measured: BTreeMap<String, Measured>,
    ) -> Value {
        let all = [["Service", "Function"].as_slice()];
        let by_label: Vec<_> =
            all[0].iter().copied().chain(labels.keys().map(String::as_str)).collect();
        let dimensions: Vec<&[&str]> =
            if labels.is_empty() { all.to_vec() } else { vec![all[0], &by_label] };
        let metrics: Vec<_> =
            measured.keys().map(|name| json!({"Name": name, "Unit": unit(name)})).collect();
        let mut line = Map::new();
        let about = json!({"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics});
        let aws = json!({"Timestamp": now.timestamp_millis(), "CloudWatchMetrics": [about]});
        line.insert("_aws".to_owned(), aws);
        line.insert("Service".to_owned(), SERVICE.into());
        line.insert("Function".to_owned(), self.function.as_ref().into());
        line.extend(labels.iter().map(|(name, value)| (name.clone(), value.as_str().into())));
        line.extend(measured.into_iter().map(|(name, measured)| (name, measured.into())));
        Value::Object(line)
    }

    fn counted(&self) -> MutexGuard<'_, MetricsByLabels> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn metric(&self, key: &Key) -> Arc<Metric> {
        let labels = key.labels().map(|l| (l.key().to_owned(), l.value().to_owned())).collect();
        Arc::new(Metric { of: self.clone(), labels, name: key.name().to_owned() })
    }
}

/// The values that fit into one line, and the rest.
fn split(
    measured: BTreeMap<String, Measured>,
) -> (BTreeMap<String, Measured>, BTreeMap<String, Measured>) {
    let (mut line, mut rest) = (BTreeMap::new(), BTreeMap::new());
    for (name, mut measured) in measured {
        if let Measured::Values(values) = &mut measured
            && values.len() > VALUES_MAX
        {
            rest.insert(name.clone(), Measured::Values(values.split_off(VALUES_MAX)));
        }
        line.insert(name, measured);
    }
    (line, rest)
}

/// The unit of a metric, from its name as in Prometheus.
fn unit(name: &str) -> &'static str {
    if name.ends_with("_ms") { "Milliseconds" } else { "Count" }
}

impl From<Measured> for Value {
    fn from(measured: Measured) -> Self {
        match measured {
            Measured::Count(count) => count.into(),
            Measured::Level(level) => level.into(),
            Measured::Values(values) => values.into(),
        }
    }
}

/// One metric with its labels, shared with the code that counts.
struct Metric {
    of: Emf,
    labels: BTreeMap<String, String>,
    name: String,
}

impl Metric {
    fn change(&self, none: Measured, change: impl FnOnce(&mut Measured)) {
        let mut counted = self.of.counted();
        let measured = counted.entry(self.labels.clone()).or_default();
        change(measured.entry(self.name.clone()).or_insert(none));
    }

    fn count(&self, change: impl FnOnce(u64) -> u64) {
        self.change(Measured::Count(0), |measured| {
            if let Measured::Count(count) = measured {
                *count = change(*count);
            }
        });
    }

    fn level(&self, change: impl FnOnce(f64) -> f64) {
        self.change(Measured::Level(0.0), |measured| {
            if let Measured::Level(level) = measured {
                *level = change(*level);
            }
        });
    }
}

impl CounterFn for Metric {
    fn increment(&self, by: u64) {
        if by > 0 {
            self.count(|count| count.saturating_add(by));
        }
    }

    fn absolute(&self, at_least: u64) {
        self.count(|count| count.max(at_least));
    }
}

impl GaugeFn for Metric {
    fn increment(&self, by: f64) {
        self.level(|level| level + by);
    }

    fn decrement(&self, by: f64) {
        self.level(|level| level - by);
    }

    fn set(&self, to: f64) {
        self.level(|_| to);
    }
}

impl HistogramFn for Metric {
    fn record(&self, value: f64) {
        self.change(Measured::Values(Vec::new()), |measured| {
            if let Measured::Values(values) = measured {
                values.push(value);
            }
        });
    }
}

impl Recorder for Emf {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.metric(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.metric(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.metric(key))
    }
}

#[cfg(test)]
mod tests {
    use metrics::{counter, gauge, histogram, with_local_recorder};

    use super::*;

    fn written(emf: &Emf) -> Vec<String> {
        let mut out = Vec::new();
        let now = ledger::time::parse("2026-11-23T08:00:00.123456Z").unwrap();
        emf.flush(now, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    fn counted(count: impl FnOnce()) -> Vec<String> {
        let emf = Emf::new("stack-projector");
        with_local_recorder(&emf, count);
        written(&emf)
    }

    #[test]
    fn a_line_is_as_cloudwatch_reads_it() {
        let lines = counted(|| {
            counter!("asset_ledger_tamper").increment(1);
            counter!("asset_ledger_tamper").increment(2);
            histogram!("asset_ledger_visible_lag_ms").record(41.5);
            histogram!("asset_ledger_visible_lag_ms").record(7.0);
        });
        let golden = r#"{"Function":"stack-projector","Service":"asset-ledger","_aws":{"CloudWatchMetrics":[{"Dimensions":[["Service","Function"]],"Metrics":[{"Name":"asset_ledger_tamper","Unit":"Count"},{"Name":"asset_ledger_visible_lag_ms","Unit":"Milliseconds"}],"Namespace":"AssetLedger"}],"Timestamp":1795420800123},"asset_ledger_tamper":3,"asset_ledger_visible_lag_ms":[41.5,7.0]}"#;
        assert_eq!(lines, [golden]);
    }

    #[test]
    fn labels_are_dimensions_beside_the_sum_over_them() {
        let lines = counted(|| {
            counter!("units", "table" => "journal").increment(2);
            counter!("units", "table" => "views").increment(1);
        });
        let golden = r#"{"Function":"stack-projector","Service":"asset-ledger","_aws":{"CloudWatchMetrics":[{"Dimensions":[["Service","Function"],["Service","Function","table"]],"Metrics":[{"Name":"units","Unit":"Count"}],"Namespace":"AssetLedger"}],"Timestamp":1795420800123},"table":"journal","units":2}"#;
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], golden);
    }

    #[test]
    fn more_values_than_a_line_takes_make_more_lines() {
        let lines = counted(|| {
            counter!("once").increment(1);
            for value in 0..250_u32 {
                histogram!("lag_ms").record(value);
            }
        });
        let lines: Vec<Value> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let lens: Vec<_> =
            lines.iter().map(|line| line["lag_ms"].as_array().unwrap().len()).collect();
        assert_eq!(lens, [100, 100, 50]);
        assert_eq!(lines.iter().filter(|line| line["once"] == 1).count(), 1);
        assert_eq!(lines[2]["lag_ms"][49], 249.0);
    }

    #[test]
    fn everything_a_line_defines_has_a_value_in_it() {
        let lines = counted(|| {
            counter!("count", "a" => "1", "b" => "2").increment(1);
            gauge!("level", "a" => "1").set(2.5);
            histogram!("values").record(1.0);
        });
        assert_eq!(lines.len(), 3);
        for line in &lines {
            let line: Value = serde_json::from_str(line).unwrap();
            let about = &line["_aws"]["CloudWatchMetrics"][0];
            for set in about["Dimensions"].as_array().unwrap() {
                for name in set.as_array().unwrap() {
                    assert!(line[name.as_str().unwrap()].is_string(), "{name}: {line}");
                }
            }
            let metrics = about["Metrics"].as_array().unwrap();
            assert!(!metrics.is_empty());
            for metric in metrics {
                let value = &line[metric["Name"].as_str().unwrap()];
                assert!(value.is_number() || value[0].is_number(), "{metric}: {line}");
            }
        }
    }

    #[test]
    fn what_was_written_is_forgotten_and_nothing_makes_no_line() {
        let emf = Emf::new("f");
        with_local_recorder(&emf, || counter!("once").increment(1));
        assert_eq!(written(&emf).len(), 1);
        assert_eq!(written(&emf), [""; 0]);
        assert_eq!(counted(|| counter!("none").increment(0)), [""; 0]);
    }
}
