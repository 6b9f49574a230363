//! Makes and unmakes domains. Whatever becomes of root or of this probe, none is lost, and none is there twice.

use super::{Asker, EXTENTS, PAGES, small};
use ::broker::{Answer, DomainState, Outcome, Refusal, Request};
use libos::Uk;
use libos::time::{Duration, Timer};
use libos::xen_abi::{Domid, Pfn};

/// Rounds from one report to the next.
const REPORT_EVERY: u64 = 20;

/// From one round to the next: for a while there is no domain.
const PAUSE: Duration = Duration::from_millis(20);

/// The UUID of the domains that it makes, one after the other.
const HANDLE: u8 = 0x50;

/// Asks for ever.
///
/// # Panics
/// If something is not as it must be.
pub async fn run(uk: &Uk) {
    let mut asker = Asker::open(uk).await;
    let mut left = 0;
    while let Some(domain) = asker.next(Domid(0)).await {
        asker.destroy(domain).await;
        left += 1;
    }
    assert!(left <= 1, "an earlier life has left {left} domains, though it had one at a time");
    log::info!("broker: at work, an earlier life has left {left} domains");
    for round in 1.. {
        let pieces = asker.make_and_unmake().await;
        if round % REPORT_EVERY == 0 {
            log::info!("broker: {round} domains made and unmade, the last in {pieces} pieces");
        }
        Timer::after(PAUSE).await;
    }
}

impl Asker {
    /// Answers in how many pieces it was unmade.
    async fn make_and_unmake(&mut self) -> u32 {
        let create = Request::Create { create: small(HANDLE), weight: 256 };
        let (domain, _) = match self.ask(&create, &[]).await {
            Ok(Answer::Created { domain, shared_info }) => (domain, shared_info),
            Err(Refusal::Interrupted) => return self.destroy_if_there().await,
            other => wrong("create", &other),
        };
        match self.ask(&create, &[]).await {
            Err(Refusal::Exists { domain: found }) if found == domain => {}
            other => wrong("create again", &other),
        }
        assert_eq!(self.next(Domid(0)).await, Some(domain), "the one domain is not listed");
        let populate = Request::Populate { domain, first: Pfn(0), order: 9, count: EXTENTS };
        let frames = match self.ask(&populate, &[]).await {
            Ok(Answer::Frames(frames)) => frames,
            Err(Refusal::Interrupted) => return self.destroy(domain).await,
            other => wrong("populate", &other),
        };
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else {
            panic!("the broker gave no memory")
        };
        let (at, last) = (first.addr(), (*last + 511).addr());
        for request in [
            Request::Write { domain, at },
            Request::Copy { domain, at: last, offset: 0, length: 4096 },
            Request::Clear { domain, at, length: 65536 },
        ] {
            match self.ask(&request, &[0xa5; 5000]).await {
                Ok(Answer::Done) => {}
                other => wrong(request.name(), &other),
            }
        }
        match self.ask(&Request::Info { domain }, &[]).await {
            Ok(Answer::Info(info)) => {
                assert_eq!((info.state, info.vcpus), (DomainState::Paused, 0), "{info:?}");
                assert!(info.pages >= PAGES, "{info:?}");
            }
            other => wrong("info", &other),
        }
        let pieces = self.destroy(domain).await;
        assert_eq!(self.next(Domid(0)).await, None, "a destroyed domain is listed");
        pieces
    }

    /// Destroys what a request has made of which nobody knows whether it was carried out.
    async fn destroy_if_there(&mut self) -> u32 {
        match self.ask(&Request::Find { handle: [HANDLE; 16] }, &[]).await {
            Ok(Answer::Domain(None)) => 0,
            Ok(Answer::Domain(Some((domain, _)))) => self.destroy(domain).await,
            other => wrong("find", &other),
        }
    }

    /// Answers in how many pieces it was done.
    async fn destroy(&mut self, domain: Domid) -> u32 {
        let mut pieces = 1;
        loop {
            match self.ask(&Request::Destroy { domain }, &[]).await {
                Ok(Answer::Done) => return pieces,
                Ok(Answer::Again) => pieces += 1,
                other => wrong("destroy", &other),
            }
        }
    }

    async fn next(&mut self, after: Domid) -> Option<Domid> {
        match self.ask(&Request::Next { after }, &[]).await {
            Ok(Answer::Domain(found)) => found.map(|(domain, _)| domain),
            other => wrong("next", &other),
        }
    }
}

fn wrong(request: &str, outcome: &Outcome) -> ! {
    panic!("broker: the answer to {request} is {outcome:?}")
}
