//! Metrics as log lines that CloudWatch reads (Embedded Metric Format), without agent and calls.
//!
//! The metrics of an invocation are written at its end, in one line, and then reset. The form is
//! described in CloudWatch's user guide, under "Specification: Embedded metric format".
//!
//! A value of a dimension is a member of the line, so values for two tables would need two lines,
//! and each combination of labels would be a metric that is paid for. CloudWatch therefore gets the
//! sums. The parts are in the same line, for queries of the log: `<metric>_by`.

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

/// By the values of their labels, in the order of the labels' names; then by name.
type MetricsByLabels = BTreeMap<Vec<String>, Metrics>;
type Metrics = BTreeMap<String, Measured>;
/// The parts of each metric with labels, by the labels' values.
type Parts = BTreeMap<String, Map<String, Value>>;

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

    /// Writes the metrics in one line, and resets them. Only more values than a line takes make
    /// more lines.
    ///
    /// # Errors
    /// If the write fails; the metrics are reset all the same.
    pub fn flush(&self, now: DateTime<Utc>, out: &mut dyn Write) -> io::Result<()> {
        let (mut measured, mut parts) = summed(std::mem::take(&mut *self.counted()));
        while !measured.is_empty() {
            let (line, rest) = split(measured);
            writeln!(out, "{}", self.line(now, line, std::mem::take(&mut parts)))?;
            measured = rest;
        }
        out.flush()
    }

    fn line(&self, now: DateTime<Utc>, measured: Metrics, parts: Parts) -> Value {
        let metrics: Vec<_> =
            measured.keys().map(|name| json!({"Name": name, "Unit": unit(name)})).collect();
        let dimensions = [["Service", "Function"]];
        let about = json!({"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics});
        let mut line = Map::new();
        let aws = json!({"Timestamp": now.timestamp_millis(), "CloudWatchMetrics": [about]});
        line.insert("_aws".to_owned(), aws);
        line.insert("Service".to_owned(), SERVICE.into());
        line.insert("Function".to_owned(), self.function.as_ref().into());
        line.extend(measured.into_iter().map(|(name, measured)| (name, measured.into())));
        line.extend(parts.into_iter().map(|(name, of)| (format!("{name}_by"), of.into())));
        Value::Object(line)
    }

    fn counted(&self) -> MutexGuard<'_, MetricsByLabels> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn metric(&self, key: &Key) -> Arc<Metric> {
        let labels: BTreeMap<_, _> = key.labels().map(|l| (l.key(), l.value())).collect();
        let labels = labels.into_values().map(ToOwned::to_owned).collect();
        Arc::new(Metric { of: self.clone(), labels, name: key.name().to_owned() })
    }
}

/// The sum of each metric over its labels, and its parts.
fn summed(counted: MetricsByLabels) -> (Metrics, Parts) {
    let (mut sums, mut parts) = (Metrics::new(), Parts::new());
    for (labels, measured) in counted {
        for (name, measured) in measured {
            if !labels.is_empty() {
                let of = parts.entry(name.clone()).or_default();
                of.insert(labels.join(" "), measured.clone().into());
            }
            match sums.remove(&name) {
                Some(sum) => sums.insert(name, sum.plus(measured)),
                None => sums.insert(name, measured),
            };
        }
    }
    (sums, parts)
}

/// The values that fit into one line, and the rest.
fn split(measured: Metrics) -> (Metrics, Metrics) {
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

impl Measured {
    /// The sum of two parts of a metric, which are of one kind.
    fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Count(one), Self::Count(other)) => Self::Count(one.saturating_add(other)),
            (Self::Level(one), Self::Level(other)) => Self::Level(one + other),
            (Self::Values(one), Self::Values(other)) => Self::Values([one, other].concat()),
            (one, _) => one,
        }
    }
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
    labels: Vec<String>,
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
    fn the_parts_of_a_sum_are_in_its_line_and_no_metrics() {
        let lines = counted(|| {
            counter!("units", "table" => "journal", "command" => "create").increment(2);
            counter!("units", "table" => "views", "command" => "create").increment(1);
            counter!("asset_ledger_tamper").increment(1);
        });
        let golden = r#"{"Function":"stack-projector","Service":"asset-ledger","_aws":{"CloudWatchMetrics":[{"Dimensions":[["Service","Function"]],"Metrics":[{"Name":"asset_ledger_tamper","Unit":"Count"},{"Name":"units","Unit":"Count"}],"Namespace":"AssetLedger"}],"Timestamp":1795420800123},"asset_ledger_tamper":1,"units":3,"units_by":{"create journal":2,"create views":1}}"#;
        assert_eq!(lines, [golden]);
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
            gauge!("level", "a" => "2").set(2.5);
            histogram!("values", "a" => "1").record(1.0);
            histogram!("values").record(2.0);
        });
        assert_eq!(lines.len(), 1, "one line an invocation");
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
