//! For every kernel and every set of parameters: a sound guest or a reason, and never a panic.

use builder::{GuestParams, GuestPlan};
use proptest::{collection::vec, prelude::*, sample::Index};
use xen_abi::{Domid, elfnote::ElfNote};

use crate::support::{
    elf_writer::{Part, R, W, X},
    guest::Guest,
    kernel::{INIT_P2M, Kernel, VIRT_BASE, load},
    xen::{self, Store},
};

/// Parameters as a strategy makes them: owned.
#[derive(Clone, Debug)]
struct Params {
    numbers: GuestParams<'static>,
    initrd: Vec<u8>,
    command_line: Vec<u8>,
}

impl Params {
    fn get(&self) -> GuestParams<'_> {
        GuestParams { initrd: &self.initrd, command_line: &self.command_line, ..self.numbers }
    }
}

/// Loads in order, with or without gaps, on page boundaries or not.
fn loads() -> impl Strategy<Value = Vec<Part>> {
    let one =
        (prop::sample::select(vec![R, R | X, R | W, R | W | X]), 1..20_000usize, 0..50_000u64, 0..20_000u64);
    (0..0x20_0000u64, vec(one, 1..6)).prop_map(|(start, loads)| {
        let mut next = start;
        let place = |(flags, bytes, more, gap)| {
            let content = (0..bytes).map(|n| (n * 7 + 1) as u8).collect();
            let part = load(flags, next + gap, content, bytes as u64 + more);
            next = part.physical + part.size;
            part
        };
        loads.into_iter().map(place).collect()
    })
}

fn kernels() -> impl Strategy<Value = Kernel> {
    let base = prop_oneof![
        3 => Just((VIRT_BASE, 0)),
        1 => (1..1000u64).prop_map(|page| (page << 12, page << 12)),
        1 => (0..1000u64).prop_map(|page| (0xffff_c000_0000_0000 + (page << 12), 0)),
    ];
    let p2m = prop_oneof![Just(None), Just(Some(INIT_P2M)), (1..200u64).prop_map(|slot| Some(slot << 39))];
    (loads(), base, p2m, any::<bool>(), any::<Option<Index>>()).prop_map(
        |(loads, (virt_base, offset), p2m, mod_start_pfn, hypercall_page)| {
            let mut kernel = Kernel::bare(loads);
            if let Some(index) = hypercall_page {
                let part = &kernel.parts[index.index(kernel.parts.len())];
                kernel.set(ElfNote::HypercallPage, VIRT_BASE + (part.physical & !0xfff));
            }
            if let Some(address) = p2m {
                kernel.set(ElfNote::InitP2m, address);
            }
            kernel.set(ElfNote::ModStartPfn, mod_start_pfn.into());
            kernel.moved(virt_base, offset)
        },
    )
}

fn params() -> impl Strategy<Value = Params> {
    let memory = (500..6000u64, 0..6000u64);
    let texts = (vec(any::<u8>(), 0..30_000), vec(1..=255u8, 0..1023));
    (memory, 1..=8u32, texts, prop::option::of((0..100u16).prop_map(Domid)), 0..100u16, any::<[u8; 16]>())
        .prop_map(|((memory_pages, more), vcpus, (initrd, command_line), store, console, handle)| Params {
            numbers: GuestParams {
                memory_pages,
                most_pages: memory_pages + more,
                vcpus,
                store,
                console: Domid(console),
                handle,
                ..GuestParams::default()
            },
            initrd,
            command_line,
        })
}

/// What Xen has: always enough, in pieces of any size.
fn stores() -> impl Strategy<Value = Store> {
    (0..=9u32, 1..40usize, any::<bool>()).prop_map(|(order, at_once, contiguous)| Store {
        order,
        at_once,
        contiguous,
        pages: u64::MAX,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_guest_is_sound_or_refused(kernel in kernels(), params in params(), store in stores()) {
        let file = kernel.file();
        if let Ok(plan) = GuestPlan::new(&file, &params.get()) {
            let domain = xen::try_build(&plan, store, 6000).unwrap();
            Guest::start(&domain).assert_sound(&kernel, &params.get());
        }
    }

    #[test]
    fn a_guest_with_enough_memory_is_not_refused(loads in loads(), params in params()) {
        let numbers = GuestParams { memory_pages: 1 << 15, most_pages: 1 << 16, ..params.numbers };
        let params = Params { numbers, ..params };
        let file = Kernel::bare(loads).file();
        GuestPlan::new(&file, &params.get()).unwrap();
    }

    #[test]
    fn damaged_kernels_are_refused_or_can_be_built(
        kernel in kernels(),
        params in params(),
        flips in vec((any::<Index>(), any::<u8>()), 1..6),
    ) {
        let mut file = kernel.file();
        // Headers, notes and tables are small beside the bytes that are only copied: hit them.
        let headers = 64 + 56 * (kernel.parts.len() + 1);
        let length = file.len();
        for (place, byte) in flips {
            let place = place.index(headers + 200);
            let place = if place < headers { place } else { length - (place - headers) - 1 };
            file[place] = byte;
        }
        if let Ok(plan) = GuestPlan::new(&file, &params.get()) {
            let domain = xen::build(&plan);
            prop_assert_eq!(domain.frames.len() as u64, params.numbers.memory_pages);
        }
    }

    #[test]
    fn any_value_of_a_note_is_refused_or_can_be_built(
        kind in prop::sample::select(ElfNote::ALL.to_vec()),
        value in prop_oneof![
            any::<u64>().prop_map(|value| value.to_le_bytes().to_vec()),
            (0..64u32, any::<i8>()).prop_map(|(bit, near)| {
                (1u64 << bit).wrapping_add_signed(near.into()).wrapping_shl(near as u32 & 15).to_le_bytes().to_vec()
            }),
            vec(any::<u8>(), 0..20),
        ],
        params in params(),
    ) {
        let mut kernel = Kernel::linux();
        kernel.set_bytes(kind, value);
        let file = kernel.file();
        if let Ok(plan) = GuestPlan::new(&file, &params.get()) {
            let domain = xen::build(&plan);
            prop_assert_eq!(domain.pinned, domain.context.map(|context| xen_abi::Mfn(context.ctrlreg[3] >> 12)));
        }
    }

    #[test]
    fn any_bytes_are_refused_or_planned(file in vec(any::<u8>(), 0..500), params in params()) {
        prop_assert!(GuestPlan::new(&file, &params.get()).is_err());
    }
}
