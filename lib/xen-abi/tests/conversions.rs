//! What the types do besides lying in memory: how they are put together, and how answers are read.

use xen_abi::context::VcpuGuestContext;
use xen_abi::domctl::{
    CreateDomain, CreateFlags, DomainInfo, DomainInfoFlags, Domctl, DomctlCommand, MaxMem, Sbdf, TscMode,
};
use xen_abi::errno::Errno;
use xen_abi::event_channel::{PortState, Status};
use xen_abi::grant_table::{CopyFlags, CopyPlace, GrantCopy, GrantError, GrantStatus};
use xen_abi::memory::MemoryType;
use xen_abi::mmu::{Foreign, MmuUpdate, Pte, PteFlags};
use xen_abi::multicall::MulticallEntry;
use xen_abi::payload::Payload;
use xen_abi::physdev::{MapPirq, PciDevice, Polarity, Triggering};
use xen_abi::sched::ShutdownReason;
use xen_abi::shared_info::VcpuTimeInfo;
use xen_abi::start_info::{DomUConsole, StartInfo};
use xen_abi::types::until_nul;
use xen_abi::version::XenVersion;
use xen_abi::{AbiVersion, Domid, GrantRef, Hypercall, MachineAddr, Mfn, Pfn, Port, VirtAddr, XenError};
use zerocopy::IntoBytes;

#[test]
fn a_payload_gives_back_what_went_in() {
    let payload: Payload<2> = Payload::new(&MaxMem { max_memkb: 0x0102_0304_0506_0708 });
    assert_eq!(payload.get::<MaxMem>().max_memkb, 0x0102_0304_0506_0708);
    assert_eq!(payload.get::<u16>(), 0x0708, "a shorter type reads the first bytes");
    assert_eq!(payload.get::<[u64; 2]>()[1], 0, "what the value does not fill is zero");
}

#[test]
fn a_domctl_states_the_version_it_was_made_for() {
    let domctl = Domctl::new(DomctlCommand::MaxMem, Domid(7), AbiVersion::V4_20, &MaxMem { max_memkb: 4096 });
    let bytes = domctl.as_bytes();
    assert_eq!(bytes[..4], 11_u32.to_le_bytes());
    assert_eq!(bytes[4..8], 0x17_u32.to_le_bytes());
    assert_eq!(bytes[8..10], 7_u16.to_le_bytes());
    assert_eq!(bytes[16..24], 4096_u64.to_le_bytes());
    assert_eq!(domctl.payload::<MaxMem>(), MaxMem { max_memkb: 4096 });
}

#[test]
fn a_domain_is_created_in_the_form_of_each_version() {
    let config = CreateDomain { cpupool_id: 0x55, flags: CreateFlags::IOMMU, ..CreateDomain::PV };
    let word = |version, index: usize| {
        let words: [u32; 32] = config.domctl(Domid(3), version).payload();
        words[index]
    };
    for &version in AbiVersion::ALL {
        assert_eq!(word(version, 5), CreateFlags::IOMMU.bits());
        assert_eq!(word(version, 7), 1, "one vCPU");
        assert_eq!(word(version, 11), 1, "a version 1 grant table");
    }
    assert_eq!(word(AbiVersion::V4_17, 13), 0x55);
    assert_eq!(word(AbiVersion::V4_18, 13), 0x55);
    assert_eq!(word(AbiVersion::V4_20, 13), 0);
    assert_eq!(word(AbiVersion::V4_20, 14), 0x55, "behind the word that 4.19 added");
}

#[test]
fn xens_release_tells_the_form_of_the_interface() {
    let of = |answer| AbiVersion::of(XenVersion::from_answer(answer));
    assert_eq!(of(4 << 16 | 16), None);
    assert_eq!(of(4 << 16 | 17), Some(AbiVersion::V4_17));
    assert_eq!(of(4 << 16 | 18), Some(AbiVersion::V4_18));
    assert_eq!(of(4 << 16 | 19), Some(AbiVersion::V4_20));
    assert_eq!(of(4 << 16 | 20), Some(AbiVersion::V4_20));
    assert_eq!(of(4 << 16 | 21), None);
    assert_eq!(of(5 << 16 | 17), None);
    let numbers =
        AbiVersion::ALL.iter().map(|v| (v.domctl_interface_version(), v.sysctl_interface_version()));
    assert_eq!(numbers.collect::<Vec<_>>(), [(0x15, 0x15), (0x16, 0x15), (0x17, 0x15)]);
}

