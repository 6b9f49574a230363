//! Faults on demand: what root asks for through the health page, the executor carries out.
//!
//! Root asks only where the system description allows it.

use crate::{clock, start};
use alloc::vec::Vec;
use core::arch::asm;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use uk_abi::fault::Fault;
use uk_abi::health::{FaultCommand, HealthPage};
use uk_abi::layout::{PAGE_SIZE, RAM_BASE};
use xen_abi::mmu::{Pte, PteFlags};
use xen_abi::{Mfn, Port, VirtAddr};

/// The executor is not to beat.
static HEARTBEAT_LOST: AtomicBool = AtomicBool::new(false);

/// Events to send, and records to log, in each turn of the executor.
static FLOOD_EVENTS: AtomicU64 = AtomicU64::new(0);
static FLOOD_LOG: AtomicU64 = AtomicU64::new(0);

/// Stall wanted: see [`work_is_stuck`].
static WORK_STUCK: AtomicBool = AtomicBool::new(false);

/// A fault that the program has to carry out itself, with its argument.
static FOR_PROGRAM: Signal<CriticalSectionRawMutex, (Fault, u64)> = Signal::new();

pub(crate) fn heartbeat_is_lost() -> bool {
    HEARTBEAT_LOST.load(Relaxed)
}

/// Whether the program is to leave its work undone, as a stuck device would have it.
pub fn work_is_stuck() -> bool {
    WORK_STUCK.load(Relaxed)
}

/// Waits for a fault that only the program can carry out: one of its parts, its devices, or of a later life. Answers it with its
/// argument. One task waits for it.
pub async fn for_program() -> (Fault, u64) {
    FOR_PROGRAM.wait().await
}

/// Does what goes on in every turn: the floods.
pub(crate) fn turn() -> bool {
    let (events, records) = (FLOOD_EVENTS.load(Relaxed), FLOOD_LOG.load(Relaxed));
    for _ in 0..events {
        // The port is bound; if it is not, there is nobody to flood.
        let _ = pv::event::send(Port(start::boot_info().doorbell_port));
    }
    for record in 0..records {
        log::warn!("flood {record}");
    }
    events + records > 0
}

/// Carries out what root asks for. Most faults do not come back.
pub(crate) fn carry_out(health: &HealthPage<'_>, command: FaultCommand) {
    let fault = match command.fault {
        Ok(fault) => fault,
        Err(error) => return log::error!("root asked for a fault: {error}"),
    };
    health.set_injected_at_us(clock::now_us());
    match fault {
        Fault::Panic => panic!("injected"),
        Fault::Ud2 => ud2(),
        Fault::NullStore => null_store(),
        Fault::BadSp => bad_sp(),
        Fault::StackOverflow => {
            black_box(stack_overflow(0));
        }
        Fault::HeapCorrupt => heap_corrupt(),
        Fault::WildData => wild_data(),
        Fault::WildText => wild_store(carry_out as *const () as u64),
        Fault::WildPt => wild_page_table(),
        Fault::TightLoop => tight_loop(),
        Fault::BlockForever => block_forever(),
        Fault::LostHeartbeat => HEARTBEAT_LOST.store(true, Relaxed),
        Fault::BeatNoProgress => WORK_STUCK.store(true, Relaxed),
        Fault::ExhaustMemory => exhaust_memory(),
        Fault::FloodEvents => FLOOD_EVENTS.store(1000, Relaxed),
        Fault::FloodLog => FLOOD_LOG.store(1000, Relaxed),
        Fault::CrashLoop
        | Fault::CrashAtBoot
        | Fault::RogueDma
        | Fault::DriverCrash
        | Fault::DriverHang
        | Fault::BackendCrash
        | Fault::BackendHang
        | Fault::StepCrash
        | Fault::FlipNode
        | Fault::FlipTree
        | Fault::FlipDigest
        | Fault::FlipClient
        | Fault::FlipVault
        | Fault::FlipSession
        | Fault::FlipChannel
        | Fault::FlipCopies => FOR_PROGRAM.signal((fault, command.argument)),
    }
}

/// Crashes here and now, by an undefined instruction.
pub fn crash() -> ! {
    ud2()
}

fn ud2() -> ! {
    // SAFETY: the instruction traps, and this life ends there.
    unsafe { asm!("ud2", options(noreturn)) }
}

fn null_store() {
    // SAFETY: nothing is mapped there: the store traps, and this life ends.
    unsafe { asm!("mov qword ptr [0], 1", options(nostack)) }
}

fn bad_sp() -> ! {
    // SAFETY: nothing is mapped there: the push traps, and Xen, which cannot push the exception's
    // frame either, ends this life.
    unsafe { asm!("mov rsp, 0x1000", "push rax", "ud2", options(noreturn)) }
}

#[expect(unconditional_recursion, reason = "that is the fault")]
fn stack_overflow(depth: u64) -> u64 {
    let ballast = black_box([depth; 64]);
    stack_overflow(ballast[63] + 1) + ballast[0]
}

fn wild_store(address: u64) {
    // SAFETY: a store that traps where the page is read-only; elsewhere it does the harm that was
    // asked for, in a life that is to end.
    unsafe { asm!("mov qword ptr [{}], -1", in(reg) address, options(nostack)) }
}

/// Overwrites every free byte and the allocator's links with it, then allocates.
fn heap_corrupt() {
    let heap = start::heap();
    for address in (heap.va..heap.end()).step_by(8) {
        wild_store(address);
    }
    for size in 1..64 {
        black_box(Vec::<u8>::with_capacity(size * 512));
    }
    panic!("the allocator did not notice");
}

unsafe extern "C" {
    static __data_start: u8;
    static __image_end: u8;
    static __text_start: u8;
}

/// Overwrites all of .data and .bss.
fn wild_data() {
    let (start, end) = (&raw const __data_start as u64, &raw const __image_end as u64);
    for address in (start..end & !7).step_by(8) {
        wild_store(address);
    }
    panic!("the program runs on without its data");
}

/// Makes its text writable, which Xen lets a domain do, spoils it, and takes its stack away.
fn wild_page_table() {
    let text = &raw const __text_start as u64;
    let p2m = start::words(start::boot_info().p2m);
    let frame = |address: u64| Mfn(p2m[(address - RAM_BASE) as usize / PAGE_SIZE].load(Relaxed));
    let writable = PteFlags::PRESENT | PteFlags::USER | PteFlags::WRITABLE;
    // SAFETY: the harm that was asked for, in a life that is to end.
    let changed = unsafe { pv::mmu::update_va_mapping(VirtAddr(text), Pte::new(frame(text), writable)) };
    if let Err(error) = changed {
        log::error!("text cannot be made writable: {error}");
    }
    wild_store(text);
    for page in (start::stack().start..start::stack().end).step_by(PAGE_SIZE) {
        // SAFETY: as above; it ends when the page of this very frame is gone.
        let _ = unsafe { pv::mmu::update_va_mapping(VirtAddr(page), Pte::EMPTY) };
    }
    ud2()
}

fn tight_loop() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

fn block_forever() -> ! {
    loop {
        // No port and no time: nothing ends this wait.
        let _ = pv::sched::poll(&[], 0);
    }
}

fn exhaust_memory() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(Vec::<u8>::with_capacity(16 * 1024)));
    }
}
