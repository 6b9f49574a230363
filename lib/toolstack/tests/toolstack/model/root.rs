//! Root: carries requests out on domains that are mere bookkeeping, and notices what must never happen.

use super::FIRST_GUEST;
use broker::layout::DATA_WORDS;
use broker::{Answer, DomainInfo, DomainState, HostInfo, Outcome, Refusal, Request, Server};
use std::cell::Cell;
use std::fmt;
use std::sync::atomic::AtomicU64;
use uk_abi::register::{Register, Ring, State};
use xen_abi::{Domid, Mfn, Port};

/// A domain.
#[derive(Debug)]
pub struct Domain {
    pub domid: Domid,
    pub handle: [u8; 16],
    pub pages: u64,
    /// It runs when there are none. One from the start.
    pauses: u32,
    pub stopped: Option<u8>,
    ports: u32,
    has_context: bool,
    is_introduced: bool,
    /// It has run at some time.
    has_run: bool,
    /// Requests to destroy it so far: it takes two.
    dying: u32,
}

pub struct Root {
    pub domains: Vec<Domain>,
    pub free_pages: u64,
    /// Domains that have run and were destroyed.
    pub ended: u32,
    /// The doorbell has rung.
    pub rings: Cell<bool>,
    /// The next request of this name is refused.
    pub refuses: Cell<Option<&'static str>>,
}

impl Root {
    pub fn new(free_pages: u64) -> Self {
        Self { domains: Vec::new(), free_pages, ended: 0, rings: Cell::new(false), refuses: Cell::new(None) }
    }

    /// Carries out all that is asked for. Answers whether anything was.
    pub fn serve(
        &mut self,
        slots: &'static [AtomicU64],
        register: &Register<&'static [AtomicU64]>,
        open: &[Domid],
    ) -> bool {
        let server = Server::new(slots).expect("there are enough words");
        let mut data = [0; DATA_WORDS];
        let mut has_served = false;
        while let Some(asked) = server.take(&mut data) {
            let outcome = asked.request.and_then(|request| self.carry_out(request, register, open));
            server.answer(&asked, &outcome);
            self.rings.set(true);
            has_served = true;
        }
        has_served
    }

    pub fn running(&mut self) -> impl Iterator<Item = &mut Domain> {
        self.domains.iter_mut().filter(|domain| domain.state() == DomainState::Running)
    }

    fn carry_out(
        &mut self,
        request: Request,
        register: &Register<&'static [AtomicU64]>,
        open: &[Domid],
    ) -> Outcome {
        if self.refuses.get() == Some(request.name()) {
            self.refuses.set(None);
            return Err(Refusal::Xen(-12));
        }
        let free_pages = self.free_pages;
        let name = request.name();
        let domain = match request.domain() {
            Some(domain) => self
                .domains
                .iter_mut()
                .find(|known| known.domid == domain)
                .ok_or(Refusal::NotYours { domain })?,
            None => return self.carry_out_on_none(request),
        };
        assert!(domain.dying == 0 || matches!(name, "destroy" | "info"), "{name} of a domain that is dying");
        match request {
            Request::Info { .. } => {
                return Ok(Answer::Info(DomainInfo {
                    state: domain.state(),
                    pages: domain.pages,
                    max_pages: domain.pages,
                    cpu_time_ns: 0,
                    vcpus: 1,
                    shared_info: Mfn(1),
                }));
            }
            Request::Populate { order, count, .. } => {
                assert!(!domain.has_run, "it runs already");
                let extents = u64::from(count).min(free_pages >> order);
                // Each domain has its own, so that what is built twice is the same.
                let first = (u64::from(domain.domid.0) << 20) + domain.pages;
                domain.pages += extents << order;
                self.free_pages -= extents << order;
                return Ok(Answer::Frames(
                    (0..extents).map(|extent| Mfn(first + (extent << order))).collect(),
                ));
            }
            Request::AllocatePort { .. } => {
                domain.ports += 1;
                return Ok(Answer::Port(Port(domain.ports)));
            }
            Request::Context { .. } => domain.has_context = true,
            Request::Introduce { frame, reference, port, domain: domid } => {
                let ring = Ring { frame: frame.0, reference: reference.0, port: port.0 };
                if !core::mem::replace(&mut domain.is_introduced, true) {
                    register.built(domid.0, Some(ring));
                }
            }
            Request::Unpause { .. } => {
                assert!(domain.has_context && domain.is_introduced, "it is started before it is built");
                assert!(domain.pauses > 0, "it is not paused");
                domain.pauses -= 1;
                domain.has_run = true;
            }
            Request::Pause { .. } => domain.pauses += 1,
            Request::Destroy { domain: domid } => {
                assert!(!open.contains(&domid), "somebody has its console mapped");
                domain.dying += 1;
                if domain.dying < 2 {
                    return Ok(Answer::Again);
                }
                self.free_pages += domain.pages;
                self.ended += u32::from(domain.has_run);
                self.domains.retain(|domain| domain.domid != domid);
                register.became(domid.0, State::Gone);
            }
            _ => assert!(!domain.has_run, "{name} of a domain that runs"),
        }
        Ok(Answer::Done)
    }

    fn carry_out_on_none(&mut self, request: Request) -> Outcome {
        Ok(match request {
            Request::Create { create, .. } => {
                if let Some(known) = self.domains.iter().find(|known| known.handle == create.handle) {
                    return Err(Refusal::Exists { domain: known.domid });
                }
                let is_free = |domid: &Domid| self.domains.iter().all(|known| known.domid != *domid);
                let domid = (FIRST_GUEST..).map(Domid).find(is_free).expect("there are enough numbers");
                self.domains.push(Domain {
                    domid,
                    handle: create.handle,
                    pages: 0,
                    pauses: 1,
                    stopped: None,
                    ports: 0,
                    has_context: false,
                    is_introduced: false,
                    has_run: false,
                    dying: 0,
                });
                Answer::Created { domain: domid, shared_info: Mfn(1) }
            }
            Request::Find { handle } => {
                let found = self.domains.iter().find(|known| known.handle == handle);
                Answer::Domain(found.map(|known| (known.domid, known.handle)))
            }
            Request::Next { after } => {
                let above = self.domains.iter().filter(|known| known.domid > after);
                Answer::Domain(above.min_by_key(|known| known.domid).map(|known| (known.domid, known.handle)))
            }
            _ => Answer::Host(HostInfo {
                free_pages: self.free_pages,
                total_pages: self.free_pages,
                processors: 1,
                xen: (4, 17),
                guest_memory_kib: 0,
                promised_kib: 0,
            }),
        })
    }
}

impl Domain {
    fn state(&self) -> DomainState {
        match (self.dying, self.stopped, self.pauses) {
            (1.., _, _) => DomainState::Dying,
            (_, Some(reason), _) => DomainState::ShutDown { reason },
            (_, _, 1..) => DomainState::Paused,
            _ => DomainState::Running,
        }
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} pages free, {} domains have run and are gone", self.free_pages, self.ended)?;
        for domain in &self.domains {
            let Domain { domid, pages, .. } = domain;
            writeln!(f, "{domid}: {pages} pages, {:?}", domain.state())?;
        }
        Ok(())
    }
}
