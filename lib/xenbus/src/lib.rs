//! How a backend and a frontend find each other through XenStore: the backend's side.
//!
//! Each end has a directory of its own, with a node `state` that the other watches. The machine here is told what is seen
//! ([`Seen`]) and answers with what is to be done ([`Action`]), one thing at a time. It knows nothing of disks or networks:
//! which nodes are written when is for their own libraries to say.
//!
//! ```text
//!   frontend                                backend
//!   Initialising                            Initialising   writes what it can do            Offer
//!   reads it, makes its rings    <--------  InitWait
//!   Initialised                  -------->                 reads how to connect, does so    Connect
//!   Connected                    <--------  Connected      has written what the device is   Announce
//!   ...
//!   Closing                      -------->  Closing        lets go when nothing is open     Disconnect
//!   Closed                       -------->  Closed         may begin again, or is removed   Finish, Remove
//! ```
//!
//! A backend that is born again finds its own state in its node and goes on from there ([`Backend::reborn`]): for one that is
//! connected nothing is written, so that the frontend sees nothing.

#![no_std]

pub use xen_abi::xenbus::XenbusState;

/// What a backend sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// What the frontend's node `state` says.
    Frontend(XenbusState),
    /// What the backend's own node `online` says: whether the device shall be there when the frontend comes back.
    Online(bool),
    /// The features are written.
    Offered,
    /// The rings are mapped, and what the device is has been written.
    Connected,
    /// The frontend cannot be connected to, or has broken the rules.
    Broken,
    /// Nothing of the frontend's is in use any more.
    Drained,
}

/// What a backend has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write the features, then the state, then say [`Seen::Offered`].
    Offer,
    /// Read how to connect, map the rings, write what the device is, then the state, then say [`Seen::Connected`]; or
    /// [`Seen::Broken`].
    Connect,
    /// The same, as an earlier life did it: map the same rings, and write nothing at all.
    Resume,
    /// Write the state; take nothing more from the rings, and say [`Seen::Drained`] once nothing of them is in use.
    Disconnect,
    /// Write the state: this end has let go.
    Finish,
    /// Forget the device, and remove its directory.
    Remove,
}

/// Where a backend stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It writes what it can do.
    Offering,
    /// It waits for the frontend to say how to connect.
    Waiting,
    /// It connects.
    Connecting,
    /// It is at work.
    Connected,
    /// It lets go of what is in use.
    Draining,
    /// It has let go, and waits for the frontend to be closed too.
    Drained,
    /// It has let go.
    Closed,
    /// It is forgotten.
    Removed,
}

/// The backend's end of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend {
    phase: Phase,
    frontend: XenbusState,
    online: bool,
    /// The frontend has broken the rules, and is not connected to again before it has been closed.
    broken: bool,
}

impl Backend {
    /// A device that was just made, and its first action.
    pub const fn new() -> (Self, Action) {
        let backend =
            Self { phase: Phase::Offering, frontend: XenbusState::Initialising, online: true, broken: false };
        (backend, Action::Offer)
    }

    /// A device whose backend has been here before: `state` is what its own node says. The frontend's state is then told as if
    /// it were new.
    pub const fn reborn(state: XenbusState) -> (Self, Option<Action>) {
        let (mut backend, offer) = Self::new();
        let action = match state {
            XenbusState::InitWait | XenbusState::Initialised => {
                backend.phase = Phase::Waiting;
                None
            }
            XenbusState::Connected => {
                backend.phase = Phase::Connecting;
                backend.frontend = XenbusState::Connected;
                Some(Action::Resume)
            }
            XenbusState::Closing => {
                backend.phase = Phase::Draining;
                Some(Action::Disconnect)
            }
            XenbusState::Closed => {
                backend.phase = Phase::Closed;
                backend.frontend = XenbusState::Closed;
                None
            }
            XenbusState::Unknown
            | XenbusState::Initialising
            | XenbusState::Reconfiguring
            | XenbusState::Reconfigured => Some(offer),
        };
        (backend, action)
    }

    /// What the backend's node `state` has to say after the action that was given last.
    pub const fn state(&self) -> XenbusState {
        match self.phase {
            Phase::Offering | Phase::Waiting => XenbusState::InitWait,
            Phase::Connecting | Phase::Connected => XenbusState::Connected,
            Phase::Draining | Phase::Drained => XenbusState::Closing,
            Phase::Closed | Phase::Removed => XenbusState::Closed,
        }
    }

    /// Whether requests are to be served.
    pub const fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected)
    }

    /// Takes in what is seen; answers with what has to be done now, if anything.
    pub fn see(&mut self, seen: Seen) -> Option<Action> {
        match seen {
            Seen::Frontend(state) => self.frontend = state,
            Seen::Online(online) => self.online = online,
            Seen::Offered if self.phase == Phase::Offering => self.phase = Phase::Waiting,
            Seen::Connected if self.phase == Phase::Connecting => self.phase = Phase::Connected,
            Seen::Broken if matches!(self.phase, Phase::Connecting | Phase::Connected) => {
                self.broken = true;
            }
            Seen::Drained if self.phase == Phase::Draining => self.phase = Phase::Drained,
            Seen::Offered | Seen::Connected | Seen::Broken | Seen::Drained => return None,
        }
        self.next()
    }

    /// The next thing to do where it stands.
    fn next(&mut self) -> Option<Action> {
        use XenbusState::{Closed, Closing, Connected, Initialised, Initialising, Unknown};
        let gone = matches!(self.frontend, Unknown | Closing | Closed);
        let (phase, action) = match self.phase {
            Phase::Waiting if matches!(self.frontend, Initialised | Connected) => {
                (Phase::Connecting, Action::Connect)
            }
            // A frontend that begins anew without having closed has forgotten its rings: a guest that was reset.
            Phase::Connecting | Phase::Connected if gone || self.broken || self.frontend == Initialising => {
                (Phase::Draining, Action::Disconnect)
            }
            // Whoever took the frontend's directory away has said all that it had to say: nothing more would come.
            Phase::Drained if self.frontend == Unknown => (Phase::Removed, Action::Remove),
            Phase::Waiting | Phase::Drained if matches!(self.frontend, Unknown | Closed) => {
                self.broken = false;
                (Phase::Closed, Action::Finish)
            }
            Phase::Drained if self.frontend == Initialising && !self.broken => {
                (Phase::Closed, Action::Finish)
            }
            Phase::Closed if self.frontend == Initialising => (Phase::Offering, Action::Offer),
            Phase::Closed if self.frontend == Unknown || !self.online => (Phase::Removed, Action::Remove),
            _ => return None,
        };
        self.phase = phase;
        Some(action)
    }
}
