//! The control ring: how a guest says how it wants its frames hashed.

use crate::answers::Answers;
use crate::copy::{GuestBytes, Way};
use crate::hash::{Hashing, MAX_KEY, MAX_MAPPING};
use crate::keep::{Keep, RingName};
use crate::lie::RingKind;
use crate::transmit::{Machine, Room};
use crate::{Lie, NetControl};
use ring::request::{Backend, Overrun, Ring};
use xen_abi::netif::{ControlRequest, ControlResponse, ControlStatus, ControlType, HashAlgorithm, HashTypes};
use xen_abi::{Domid, GrantRef};

/// Bytes of an entry of the table from hashes to queues, as the guest writes it.
const ENTRY: usize = size_of::<u32>();

/// A device's control ring.
#[derive(Debug)]
pub struct Control<'a> {
    ring: Backend<'a, NetControl>,
    name: RingName,
    domid: Domid,
}

/// An answer: a status and what was asked for.
type Answer = Result<u32, ControlStatus>;

impl<'a> Control<'a> {
    /// The ring of a frontend that has just connected.
    ///
    /// # Errors
    /// [`Overrun`].
    pub fn connect(
        ring: Ring<'a, NetControl>,
        name: RingName,
        domid: Domid,
        keep: &mut impl Keep,
    ) -> Result<Self, Overrun> {
        Ok(Self { ring: Answers::connect(ring, name, keep)?, name, domid })
    }

    /// The ring of a frontend that an earlier backend has served: the frontend is to be sent an event.
    ///
    /// # Errors
    /// [`Overrun`].
    pub fn resume(
        ring: Ring<'a, NetControl>,
        name: RingName,
        domid: Domid,
        kept: Option<&Answers>,
    ) -> Result<Self, Overrun> {
        Ok(Self { ring: Answers::resume(kept, ring)?, name, domid })
    }

    /// Hears the next message, if there is one, and changes `hashing` accordingly. It is to be answered by
    /// [`reply`](Self::reply), once the change is sure to survive.
    ///
    /// # Errors
    /// [`Lie`]: the guest is to be disconnected.
    pub fn hear(
        &mut self,
        queues: usize,
        hashing: &mut Hashing,
        room: &mut Room<'_, impl Machine>,
    ) -> Result<Option<ControlResponse>, Lie> {
        let overrun = |overrun| Lie::Index { ring: RingKind::Control, overrun };
        if !self.ring.final_check().map_err(overrun)? {
            return Ok(None);
        }
        let Some(request) = self.ring.take().map_err(overrun)? else {
            return Ok(None);
        };
        let (status, data) = match self.obey(&request, queues, hashing, room)? {
            Ok(data) => (ControlStatus::Success, data),
            Err(status) => (status, 0),
        };
        let ControlRequest { id, kind, .. } = request;
        Ok(Some(ControlResponse { id, kind, status: status.raw(), data }))
    }

    /// Answers the message that was heard last. Whether the frontend wants an event.
    pub fn reply(&mut self, response: &ControlResponse, keep: &mut impl Keep) -> bool {
        let mut answers = Answers::after(self.ring.position().answered);
        answers.push::<NetControl>(response);
        keep.keep(self.name, &answers);
        answers.write(&mut self.ring)
    }

