//! The register of domains, if this probe may read it: says what has become of each domain when that has changed.

use libos::Uk;
use libos::uk_abi::register::{DOMAINS, Entry, State};

/// What was last said.
pub struct Census {
    /// The register's count of changes when it was last looked through, if it was.
    changes: Option<u64>,
    /// Generation and state of each domain.
    known: [(u64, Option<State>); DOMAINS as usize],
}

impl Census {
    /// Nothing was said yet.
    pub const fn new() -> Self {
        Self { changes: None, known: [(0, None); DOMAINS as usize] }
    }

    /// Looks through the register, if it has changed.
    pub fn take(&mut self, uk: &Uk) {
        let Some(register) = uk.register() else { return };
        let changes = register.changes();
        if self.changes == Some(changes) {
            return;
        }
        self.changes = Some(changes);
        for domid in 1..DOMAINS {
            // One that is being changed is looked at after the ring that follows.
            let Ok(Some(Entry { generation, state, .. })) = register.get(domid) else { continue };
            let known = &mut self.known[usize::from(domid)];
            if *known != (generation, Some(state)) {
                *known = (generation, Some(state));
                match state {
                    State::Running => log::info!("domain {domid} runs, generation {generation}"),
                    State::ShutDown { reason } => {
                        log::info!("domain {domid} has shut down for reason {reason}")
                    }
                    State::Gone => log::info!("domain {domid} is gone"),
                }
            }
        }
    }
}
