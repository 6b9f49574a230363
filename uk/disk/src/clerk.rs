//! Volumes for who is no guest: another unikernel has them listed, read and written, over memory that both share (`lib/volume-io`).
//!
//! It is believed as little as a guest. What it asks for is copied once and then checked; it gets no volume that a guest has, and reads
//! none that somebody may be writing. What it writes it has alone until it says that it has finished, or writes nothing for a while: an upload
//! that nobody goes on with keeps no guest waiting for long.

use crate::aside;
use crate::service::Service;
use crate::volumes::Volumes;
use alloc::string::ToString;
use alloc::vec::Vec;
use cable::Side;
use core::cell::RefCell;
use core::future::pending;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;
use libos::Uk;
use libos::block::{Command, DmaPage, SECTOR, Span};
use libos::channel::Channel;
use libos::futures::select::select;
use libos::futures::yield_now;
use libos::time::{Duration, Instant, Timer};
use libos::xen_abi::PAGE_SIZE;
use volume::{Claimant, Conflict, Extent, Layout};
use volume_io::{Answer, Asked, Description, MAX_DATA, Refusal, Request, Server, User};

/// Pages for the data of one request.
const PAGES: usize = MAX_DATA / PAGE_SIZE as usize;

/// How long a volume is kept for whoever has written it last. A client that was cut off is back within seconds.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// How many users of a volume are told.
const USERS: usize = 16;

/// The one who does what is asked.
struct Clerk<'a> {
    server: Server<&'static [AtomicU64]>,
    peer: Channel,
    service: &'a RefCell<Service>,
    volumes: &'a Volumes,
    pages: Vec<DmaPage>,
    /// What is being written, and until when it is kept.
    kept: Vec<(Extent, Instant)>,
}

/// A volume that was found.
struct Found {
    extent: Extent,
    bytes: u64,
    sector_bytes: u32,
    read_only: bool,
}

/// Does for ever what is asked over the memory called `name`.
///
/// # Panics
/// If this program shares no such memory with anybody, it is too small, or there is too little DMA memory: the description names them.
pub async fn run(uk: &Uk, name: &str, service: &RefCell<Service>, volumes: &Volumes) {
    let memory = uk.shared(name);
    let found = memory.and_then(|memory| Some((memory, uk.channel(memory.others().next()?)?)));
    let Some((memory, peer)) = found else { panic!("nobody shares {name} with this program") };
    let side = if peer.peer() > uk.domid() { Side::First } else { Side::Second };
    let Some(pages) = DmaPage::row(PAGES) else { panic!("there is too little DMA memory for {name}") };
    // What guests have they had before, whoever is the first to ask in this life.
    volumes.when_guests_are_known().await;
    let Some(server) = Server::new(memory.words(), side) else { panic!("{name} is too small") };
    peer.notify();
    Clerk { server, peer, service, volumes, pages, kept: Vec::new() }.run().await;
}

