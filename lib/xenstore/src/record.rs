//! What a node is: its path, permissions and value, in one immutable piece of memory.
//!
//! A record is shared, not copied, by the transactions that have seen it. Whoever changes a node gives it a new one.

use alloc::sync::Arc;
use alloc::vec::Vec;

use xen_abi::Domid;

use crate::permission::{Access, Permission, Permissions};

/// A node's path, permissions and value: a 16-bit length and the path, a 16-bit count and the permissions, the value.
/// All in one piece, so that reading a node touches little memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record(Arc<[u8]>);

const LENGTH: usize = 2;
const COUNT: usize = 2;

impl Record {
    /// Puts a path, permissions (at least the owner's) and a value together; `scratch` is overwritten.
    pub(crate) fn new(path: &[u8], permissions: &[Permission], value: &[u8], scratch: &mut Vec<u8>) -> Self {
        begin(path, scratch);
        scratch.extend_from_slice(&(permissions.len() as u16).to_le_bytes());
        for permission in permissions {
            scratch.extend_from_slice(&permission.encode());
        }
        scratch.extend_from_slice(value);
        Self(Arc::from(scratch.as_slice()))
    }

    /// The same path and permissions and another value; `scratch` is overwritten.
    pub(crate) fn with_value(&self, value: &[u8], scratch: &mut Vec<u8>) -> Self {
        scratch.clear();
        scratch.extend_from_slice(&self.0[..self.0.len() - self.value().len()]);
        scratch.extend_from_slice(value);
        Self(Arc::from(scratch.as_slice()))
    }

    /// Takes permissions and a value that came from elsewhere; `scratch` is overwritten.
    pub(crate) fn copy_of(path: &[u8], view: RecordView<'_>, scratch: &mut Vec<u8>) -> Self {
        begin(path, scratch);
        scratch.extend_from_slice(view.0);
        Self(Arc::from(scratch.as_slice()))
    }

    /// All of its bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn path_end(&self) -> usize {
        let length = self.0.first_chunk().map_or(0, |length| usize::from(u16::from_le_bytes(*length)));
        (LENGTH + length).min(self.0.len())
    }

    /// The node's path.
    pub(crate) fn path(&self) -> &[u8] {
        self.0.get(LENGTH..self.path_end()).unwrap_or_default()
    }

    /// Its contents.
    pub(crate) fn view(&self) -> RecordView<'_> {
        RecordView(&self.0[self.path_end()..])
    }

    /// The value.
    pub(crate) fn value(&self) -> &[u8] {
        self.view().value()
    }

    /// The permissions, copied.
    pub(crate) fn to_permissions(&self) -> Permissions {
        self.view().permissions().collect()
    }

    /// The domain that owns the node.
    pub(crate) fn owner(&self) -> Domid {
        self.view().owner()
    }

    /// How large the C daemon would count this node, in bytes, with the names of its children taking `children`
    /// bytes: its record header is 24 bytes and each permission 8.
    pub(crate) fn accounted_size(&self, children: usize) -> usize {
        Self::fixed_size(self.view().permission_count()) + self.value().len() + children
    }

    /// The part of [`accounted_size`](Self::accounted_size) that depends neither on the value nor on children.
    pub(crate) const fn fixed_size(permissions: usize) -> usize {
        24 + 8 * permissions
    }

    /// Flips one bit of the path or of what follows it; of the path too if nothing follows, because its length was
    /// flipped before. The bytes are copied, for others may share them.
    #[cfg(feature = "harm")]
    pub(crate) fn flip(&mut self, in_path: bool, bit: usize) {
        let mut bytes = self.0.to_vec();
        let (path, contents) = bytes.split_at_mut(self.path_end());
        let part = if in_path || contents.is_empty() { path } else { contents };
        let at = bit / 8 % part.len();
        part[at] ^= 1 << (bit % 8);
        self.0 = Arc::from(bytes);
    }
}

fn begin(path: &[u8], scratch: &mut Vec<u8>) {
    scratch.clear();
    scratch.extend_from_slice(&(path.len() as u16).to_le_bytes());
    scratch.extend_from_slice(path);
}

/// The contents of a record, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a>(&'a [u8]);

impl<'a> RecordView<'a> {
    /// Takes bytes for a record if they can be one: at least one permission, and all that the count promises.
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        let view = Self(bytes);
        let count = view.permission_count();
        (count > 0 && bytes.len() >= COUNT + Permission::SIZE * count).then_some(view)
    }

    /// All of its bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The number of permissions.
    pub fn permission_count(self) -> usize {
        self.0.first_chunk::<COUNT>().map_or(0, |count| usize::from(u16::from_le_bytes(*count)))
    }

    fn value_start(self) -> usize {
        (COUNT + Permission::SIZE * self.permission_count()).min(self.0.len())
    }

    /// The value.
    pub fn value(self) -> &'a [u8] {
        &self.0[self.value_start()..]
    }

    /// The permissions, the owner's first.
    pub fn permissions(self) -> impl Iterator<Item = Permission> + 'a {
        let (entries, _) = self.0[COUNT.min(self.0.len())..self.value_start()].as_chunks();
        entries.iter().map(|entry| Permission::decode(*entry))
    }

    /// The first permission: the owner, and what everybody else may.
    pub fn first_permission(self) -> Permission {
        self.permissions().next().unwrap_or(Permission::new(0, Access::NONE))
    }

    /// The domain that owns the node.
    pub fn owner(self) -> Domid {
        Domid(self.first_permission().domid as u16)
    }
}
