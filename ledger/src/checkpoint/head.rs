//! The head of an asset or of a named stream: its last version and that event's hash.

use serde::{Deserialize, Serialize};

use super::merkle::{self, Frontier};
use super::note::Checkpoint;
use crate::asset::Asset;
use crate::chain::Hash;
use crate::id::{AssetId, PartitionKey, StreamId};

/// The last event of an asset or a named stream, as one line of JSON: a leaf of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The tenant and asset or stream.
    pub key: PartitionKey,
    /// The last event's version.
    pub version: u64,
    /// The last event's id.
    pub hash: Hash,
}

/// The text is not a head in this program's spelling.
#[derive(Debug, thiserror::Error)]
#[error("not a head, such as {{\"tenant\":…,\"asset\":…,\"version\":…,\"hash\":…}}: {0}")]
pub struct HeadError(String);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredHead {
    tenant: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    asset: Option<AssetId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    version: u64,
    hash: String,
}

impl Head {
    /// The head of a loaded asset.
    #[must_use]
    pub fn of(asset: &Asset) -> Self {
        Self { key: asset.key.clone().into(), version: asset.version, hash: asset.head }
    }

    /// The head as one line, without a line feed.
    ///
    /// # Errors
    /// None in practice: text and whole numbers are written to memory.
    pub fn line(&self) -> serde_json::Result<String> {
        let (asset, stream) = match &self.key.stream {
            StreamId::Asset(asset) => (Some(*asset), None),
            StreamId::Named(name) => (None, Some(name.to_string())),
        };
        serde_json::to_string(&StoredHead {
            tenant: self.key.tenant.to_string(),
            asset,
            stream,
            version: self.version,
            hash: self.hash.to_string(),
        })
    }

    /// Reads a line. Another spelling of the same head is refused: it would be another leaf.
    pub fn read(line: &str) -> Result<Self, HeadError> {
        let not = |why: &dyn std::fmt::Display| HeadError(why.to_string());
        let form: StoredHead = serde_json::from_str(line).map_err(|e| not(&e))?;
        let tenant = form.tenant.parse().map_err(|e| not(&e))?;
        let hash = form.hash.parse().map_err(|e| not(&e))?;
        let stream = match (form.asset, form.stream) {
            (Some(asset), None) => StreamId::Asset(asset),
            (None, Some(name)) => StreamId::Named(name.parse().map_err(|e| not(&e))?),
            _ => return Err(not(&"it is not of one asset or one stream")),
        };
        let head = Self { key: PartitionKey { tenant, stream }, version: form.version, hash };
        match head.line() {
            Ok(same) if same == line && head.version > 0 => Ok(head),
            _ => Err(not(&"it is spelt in another way, or is of version 0")),
        }
    }
}

/// Heads in their only order, and the tree over them.
#[derive(Debug, Clone, Default)]
pub struct SortedHeads {
    last: Option<PartitionKey>,
    tree: Frontier,
    streams: u64,
}

/// A head that is not after the previous one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} comes twice or out of order: heads are sorted by tenant, then asset or stream")]
pub struct HeadOrderError(String);

impl SortedHeads {
    /// Adds the next head, with its line.
    pub fn push(&mut self, head: &Head, line: &str) -> Result<(), HeadOrderError> {
        if self.last.as_ref().is_some_and(|last| *last >= head.key) {
            return Err(HeadOrderError(head.key.partition()));
        }
        self.last = Some(head.key.clone());
        self.streams += u64::from(head.key.is_named());
        self.tree.push(merkle::leaf(line.as_bytes()));
        Ok(())
    }

    /// The number of heads.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.tree.size()
    }

    /// The number of heads of named streams.
    #[must_use]
    pub fn streams(&self) -> u64 {
        self.streams
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    /// The checkpoint of the heads, under a ledger's name.
    #[must_use]
    pub fn checkpoint(&self, origin: &str) -> Checkpoint {
        Checkpoint { origin: origin.to_owned(), size: self.count(), root: self.root(), left_out: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"tenant":"main","asset":"019aaf6b-5a00-7123-8456-0123456789ab","version":3,"hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}"#;

    const STREAM: &str = r#"{"tenant":"main","stream":"access","version":3,"hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}"#;

    #[test]
    fn a_head_is_one_line_with_one_spelling() {
        let head = Head::read(LINE).unwrap();
        assert_eq!((head.version, head.hash), (3, Hash::of(b"abc")));
        assert_eq!(head.line().unwrap(), LINE);
        for other in [
            LINE.replace(':', ": "),
            LINE.replace("ba78", "BA78"),
            LINE.replace("main", "Main"),
            LINE.replace("019aaf", "019AAF"),
            LINE.replace(r#""version":3,"#, ""),
            LINE.replace(r#""version":3"#, r#""version":0"#),
            LINE.replace(r#""version":3"#, r#""version":3,"colour":"red""#),
            LINE.replace(r#""version":3"#, r#""stream":"access","version":3"#),
            STREAM.replace("access", "019aaf6b-5a00-7123-8456-0123456789ab"),
            STREAM.replace("access", "Access"),
            format!("{LINE} "),
            String::new(),
        ] {
            assert!(Head::read(&other).is_err(), "{other}");
        }
        let stream = Head::read(STREAM).unwrap();
        assert_eq!(stream.key.partition(), "main#access");
        assert_eq!(stream.line().unwrap(), STREAM);
    }

    #[test]
    fn heads_come_in_order_and_once() {
        let (head, mut rising) = (Head::read(LINE).unwrap(), SortedHeads::default());
        let later = LINE.replace("89ab", "89ac");
        rising.push(&head, LINE).unwrap();
        rising.push(&Head::read(&later).unwrap(), &later).unwrap();
        assert!(rising.push(&head, LINE).is_err(), "it went back");
        let told = rising.push(&Head::read(&later).unwrap(), &later).unwrap_err().to_string();
        assert!(told.contains("0123456789ac comes twice"), "{told}");
        rising.push(&Head::read(STREAM).unwrap(), STREAM).unwrap();
        assert!(rising.push(&head, LINE).is_err(), "a stream sorts after the assets of its tenant");
        assert_eq!((rising.count(), rising.streams()), (3, 1));
    }
}
