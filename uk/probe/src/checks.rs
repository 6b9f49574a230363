//! What a life checks of the library OS once it runs. Nothing is expected to be fast, only to be right.

use crate::journal::Journal;
use crate::{service, sharing};
use core::cell::RefCell;
use core::fmt;
use libos::Uk;
use libos::event::{self, Event, PortState};
use libos::futures::join::join;
use libos::sync::blocking_mutex::raw::CriticalSectionRawMutex;
use libos::sync::signal::Signal;
use libos::time::{Duration, Instant, Timer, with_timeout};
use libos::uk_abi::boot_info::BootReason;
use libos::uk_abi::health::HealthPage;
use libos::xen_abi::{Domid, Port, XenError};

/// What is not right by then never will be. A starved probe has long been given up by root.
const LONG_ENOUGH: Duration = Duration::from_secs(10);

/// Turns of the ball between two tasks.
const TURNS: u32 = 100;

/// Why a check failed.
pub enum Failure {
    /// Nothing came of it.
    Never,
    /// A timer went off before its time.
    Early,
    /// Something else came than was sent.
    Other,
    /// Sharing a page did not work.
    Sharing(sharing::Failure),
    /// Xen refused.
    Xen(XenError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => write!(f, "nothing within {} ms", LONG_ENOUGH.as_millis()),
            Self::Early => f.write_str("early"),
            Self::Other => f.write_str("not what was sent"),
            Self::Sharing(failure) => failure.fmt(f),
            Self::Xen(error) => error.fmt(f),
        }
    }
}

impl From<XenError> for Failure {
    fn from(error: XenError) -> Self {
        Self::Xen(error)
    }
}

static PING: Signal<CriticalSectionRawMutex, u32> = Signal::new();
static PONG: Signal<CriticalSectionRawMutex, u32> = Signal::new();

/// Gives each ball back that it gets.
#[libos::task(embassy_executor = libos::embassy_executor)]
pub async fn player() {
    loop {
        PONG.signal(PING.wait().await);
    }
}

/// Checks everything, once. `event` is the domain's channel to itself, `grants` is how sharing a page has gone.
#[libos::task(embassy_executor = libos::embassy_executor)]
pub async fn run(
    health: HealthPage<'static>,
    event: Result<Event, Failure>,
    grants: Result<sharing::Loop, sharing::Failure>,
) {
    let (grants, kept) = match grants {
        Ok(kept) => (Ok(()), Some(kept)),
        Err(failure) => (Err(Failure::Sharing(failure)), None),
    };
    let checks = [
        ("timers", timers().await),
        ("tasks", tasks().await),
        ("events", events(event).await),
        ("grants", grants),
    ];
    let mut failed = 0;
    for (what, outcome) in &checks {
        if let Err(failure) = outcome {
            failed += 1;
            log::error!("self-check of {what} failed: {failure}");
        }
    }
    let passed = checks.len() as u64 - failed;
    health.set_service(service::PASSED, passed);
    health.set_service(service::FAILED, failed);
    log::info!("self-checks: {passed} passed, {failed} failed");
    if let Some(kept) = kept {
        kept.keep().await;
    }
}

/// No timer goes off before its time, whichever was set first.
async fn timers() -> Result<(), Failure> {
    for millis in [3, 1, 2] {
        let at = Instant::now() + Duration::from_millis(millis);
        with_timeout(LONG_ENOUGH, Timer::at(at)).await.map_err(|_| Failure::Never)?;
        if Instant::now() < at {
            return Err(Failure::Early);
        }
    }
    Ok(())
}

/// Two tasks wake each other.
async fn tasks() -> Result<(), Failure> {
    for turn in 0..TURNS {
        PING.signal(turn);
        let back = with_timeout(LONG_ENOUGH, PONG.wait()).await.map_err(|_| Failure::Never)?;
        if back != turn {
            return Err(Failure::Other);
        }
    }
    Ok(())
}

/// The event channel by which this domain notifies itself: that of the last life, where there is one.
pub fn own_event(uk: &Uk, journal: &RefCell<Journal>) -> Result<Event, Failure> {
    let mut journal = journal.borrow_mut();
    let is_ours = |port: &Port| {
        event::status(Domid::SELF, *port).is_ok_and(|status| status.state() == Some(PortState::Ipi))
    };
    let port = match journal.port().filter(is_ours) {
        Some(port) => port,
        None => {
            if uk.boot_reason() == BootReason::MicroReboot {
                // A life may have ended between opening a port and noting it.
                event::close_leftovers(&[])?;
            }
            let port = event::bind_ipi()?;
            journal.set_port(port);
            port
        }
    };
    Event::listen(port).map_err(|_| Failure::Other)
}

/// An event wakes who waits for it, and one that came before is not lost.
async fn events(event: Result<Event, Failure>) -> Result<(), Failure> {
    let event = event?;
    event.notify()?;
    with_timeout(LONG_ENOUGH, event.wait()).await.map_err(|_| Failure::Never)?;
    let send_later = async {
        Timer::after_millis(1).await;
        event.notify()
    };
    let (waited, sent) = join(with_timeout(LONG_ENOUGH, event.wait()), send_later).await;
    sent?;
    waited.map_err(|_| Failure::Never)
}
