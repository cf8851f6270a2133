//! The Merkle tree of RFC 6962: one hash for a list, and short proofs that an entry is in it.

use crate::chain::Hash;

/// Hashes of a path in the tallest possible tree, one for each bit of an index.
pub const HEIGHT: usize = 64;

/// The hash of an entry. Its prefix differs from a node's, so neither can pass for the other.
#[must_use]
pub fn leaf(entry: &[u8]) -> Hash {
    Hash::of(&[&[0], entry].concat())
}

fn node(left: Hash, right: Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left.bytes());
    bytes[33..].copy_from_slice(right.bytes());
    Hash::of(&bytes)
}

/// A tree that grows leaf by leaf. It holds only the roots of its complete subtrees: one for each
/// set bit of its size.
#[derive(Debug, Clone, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        // Two complete subtrees of equal height make one, like a carry in a sum.
        let whole = (0..self.size.trailing_ones()).filter_map(|_| self.peaks.pop());
        let peak = whole.fold(leaf, |right, left| node(left, right));
        self.peaks.push(peak);
        self.size += 1;
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hash of the whole list; of an empty one, the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let peaks = self.peaks.iter().rev().copied();
        peaks.reduce(|right, left| node(left, right)).unwrap_or_else(|| Hash::of(&[]))
    }
}

/// The hashes that lead from the leaf at `index` to the root, from the leaf upwards; empty for an
/// index beyond the leaves.
#[must_use]
pub fn path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    if index >= leaves.len() || leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let in_left = index < left.len();
    let (mut path, sibling) =
        if in_left { (path(left, index), right) } else { (path(right, index - left.len()), left) };
    path.push(root(sibling));
    path
}

fn root(leaves: &[Hash]) -> Hash {
    let mut tree = Frontier::default();
    for leaf in leaves {
        tree.push(*leaf);
    }
    tree.root()
}

/// The root that a path leads to (RFC 9162, section 2.1.3.2); `None` if it cannot be a path of the
/// leaf at `index` among `size`.
#[must_use]
pub fn climb(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    let (mut at, mut last) = (index, size.checked_sub(1).filter(|last| index <= *last)?);
    let mut hash = leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            hash = node(*sibling, hash);
            // Levels where this node has no sibling are skipped.
            let lone = if at == 0 { 0 } else { at.trailing_zeros() };
            (at, last) = (at >> lone, last >> lone);
        } else {
            hash = node(hash, *sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The entries and roots shared by implementations of RFC 6962.
    const ENTRIES: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn shared() -> Vec<Hash> {
        ENTRIES.iter().map(|entry| leaf(&hex::decode(entry).unwrap())).collect()
    }

    #[test]
    fn the_roots_are_those_of_rfc_6962() {
        let (mut tree, mut roots) = (Frontier::default(), vec![Frontier::default().root()]);
        for leaf in shared() {
            tree.push(leaf);
            roots.push(tree.root());
        }
        assert_eq!(roots.iter().map(Hash::to_string).collect::<Vec<_>>(), ROOTS);
    }

    #[test]
    fn the_paths_are_those_of_rfc_6962() {
        let shown = |index, size: usize| -> Vec<String> {
            path(&shared()[..size], index).iter().map(Hash::to_string).collect()
        };
        let of_first = [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ];
        assert_eq!(shown(0, 8), of_first);
        assert_eq!(shown(2, 3), [ROOTS[2]], "the last of three stands beside the first two");
        assert_eq!(shown(0, 1), [""; 0]);
        assert_eq!(shown(8, 8), [""; 0], "no such entry");
    }

    /// The tree as the RFC defines it, word by word.
    fn defined(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::of(&[]),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node(defined(left), defined(right))
            }
        }
    }

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|number| leaf(&number.to_be_bytes())).collect()
    }

    #[test]
    fn every_entry_of_every_small_tree_is_proven_and_nothing_else() {
        for size in 1..=70 {
            let leaves = leaves(size);
            let root = defined(&leaves);
            assert_eq!(super::root(&leaves), root, "{size}");
            for index in 0..size {
                let path = path(&leaves, index);
                let climbed = |leaf, at: usize, path: &[Hash]| {
                    climb(leaf, at as u64, size as u64, path) == Some(root)
                };
                assert!(climbed(leaves[index], index, &path), "{index} of {size}");
                assert!(!climbed(leaf(b"other"), index, &path), "{index} of {size}");
                assert!(!climbed(leaves[index], (index + 1) % (size + 1), &path));
                assert!(!climbed(leaves[index], index, &[&path[..], &[root]].concat()));
                assert!(path.is_empty() || !climbed(leaves[index], index, &path[1..]));
            }
        }
    }

    proptest! {
        #[test]
        fn no_path_of_chance_leads_to_the_root(
            size in 1u64.., index: u64, path in prop::collection::vec(any::<[u8; 32]>(), 0..70),
        ) {
            let path: Vec<_> = path.into_iter().map(Hash::from).collect();
            let climbed = climb(leaf(b"entry"), index, size, &path);
            prop_assert_ne!(climbed, Some(Hash::of(b"the root")));
        }
    }
}
