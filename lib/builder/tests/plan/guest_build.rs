//! Building a guest step by step, with little memory, in pieces, and with answers that are none.

use builder::{Answer, Build, BuildError, Extent, GuestParams, GuestPlan, Step, steps::MAX_EXTENTS};
use xen_abi::{Domid, Mfn, Port};

use crate::{
    guest_plan::params,
    support::{
        guest::Guest,
        kernel::Kernel,
        xen::{self, Store},
    },
};

#[test]
fn steps_come_in_the_order_that_xen_needs() {
    let file = Kernel::linux().file();
    let plan = GuestPlan::new(&file, &params()).unwrap();
    let mut steps = xen::build(&plan).steps;
    steps.dedup();
    let expected = [
        "create",
        "memory-map",
        "populate",
        "allocate-port",
        "write",
        "clear",
        "write",
        "clear",
        "write",
        "pin",
        "grant",
        "context",
        "unpause",
    ];
    assert_eq!(steps, expected);
}

#[test]
fn a_guest_is_built_from_whatever_pieces_there_are() {
    let kernel = Kernel::linux();
    let file = kernel.file();
    let params = params();
    let plan = GuestPlan::new(&file, &params).unwrap();
    for store in [
        Store { contiguous: true, ..Store::PLENTY },
        Store { order: 3, ..Store::PLENTY },
        Store { order: 0, ..Store::PLENTY },
        Store { at_once: 3, ..Store::PLENTY },
        Store { pages: params.memory_pages, ..Store::PLENTY },
    ] {
        let domain = xen::try_build(&plan, store, 4096).unwrap();
        Guest::start(&domain).assert_sound(&kernel, &params);
    }
    // Pieces that follow each other are one.
    xen::try_build(&plan, Store { contiguous: true, order: 0, ..Store::PLENTY }, 1).unwrap();
}

#[test]
fn too_little_memory_ends_the_build_with_numbers() {
    let file = Kernel::linux().file();
    let plan = GuestPlan::new(&file, &params()).unwrap();
    let error = xen::try_build(&plan, Store { pages: 1000, ..Store::PLENTY }, 64).err();
    assert_eq!(error, Some(BuildError::NoMemory { populated: 1000, wanted: 4096 }));
    let error = xen::try_build(&plan, Store { order: 2, ..Store::PLENTY }, 100).err();
    assert_eq!(error, Some(BuildError::Fragmented { room: 100, populated: 400, wanted: 4096 }));
}

#[test]
fn a_step_stays_until_it_is_answered() {
    let file = Kernel::linux().file();
    let plan = GuestPlan::new(&file, &params()).unwrap();
    let mut build = Build::new(&plan, &mut []);
    let first = format!("{:?}", build.step());
    assert!(first.contains("Create"));
    assert_eq!(format!("{:?}", build.step()), first);
}

#[test]
fn other_answers_are_refused() {
    let file = Kernel::linux().file();
    let params = GuestParams { memory_pages: 2048, ..params() };
    let plan = GuestPlan::new(&file, &params).unwrap();
    let mut room = [Extent::default(); 8];
    let mut build = Build::new(&plan, &mut room);
    let created = Answer::Created { shared_info: Mfn(1) };
    let (frames, port) = (Answer::Frames(&[Mfn(2)]), Answer::Port(Port(3)));
    let mut taken = 0;
    while let Some(step) = build.step() {
        let name = step.name();
        let right: &[Mfn] = &[0x1000, 0x2000, 0x3000, 0x4000].map(Mfn);
        let right = match step {
            Step::Create(_) => Answer::Created { shared_info: Mfn(1) },
            Step::Populate { count, .. } => Answer::Frames(&right[..count]),
            Step::AllocatePort { remote } => Answer::Port(Port(remote.0.into())),
            _ => Answer::Done,
        };
        for wrong in [Answer::Done, created, frames, port] {
            if core::mem::discriminant(&wrong) != core::mem::discriminant(&right) {
                let error = build.answer(wrong).unwrap_err();
                assert!(matches!(error, BuildError::Answer { step, .. } if step == name), "{name}: {error}");
            }
        }
        build.answer(right).unwrap();
        taken += 1;
    }
    assert!(taken > 20);
    assert_eq!(build.connections().store, Port(1));
    assert_eq!(build.connections().console, Port(4));
    let error = build.answer(Answer::Done).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the step none was answered by something else than nothing: there is no step left"
    );
}

#[test]
fn frames_that_cannot_be_are_refused() {
    let file = Kernel::linux().file();
    let params = GuestParams { memory_pages: 2048, ..params() };
    let plan = GuestPlan::new(&file, &params).unwrap();
    let mut room = [Extent::default(); 8];
    let mut to_frames = |shared_info, frames: &[Mfn]| {
        let mut build = Build::new(&plan, &mut room);
        build.answer(Answer::Created { shared_info })?;
        build.answer(Answer::Done)?;
        build.answer(Answer::Frames(frames))?;
        build.answer(Answer::Port(Port(1)))?;
        build.answer(Answer::Port(Port(2)))
    };
    let limit = 1 << 40;
    let error = to_frames(Mfn::INVALID, &[]);
    assert_eq!(error, Err(BuildError::Frame { frame: Mfn::INVALID, limit }));
    let error = to_frames(Mfn(1), &[Mfn(5), Mfn(limit)]);
    assert_eq!(error, Err(BuildError::Frame { frame: Mfn(limit), limit }));
    let error = to_frames(Mfn(1), &[Mfn(5); MAX_EXTENTS + 1]);
    assert_eq!(error, Err(BuildError::TooManyFrames { asked: 4, found: MAX_EXTENTS + 1 }));
    // A version 1 grant table has 32 bits for a frame.
    let limit = 1 << 32;
    let high = [0x1_0000_0000, 0x1_0000_1000, 0x1_0000_2000, 0x1_0000_3000].map(Mfn);
    let error = to_frames(Mfn(1), &high);
    let store = high[0] + plan.areas().store.0;
    assert_eq!(error, Err(BuildError::Frame { frame: store, limit }));
}

#[test]
fn a_host_without_xenstore_gives_no_port_to_it() {
    let kernel = Kernel::linux();
    let file = kernel.file();
    let params = GuestParams { store: None, ..params() };
    let plan = GuestPlan::new(&file, &params).unwrap();
    let domain = xen::build(&plan);
    assert_eq!(domain.ports, [params.console]);
    let guest = Guest::start(&domain);
    assert_eq!(guest.start_info.store_evtchn, Port(0));
    guest.assert_sound(&kernel, &params);
}

#[test]
fn the_ends_of_both_connections_may_be_one_domain() {
    let kernel = Kernel::linux();
    let file = kernel.file();
    let params = GuestParams { store: Some(Domid(3)), console: Domid(3), ..params() };
    let plan = GuestPlan::new(&file, &params).unwrap();
    let domain = xen::build(&plan);
    assert_eq!(domain.ports, [Domid(3); 2]);
    Guest::start(&domain).assert_sound(&kernel, &params);
}
