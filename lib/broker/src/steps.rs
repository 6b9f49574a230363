//! Requests for the steps of which a guest is built.

use crate::{Answer, Request};
use builder::Step;
use xen_abi::Domid;
use zerocopy::IntoBytes;

/// A request, and the data that go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared<'a> {
    /// The request.
    pub request: Request,
    /// Its data.
    pub data: &'a [u8],
}

impl<'a> Prepared<'a> {
    /// What to ask for so that `step` is done on `domain`, which a step that creates one does not look at. `weight` is
    /// for that step alone.
    ///
    /// `place` says where in the boot archive bytes lie, if they lie there: those are copied by root, and need not be
    /// handed to it.
    pub fn new(
        step: &Step<'a>,
        domain: Domid,
        weight: u16,
        place: impl FnOnce(&'a [u8]) -> Option<u64>,
    ) -> Self {
        let without = |request| Self { request, data: &[] };
        match *step {
            Step::Create(create) => without(Request::Create { create, weight }),
            Step::MemoryMap(ranges) => {
                Self { request: Request::MemoryMap { domain }, data: ranges.as_bytes() }
            }
            Step::Populate { first, order, count } => {
                without(Request::Populate { domain, first, order, count: count as u32 })
            }
            Step::AllocatePort { remote } => without(Request::AllocatePort { domain, remote }),
            Step::Write { at, bytes } => match place(bytes) {
                Some(offset) => without(Request::Copy { domain, at, offset, length: bytes.len() as u32 }),
                None => Self { request: Request::Write { domain, at }, data: bytes },
            },
            Step::Clear { at, length } => without(Request::Clear { domain, at, length: length as u32 }),
            Step::HypercallPage { frame } => without(Request::HypercallPage { domain, frame }),
            Step::Grant { entry, to, frame } => without(Request::Grant { domain, entry, to, frame }),
            Step::Pin { root } => without(Request::Pin { domain, root }),
            Step::Context { vcpu, context } => {
                Self { request: Request::Context { domain, vcpu }, data: context.as_bytes() }
            }
            Step::Unpause => without(Request::Unpause { domain }),
        }
    }
}

impl Answer {
    /// As the builder names it; none for what is no answer to a step.
    pub fn to_step(&self) -> Option<builder::Answer<'_>> {
        Some(match self {
            Self::Done => builder::Answer::Done,
            Self::Created { shared_info, .. } => builder::Answer::Created { shared_info: *shared_info },
            Self::Frames(frames) => builder::Answer::Frames(frames),
            Self::Port(port) => builder::Answer::Port(*port),
            Self::Again
            | Self::Domain(_)
            | Self::Info(_)
            | Self::Host(_)
            | Self::Vcpu(_)
            | Self::Component(_)
            | Self::Event(_) => return None,
        })
    }
}
