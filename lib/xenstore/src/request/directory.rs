//! DIRECTORY and DIRECTORY_PART.

use super::{Failure, Request};
use crate::engine::Engine;
use crate::permission::Access;
use crate::wire::{Decimal, Errno, PAYLOAD_MAX, one_string, signed_number, string_count, strings};

impl Engine {
    /// DIRECTORY `<path>|`: the names of the node's children.
    pub(super) fn directory(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        self.at(request, one_string(request.payload), |engine, request, place| {
            let seen = engine.seek(request, place, Access::READ)?;
            let Some(children) = &seen.children else {
                request.reply(|_| ());
                return Ok(());
            };
            let mut result = Ok(());
            if children.size() > PAYLOAD_MAX {
                return Err(Errno::TooBig.into());
            }
            request.reply(|payload| result = children.read_all(|names| payload.extend_from_slice(names)));
            result.map_err(|mismatch| mismatch.of(place.path).into())
        })
    }

    /// DIRECTORY_PART `<path>|<offset>|`: the node's generation, and as many whole names as fit from that offset on.
    /// After the last name stands an empty one.
    pub(super) fn directory_part(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        if string_count(request.payload) != 2 {
            return Err(Errno::Invalid.into());
        }
        let mut arguments = strings(request.payload);
        let name = arguments.next();
        let offset = signed_number(arguments.next().unwrap_or_default()) as u32 as usize;
        self.at(request, name, |engine, request, place| {
            let seen = engine.seek(request, place, Access::READ)?;
            let generation = Decimal::new(seen.generation);
            let room = PAYLOAD_MAX - generation.as_bytes().len() - 2;
            let size = seen.children_size();
            let mut result = Ok(());
            request.reply(|payload| {
                payload.extend_from_slice(generation.as_bytes());
                payload.push(0);
                let start = payload.len();
                if let Some(children) = seen.children.as_ref().filter(|_| offset < size) {
                    result = children.read_from(offset, |names| {
                        whole_names(names, room - (payload.len() - start), payload)
                    });
                }
                if offset + (payload.len() - start) >= size {
                    payload.push(0);
                }
            });
            result.map_err(|mismatch| mismatch.of(place.path).into())
        })
    }
}

/// Adds names while they fit; answers whether all of them did.
fn whole_names(names: &[u8], room: usize, into: &mut alloc::vec::Vec<u8>) -> bool {
    let fitting = if names.len() <= room {
        names.len()
    } else {
        memchr::memrchr(0, &names[..room]).map_or(0, |last| last + 1)
    };
    into.extend_from_slice(&names[..fitting]);
    fitting == names.len()
}
