use super::*;
use proptest::prelude::*;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

const PAGE: u64 = PAGE_SIZE as u64;

/// A unikernel of 4 MiB: image and page tables take 128 pages, two are for boot info and health.
fn example() -> BootInfo {
    let mut next = layout::RAM_BASE + 128 * PAGE;
    let mut area = |pages: u64| {
        let va = next;
        next += pages * PAGE;
        Area { va, pages }
    };
    let stack = area(16);
    let _boot_info_and_health = area(2);
    BootInfo {
        incarnation: 1,
        domid: 7,
        ram_pages: 1024,
        heartbeat_period_us: 10_000,
        stack,
        log: area(4),
        kept_map: area(1),
        p2m: area(2),
        heap: area(1024 - 157),
        dma: area(4),
        grant_window: Area { va: layout::GRANT_WINDOW_VA, pages: 512 },
        kept: kept(0, 28),
        recovery_box: kept(0, 8),
        broker: kept(20, 4),
        register: kept(24, 1),
        archive: kept(25, 3),
        archive_bytes: 3 * PAGE - 100,
        shared_count: 2,
        shared: shared([kept(8, 4), kept(12, 8)]),
        ..BootInfo::new("probe.0", "rate=5", BootReason::First)
    }
}

/// Pages of the kept window.
fn kept(from: u64, pages: u64) -> Area {
    Area { va: layout::KEPT_WINDOW_VA + from * PAGE, pages }
}

fn shared<const N: usize>(areas: [Area; N]) -> [SharedInfo; MAX_SHARED] {
    let mut shared = [SharedInfo::default(); MAX_SHARED];
    for (shared, area) in shared.iter_mut().zip(areas) {
        *shared = SharedInfo::new("pool", area, 0b110);
    }
    shared
}

#[test]
fn a_page_as_root_writes_it_is_valid() {
    let info = example();
    assert_eq!(info.dma.end(), layout::RAM_BASE + 1024 * PAGE, "the example fills its RAM");
    assert_eq!(info.validate(), Ok(()));
    assert_eq!((info.name(), info.args()), ("probe.0", "rate=5"));
    assert_eq!(info.boot_reason(), Some(BootReason::First));
    assert_eq!(info.to_string(), "probe.0, domain 7, incarnation 1, 1024 pages");
    let shared: Vec<_> = info.shared().iter().map(|shared| (shared.name(), shared.area)).collect();
    assert_eq!(shared, [("pool", kept(8, 4)), ("pool", kept(12, 8))]);
}

#[test]
fn the_smallest_unikernel_has_nothing_kept_no_heap_and_no_window() {
    let mut info = example();
    for area in
        [&mut info.recovery_box, &mut info.kept, &mut info.broker, &mut info.register, &mut info.archive]
    {
        *area = Area::default();
    }
    (info.heap, info.dma, info.archive_bytes) = (Area::default(), Area::default(), 0);
    info.kept_map = Area::default();
    info.shared_count = 0;
    info.grant_window.pages = 0;
    assert_eq!(info.validate(), Ok(()));
}

#[test]
fn names_that_are_too_long_are_cut() {
    let info = BootInfo::new("a name of twenty-two..", "", BootReason::Rebuild);
    assert_eq!(info.name(), "a name of twenty");
}

#[test]
fn devices_follow_the_page() {
    let info = BootInfo { device_count: 2, ..example() };
    assert_eq!(info.device_info_va(0), Some(layout::BOOT_INFO_VA + PAGE));
    assert_eq!(info.device_info_va(1), Some(layout::BOOT_INFO_VA + 2 * PAGE));
    assert_eq!(info.device_info_va(2), None);
    assert_eq!(BootInfo { device_count: u16::MAX, ..info }.device_info_va(MAX_DEVICES), None);
}

