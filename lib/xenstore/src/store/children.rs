//! The names of a node's children, in the order of their birth, as DIRECTORY answers them.
//!
//! Names lie in chunks, each with its digest: adding or removing a child costs one chunk, and reading a part of a
//! long list skips whole chunks.

use alloc::vec::Vec;

use memchr::memchr;
use xxhash_rust::xxh3::xxh3_64_with_seed;
use zerocopy::IntoBytes as _;

use super::NodeId;
use crate::damage::{Damage, Part};

/// A chunk is closed once its names take so many bytes.
const CHUNK: usize = 512;

/// Some neighbouring children.
#[derive(Clone, Debug)]
struct Chunk {
    /// No child in here was born before, and none in the chunk before was born later.
    first: u64,
    /// The names, each with a NUL.
    names: Vec<u8>,
    /// The children's nodes, in the same order.
    ids: Vec<NodeId>,
    /// Of all of the above.
    digest: u64,
}

impl Chunk {
    fn compute(&self) -> u64 {
        xxh3_64_with_seed(self.ids.as_bytes(), xxh3_64_with_seed(&self.names, self.first))
    }

    fn seal(&mut self) {
        self.digest = self.compute();
    }

    /// Where the name of the child at this position begins.
    fn offset(&self, position: usize) -> usize {
        let mut at = 0;
        for _ in 0..position {
            at += memchr(0, &self.names[at..]).map_or(0, |end| end + 1);
        }
        at
    }

    fn position_of_name(&self, name: &[u8]) -> Option<usize> {
        self.names().position(|other| other == name)
    }

    fn entries(&self) -> impl Iterator<Item = (NodeId, &[u8])> {
        self.ids.iter().copied().zip(self.names())
    }

    fn names(&self) -> impl Iterator<Item = &[u8]> {
        crate::wire::strings(&self.names)
    }
}

/// The children of one node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Children {
    chunks: Vec<Chunk>,
    /// How many bytes all names take, NULs included.
    size: usize,
}

/// The digests of a damaged chunk: what it should be, and what it is.
pub(crate) struct Mismatch {
    pub expected: u64,
    pub found: u64,
}

impl Mismatch {
    /// The damage that it is, in the node with this path.
    pub(crate) fn of(self, path: &[u8]) -> Damage {
        Damage::node(path, Part::Children, self.expected, self.found)
    }
}

impl Children {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// How many bytes all names take, NULs included.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Checks every name against its digest.
    pub(crate) fn verify(&self) -> Result<(), Mismatch> {
        self.verify_size()?;
        self.chunks.iter().try_for_each(Self::verify_chunk)
    }

    /// How many chunks there are.
    pub(super) fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// Checks one chunk.
    pub(super) fn verify_chunk_number(&self, number: usize) -> Result<(), Mismatch> {
        self.chunks.get(number).map_or(Ok(()), Self::verify_chunk)
    }

    /// The nodes and names of one chunk.
    pub(super) fn entries_of(&self, number: usize) -> impl Iterator<Item = (NodeId, &[u8])> {
        self.chunks.get(number).into_iter().flat_map(Chunk::entries)
    }

    /// Checks that all names together take as many bytes as they are said to.
    pub(super) fn verify_size(&self) -> Result<(), Mismatch> {
        let found = self.chunks.iter().map(|chunk| chunk.names.len()).sum::<usize>();
        if found == self.size {
            Ok(())
        } else {
            Err(Mismatch { expected: self.size as u64, found: found as u64 })
        }
    }

    fn verify_chunk(chunk: &Chunk) -> Result<(), Mismatch> {
        let found = chunk.compute();
        if found == chunk.digest { Ok(()) } else { Err(Mismatch { expected: chunk.digest, found }) }
    }

    /// Calls `with` with all names, piece by piece, each checked before.
    pub(crate) fn read_all(&self, mut with: impl FnMut(&[u8])) -> Result<(), Mismatch> {
        for chunk in &self.chunks {
            Self::verify_chunk(chunk)?;
            with(&chunk.names);
        }
        Ok(())
    }

    /// Calls `with` with the bytes of the names from `offset` on, piece by piece, each checked before, until it
    /// answers that it has had enough.
    pub(crate) fn read_from(
        &self,
        offset: usize,
        mut with: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), Mismatch> {
        let mut skip = offset;
        for chunk in &self.chunks {
            if skip >= chunk.names.len() {
                skip -= chunk.names.len();
                continue;
            }
            Self::verify_chunk(chunk)?;
            if !with(&chunk.names[skip..]) {
                break;
            }
            skip = 0;
        }
        Ok(())
    }