#[test]
fn answers_are_results_or_errors() {
    assert_eq!(XenError::check(0), Ok(0));
    assert_eq!(XenError::check(i64::MAX), Ok(i64::MAX as u64));
    assert_eq!(XenError::check(-22), Err(XenError::Known(Errno::Einval)));
    assert_eq!(XenError::check(-4095), Err(XenError::Unknown(-4095)));
    assert_eq!(XenError::check(i64::MIN), Err(XenError::Unknown(i64::MIN)));
    assert_eq!(XenError::from_status(0), None);
    assert_eq!(XenError::from_status(-3), Some(XenError::Known(Errno::Esrch)));
    assert_eq!(XenError::Known(Errno::Enomem).to_string(), "Enomem (-12)");
    assert_eq!(GrantStatus::check(0), Ok(()));
    assert_eq!(GrantStatus::check(-3), Err(GrantError::Known(GrantStatus::BadGntref)));
    assert_eq!(GrantStatus::check(-99), Err(GrantError::Unknown(-99)));
    assert_eq!(GrantStatus::check(1), Err(GrantError::Unknown(1)));
}

#[test]
fn a_call_of_a_batch_has_its_own_result() {
    let mut entry = MulticallEntry::new(Hypercall::SchedOp, [1, 2]);
    assert_eq!((entry.op, entry.args), (29, [1, 2, 0, 0, 0, 0]));
    entry.result = -38_i64 as u64;
    assert_eq!(entry.result(), Err(XenError::Known(Errno::Enosys)));
}

#[test]
fn a_ports_state_names_its_other_end() {
    let status =
        |status, peer, peer_port| Status { status, peer, peer_port: Port(peer_port), ..Status::default() };
    // Only the low half of the word is the domain; Xen leaves the high half as it was.
    assert_eq!(status(1, 0xffff_0005, 0).state(), Some(PortState::Unbound(Domid(5))));
    assert_eq!(status(2, 0xffff_0005, 9).state(), Some(PortState::Interdomain(Domid(5), Port(9))));
    assert_eq!(status(3, 0x1_0010, 0).state(), Some(PortState::Pirq(0x1_0010)));
    assert_eq!(status(4, 3, 0).state(), Some(PortState::Virq(3)));
    assert_eq!(status(0, 3, 0).state(), Some(PortState::Closed));
    assert_eq!(status(6, 0, 0).state(), None);
}

#[test]
fn a_shutdowns_reason_is_told_if_there_was_one() {
    let info = |bits| DomainInfo { flags: DomainInfoFlags::from_bits_retain(bits), ..DomainInfo::default() };
    assert_eq!(info(1 << 2 | 3 << 16).shutdown_reason(), Some(ShutdownReason::Crash));
    assert_eq!(info(1 << 2 | 5 << 16 | 1 << 24).shutdown_reason(), Some(ShutdownReason::SoftReset));
    assert_eq!(info(1 << 5 | 3 << 16).shutdown_reason(), None, "it runs");
    assert_eq!(info(1 << 2 | 255 << 16).shutdown_reason(), None, "a reason of the domain's own making");
}

#[test]
fn frames_addresses_and_table_entries_convert() {
    assert_eq!(Mfn(0x1234).addr(), MachineAddr(0x123_4000));
    assert_eq!(MachineAddr(0x123_4567).mfn(), Mfn(0x1234));
    assert_eq!(MachineAddr(0x123_4567).page_offset(), 0x567);
    assert_eq!(Pfn(3).byte_offset(), 0x3000);
    assert_eq!(Mfn(10) + 4, Mfn(14));
    assert_eq!(Mfn(14) - Mfn(10), 4);
    let addr = VirtAddr(0x0000_7fbf_dfef_f123);
    assert_eq!([4, 3, 2, 1].map(|level| addr.table_index(level)), [0xff, 0xff, 0xff, 0xff]);
    let flags = PteFlags::PRESENT | PteFlags::NX;
    let pte = Pte::new(Mfn(0xab_cdef), flags);
    assert_eq!(pte.0, 0x8000_000a_bcde_f001);
    assert_eq!((pte.mfn(), pte.flags(), pte.is_present()), (Mfn(0xab_cdef), flags, true));
    assert!(!Pte::EMPTY.is_present());
}

