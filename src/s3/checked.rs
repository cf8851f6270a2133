//! Compares the bytes of a whole object with its hash while they are sent.
//!
//! A disk fault, or a person with access to the disk, may have altered them since the upload. This
//! is known only at their end, so the last block is held back until then: a reader of altered bytes
//! gets an error, never all of them.

use std::io;

use bytes::Bytes;
use futures::stream::{Stream, StreamExt, try_unfold};
use sha2::{Digest, Sha256};

use super::rows::{Content, Version};

/// `blocks`, with an error before the last one if their hash is not `content`'s.
pub(super) fn checked<S>(
    blocks: S,
    version: &Version,
    content: &Content,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + use<S> + 'static
where
    S: Stream<Item = io::Result<Bytes>> + Send + Sync + Unpin + 'static,
{
    let checking = Checking {
        blocks,
        sha256: Sha256::new(),
        held: None,
        expected: content.sha256,
        key: version.key.clone(),
        id: version.id.clone(),
    };
    try_unfold(Some(checking), async |checking| match checking {
        Some(checking) => checking.next().await,
        None => Ok(None),
    })
}

struct Checking<S> {
    blocks: S,
    sha256: Sha256,
    held: Option<Bytes>,
    expected: [u8; 32],
    key: String,
    id: String,
}

/// A block, and the rest of the stream.
type CheckedBlock<S> = io::Result<Option<(Bytes, Option<Checking<S>>)>>;

impl<S: Stream<Item = io::Result<Bytes>> + Unpin> Checking<S> {
    async fn next(mut self) -> CheckedBlock<S> {
        while let Some(block) = self.blocks.next().await {
            let block = block?;
            self.sha256.update(&block);
            if let Some(before) = self.held.replace(block) {
                return Ok(Some((before, Some(self))));
            }
        }
        if <[u8; 32]>::from(self.sha256.finalize()) != self.expected {
            metrics::counter!("asset_ledger_objects_altered").increment(1);
            tracing::error!(
                key = self.key,
                version = self.id,
                "the bytes of an object are not those that were uploaded: the answer was cut off"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the bytes were altered"));
        }
        Ok(self.held.map(|last| (last, None)))
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use futures::stream::iter;

    use super::super::rows::Headers;
    use super::*;

    async fn read(blocks: &[&'static str], of: &str) -> Vec<Option<Bytes>> {
        let sha256 = Sha256::digest(of).into();
        let content = Content { size: 0, sha256, md5: [0; 16], headers: Headers::default() };
        let (key, id) = ("main/1".to_owned(), "v".to_owned());
        let version = Version { change: 1, key, id, at: DateTime::UNIX_EPOCH, content: None };
        let blocks: Vec<_> =
            blocks.iter().map(|block| Ok(Bytes::from_static(block.as_bytes()))).collect();
        checked(iter(blocks), &version, &content).map(Result::ok).collect().await
    }

    #[tokio::test]
    async fn the_last_block_goes_out_only_if_all_of_them_are_right() {
        let block = |block: &'static str| Some(Bytes::from_static(block.as_bytes()));
        assert_eq!(read(&["ab", "c"], "abc").await, [block("ab"), block("c")]);
        assert_eq!(read(&["ab", "x"], "abc").await, [block("ab"), None]);
        assert_eq!(read(&["abx"], "abc").await, [None]);
        assert_eq!(read(&["ab"], "abc").await, [None], "cut short");
        assert_eq!(read(&[], "").await, []);
    }
}