    fn obey(
        &self,
        request: &ControlRequest,
        queues: usize,
        hashing: &mut Hashing,
        room: &mut Room<'_, impl Machine>,
    ) -> Result<Answer, Lie> {
        let [first, second, third] = request.data;
        let answer = match ControlType::from_raw(request.kind) {
            Some(ControlType::SetHashAlgorithm) => match HashAlgorithm::from_raw(first) {
                Some(algorithm) => {
                    hashing.toeplitz = algorithm == HashAlgorithm::Toeplitz;
                    Ok(0)
                }
                None => Err(ControlStatus::InvalidParameter),
            },
            Some(ControlType::GetHashFlags) if hashing.toeplitz => Ok(HashTypes::all().bits()),
            Some(ControlType::SetHashFlags) if hashing.toeplitz && first & !HashTypes::all().bits() == 0 => {
                hashing.types = first;
                Ok(0)
            }
            Some(ControlType::SetHashFlags) => Err(ControlStatus::InvalidParameter),
            Some(ControlType::SetHashKey) => return self.set_key(first, second, hashing, room),
            Some(ControlType::GetHashMappingSize) => Ok(MAX_MAPPING as u32),
            Some(ControlType::SetHashMappingSize) => match usize::try_from(first) {
                Ok(size) if size <= MAX_MAPPING => {
                    hashing.mapping.clear();
                    hashing.mapping.extend(core::iter::repeat_n(0, size));
                    Ok(0)
                }
                _ => Err(ControlStatus::InvalidParameter),
            },
            Some(ControlType::SetHashMapping) => {
                return self.set_mapping((first, second, third), queues, hashing, room);
            }
            _ => Err(ControlStatus::NotSupported),
        };
        Ok(answer)
    }

    fn set_key(
        &self,
        gref: u32,
        length: u32,
        hashing: &mut Hashing,
        room: &mut Room<'_, impl Machine>,
    ) -> Result<Answer, Lie> {
        let mut key = [0; MAX_KEY];
        let Some(bytes) = key.get_mut(..length as usize) else {
            return Ok(Err(ControlStatus::InvalidParameter));
        };
        let copied = self.read(GrantRef(gref), bytes, room)?;
        Ok(copied.map(|()| {
            hashing.key.clear();
            hashing.key.extend(key);
            0
        }))
    }

    fn set_mapping(
        &self,
        (gref, count, at): (u32, u32, u32),
        queues: usize,
        hashing: &mut Hashing,
        room: &mut Room<'_, impl Machine>,
    ) -> Result<Answer, Lie> {
        let invalid = Ok(Err(ControlStatus::InvalidParameter));
        let (count, at) = (count as usize, at as usize);
        let mut bytes = [0; MAX_MAPPING * ENTRY];
        if count > MAX_MAPPING || at.saturating_add(count) > hashing.mapping.len() {
            return invalid;
        }
        let bytes = &mut bytes[..count * ENTRY];
        if let Err(status) = self.read(GrantRef(gref), bytes, room)? {
            return Ok(Err(status));
        }
        let entries = || {
            bytes
                .chunks_exact(ENTRY)
                .map(|entry| u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]))
        };
        if entries().any(|queue| queue as usize >= queues) {
            return invalid;
        }
        for (slot, queue) in hashing.mapping[at..at + count].iter_mut().zip(entries()) {
            *slot = queue as u8;
        }
        Ok(Ok(0))
    }

    /// Copies bytes from the beginning of a guest's page.
    fn read(
        &self,
        gref: GrantRef,
        bytes: &mut [u8],
        room: &mut Room<'_, impl Machine>,
    ) -> Result<Result<(), ControlStatus>, Lie> {
        if bytes.is_empty() {
            return Ok(Ok(()));
        }
        let Some(scratch) = room.pool.allocate(bytes.len(), 0) else {
            return Ok(Err(ControlStatus::BufferOverflow));
        };
        room.batch.clear();
        let guest = GuestBytes { domid: self.domid, gref, offset: 0, length: bytes.len() };
        room.batch.add(room.pool, &*room.machine, (scratch, 0), guest, Way::FromGuest);
        room.batch.run(room.machine);
        let outcome = room.batch.outcome(0, room.batch.len(), Way::FromGuest);
        room.pool.read(scratch, &*room.machine, 0, bytes);
        room.pool.release(scratch);
        let copied = outcome.check(RingKind::Control)?;
        Ok(if copied { Ok(()) } else { Err(ControlStatus::BufferOverflow) })
    }
}
