//! For every image and every set of parameters: a sound plan or a reason, and never a panic.

use crate::support::{
    elf_writer::{self, Part, R, W, X},
    expect::assert_sound,
};
use builder::{MachineRange, PlanError, UkParams, UkPlan};
use proptest::{collection::vec, prelude::*, sample::Index};
use uk_abi::layout::RAM_BASE;
use xen_abi::Mfn;

const PAGE: u64 = 4096;

/// Parameters as a strategy makes them: owned.
#[derive(Clone, Debug)]
struct Params {
    counts: UkParams<'static>,
    bars: Vec<MachineRange>,
}

impl Params {
    fn get(&self) -> UkParams<'_> {
        UkParams { bars: &self.bars, ..self.counts }
    }
}

/// Images that a linker could have made: code first, page-aligned loads in order, small gaps.
fn images() -> impl Strategy<Value = Vec<u8>> {
    let load = (prop::sample::select(vec![R, R | X, R | W]), 0..12_000usize, 0..40_000u64, 0..3u64);
    (1..12_000usize, any::<Index>(), vec(load, 0..6)).prop_map(|(code, entry, others)| {
        let mut parts = vec![Part::load(R | X, RAM_BASE, vec![0xc3; code], code as u64)];
        let mut next = RAM_BASE + (code as u64).next_multiple_of(PAGE);
        for (flags, bytes, more, gap) in others {
            let size = bytes as u64 + more;
            next += gap * PAGE;
            parts.push(Part::load(flags, next, vec![flags as u8; bytes], size));
            next += size.next_multiple_of(PAGE);
        }
        elf_writer::write(RAM_BASE + entry.index(code) as u64, &parts)
    })
}

/// Parameters of which most can be had; some ask for more memory than there is.
fn params() -> impl Strategy<Value = Params> {
    let memory = prop_oneof![40..200u32, 200..5_000u32, (1..12u32).prop_map(|extents| extents * 512)];
    let dma = prop_oneof![3 => Just(0u32), 1 => 1..=512u32];
    let areas = (1..70u32, 1..20u32, 0..40u32, 0..=1024u32);
    let bar =
        (0..0xfff_ffffu64, 0..300u64).prop_map(|(first, pages)| MachineRange { first: Mfn(first), pages });
    (memory, dma, areas, 0..=4u32, vec(bar, 0..4)).prop_map(
        |(memory_pages, dma_pages, areas, devices, bars)| {
            let (stack_pages, log_pages, kept_pages, grant_window_pages) = areas;
            // Half of the time a DMA area gets a memory that it can have.
            let memory_pages =
                if dma_pages % 2 == 1 { memory_pages.next_multiple_of(512) + 512 } else { memory_pages };
            let counts = UkParams {
                memory_pages,
                stack_pages,
                log_pages,
                kept_pages,
                grant_window_pages,
                dma_pages,
                devices,
                bars: &[],
            };
            Params { counts, bars }
        },
    )
}

/// Any numbers at all.
fn wild_params() -> impl Strategy<Value = Params> {
    let number = || prop_oneof![0..4_000u32, any::<u32>()];
    let bar = (any::<u64>(), prop_oneof![0..2_000u64, any::<u64>()])
        .prop_map(|(first, pages)| MachineRange { first: Mfn(first), pages });
    ([(); 7].map(|()| number()), vec(bar, 0..4)).prop_map(|(numbers, bars)| {
        let [memory_pages, stack_pages, log_pages, kept_pages, grant_window_pages, dma_pages, devices] =
            numbers;
        let counts = UkParams {
            memory_pages,
            stack_pages,
            log_pages,
            kept_pages,
            grant_window_pages,
            dma_pages,
            devices,
            bars: &[],
        };
        Params { counts, bars }
    })
}

/// A change to a file: at some byte of the headers or anywhere, a flipped bit, or eight bytes of an awkward number.
#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Number(Index, u64),
    Cut(Index),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let awkward = prop::sample::select(vec![
        0,
        1,
        PAGE - 1,
        PAGE,
        RAM_BASE - 1,
        RAM_BASE,
        RAM_BASE + PAGE,
        1 << 30,
        1 << 47,
        1 << 63,
        u64::MAX - PAGE + 1,
        u64::MAX,
    ]);
    let change = prop_oneof![
        6 => (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        6 => (any::<Index>(), awkward).prop_map(|(at, number)| Change::Number(at, number)),
        1 => any::<Index>().prop_map(Change::Cut),
    ];
    vec(change, 1..5)
}

