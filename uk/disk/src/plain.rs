//! A disk for whoever wants one thing at a time.

use alloc::boxed::Box;
use core::fmt;
use libos::block::{self, Command, Driver, Outcome, Span};
use libos::interrupt::Interrupt;

/// A command that the disk has failed.
#[derive(Clone, Copy, Debug)]
pub struct Failed(pub Outcome);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a command has ended as {:?}", self.0)
    }
}

/// The disk.
pub struct Disk {
    pub driver: Box<dyn Driver>,
    pub interrupt: Interrupt,
}

impl Disk {
    /// Reads from `sector` on, into `span`.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn read(&mut self, sector: u64, span: Span) -> Result<(), Failed> {
        self.carry_out(&Command::Read(sector, &[span])).await
    }

    /// Writes from `sector` on, from `span`.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn write(&mut self, sector: u64, span: Span) -> Result<(), Failed> {
        self.carry_out(&Command::Write(sector, &[span])).await
    }

    /// Has the disk do something, and waits until it has.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn carry_out(&mut self, command: &Command<'_>) -> Result<(), Failed> {
        // Nothing else is under way, so there is room.
        let _ = self.driver.submit(0, command);
        self.driver.kick();
        loop {
            match self.driver.completion() {
                Some((_, Outcome::Done)) => return Ok(()),
                Some((_, outcome)) => return Err(Failed(outcome)),
                None if self.driver.is_stopped() => return Err(Failed(Outcome::Aborted)),
                None => self.wait().await,
            }
        }
    }

    /// Waits until the disk may have finished something.
    pub async fn wait(&mut self) {
        if self.driver.arm() {
            return;
        }
        self.interrupt.wait().await;
        block::acknowledge(&mut *self.driver, &self.interrupt);
    }
}
