//! Merkle trees as RFC 6962, section 2.1, defines them, with SHA-256.

use crate::Digest;

/// Hash of a leaf whose data is the hash of an event: SHA-256 over `0x00` and the data (RFC 6962, section 2.1).
#[must_use]
pub fn leaf_hash(event: &Digest) -> Digest {
    let mut bytes = [0; 33];
    let [_, data @ ..] = &mut bytes;
    data.copy_from_slice(event.as_bytes());
    Digest::of(&bytes)
}

/// Hash of an inner node: SHA-256 over `0x01` and the hashes below it (RFC 6962, section 2.1).
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    // In one piece: hashing many short ones takes most of the time.
    let mut bytes = [0; 65];
    let [kind, data @ ..] = &mut bytes;
    *kind = 1;
    let (one, other) = data.split_at_mut(32);
    one.copy_from_slice(left.as_bytes());
    other.copy_from_slice(right.as_bytes());
    Digest::of(&bytes)
}

/// Root of a tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Digest {
    Digest::of(b"")
}

/// The root of a perfect subtree: the leaves from `index << level` on, `1 << level` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Height above the leaves, which are level 0.
    pub level: u32,
    /// Place among the nodes of its level, counted from 0.
    pub index: u64,
    /// Hash of the node.
    pub hash: Digest,
}

/// A growing tree of which only the roots of its largest perfect subtrees are kept: one for each bit of its size, the
/// largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactRange {
    size: u64,
    nodes: Vec<Digest>,
}