#[test]
fn what_xens_headers_do_not_name_has_the_hardwares_and_the_sources_values() {
    let bits = [
        (PteFlags::PRESENT, 0x1),
        (PteFlags::WRITABLE, 0x2),
        (PteFlags::USER, 0x4),
        (PteFlags::PWT, 0x8),
        (PteFlags::PCD, 0x10),
        (PteFlags::ACCESSED, 0x20),
        (PteFlags::DIRTY, 0x40),
        (PteFlags::PAT, 0x80),
        (PteFlags::GLOBAL, 0x100),
        (PteFlags::AVAIL0, 0x200),
        (PteFlags::AVAIL1, 0x400),
        (PteFlags::AVAIL2, 0x800),
        (PteFlags::NX, 0x8000_0000_0000_0000),
    ];
    assert_eq!(bits.len(), PteFlags::all().iter().count());
    for (flag, value) in bits {
        assert_eq!(flag.bits(), value, "{flag:?}");
    }
    assert_eq!(MemoryType::ALL.iter().map(|kind| kind.raw()).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(TscMode::ALL.iter().map(|mode| mode.raw()).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!((Triggering::Edge.raw(), Triggering::Level.raw()), (0, 1));
    assert_eq!((Polarity::High.raw(), Polarity::Low.raw()), (0, 1));
}

#[test]
fn table_writes_say_which_kind_they_are_and_of_whom() {
    assert_eq!(MmuUpdate::write(MachineAddr(0x5008), Pte(1)).ptr, 0x5008);
    assert_eq!(MmuUpdate::machphys(Mfn(5), Pfn(7)), MmuUpdate { ptr: 0x5001, val: 7 });
    assert_eq!(MmuUpdate::write_preserving_ad(MachineAddr(0x5008), Pte(1)).ptr, 0x500a);
    assert_eq!(Foreign::NONE.raw(), 0x7ff0);
    assert_eq!(Foreign { frames: Domid(5), tables: Domid::SELF }.raw(), 5);
    assert_eq!(Foreign { frames: Domid(5), tables: Domid(5) }.raw(), 6 << 16 | 5);
    assert_eq!(Foreign { frames: Domid(5), tables: Domid(0) }.raw(), 1 << 16 | 5);
}

#[test]
fn a_copy_marks_the_sides_that_are_grants() {
    let copy =
        GrantCopy::new((CopyPlace::Grant(Domid(4), GrantRef(8)), 16), (CopyPlace::Frame(Mfn(9)), 32), 100);
    assert_eq!(copy.flags, CopyFlags::SOURCE_GREF);
    assert_eq!((copy.source.ref_or_frame, copy.source.domid, copy.source.offset), (8, Domid(4), 16));
    assert_eq!((copy.dest.ref_or_frame, copy.dest.domid, copy.dest.offset), (9, Domid::SELF, 32));
}

#[test]
fn devices_are_named_by_their_place() {
    let device = PciDevice { seg: 1, bus: 0x02, devfn: 0x19 };
    assert_eq!(Sbdf::from(device), Sbdf(0x0001_0219));
    let message = MapPirq::message(Domid(2), device, 5, 0xfe00_0000);
    assert_eq!((message.bus, message.devfn, message.entry_nr), (0x0001_0002, 0x19, 5));
    assert_eq!((message.index, message.pirq), (-1, -1));
    let far = MapPirq::message(Domid(2), PciDevice { seg: 0xffff, bus: 0xff, devfn: 0 }, 0, 0);
    assert_eq!(far.bus, 0xffff_00ff_u32.cast_signed());
    let line = MapPirq::line(Domid(2), 11);
    assert_eq!((line.kind, line.index, line.pirq), (1, 11, 11));
}

#[test]
fn the_clock_scales_ticks_to_nanoseconds() {
    // 2 GHz: a tick is half a nanosecond.
    let clock = VcpuTimeInfo {
        tsc_timestamp: 1000,
        system_time: 50,
        tsc_to_system_mul: 1 << 31,
        ..Default::default()
    };
    assert_eq!(clock.system_time_at(1000), 50);
    assert_eq!(clock.system_time_at(3000), 1050);
    assert_eq!(clock.system_time_at(10), 50, "a counter that lags is not a time long ago");
    assert_eq!(VcpuTimeInfo { tsc_shift: 1, ..clock }.system_time_at(3000), 2050);
    assert_eq!(VcpuTimeInfo { tsc_shift: -1, ..clock }.system_time_at(3000), 550);
    assert_eq!(VcpuTimeInfo { tsc_shift: -128, ..clock }.system_time_at(u64::MAX), 50);
    // Rubbish gives some time, not a panic.
    let rubbish =
        VcpuTimeInfo { tsc_shift: 127, tsc_to_system_mul: u32::MAX, system_time: u64::MAX, ..clock };
    rubbish.system_time_at(u64::MAX);
}

#[test]
fn the_start_info_holds_text_and_a_console() {
    let mut info = StartInfo::default();
    assert!(!info.has_magic());
    info.magic[..14].copy_from_slice(b"xen-3.0-x86_64");
    assert!(info.has_magic());
    info.cmd_line[..5].copy_from_slice(b"a=1\0b");
    assert_eq!(info.command_line(), b"a=1");
    assert_eq!(until_nul(b"no end"), b"no end");
    info.console = Payload::new(&DomUConsole { mfn: Mfn(77), evtchn: Port(2), pad: 0 });
    assert_eq!(info.console.get::<DomUConsole>().mfn, Mfn(77));
}

#[test]
fn numbers_and_flags_print_as_names() {
    assert_eq!(format!("{:?}", PteFlags::PRESENT | PteFlags::USER), "PteFlags(PRESENT | USER)");
    assert_eq!(Hypercall::from_raw(36), Some(Hypercall::Domctl));
    assert_eq!(Hypercall::from_raw(11), None);
    for &call in Hypercall::ALL {
        assert_eq!(Hypercall::from_raw(call.raw()), Some(call));
    }
    assert_eq!(Domid(7).to_string(), "d7");
    assert_eq!(VcpuGuestContext::default().as_bytes().iter().max(), Some(&0));
}
