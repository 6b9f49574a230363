//! The connections' doors: who has come, who has shown a token, and who is to go.

use ::api::limits::CONNECTIONS;
use core::cell::RefCell;
use libos::clock;
use libos::sync::blocking_mutex::raw::NoopRawMutex;
use libos::sync::signal::Signal;

/// The doors.
pub struct Doors {
    doors: RefCell<::api::Doors<CONNECTIONS>>,
    go: [Signal<NoopRawMutex, ()>; CONNECTIONS],
}

impl Doors {
    /// Nobody has come.
    pub const fn new() -> Self {
        Self { doors: RefCell::new(::api::Doors::new()), go: [const { Signal::new() }; CONNECTIONS] }
    }

    /// Somebody has come to the connection of this number; another may have to go for that.
    pub fn arrive(&self, connection: usize) {
        self.go[connection].reset();
        if let Some(other) = self.doors.borrow_mut().arrive(connection, clock::now_us()) {
            self.go[other].signal(());
        }
    }

    /// Waits until whoever is there has to go.
    pub async fn must_go(&self, connection: usize) {
        self.go[connection].wait().await;
    }

    /// Whoever is there has shown a token. Answers whether it may stay.
    pub fn let_in(&self, connection: usize) -> bool {
        self.doors.borrow_mut().let_in(connection)
    }

    /// The connection is free.
    pub fn leave(&self, connection: usize) {
        self.doors.borrow_mut().leave(connection);
    }
}
