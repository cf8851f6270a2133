//! Readable lines that the ledger would not have written: events in other spellings, and fields
//! over their limits.

use super::finding::{Finding, FindingKind};
use crate::journal::scan::Chain;
use crate::record::{CanonicalLine, StoredLine};

/// Every event of a history that the ledger would not have written. Unreadable lines are reported
/// by an examination.
#[must_use]
pub fn odd(chain: &Chain) -> Vec<Finding> {
    chain.lines.iter().flat_map(|line| of_line(chain, line)).collect()
}

fn of_line(chain: &Chain, line: &StoredLine) -> Vec<Finding> {
    let Some(canonical) = CanonicalLine::of(&line.body) else { return Vec::new() };
    let tell = |kind, says: String| {
        Finding::new(kind, &chain.partition, says).at(line.version).hashes(None, Some(line.hash()))
    };
    let mut findings = Vec::new();
    if let Err(over) = &canonical.limits {
        findings.push(tell(FindingKind::OverLimit, over.to_string()));
    }
    if canonical.body != line.body {
        findings.push(tell(FindingKind::OddSpelling, difference(&line.body, &canonical.body)));
    }
    findings
}

/// Where and how two spellings of an event differ.
fn difference(found: &str, written: &str) -> String {
    let same = |(a, b): &(char, char)| a == b;
    let common = found.chars().zip(written.chars()).take_while(same).count();
    let shown = |text: &str| match text.chars().nth(common) {
        Some(c) => format!("{c:?}"),
        None => "its end".to_owned(),
    };
    let (has, should) = (shown(found), shown(written));
    let at = common + 1;
    format!("it is spelt in another way than the ledger's: {has} for {should} at character {at}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::History;
    use crate::record::EventRecord;

    const CREATED: &str = include_str!("../../../migrations/events/created.v1.json");

    fn chain(body: &str) -> Chain {
        let body = body.to_owned();
        let record = EventRecord::read(&body).expect("it can be read");
        let lines = vec![StoredLine { version: 1, body }];
        History::read(&record.key, lines.clone()).expect("readers of histories take it");
        Chain { partition: record.key.partition(), lines, strays: Vec::new() }
    }

    fn kinds(body: &str) -> Vec<&'static str> {
        odd(&chain(body)).iter().map(|finding| finding.kind.name()).collect()
    }

    #[test]
    fn every_other_spelling_of_an_event_is_named() {
        let good = CREATED.trim_end();
        assert_eq!(kinds(good), [""; 0]);
        let (tenant, rest) = good.split_once(',').unwrap();
        let last = rest.strip_suffix('}').unwrap();
        let tenant = tenant.strip_prefix('{').unwrap();
        for other in [
            good.replacen(',', ", ", 1),
            good.replacen(r#""data":{"#, r#""data":{ "#, 1),
            good.replacen(r#""version""#, r#""\u0076ersion""#, 1),
            good.replacen("created", r"c\u0072eated", 1),
            format!("{good}\r"),
            format!("\t{good}"),
            format!("{{{last},{tenant}}}"),
        ] {
            assert_eq!(kinds(&other), ["odd-spelling"], "{other}");
        }
        let found = odd(&chain(&format!("{good}\r"))).remove(0);
        assert!(found.says.contains(r"'\r' for its end"), "{}", found.says);
    }

    #[test]
    fn what_is_over_a_limit_of_creation_is_named_with_its_field() {
        let mut record = EventRecord::read(CREATED.trim_end()).unwrap();
        record.at = crate::time::parse("9999-12-31T23:59:59.999999Z").unwrap();
        let found = odd(&chain(&record.line().unwrap().body)).remove(0);
        assert_eq!(found.kind, FindingKind::OverLimit);
        assert!(found.says.starts_with("at: "), "{}", found.says);
    }
}
