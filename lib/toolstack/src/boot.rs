//! Building a domain: the plan of `lib/builder`, carried out by root, a step at a time.

use crate::broker::{Broker, Pending};
use crate::journal::DomainRecord;
use crate::layout::End;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use broker::{Answer, Prepared, Refusal, Request};
use builder::{Build, BuildError, Extent, GuestError, GuestParams, GuestPlan, Step};
use thiserror::Error;
use uk_abi::Words;
use xen_abi::Domid;
use xenstore_session::Doorbell;
use xlcfg::{Config, TscMode};

/// Steps that are under way at once: as many as root has slots for, less some for others' requests.
const UNDER_WAY: usize = 6;

/// Pages of a MiB.
const PAGES_PER_MIB: u64 = 256;

/// Extents that are noted besides one for each 2 MiB: Xen's memory may have gaps.
const MORE_EXTENTS: usize = 512;

/// Why a domain cannot be built.
#[derive(Debug, Error)]
pub enum BootError {
    /// The kernel cannot be laid out as the configuration wants it.
    #[error(transparent)]
    Plan(#[from] GuestError),
    /// What root has answered does not lead to a domain.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The host has not so much memory left.
    #[error("{needed} MiB of memory are needed, {free} are free")]
    NoMemory {
        /// MiB that the guest is to have.
        needed: u64,
        /// MiB that nobody has.
        free: u64,
    },
    /// Root has refused a step.
    #[error("step {step}: {refusal}")]
    Refused {
        /// Which step.
        step: &'static str,
        /// Why.
        refusal: Refusal,
    },
}

/// What a guest is to have, as its configuration says it. `store` serves its ring to XenStore, `console` shows its console.
pub fn params<'a>(
    config: &'a Config,
    ramdisk: &'a [u8],
    handle: [u8; 16],
    store: Domid,
    console: Domid,
) -> GuestParams<'a> {
    let mut params = GuestParams {
        command_line: config.cmdline.as_bytes(),
        initrd: ramdisk,
        memory_pages: config.memory_mib * PAGES_PER_MIB,
        most_pages: config.most_memory_mib * PAGES_PER_MIB,
        vcpus: config.most_vcpus,
        handle,
        tsc: match config.tsc_mode {
            TscMode::Default => xen_abi::domctl::TscMode::Default,
            TscMode::AlwaysEmulate => xen_abi::domctl::TscMode::AlwaysEmulate,
            TscMode::Native => xen_abi::domctl::TscMode::NeverEmulate,
        },
        store: Some(store),
        console,
        ..GuestParams::default()
    };
    let tables = &mut params.tables;
    tables.grant_frames = config.max_grant_frames.unwrap_or(tables.grant_frames);
    tables.maptrack_frames = config.max_maptrack_frames.unwrap_or(tables.maptrack_frames);
    tables.highest_port = config.max_event_channels.unwrap_or(tables.highest_port);
    params
}

/// Builds a domain, up to the point where it can be started. `place` says where in the boot archive bytes lie that come from
/// there. If it fails, or its future is dropped, what there is of the domain is to be destroyed: its handle says which it is.
///
/// # Errors
/// [`BootError`].
pub async fn build<'a, W: Words, B: Doorbell>(
    broker: &Broker<W, B>,
    kernel: &'a [u8],
    params: &GuestParams<'a>,
    weight: u16,
    place: impl Fn(&[u8]) -> Option<u64>,
) -> Result<DomainRecord, BootError> {
    let plan = Box::new(GuestPlan::new(kernel, params)?);
    let refused = |refusal| BootError::Refused { step: "host", refusal };
    if let Answer::Host(host) = broker.ask_aside(&Request::Host).await.map_err(refused)?
        && host.free_pages < params.memory_pages
    {
        let [needed, free] = [params.memory_pages, host.free_pages].map(|pages| pages / PAGES_PER_MIB);
        return Err(BootError::NoMemory { needed, free });
    }
    let extents = (params.memory_pages / (2 * PAGES_PER_MIB)) as usize + MORE_EXTENTS;
    let mut room = vec![Extent::default(); extents];
    let mut build = Build::new(&plan, &mut room);
    let mut domid = Domid::DOM0;
    let mut under_way = VecDeque::<(&str, Pending<'_, W, B>)>::new();
    while let Some(step) = build.step() {
        let name = step.name();
        let refused = |refusal| BootError::Refused { step: name, refusal };
        if let Step::Unpause = step {
            break;
        }
        let brings = matches!(step, Step::Create(_) | Step::Populate { .. } | Step::AllocatePort { .. });
        let prepared = Prepared::new(&step, domid, weight, &place);
        let pending = loop {
            let posted = broker.try_post(&prepared.request, prepared.data).map_err(refused)?;
            match (posted, under_way.len()) {
                (Some(pending), _) => break pending,
                (None, 0) => break broker.post(&prepared.request, prepared.data).await.map_err(refused)?,
                // Others build, too. Were everybody to keep what they have, nobody would get more.
                (None, count) => finish(&mut under_way, count - 1).await?,
            }
        };
        if brings {
            let answer = pending.answer().await.map_err(refused)?;
            if let Answer::Created { domain, .. } = answer {
                domid = domain;
            }
            build.answer(answer.to_step().ok_or_else(|| refused(Refusal::Malformed))?)?;
        } else {
            under_way.push_back((name, pending));
            build.answer(builder::Answer::Done)?;
            if under_way.len() > UNDER_WAY {
                finish(&mut under_way, UNDER_WAY).await?;
            }
        }
    }
    finish(&mut under_way, 0).await?;
    let (areas, connections) = (plan.areas(), build.connections());
    let end = |page, port| End { frame: build.extents().frame(page), port };
    Ok(DomainRecord {
        domid,
        store: end(areas.store, connections.store),
        console: end(areas.console, connections.console),
    })
}

/// Waits until no more than `most` steps are under way.
async fn finish<W: Words, B: Doorbell>(
    under_way: &mut VecDeque<(&'static str, Pending<'_, W, B>)>,
    most: usize,
) -> Result<(), BootError> {
    while under_way.len() > most
        && let Some((step, pending)) = under_way.pop_front()
    {
        match pending.answer().await {
            Ok(Answer::Done) => {}
            Ok(_) => return Err(BootError::Refused { step, refusal: Refusal::Malformed }),
            Err(refusal) => return Err(BootError::Refused { step, refusal }),
        }
    }
    Ok(())
}