#[test]
fn each_mistake_has_its_error() {
    let with = |change: fn(&mut BootInfo)| {
        let mut info = example();
        change(&mut info);
        info.validate().expect_err("there is a mistake")
    };
    assert_eq!(with(|info| info.magic = 5), BootInfoError::Magic { found: 5 });
    assert_eq!(with(|info| info.version = 9), BootInfoError::Version { found: 9 });
    assert_eq!(with(|info| info.boot_reason = 0), BootInfoError::BootReason { found: 0 });
    assert_eq!(with(|info| info.device_count = 5), BootInfoError::Devices { found: 5 });
    assert_eq!(with(|info| info.name[0] = 0xff), BootInfoError::Text);
    assert_eq!(with(|info| info.args[0] = 0xff), BootInfoError::Text);

    let area = |change| match with(change) {
        BootInfoError::Area { name, .. } => name,
        error => panic!("{error}"),
    };
    assert_eq!(area(|info| info.ram_pages = u64::MAX), "RAM");
    assert_eq!(area(|info| info.stack.pages = 0), "stack");
    assert_eq!(area(|info| info.log.va += 1), "log ring");
    assert_eq!(area(|info| info.kept_map.va = info.log.va), "kept map");
    assert_eq!(area(|info| info.kept.pages = 129), "kept map");
    assert_eq!(area(|info| (info.kept.va, info.kept_map.pages) = (layout::BAR_WINDOW_VA, 1)), "kept window");
    assert_eq!(area(|info| info.recovery_box.va = info.log.va), "recovery box");
    assert_eq!(area(|info| info.recovery_box.pages = 25), "recovery box");
    assert_eq!(area(|info| info.broker.pages = 5), "requests to the broker");
    assert_eq!(area(|info| info.shared[1].area.pages = 13), "shared memory");
    assert_eq!(area(|info| info.register.va -= PAGE), "register of domains");
    assert_eq!(area(|info| info.archive.pages = 2), "boot archive");
    assert_eq!(area(|info| info.archive_bytes = 3 * PAGE + 1), "boot archive");
    assert_eq!(with(|info| info.shared_count = 9), BootInfoError::Shared { found: 9 });
    assert_eq!(area(|info| info.p2m.pages = 1), "p2m");
    assert_eq!(area(|info| info.heap.pages += 5), "heap");
    assert_eq!(area(|info| info.dma.pages += 1), "DMA memory");
    assert_eq!(area(|info| info.grant_window.pages = 1025), "grant window");
    let text = with(|info| info.p2m.pages = 1).to_string();
    assert!(text.starts_with("boot info: the p2m cannot be 1 pages at 0x"), "{text}");
}

proptest! {
    /// A page of any content has an answer, and what was found valid can be built upon.
    #[test]
    fn validation_is_total(bytes in prop::collection::vec(any::<u8>(), size_of::<BootInfo>()), keep in 0..BootInfo::LEN) {
        // A valid page whose tail is rubbish, so that all checks are reached.
        let example = example();
        let mut mixed = vec![];
        mixed.extend_from_slice(&example.as_bytes()[..keep]);
        mixed.extend_from_slice(&bytes[keep..]);
        let info = BootInfo::read_from_bytes(&mixed).expect("of that size");
        if info.validate().is_ok() {
            let areas = [info.stack, info.log, info.kept_map, info.p2m, info.heap, info.dma];
            let areas: Vec<Area> = areas.into_iter().filter(|area| area.pages > 0).collect();
            prop_assert!(areas.windows(2).all(|pair| pair[0].end() <= pair[1].va));
            prop_assert!(areas.iter().all(|area| area.end() <= layout::SHARED_INFO_VA));
            prop_assert!(info.p2m.bytes() >= info.ram_pages * 8);
            prop_assert!(info.kept_map.bytes() >= info.kept.pages * layout::KEPT_MAP_ENTRY as u64);
            let lent = info.shared().iter().map(|shared| shared.area).chain([info.recovery_box, info.broker, info.register, info.archive]);
            for area in lent.filter(|area| area.pages > 0) {
                prop_assert!(info.kept.va <= area.va && area.end() <= info.kept.end());
            }
        }
        for index in 0..=MAX_DEVICES {
            info.device_info_va(index);
        }
        prop_assert!(info.to_string().is_ascii());
    }
}

impl BootInfo {
    const LEN: usize = size_of::<BootInfo>();
}
