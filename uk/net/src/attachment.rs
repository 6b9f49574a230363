//! A card on a bridge: its driver, who watches that, and this program itself at the same bridge.

use crate::card::{Driver, Failure, RestartError};
use crate::machine::Machine;
use crate::own::{Line, Own};
use crate::repair::Probe;
use crate::shown::Shown;
use libos::uk_abi::health::HealthPage;
use network::netback::BURST;
use network::switch::PortId;
use network::{Look, Plane, Uplink};

/// How often a card is asked whether it works.
const ASK_EVERY_US: u64 = 20_000;

/// How long a card rests that was given up.
const REST_US: u64 = 1_000_000;

/// A card, as all that this program has of it. Whatever becomes of it, the others know nothing of it.
pub struct Attachment {
    /// Its port at the bridge.
    pub port: PortId,
    /// Its driver.
    pub driver: Driver,
    /// Whoever watches the driver.
    pub probe: Probe,
    /// This program at that bridge, if it has an address there.
    own: Option<Own>,
    own_port: PortId,
    /// When to ask next whether it works.
    ask_at_us: u64,
    /// It is given up until then.
    rests_until_us: Option<u64>,
    shown: Shown,
}

impl Attachment {
    /// The card at `port`, which has been connected; this program itself may be at `own_port`.
    pub const fn new(port: PortId, own_port: PortId, driver: Driver, probe: Probe) -> Self {
        Self {
            port,
            driver,
            probe,
            own: None,
            own_port,
            ask_at_us: 0,
            rests_until_us: None,
            shown: Shown::NOTHING,
        }
    }

    /// This program itself is at its bridge, as `make` has it: its port has been connected.
    pub fn set_own(
        &mut self,
        plane: &mut Plane<'static>,
        machine: &mut Machine,
        now_us: u64,
        make: impl FnOnce(&mut Line<'_>) -> Own,
    ) {
        self.own = Some(make(&mut Line { plane, machine, port: self.own_port, now_us }));
    }

    /// Answers whoever asks this program itself.
    pub fn turn_own(&mut self, plane: &mut Plane<'static>, machine: &mut Machine, now_us: u64) {
        if let Some(own) = &mut self.own {
            own.turn(&mut Line { plane, machine, port: self.own_port, now_us });
        }
    }

    /// Says soon that it is there.
    pub fn hurry(&mut self) {
        self.own.iter_mut().for_each(Own::hurry);
    }

    /// When there is something to do, whatever else happens.
    pub fn next_us(&self) -> Option<u64> {
        let own_us = self.own.as_ref().map(Own::next_us);
        [own_us, self.rests_until_us, self.probe.due_us()].into_iter().flatten().min()
    }

    /// Whether its driver has not failed.
    pub const fn works(&self) -> bool {
        self.driver.failure().is_none()
    }

    /// Until when it is given up, if it is.
    pub const fn rests_until_us(&self) -> Option<u64> {
        self.rests_until_us
    }

    /// Gives the card up for a while: nobody waits for it.
    ///
    /// # Panics
    /// If it cannot be stopped.
    pub fn give_up(&mut self, plane: &mut Plane<'static>, now_us: u64) {
        self.driver.end();
        plane.give_card_up(self.port);
        self.rests_until_us = Some(now_us + REST_US);
    }

    /// Does what there is to do with the card. Whether there is more.
    pub fn drive(&mut self, plane: &mut Plane<'static>, machine: &mut Machine, now_us: u64) -> bool {
        let Self { port, driver, .. } = self;
        let before = arrived(plane, *port);
        if driver.failure().is_none()
            && let Err(fault) = plane.drive(*port, now_us, driver, machine)
        {
            driver.fail(Failure::Lied(fault));
        }
        arrived(plane, *port) - before >= BURST as u64
    }

    /// Whether the driver has frames to send.
    pub fn is_sending(&self, plane: &Plane<'static>) -> bool {
        self.uplink(plane).is_some_and(|uplink| uplink.sending() > 0)
    }

    /// One look at the driver.
    pub fn look(&self, plane: &Plane<'static>) -> Look {
        self.uplink(plane).map_or_else(Look::default, |uplink| Look {
            has_work: uplink.sending() > 0,
            // What comes in says nothing of what goes out.
            done: uplink.counters().sent,
        })
    }

    /// Asks the card now and then whether it works, and looks whether the driver does. How that has failed, if it has.
    pub fn examine(&mut self, plane: &Plane<'static>, now_us: u64) -> Option<Failure> {
        if now_us >= self.ask_at_us {
            self.ask_at_us = now_us + ASK_EVERY_US;
            self.driver.ask();
        }
        let look = self.look(plane);
        if let Some(stuck) = self.probe.see(now_us, look) {
            self.driver.fail(Failure::Stuck(stuck.for_us));
        }
        self.driver.failure()
    }

    /// Makes a new driver. How many frames the card had received and nobody had read.
    ///
    /// # Errors
    /// [`RestartError`]: then there is none.
    pub fn restart(
        &mut self,
        plane: &mut Plane<'static>,
        machine: &mut Machine,
        now_us: u64,
    ) -> Result<u64, RestartError> {
        plane.driver_failed(self.port);
        self.driver.restart()?;
        self.rests_until_us = None;
        let before = arrived(plane, self.port);
        plane.driver_ready(self.port, now_us, &mut self.driver, machine);
        Ok(arrived(plane, self.port) - before)
    }

    /// Shows root how much the driver has to do and has done, as `part`.
    pub fn show(&mut self, plane: &Plane<'static>, health: &HealthPage<'_>, part: usize) {
        let Some(uplink) = self.uplink(plane) else { return };
        let counters = uplink.counters();
        let done = counters.sent + counters.given_up + counters.impossible;
        let open = (uplink.sending() + uplink.waiting()) as u64;
        self.shown.show(health, part, open, done);
    }

    fn uplink<'p>(&self, plane: &'p Plane<'static>) -> Option<&'p Uplink> {
        plane.uplink(self.port)
    }
}

impl core::fmt::Display for Attachment {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "card {}", self.port.index())
    }
}

/// How many frames have come in at `port`, ever.
fn arrived(plane: &Plane<'static>, port: PortId) -> u64 {
    plane.uplink(port).map_or(0, |uplink| uplink.counters().arrived)
}
