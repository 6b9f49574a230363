//! Any request, any answer.

use broker::answer::{EVENT_TEXT, What};
use broker::{
    Answer, ComponentInfo, DomainInfo, DomainState, EventLine, HostInfo, Outcome, Refusal, Request, VcpuInfo,
};
use builder::steps::{Create, MAX_EXTENTS, TableSizes};
use proptest::prelude::*;
use xen_abi::domctl::TscMode;
use xen_abi::{Domid, GrantRef, MachineAddr, Mfn, Pfn, Port};

fn create() -> impl Strategy<Value = Create> {
    let tables = any::<(u16, u16, u32)>().prop_map(|(grant_frames, maptrack_frames, highest_port)| {
        TableSizes { grant_frames, maptrack_frames, highest_port }
    });
    let tsc = prop::sample::select(TscMode::ALL);
    (any::<([u8; 16], u64, u32)>(), tsc, tables).prop_map(|((handle, memory_kib, vcpus), tsc, tables)| {
        Create { handle, memory_kib, vcpus, tsc, tables }
    })
}

pub fn request() -> impl Strategy<Value = Request> {
    let about = any::<(u16, u64, u64, u32)>();
    (0..26, about, any::<[u8; 16]>(), create()).prop_map(|(kind, (domain, a, b, c), handle, create)| {
        let domain = Domid(domain);
        let at = MachineAddr(a);
        match kind {
            0 => Request::Host,
            1 => Request::Find { handle },
            2 => Request::Next { after: domain },
            3 => Request::Info { domain },
            4 => Request::Create { create, weight: b as u16 },
            5 => Request::MemoryMap { domain },
            6 => Request::Populate { domain, first: Pfn(a), order: b as u32, count: c },
            7 => Request::AllocatePort { domain, remote: Domid(b as u16) },
            8 => Request::Write { domain, at },
            9 => Request::Copy { domain, at, offset: b, length: c },
            10 => Request::Clear { domain, at, length: c },
            11 => Request::HypercallPage { domain, frame: Mfn(a) },
            12 => Request::Grant { domain, entry: GrantRef(c), to: Domid(b as u16), frame: Mfn(a) },
            13 => Request::Pin { domain, root: Mfn(a) },
            14 => Request::Context { domain, vcpu: c },
            15 => Request::Introduce { domain, frame: Mfn(a), reference: GrantRef(b as u32), port: Port(c) },
            16 => Request::Unpause { domain },
            17 => Request::Pause { domain },
            18 => Request::Destroy { domain },
            19 => Request::SetMaxMemory { domain, kib: a },
            20 => Request::Component { index: c },
            21 => Request::Event { from: a },
            22 => Request::Restart { index: c, rung: b as u8 },
            23 => Request::Release { index: c },
            25 => Request::Vcpu { domain, vcpu: c },
            24 => Request::Inject { index: c, fault: b as u32, argument: a },
            _ => Request::SetWeight { domain, weight: b as u16 },
        }
    })
}

pub fn outcome() -> impl Strategy<Value = Outcome> {
    let frames = prop::collection::vec(any::<u64>().prop_map(Mfn), 0..=MAX_EXTENTS);
    (0..21, any::<(u16, u64, u64, u64, u32)>(), any::<[u8; 16]>(), frames).prop_map(
        |(kind, (domain, a, b, c, d), handle, frames)| {
            let domain = Domid(domain);
            Ok(match kind {
                0 => Answer::Done,
                1 => Answer::Created { domain, shared_info: Mfn(a) },
                2 => Answer::Frames(frames.into_iter().collect()),
                3 => Answer::Port(Port(d)),
                4 => Answer::Again,
                5 => Answer::Domain((d % 2 == 0).then_some((domain, handle))),
                6 => Answer::Info(DomainInfo {
                    state: DomainState::ShutDown { reason: d as u8 },
                    pages: a,
                    max_pages: b,
                    cpu_time_ns: c,
                    vcpus: d,
                    shared_info: Mfn(a ^ b),
                }),
                7 => Answer::Host(HostInfo {
                    free_pages: a,
                    total_pages: b,
                    processors: d,
                    xen: (a as u16, b as u16),
                    guest_memory_kib: c,
                    promised_kib: a ^ c,
                }),
                16 => Answer::Component((d % 2 == 0).then(|| ComponentInfo {
                    name: "a".repeat(c as usize % 17).as_str().try_into().unwrap(),
                    state: "repairing".try_into().unwrap(),
                    domain,
                    incarnation: a,
                    beats: b,
                    fault: (d % 4 == 0).then(|| ("hang".try_into().unwrap(), c)),
                })),
                19 => Answer::Vcpu(VcpuInfo {
                    online: d % 2 == 0,
                    blocked: d % 3 == 0,
                    running: d % 5 == 0,
                    cpu: d,
                    cpu_time_ns: a,
                }),
                17 => Answer::Event(Some(EventLine {
                    sequence: a,
                    at_us: b,
                    text: "x".repeat(c as usize % (EVENT_TEXT + 1)).as_str().try_into().unwrap(),
                })),
                18 => return Err(Refusal::NoComponent { index: d }),
                8 => return Err(Refusal::Malformed),
                9 => return Err(Refusal::NotYours { domain }),
                10 => return Err(Refusal::TooMuch { what: What::ArchiveOffset, asked: a, most: b }),
                11 => return Err(Refusal::Memory { asked_kib: a, left_kib: b }),
                12 => return Err(Refusal::Exists { domain }),
                13 => return Err(Refusal::NoNumber),
                14 => return Err(Refusal::Interrupted),
                _ => return Err(Refusal::Xen(d as i32)),
            })
        },
    )
}
