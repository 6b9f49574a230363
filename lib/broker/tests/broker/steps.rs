//! Each step of a build becomes a request.

use broker::{Answer, Prepared, Request};
use builder::Step;
use builder::steps::Create;
use xen_abi::context::VcpuGuestContext;
use xen_abi::domctl::TscMode;
use xen_abi::memory::MemoryMapEntry;
use xen_abi::{Domid, GrantRef, MachineAddr, Mfn, Pfn, Port};
use zerocopy::IntoBytes;

const DOMAIN: Domid = Domid(12);
const WEIGHT: u16 = 300;

fn prepare<'a>(step: &Step<'a>) -> Prepared<'a> {
    Prepared::new(step, DOMAIN, WEIGHT, |_| None)
}

#[test]
fn what_a_step_brings_along_becomes_data() {
    let context = VcpuGuestContext::default();
    let ranges = [MemoryMapEntry { addr: 1.into(), size: 2.into(), kind: 3.into() }; 2];
    let bytes = [1, 2, 3];
    let at = MachineAddr(0x5000);
    let prepared = prepare(&Step::Context { vcpu: 0, context: &context });
    assert_eq!(prepared.request, Request::Context { domain: DOMAIN, vcpu: 0 });
    assert_eq!(prepared.data, context.as_bytes());
    assert_eq!(prepare(&Step::MemoryMap(&ranges)).data, ranges.as_bytes());
    let write = prepare(&Step::Write { at, bytes: &bytes });
    assert_eq!((write.request, write.data), (Request::Write { domain: DOMAIN, at }, &bytes[..]));
}

#[test]
fn bytes_of_the_archive_are_copied_there() {
    let archive = [0; 100];
    let step = Step::Write { at: MachineAddr(8), bytes: &archive[40..60] };
    let place = |bytes: &[u8]| Some(bytes.as_ptr() as u64 - archive.as_ptr() as u64);
    let prepared = Prepared::new(&step, DOMAIN, WEIGHT, place);
    assert_eq!(
        prepared.request,
        Request::Copy { domain: DOMAIN, at: MachineAddr(8), offset: 40, length: 20 }
    );
    assert!(prepared.data.is_empty());
}

#[test]
fn every_other_step_says_it_all() {
    let create = Create {
        handle: [3; 16],
        memory_kib: 65536,
        vcpus: 2,
        tsc: TscMode::NeverEmulate,
        tables: Default::default(),
    };
    let domain = DOMAIN;
    let (first, frame, at) = (Pfn(512), Mfn(77), MachineAddr(4096));
    let (entry, to) = (GrantRef(1), Domid(3));
    let cases = [
        (Step::Create(create), Request::Create { create, weight: WEIGHT }),
        (
            Step::Populate { first, order: 9, count: 8 },
            Request::Populate { domain, first, order: 9, count: 8 },
        ),
        (Step::AllocatePort { remote: to }, Request::AllocatePort { domain, remote: to }),
        (Step::Clear { at, length: 4096 }, Request::Clear { domain, at, length: 4096 }),
        (Step::HypercallPage { frame }, Request::HypercallPage { domain, frame }),
        (Step::Grant { entry, to, frame }, Request::Grant { domain, entry, to, frame }),
        (Step::Pin { root: frame }, Request::Pin { domain, root: frame }),
        (Step::Unpause, Request::Unpause { domain }),
    ];
    for (step, request) in cases {
        let prepared = prepare(&step);
        assert_eq!((prepared.request, prepared.data), (request, &[][..]));
        assert_eq!(prepared.request.name(), step.name());
    }
}

#[test]
fn answers_are_what_the_builder_waits_for() {
    use builder::Answer as Of;
    let frames = Answer::Frames([Mfn(1), Mfn(2)].into_iter().collect());
    assert!(matches!(frames.to_step(), Some(Of::Frames([Mfn(1), Mfn(2)]))));
    assert!(matches!(Answer::Done.to_step(), Some(Of::Done)));
    assert!(matches!(Answer::Port(Port(4)).to_step(), Some(Of::Port(Port(4)))));
    let created = Answer::Created { domain: DOMAIN, shared_info: Mfn(5) };
    assert!(matches!(created.to_step(), Some(Of::Created { shared_info: Mfn(5) })));
    assert!(Answer::Again.to_step().is_none() && Answer::Domain(None).to_step().is_none());
}
