//! The executor: polls what is awake, beats the heart, and waits for events and time.
//!
//! Every turn is a heartbeat, and an idle unikernel turns once in a heartbeat period, at its multiples in Xen's time: all that are idle
//! wake together, and a guest that has the processor is interrupted once for all of them. A task that never yields stops the turns, and
//! with them the beat.

use crate::{channel, clock, event, fault, start, time_driver};
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};
use embassy_executor::{Spawner, raw};
use uk_abi::health::BootStage;
use xen_abi::Port;

/// A task has been woken since the last turn.
static WOKEN: AtomicBool = AtomicBool::new(false);

#[unsafe(no_mangle)]
fn __pender(_context: *mut ()) {
    WOKEN.store(true, Ordering::Relaxed);
}

struct ExecutorCell(UnsafeCell<MaybeUninit<raw::Executor>>);

// SAFETY: `run` initialises it once in a life, before anything else can see it.
unsafe impl Sync for ExecutorCell {}

static EXECUTOR: ExecutorCell = ExecutorCell(UnsafeCell::new(MaybeUninit::uninit()));

/// Lets every other domain run that can, and comes back when it is this one's turn: at once, if no other can.
pub fn give_way() {
    pv::sched::yield_now();
}

/// Shows root that this program lives, in the midst of a turn that takes long: between parts of it that are known to end.
pub fn beat() {
    if !fault::heartbeat_is_lost() {
        start::health().beat();
    }
}

/// Runs `spawn`, then the tasks, for ever.
pub(crate) fn run(spawn: impl FnOnce(Spawner)) -> ! {
    // SAFETY: called once in a life, and nothing else refers to the cell.
    let executor: &'static raw::Executor =
        unsafe { (*EXECUTOR.0.get()).write(raw::Executor::new(core::ptr::null_mut())) };
    spawn(executor.spawner());
    let health = start::health();
    health.set_stage(BootStage::Running);
    let period_us = start::boot_info().heartbeat_period_us;
    let mut first = true;
    let doorbell = Port(start::boot_info().doorbell_port);
    // Root rings when it has written to the health page: no need to wait for the next turn.
    if let Err(error) = event::Event::listen(doorbell) {
        panic!("{error}");
    }
    loop {
        // SAFETY: only here, so never from within itself.
        unsafe { executor.poll() };
        let now_us = clock::now_us();
        if first {
            health.first_beat(now_us);
            first = false;
            // Root waits for this beat. Refused, it finds it when it looks.
            let _ = event::send(doorbell);
        } else {
            beat();
        }
        if let Some(command) = health.take_fault() {
            fault::carry_out(&health, command);
        }
        channel::refresh();
        let flooding = fault::turn();
        let next_timer_us = time_driver::wake_expired(now_us);
        let woken = WOKEN.swap(false, Ordering::Relaxed);
        if event::wake_pending() || woken || flooding {
            continue;
        }
        health.set_idle(true);
        event::wait(next_timer_us.min(clock::next_multiple_us(now_us, period_us)));
        health.set_idle(false);
        // Who waited for what has ended the wait runs in the next turn, and not in the one behind it.
        event::wake_pending();
    }
}