impl CompactRange {
    /// A tree of this size whose perfect subtrees have these roots; `None` when they are not one for each bit of the size.
    #[must_use]
    pub fn from_nodes(size: u64, nodes: Vec<Digest>) -> Option<Self> {
        (nodes.len() == size.count_ones() as usize).then_some(Self { size, nodes })
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Roots of its largest perfect subtrees, from the left.
    #[must_use]
    pub fn nodes(&self) -> &[Digest] {
        &self.nodes
    }

    /// Adds a leaf by its [`leaf_hash`]. Calls `completed` with each perfect subtree that the leaf completes, but not
    /// with the leaf itself.
    pub fn push(&mut self, leaf: Digest, mut completed: impl FnMut(Node)) {
        let (mut hash, mut level) = (leaf, 0);
        while (self.size >> level) & 1 == 1 {
            let Some(left) = self.nodes.pop() else { break };
            hash = node_hash(&left, &hash);
            level += 1;
            completed(Node { level, index: self.size >> level, hash });
        }
        self.nodes.push(hash);
        self.size += 1;
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut nodes = self.nodes.iter().rev();
        let Some(last) = nodes.next() else { return empty_root() };
        nodes.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// The hashes that show that a leaf is in a tree, from the leaf's sibling up (RFC 6962, section 2.1.1). `subtree` gives roots of
/// perfect subtrees by level and index. Empty when the index is not below the size.
///
/// # Errors
/// Any error of `subtree`.
pub fn inclusion_proof<E>(
    index: u64,
    size: u64,
    mut subtree: impl FnMut(u32, u64) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    let (mut proof, mut start, mut end) = (Vec::new(), 0, size);
    if index >= size {
        return Ok(proof);
    }
    while end - start > 1 {
        let middle = start + split(end - start);
        let sibling = if index < middle {
            let sibling = range(middle, end, &mut subtree)?;
            end = middle;
            sibling
        } else {
            let sibling = range(start, middle, &mut subtree)?;
            start = middle;
            sibling
        };
        proof.push(sibling);
    }
    proof.reverse();
    Ok(proof)
}

/// The hashes that show that a tree of `old` leaves became one of `new` leaves by adding leaves only (RFC 6962, section 2.1.2).
/// Empty when `old` is zero or not below `new`.
///
/// # Errors
/// Any error of `subtree`.
pub fn consistency_proof<E>(
    old: u64,
    new: u64,
    mut subtree: impl FnMut(u32, u64) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    let (mut proof, mut start, mut end, mut is_whole) = (Vec::new(), 0, new, true);
    if old == 0 || old >= new {
        return Ok(proof);
    }
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range(middle, end, &mut subtree)?);
            end = middle;
        } else {
            proof.push(range(start, middle, &mut subtree)?);
            start = middle;
            is_whole = false;
        }
    }
    if !is_whole {
        proof.push(range(start, end, &mut subtree)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The largest power of two below a length of at least 2.
fn split(length: u64) -> u64 {
    1 << (length - 1).ilog2()
}

/// The root over some leaves that the recursion of RFC 6962 comes to.
fn range<E>(start: u64, end: u64, subtree: &mut impl FnMut(u32, u64) -> Result<Digest, E>) -> Result<Digest, E> {
    let length = end - start;
    if length.is_power_of_two() {
        let level = length.ilog2();
        return subtree(level, start >> level);
    }
    let middle = start + split(length);
    let left = range(start, middle, subtree)?;
    Ok(node_hash(&left, &range(middle, end, subtree)?))
}

/// The root that an inclusion proof leads to; `None` when it cannot be one (RFC 9162, section 2.1.3.2).
#[must_use]
pub fn root_of_inclusion(leaf: &Digest, index: u64, size: u64, proof: &[Digest]) -> Option<Digest> {
    if index >= size {
        return None;
    }
    let (mut node, mut last, mut root) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            root = node_hash(sibling, &root);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            root = node_hash(&root, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(root)
}

/// Size and root of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    /// Number of leaves.
    pub size: u64,
    /// Root of the tree.
    pub root: Digest,
}

/// Whether a proof shows that a tree grew into another one by adding leaves only (RFC 9162, section 2.1.4.2).
#[must_use]
pub fn verifies_consistency(old: &TreeHead, new: &TreeHead, proof: &[Digest]) -> bool {
    let (TreeHead { size: old_size, root: old_root }, TreeHead { size: new_size, root: new_root }) = (old, new);
    let (old_size, new_size) = (*old_size, *new_size);
    if old_size == 0 || old_size >= new_size {
        return proof.is_empty()
            && (old_size == new_size && old_root == new_root || old_size == 0 && *old_root == empty_root());
    }
    let mut proof = proof.iter();
    // The old tree is itself a node of the new one, and then it is not repeated in the proof.
    let first = if old_size.is_power_of_two() { Some(old_root) } else { proof.next() };
    let Some(first) = first else { return false };
    let (mut node, mut last) = (old_size - 1, new_size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut of_old, mut of_new) = (*first, *first);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            of_old = node_hash(sibling, &of_old);
            of_new = node_hash(sibling, &of_new);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            of_new = node_hash(&of_new, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && of_old == *old_root && of_new == *new_root
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn leaves(count: u64) -> Vec<Digest> {
        (0..count).map(|number| leaf_hash(&Digest::of(&number.to_be_bytes()))).collect()
    }

    /// The definition of RFC 6962, word by word.
    fn root(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node_hash(&root(left), &root(right))
            }
        }
    }

    fn subtree(leaves: &[Digest]) -> impl FnMut(u32, u64) -> Result<Digest, Infallible> {
        |level, index| {
            let start = usize::try_from(index << level).unwrap();
            Ok(root(&leaves[start..start + (1 << level)]))
        }
    }

    /// Test vectors of Certificate Transparency's reference implementation: eight inputs and their root.
    #[test]
    fn the_known_tree_has_its_known_root() {
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let mut tree = CompactRange::default();
        for input in inputs {
            tree.push(Digest::of(&[&[0], input].concat()), |_| {});
        }
        let known = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328";
        assert_eq!(tree.root().to_string(), known);
    }

    #[test]
    fn what_is_completed_is_told_once() {
        let all = leaves(70);
        let (mut tree, mut completed) = (CompactRange::default(), Vec::new());
        for leaf in &all {
            tree.push(*leaf, |node| completed.push(node));
        }
        let expected: usize = (1..7).map(|level| 70 >> level).sum();
        assert_eq!(completed.len(), expected);
        for node in completed {
            assert_eq!(Ok(node.hash), subtree(&all)(node.level, node.index));
        }
        assert_eq!(CompactRange::from_nodes(70, tree.nodes().to_vec()), Some(tree.clone()));
        assert_eq!(CompactRange::from_nodes(71, tree.nodes().to_vec()), None);
    }

    fn head(size: u64, root: &Digest) -> TreeHead {
        TreeHead { size, root: *root }
    }

    proptest! {
        #[test]
        fn a_tree_that_grows_has_the_root_of_its_leaves(count in 0_u64..200) {
            let all = leaves(count);
            let mut tree = CompactRange::default();
            for leaf in &all {
                tree.push(*leaf, |_| {});
            }
            prop_assert_eq!(tree.root(), root(&all));
        }

        #[test]
        fn inclusion_is_shown_for_what_is_there_only(count in 1_u64..150, at in any::<u64>(), flip in any::<u64>()) {
            let (all, index) = (leaves(count), at % count);
            let Ok(proof) = inclusion_proof(index, count, subtree(&all));
            let leaf = all[usize::try_from(index).unwrap()];
            let whole = root(&all);
            prop_assert_eq!(root_of_inclusion(&leaf, index, count, &proof), Some(whole));
            let other = all[usize::try_from(flip % count).unwrap()];
            if other != leaf {
                prop_assert_ne!(root_of_inclusion(&other, index, count, &proof), Some(whole));
                prop_assert_ne!(root_of_inclusion(&leaf, flip % count, count, &proof), Some(whole));
            }
            if !proof.is_empty() {
                prop_assert_ne!(root_of_inclusion(&leaf, index, count, &proof[1..]), Some(whole));
                let mut longer = proof.clone();
                longer.push(whole);
                prop_assert_ne!(root_of_inclusion(&leaf, index, count, &longer), Some(whole));
            }
            prop_assert_eq!(root_of_inclusion(&leaf, count, count, &proof), None);
        }

        #[test]
        fn consistency_is_shown_for_trees_that_grew_only(new in 1_u64..150, at in any::<u64>(), changed in any::<u64>()) {
            let (all, old) = (leaves(new), at % (new + 1));
            let Ok(proof) = consistency_proof(old, new, subtree(&all));
            let (before, after) = (root(&all[..usize::try_from(old).unwrap()]), root(&all));
            prop_assert!(verifies_consistency(&head(old, &before), &head(new, &after), &proof));
            if old > 0 {
                // Another past does not lead to this tree.
                let mut others = all[..usize::try_from(old).unwrap()].to_vec();
                let place = usize::try_from(changed % old).unwrap();
                others[place] = Digest::of(b"another");
                prop_assert!(!verifies_consistency(&head(old, &root(&others)), &head(new, &after), &proof));
            }
            for missing in 0..proof.len() {
                let mut fewer = proof.clone();
                fewer.remove(missing);
                prop_assert!(!verifies_consistency(&head(old, &before), &head(new, &after), &fewer));
            }
        }
    }
}