impl Clerk<'_> {
    async fn run(&mut self) {
        loop {
            self.let_go();
            match self.server.take() {
                Some(Ok(asked)) => {
                    let (answer, data) = match self.carry_out(&asked).await {
                        Ok(done) => done,
                        Err(refusal) => (Answer::Refused(refusal), Vec::new()),
                    };
                    self.server.answer(&asked, answer, &data);
                    self.peer.notify();
                }
                Some(Err(_)) => {}
                None => {
                    let until = self.kept.iter().map(|(_, until)| *until).min();
                    let ends = async {
                        match until {
                            Some(until) => Timer::at(until).await,
                            None => pending().await,
                        }
                    };
                    select(self.peer.wait(), ends).await;
                }
            }
            // Guests go first, however much is asked here.
            yield_now().await;
        }
    }

    /// Lets go of what nobody has gone on writing.
    fn let_go(&mut self) {
        let now = Instant::now();
        let volumes = self.volumes;
        self.kept.retain(|(extent, until)| {
            let stays = *until > now;
            if !stays {
                volumes.claims().release_extent(Claimant::Operator, extent);
                volumes.has_freed();
            }
            stays
        });
    }

    async fn carry_out(&mut self, asked: &Asked) -> Result<(Answer, Vec<u8>), Refusal> {
        let data = match &asked.request {
            Request::Describe { index } => return Ok((Answer::Volume(self.describe(*index)), Vec::new())),
            Request::Read { volume, from, bytes } => {
                let found = self.find(volume)?;
                self.nobody_is_in_the_way(&found.extent, true)?;
                let bytes = u64::from(*bytes);
                let place = place(&found, *from, bytes)?;
                self.transfer(&found, place, bytes as usize, |sector, spans| Command::Read(sector, spans))
                    .await?;
                return Ok((Answer::Read, self.data(bytes as usize)));
            }
            Request::Write { volume, from } => {
                let found = self.find(volume)?;
                if found.read_only {
                    return Err(Refusal::ReadOnly);
                }
                let place = place(&found, *from, asked.data.len() as u64)?;
                self.nobody_is_in_the_way(&found.extent, false)?;
                self.keep(&found.extent)?;
                self.put(&asked.data);
                self.transfer(&found, place, asked.data.len(), |sector, spans| Command::Write(sector, spans))
                    .await?;
                self.keep(&found.extent)?;
                Vec::new()
            }
            Request::Finish { volume } => {
                let found = self.find(volume)?;
                if !aside::carry_out(self.service, usize::from(found.extent.disk.0), &Command::Flush).await {
                    return Err(Refusal::Failed { at: 0 });
                }
                let place = self.kept.iter().position(|(extent, _)| *extent == found.extent);
                if let Some(place) = place {
                    self.kept[place].1 = Instant::MIN;
                    self.let_go();
                }
                Vec::new()
            }
        };
        Ok((Answer::Done, data))
    }

    fn describe(&self, index: u32) -> Option<Description> {
        let listed = self.volumes.all().nth(index as usize)?;
        let found = self.found(listed.extent)?;
        let claims = self.volumes.claims();
        let users = claims.holders(found.extent).map(|(holder, _)| match holder {
            Claimant::Guest(holder) => User::Guest { domid: holder.domid, device: holder.device },
            Claimant::Operator => User::Operator,
        });
        Some(Description {
            name: listed.name,
            label: listed.label,
            bytes: found.bytes,
            sector_bytes: found.sector_bytes,
            read_only: found.read_only,
            users: users.take(USERS).collect(),
            exclusive: claims.holders(found.extent).any(|(_, reads)| !reads),
        })
    }

    fn find(&self, name: &str) -> Result<Found, Refusal> {
        let extent = self.volumes.find(name).map_err(|error| Refusal::NoVolume { why: error.to_string() })?;
        let gone = || Refusal::NoVolume { why: "its disk is not there".into() };
        self.found(extent).ok_or_else(gone)
    }

    fn found(&self, extent: Extent) -> Option<Found> {
        let service = self.service.borrow();
        let extent = service.now(&extent);
        let geometry = service.geometry(&extent, false)?;
        Some(Found {
            extent,
            bytes: geometry.sectors * u64::from(SECTOR),
            sector_bytes: geometry.sector_size,
            read_only: geometry.read_only,
        })
    }

    fn nobody_is_in_the_way(&self, extent: &Extent, reads: bool) -> Result<(), Refusal> {
        let claimed = self.volumes.claims().check(Claimant::Operator, extent, reads);
        // One that XenStore does not know any more has requests under way as long as it is connected.
        let service = self.service.borrow();
        let connected =
            service.connections().find(|(_, other)| other.extent.overlaps(extent) && !(reads && other.reads));
        let connected =
            connected.map(|(_, other)| Conflict { holder: other.holder.into(), reads: other.reads });
        match claimed.err().or(connected) {
            Some(conflict) => Err(Refusal::InUse { why: conflict.to_string() }),
            None => Ok(()),
        }
    }

    /// Has a volume kept for whoever writes it.
    fn keep(&mut self, extent: &Extent) -> Result<(), Refusal> {
        let claimed = self.volumes.claims().claim(Claimant::Operator, extent.extents(), false);
        claimed.map_err(|conflict| Refusal::InUse { why: conflict.to_string() })?;
        let until = Instant::now() + KEPT_FOR;
        match self.kept.iter_mut().find(|(kept, _)| kept == extent) {
            Some((_, kept)) => *kept = until,
            None => self.kept.push((*extent, until)),
        }
        Ok(())
    }

    /// Has the disk do something with the bytes in the pages, as many commands as it takes.
    async fn transfer(
        &self,
        found: &Found,
        place: Extent,
        bytes: usize,
        command: impl for<'s> Fn(u64, &'s [Span]) -> Command<'s>,
    ) -> Result<(), Refusal> {
        const PAGE: usize = PAGE_SIZE as usize;
        let lengths = (0..bytes).step_by(PAGE).map(|at| (bytes - at).min(PAGE) as u32);
        let spans: Vec<Span> =
            self.pages.iter().zip(lengths).filter_map(|(page, length)| page.span(0, length)).collect();
        let disk = usize::from(place.disk.0);
        let most = self.service.borrow().storage.facts().nth(disk).map_or(1, |facts| facts.max_spans.max(1));
        let mut sector = place.first;
        for spans in spans.chunks(most) {
            if !aside::carry_out(self.service, disk, &command(sector, spans)).await {
                let at = (sector - found.extent.first) * u64::from(SECTOR);
                return Err(Refusal::Failed { at });
            }
            sector += spans.iter().map(|span| u64::from(span.bytes() / SECTOR)).sum::<u64>();
        }
        Ok(())
    }

    /// Puts data into the pages.
    fn put(&self, data: &[u8]) {
        let words = self.pages.iter().flat_map(|page| page.iter());
        for (word, bytes) in words.zip(data.chunks_exact(8)) {
            // A sector is a multiple of a word.
            word.store(bytes.try_into().map_or(0, u64::from_le_bytes), Relaxed);
        }
    }

    /// What is in the pages.
    fn data(&self, bytes: usize) -> Vec<u8> {
        let words = self.pages.iter().flat_map(|page| page.iter());
        words.take(bytes / 8).flat_map(|word| word.load(Relaxed).to_le_bytes()).collect()
    }
}

/// Where bytes of a volume are on its disk.
fn place(found: &Found, from: u64, bytes: u64) -> Result<Extent, Refusal> {
    let Found { extent, bytes: of, sector_bytes, .. } = *found;
    let unit = u64::from(sector_bytes);
    if bytes == 0 || bytes > MAX_DATA as u64 || !from.is_multiple_of(unit) || !bytes.is_multiple_of(unit) {
        return Err(Refusal::Uneven { from, bytes, sector_bytes });
    }
    let sector = u64::from(SECTOR);
    let within = from.checked_add(bytes).is_some_and(|end| end <= of);
    let place = extent.place(from / sector, bytes / sector).filter(|_| within);
    place.ok_or(Refusal::Outside { from, bytes, of })
}