/// Applies the changes to the headers, where every byte matters; only a cut is taken anywhere.
fn apply(file: &mut Vec<u8>, changes: &[Change]) {
    let headers = elf_writer::HEADER_BYTES + 7 * elf_writer::PROGRAM_HEADER_BYTES;
    for change in changes {
        let len = file.len().min(headers);
        if len < 8 {
            return;
        }
        match change {
            Change::Flip(at, bit) => file[at.index(len)] ^= 1 << bit,
            Change::Number(at, number) => {
                let at = at.index(len / 8) * 8;
                file[at..at + 8].copy_from_slice(&number.to_le_bytes());
            }
            Change::Cut(at) => file.truncate(at.index(file.len())),
        }
    }
}

/// The program that runs this test, said to be linked at a fixed address, without its contents: headers that a real
/// linker wrote, dozens of kilobytes of which every field can be changed.
fn own_headers() -> Vec<u8> {
    let path = std::env::current_exe().expect("the test has a path");
    let mut file = std::fs::read(path).expect("the test can read itself");
    file[16] = 2; // e_type: executable
    file
}

fn plan_is_sound_or_refused(file: &[u8], params: &Params) {
    let params = params.get();
    match UkPlan::new(file, &params) {
        Ok(plan) => assert_sound(&plan, &params),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

proptest! {
    /// What a linker makes is planned, unless the memory is too small or not fit for a DMA area.
    #[test]
    fn linked_images_are_planned(file in images(), params in params()) {
        let params = params.get();
        match UkPlan::new(&file, &params) {
            Ok(plan) => assert_sound(&plan, &params),
            Err(PlanError::Memory { needed, memory_pages }) => prop_assert!(needed > memory_pages),
            Err(PlanError::DmaMemory { .. }) => prop_assert!(params.memory_pages % 512 != 0),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    /// Who gives what was said to be needed gets a plan: at once, or when the tables of the larger memory have
    /// been counted too.
    #[test]
    fn what_is_said_to_be_needed_is_enough(file in images(), params in params()) {
        let mut params = UkParams { dma_pages: 0, memory_pages: 1, ..params.get() };
        for _ in 0..4 {
            match UkPlan::new(&file, &params) {
                Ok(plan) => {
                    assert_sound(&plan, &params);
                    return Ok(());
                }
                Err(PlanError::Memory { needed, .. }) => params.memory_pages = needed as u32,
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
        prop_assert!(false, "{} pages are still too few", params.memory_pages);
    }

    #[test]
    fn wild_parameters_are_refused_or_sound(file in images(), params in wild_params()) {
        plan_is_sound_or_refused(&file, &params);
    }

    #[test]
    fn changed_images_are_refused_or_sound(mut file in images(), changes in changes(), params in params()) {
        apply(&mut file, &changes);
        plan_is_sound_or_refused(&file, &params);
    }

    #[test]
    fn rubbish_is_refused(file in vec(any::<u8>(), 0..600), params in params()) {
        prop_assert!(UkPlan::new(&file, &params.get()).is_err());
    }

    #[test]
    fn rubbish_after_a_sound_identification_never_panics(
        tail in vec(prop_oneof![Just(0u8), any::<u8>()], 57..400),
        params in params(),
    ) {
        let file = [b"\x7fELF\x02\x01\x01", &tail[..]].concat();
        plan_is_sound_or_refused(&file, &params);
    }
}

#[test]
fn changed_headers_of_a_real_program_never_panic() {
    let pristine = own_headers();
    let mut runner = proptest::test_runner::TestRunner::default();
    runner
        .run(&(changes(), params()), |(changes, params)| {
            let mut file = pristine.clone();
            apply(&mut file, &changes);
            plan_is_sound_or_refused(&file, &params);
            if let Ok(image) = builder::ElfImage::parse(&file) {
                let in_file = |bytes: &[u8]| file.as_ptr_range().contains(&bytes.as_ptr());
                prop_assert!(image.notes().all(|note| note.value.is_empty() || in_file(note.value)));
            }
            Ok(())
        })
        .unwrap();
}