    /// The children's nodes.
    pub(crate) fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> {
        self.chunks.iter().flat_map(|chunk| chunk.ids.iter().copied())
    }

    /// The children's nodes and names.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (NodeId, &[u8])> {
        self.chunks.iter().flat_map(Chunk::entries)
    }

    /// The children's names.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().flat_map(Chunk::names)
    }

    /// The chunk in which a child born then stands, or would stand.
    fn chunk_of(&self, birth: u64) -> usize {
        self.chunks.partition_point(|chunk| chunk.first <= birth).saturating_sub(1)
    }

    /// Adds a child that is younger than all others.
    pub(crate) fn push(&mut self, name: &[u8], id: NodeId, birth: u64) {
        if self.chunks.last().is_none_or(|last| last.names.len() + name.len() >= CHUNK) {
            self.chunks.push(Chunk { first: birth, names: Vec::new(), ids: Vec::new(), digest: 0 });
        }
        let Some(chunk) = self.chunks.last_mut() else { return };
        chunk.names.extend_from_slice(name);
        chunk.names.push(0);
        chunk.ids.push(id);
        chunk.seal();
        self.size += name.len() + 1;
    }

    /// Adds a child among others that may be younger: `birth_of` tells when they were born.
    pub(crate) fn insert(&mut self, name: &[u8], id: NodeId, birth: u64, birth_of: impl Fn(NodeId) -> u64) {
        let at = self.chunk_of(birth);
        let is_last = at + 1 >= self.chunks.len();
        let Some(chunk) = self.chunks.get_mut(at) else { return self.push(name, id, birth) };
        let position = chunk.ids.partition_point(|&other| birth_of(other) <= birth);
        if is_last && position == chunk.ids.len() {
            return self.push(name, id, birth);
        }
        let offset = chunk.offset(position);
        chunk.names.splice(offset..offset, name.iter().copied().chain([0]));
        chunk.ids.insert(position, id);
        chunk.first = chunk.first.min(birth);
        chunk.seal();
        self.size += name.len() + 1;
        if chunk.names.len() >= 2 * CHUNK && chunk.ids.len() > 1 {
            self.split(at, birth_of);
        }
    }

    /// Checks the chunk to which a youngest child would be added.
    pub(crate) fn verify_last(&self) -> Result<(), Mismatch> {
        self.chunks.last().map_or(Ok(()), Self::verify_chunk)
    }

    /// Checks the chunk in which a child born then stands.
    pub(crate) fn verify_at(&self, birth: u64) -> Result<(), Mismatch> {
        self.chunks.get(self.chunk_of(birth)).map_or(Ok(()), Self::verify_chunk)
    }

    fn split(&mut self, at: usize, birth_of: impl Fn(NodeId) -> u64) {
        let chunk = &mut self.chunks[at];
        let position = chunk.ids.len() / 2;
        let names = chunk.names.split_off(chunk.offset(position));
        let ids = chunk.ids.split_off(position);
        chunk.seal();
        let mut later = Chunk { first: birth_of(ids[0]), names, ids, digest: 0 };
        later.seal();
        self.chunks.insert(at + 1, later);
    }

    /// Takes a child out that was born then; it need not be there.
    pub(crate) fn remove(&mut self, name: &[u8], id: NodeId, birth: u64) {
        let at = self.chunk_of(birth);
        let Some(chunk) = self.chunks.get_mut(at) else { return };
        let position = match id {
            NodeId::NONE => chunk.position_of_name(name),
            id => chunk.ids.iter().position(|&other| other == id),
        };
        let Some(position) = position else { return };
        let start = chunk.offset(position);
        let end = start + memchr(0, &chunk.names[start..]).map_or(0, |end| end + 1);
        chunk.names.drain(start..end);
        self.size = self.size.saturating_sub(end - start);
        chunk.ids.remove(position);
        if chunk.ids.is_empty() {
            self.chunks.remove(at);
        } else {
            chunk.seal();
        }
    }

    /// Flips one bit of a chunk's names, nodes or digest.
    #[cfg(feature = "harm")]
    pub(super) fn flip(&mut self, bit: usize) -> bool {
        let Some(chunk) = self.chunks.first_mut() else { return false };
        let (names, ids) = (chunk.names.len() * 8, chunk.ids.len() * 32);
        match bit % (names + ids + 64) {
            bit if bit < names => chunk.names[bit / 8] ^= 1 << (bit % 8),
            bit if bit < names + ids => chunk.ids[(bit - names) / 32].0 ^= 1 << ((bit - names) % 32),
            bit => chunk.digest ^= 1 << (bit - names - ids),
        }
        true
    }
}
