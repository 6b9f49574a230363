//! Descriptions to test with: any that the types can hold, and any that keep the rules.

use description::{
    Capabilities, Component, ComponentId, ComponentSet, Console, Description, Device, DeviceClass,
    DeviceSelector, Driver, Granularity, Guest, Host, Interrupt, Limits, MAX_COMPONENTS, MAX_DEVICES,
    MAX_GUESTS, MAX_SHARED, Name, PciAddress, Shared, Source,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// A text of at most `N` bytes, of any characters.
fn any_text<const N: usize>() -> impl Strategy<Value = heapless::String<N>> {
    any::<String>().prop_map(|text| {
        let end = text.floor_char_boundary(N);
        heapless::String::try_from(&text[..end]).expect("it was cut to fit")
    })
}

/// A text of at most `N` bytes without control characters.
fn line<const N: usize>(least: usize) -> impl Strategy<Value = heapless::String<N>> {
    proptest::string::string_regex(&format!("[ -~]{{{least},{N}}}"))
        .expect("a regular expression")
        .prop_map(|text| heapless::String::try_from(text.as_str()).expect("it is short enough"))
}

fn name() -> impl Strategy<Value = Name> {
    "[a-z][a-z0-9_.-]{0,14}".prop_map(|text| Name::new(&text).expect("a name"))
}

fn selector() -> impl Strategy<Value = DeviceSelector> {
    let address =
        (any::<u16>(), any::<u8>(), 0..32u8, 0..8u8).prop_map(|(segment, bus, device, function)| {
            DeviceSelector::Address(PciAddress { segment, bus, device, function })
        });
    let id =
        any::<(u16, u16, u8)>().prop_map(|(vendor, device, nth)| DeviceSelector::Id { vendor, device, nth });
    let driver = (select(&Driver::NAMES), any::<u8>())
        .prop_map(|((_, driver), nth)| DeviceSelector::Driver { driver, nth });
    let class = (select(&DeviceClass::NAMES), any::<u8>())
        .prop_map(|((_, class), nth)| DeviceSelector::Class { class, nth });
    prop_oneof![address, id, driver, class]
}

fn device() -> impl Strategy<Value = Device> {
    (selector(), any::<bool>(), select(&Interrupt::NAMES))
        .prop_map(|(select, optional, (_, interrupt))| Device { select, optional, interrupt })
}

fn policy() -> impl Strategy<Value = Granularity> {
    select(&Granularity::NAMES).prop_map(|(_, policy)| policy)
}

fn console() -> impl Strategy<Value = Console> {
    select(&Console::NAMES).prop_map(|(_, console)| console)
}

prop_compose! {
    /// A host of any numbers.
    fn any_host()(
        (memory_pages, weight, check_period_us, plane_rebuilds) in any::<(u32, u16, u64, u8)>(),
        (plane_window_us, watchdog_us, host_watchdog_s, restarts, restart_window_us) in any::<(u64, u64, u32, u8, u64)>(),
        (console, slice_us) in (console(), any::<Option<u32>>()),
    ) -> Host {
        Host {
            memory_pages, weight, check_period_us, slice_us, console, plane_rebuilds, plane_window_us, watchdog_us, host_watchdog_s,
            restarts, restart_window_us,
        }
    }
}

prop_compose! {
    /// A component of any numbers.
    fn any_component()(
        name in name(),
        image in name(),
        (memory_pages, stack_pages, box_pages, log_pages, grant_window_pages, dma_pages) in any::<[u32; 6]>()
            .prop_map(|[a, b, c, d, e, f]| (a, b, c, d, e, f)),
        [period, deadline, boot, stall, starved, repair, enough, window] in any::<[u64; 8]>(),
        (attempts, hold, weight) in any::<([u8; 5], u8, u16)>(),
        (on, capabilities) in any::<(u32, u32)>(),
        devices in vec(device(), 0..=MAX_DEVICES),
        policy in policy(),
        (work_is_beat, autostart) in any::<(bool, bool)>(),
        args in any_text(),
        guest_memory_pages in option::of(any::<u32>()),
    ) -> Component {
        Component {
            name, image, memory_pages, stack_pages, weight,
            depends_on: ComponentSet::from_bits(on),
            devices: devices.into_iter().collect(),
            heartbeat_period_us: period,
            heartbeat_deadline_us: deadline,
            boot_deadline_us: boot,
            stall_deadline_us: stall,
            starved_deadline_us: starved,
            repair_deadline_us: repair,
            enough_cpu_us: enough,
            work_is_beat,
            limits: Limits { attempts, window_us: window, hold },
            policy,
            capabilities: Capabilities::from_bits_retain(capabilities),
            box_pages, log_pages, grant_window_pages, dma_pages, args, autostart, guest_memory_pages,
        }
    }
}

fn any_shared() -> impl Strategy<Value = Shared> {
    (name(), any::<u32>(), any::<u32>()).prop_map(|(name, bits, pages)| Shared {
        name,
        between: ComponentSet::from_bits(bits),
        pages,
    })
}

fn any_guest() -> impl Strategy<Value = Guest> {
    let config = any_text().prop_map(|path| Source::Config { path });
    let kernel = (any_text(), option::of(any_text()), any_text(), any::<(u32, u8, u16)>()).prop_map(
        |(kernel, ramdisk, cmdline, (memory_pages, vcpus, weight))| Source::Kernel {
            kernel,
            ramdisk,
            cmdline,
            memory_pages,
            vcpus,
            weight,
        },
    );
    (name(), prop_oneof![config, kernel]).prop_map(|(name, source)| Guest { name, source })
}

prop_compose! {
    /// Any description that the types can hold: most break many rules.
    pub(crate) fn any_description()(
        host in any_host(),
        components in vec(any_component(), 0..=MAX_COMPONENTS),
        shared in vec(any_shared(), 0..=MAX_SHARED),
        guests in vec(any_guest(), 0..=MAX_GUESTS),
    ) -> Description {
        Description {
            host,
            components: components.into_iter().collect(),
            shared: shared.into_iter().collect(),
            guests: guests.into_iter().collect(),
        }
    }
}

prop_compose! {
    fn valid_host()(
        memory_pages in 8 * 256..=1024 * 256u32,
        weight in 1..=u16::MAX,
        (console, slice_us) in (console(), option::of(100..=20_000u32)),
        check_period_us in 1_000..=5_000u64,
        (plane_rebuilds, plane_window_us) in (any::<u8>(), 1_000_000..=600_000_000u64),
        watchdog_us in 50_000..=500_000u64,
        (host_watchdog_s, restarts) in (2..=3_600u32, 1..=u8::MAX),
        restart_window_us in 255 * 500_000..=3_600_000_000u64,
    ) -> Host {
        Host {
            memory_pages, weight, check_period_us, slice_us, console, plane_rebuilds, plane_window_us, watchdog_us, host_watchdog_s,
            restarts, restart_window_us,
        }
    }
}

prop_compose! {
    /// A component without device and dependency that keeps all rules, if the host looks every 5 ms or more often.
    fn valid_component()(
        (image, args, policy) in (name(), line(0), policy()),
        extents in 3..=32u32,
        (stack_pages, box_pages, log_pages, grant_window_pages) in (4..=256u32, 1..=192u32, 1..=64u32, 0..=1024u32),
        period in 1_000..=100_000u64,
        (deadline, boot, stall) in (2..=20u64, 1..=10u64, 10_000..=1_000_000u64),
        (starved, repair, enough) in (0..=1_000_000u64, 100_000..=10_000_000u64, 100..=1_000u64),
        attempts in any::<[u8; 5]>().prop_filter("nothing would be tried", |attempts| attempts[0] > 0),
        (hold, weight) in (1..=u8::MAX, 1..=u16::MAX),
        capabilities in any::<u32>(),
        (work_is_beat, autostart) in any::<(bool, bool)>(),
    ) -> Component {
        let heartbeat_deadline_us = (period * deadline).max(10_000);
        let boot_deadline_us = heartbeat_deadline_us * boot;
        let sum: u32 = attempts.iter().map(|&n| u32::from(n)).sum();
        let hold = u32::from(hold).min(sum) as u8;
        Component {
            memory_pages: extents * 512,
            stack_pages, weight,
            heartbeat_period_us: period,
            heartbeat_deadline_us,
            boot_deadline_us,
            stall_deadline_us: stall,
            starved_deadline_us: boot_deadline_us + starved,
            repair_deadline_us: repair,
            enough_cpu_us: enough,
            work_is_beat,
            limits: Limits { attempts, hold, window_us: boot_deadline_us * u64::from(hold) + 1 },
            policy,
            capabilities: Capabilities::from_bits_truncate(capabilities),
            box_pages, log_pages, grant_window_pages, args, autostart,
            ..Component::new(image.clone(), image)
        }
    }
}

fn valid_guest() -> impl Strategy<Value = Source> {
    let config = line(1).prop_map(|path| Source::Config { path });
    let sizes = (8 * 256..=1024 * 256u32, 1..=128u8, 1..=u16::MAX);
    let kernel = (line(1), option::of(line(1)), line(0), sizes).prop_map(
        |(kernel, ramdisk, cmdline, (memory_pages, vcpus, weight))| Source::Kernel {
            kernel,
            ramdisk,
            cmdline,
            memory_pages,
            vcpus,
            weight,
        },
    );
    prop_oneof![config, kernel]
}

prop_compose! {
    /// Any description that keeps the rules.
    pub(crate) fn valid_description()(
        host in valid_host(),
        components in vec((valid_component(), any::<u32>(), vec(device(), 0..=MAX_DEVICES), 1..=512u32), 1..=MAX_COMPONENTS),
        shared in vec((1..=200u32, vec(any::<prop::sample::Index>(), 2..6)), 0..=8),
        guests in vec(valid_guest(), 0..=MAX_GUESTS),
    ) -> Description {
        let mut description = Description { host, ..Description::default() };
        let mut claimed = Vec::new();
        for (i, (mut component, on, devices, dma_pages)) in components.into_iter().enumerate() {
            component.name = Name::new(&format!("c{i}")).expect("a name");
            // On earlier ones alone, so there is no cycle; and on none that does not start.
            component.depends_on = ComponentId::first(i)
                .filter(|&earlier| ComponentSet::from_bits(on).contains(earlier))
                .filter(|earlier| !component.autostart || description.components[earlier.index()].autostart)
                .collect();
            for device in devices {
                if !claimed.contains(&device.select) {
                    claimed.push(device.select);
                    component.devices.push(device).expect("as many as there may be");
                }
            }
            component.dma_pages = if component.devices.is_empty() { 0 } else { dma_pages };
            // The first may have to start guests.
            if description.components.iter().skip(1).filter(|earlier| earlier.may_have_guests()).count() >= 3 {
                component.capabilities -= Capabilities::GUESTS;
            }
            component.guest_memory_pages = component.may_have_guests().then_some(dma_pages * 256);
            description.components.push(component).expect("as many as there may be");
        }
        for (i, (pages, members)) in shared.into_iter().enumerate() {
            let members = members.iter().map(|at| at.index(description.components.len()));
            let between: ComponentSet = members.filter_map(ComponentId::new).collect();
            if between.len() >= 2 {
                let name = Name::new(&format!("s{i}")).expect("a name");
                description.shared.push(Shared { name, between, pages }).expect("as many as there may be");
            }
        }
        description.host.memory_pages = description.host.memory_pages.max(8 * 256 + description.kept_pages() as u32);
        if !guests.is_empty() {
            description.components[0].capabilities |= Capabilities::GUESTS;
            description.components[0].autostart = true;
        }
        for (i, source) in guests.into_iter().enumerate() {
            let name = Name::new(&format!("guest{i}")).expect("a name");
            description.guests.push(Guest { name, source }).expect("as many as there may be");
        }
        description
    }
}
