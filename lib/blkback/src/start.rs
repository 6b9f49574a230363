//! What may start: its data fetched, and given to the device.

use crate::device::{Command, CommandId, Device, Outcome};
use crate::flight::{Flight, Place, Stage};
use crate::geometry::SECTOR;
use crate::layout;
use crate::pages::{Copy, Direction, MapError, Page, Pages};
use crate::reason::Reason;
use crate::request::{Data, Operation, SEGMENTS_PER_PAGE, Segment};
use crate::service::{Blkback, End, Report};
use crate::vbd::{Service, Vbd, VbdId};
use alloc::vec::Vec;
use shadow::{Next, Token};
use uk_abi::Words;
use xen_abi::blkif::{self, ResponseStatus};
use xen_abi::{Domid, GrantRef};
use zerocopy::{FromZeros, IntoBytes};

/// Why a request is not given to the device.
enum NotReady {
    /// There are too few pages now.
    Stalled,
    /// It is answered so.
    Refused(ResponseStatus),
    /// Its frontend is not served any more.
    Broken(Reason),
}

impl<M: Words, const SLOTS: usize> Blkback<'_, M, SLOTS> {
    /// Starts all that may start, and goes on with what was stalled.
    pub(crate) fn start(
        &mut self,
        now_us: u64,
        device: &mut impl Device,
        pages: &mut impl Pages,
        report: &mut impl FnMut(Report),
    ) {
        self.starting.clear();
        if core::mem::take(&mut self.room_was_made) {
            self.starting.extend(self.stalled.drain(..));
        }
        while let Some(next) = self.shadow.next(now_us) {
            match next {
                Next::Start { token, retries } => {
                    if retries > 0 {
                        self.journal.retry(token, retries);
                    }
                    self.starting.push(token);
                }
                Next::GiveUp { token } => self.ended.push((token, End::GivenUp)),
            }
        }
        let mut starting = core::mem::take(&mut self.starting);
        self.copies.clear();
        self.copying.clear();
        starting.retain(|&token| self.prepare(token, device, pages, report));
        pages.copy(&mut self.copies);
        for place in 0..self.copying.len() {
            let (token, first, end) = self.copying[place];
            if let Some(reason) = failed(&self.copies[first..end]) {
                self.ended.push((token, End::Refused(ResponseStatus::Error)));
                starting.retain(|&other| other != token);
                if let Some(id) = self.owner(token) {
                    self.broken(id, reason, report);
                }
            }
        }
        for &token in &starting {
            self.advance(token, device);
        }
        self.starting = starting;
    }

    pub(crate) fn owner(&self, token: Token) -> Option<VbdId> {
        self.flights[usize::from(token.0)].taken.as_ref().map(|taken| VbdId(taken.vbd))
    }

    /// Finds the pages for a request's data. Returns whether it can be given to the device once the copies are made.
    fn prepare(
        &mut self,
        token: Token,
        device: &impl Device,
        pages: &mut impl Pages,
        report: &mut impl FnMut(Report),
    ) -> bool {
        let Some(id) = self.owner(token) else { return false };
        let flight = &mut self.flights[usize::from(token.0)];
        let Some(vbd) = self.vbds.get_mut(usize::from(id.0)).and_then(Option::as_mut) else { return false };
        if vbd.service != Service::On && flight.under_way.is_empty() {
            self.ended.push((token, End::Refused(ResponseStatus::Error)));
            return false;
        }
        if flight.place != Place::Nowhere {
            // It had been stalled on its way to the device.
            return true;
        }
        let first = self.copies.len();
        match place(flight, vbd, device, pages, &mut self.copies) {
            Ok(()) => {
                if self.copies.len() > first {
                    self.copying.push((token, first, self.copies.len()));
                }
                return true;
            }
            Err(NotReady::Stalled) => self.stalled.push_back(token),
            Err(NotReady::Refused(status)) => self.ended.push((token, End::Refused(status))),
            Err(NotReady::Broken(reason)) => {
                self.ended.push((token, End::Refused(ResponseStatus::Error)));
                self.broken(id, reason, report);
            }
        }
        false
    }

    /// Gives the device what it can take of a request.
    pub(crate) fn advance(&mut self, token: Token, device: &mut impl Device) {
        let flight = &mut self.flights[usize::from(token.0)];
        let Some(taken) = &flight.taken else { return };
        let Some(vbd) = self.vbds.get(usize::from(taken.vbd)).and_then(Option::as_ref) else { return };
        let volume = vbd.disk.volume;
        let (sector, writes) = (taken.request.sector, taken.request.writes());
        while flight.worst == Outcome::Done && !flight.is_submitted() {
            let first = flight.submitted;
            let id = command_id(flight.generation, first as u16, token);
            let last = (first + device.max_pieces()).min(flight.pieces.len());
            let (command, submitted) = match flight.stage() {
                None => break,
                Some(Stage::Flush) => (Command::Flush, 1),
                Some(Stage::Discard { sectors, secure }) => (Command::Discard { sector, sectors, secure }, 1),
                Some(Stage::Transfer) => {
                    let before: u64 = flight.pieces[..first].iter().map(|piece| u64::from(piece.bytes)).sum();
                    let (sector, pieces) = (sector + before / SECTOR, &flight.pieces[first..last]);
                    if writes {
                        (Command::Write { sector, pieces }, last)
                    } else {
                        (Command::Read { sector, pieces }, last)
                    }
                }
            };
            if flight.under_way.is_full() || device.submit(id, volume, command).is_err() {
                self.stalled.push_back(token);
                return;
            }
            flight.submitted = submitted;
            // There is room: it was looked for.
            let _ = flight.under_way.push(first as u16);
        }
        if flight.under_way.is_empty() {
            // Nothing is left to do, or nothing that would help.
            self.ended.push((token, End::Device(flight.worst)));
        }
    }
}

/// The name of a command: of a flight's stage, by its generation, the one that begins with a piece.
fn command_id(generation: u32, first: u16, token: Token) -> CommandId {
    CommandId(u64::from(generation) << 32 | u64::from(first) << 16 | u64::from(token.0))
}

/// The generation, the first piece and the flight that a command is named by.
pub(crate) fn parts(id: CommandId) -> (u32, u16, Token) {
    ((id.0 >> 32) as u32, (id.0 >> 16) as u16, Token(id.0 as u16))
}

/// The first copy that failed, as a reason not to serve the frontend.
pub(crate) fn failed(copies: &[Copy]) -> Option<Reason> {
    let bad = |copy: &Copy| copy.result.err().map(|error| Reason::Grant { gref: copy.gref, error });
    copies.iter().find_map(bad)
}

/// Finds the segments of a request and the pages for its data, and plans what the device has to do.
fn place(
    flight: &mut Flight,
    vbd: &mut Vbd<'_>,
    device: &impl Device,
    pages: &mut impl Pages,
    copies: &mut Vec<Copy>,
) -> Result<(), NotReady> {
    let Some(taken) = &flight.taken else { return Ok(()) };
    let guest = vbd.disk.guest;
    flight.segments.clear();
    match &taken.request.data {
        Data::Direct(segments) => flight.segments.extend_from_slice(segments),
        Data::Indirect { segments, pages: grants } => {
            fetch(guest, usize::from(*segments), grants, pages, &mut flight.segments)?;
        }
    }
    let geometry = vbd.disk.geometry;
    let check = taken.request.check(&flight.segments, &geometry);
    check.map_err(|refusal| NotReady::Refused(refusal.status()))?;
    let request_writes = taken.request.writes();
    let transfers =
        !flight.segments.is_empty() && !matches!(taken.request.operation, Operation::Discard { .. });
    flight.plan(&geometry);
    if !transfers || map(flight, vbd, device, pages)? {
        return Ok(());
    }
    if !layout::pack(&flight.segments, pages, &mut flight.pieces) {
        return Err(NotReady::Stalled);
    }
    flight.place = Place::Own;
    if request_writes {
        layout::copies(guest, &flight.segments, &flight.pieces, Direction::In, copies);
    }
    Ok(())
}

/// Copies the segments of an indirect request out of the guest's pages, once, and checks them.
fn fetch(
    guest: Domid,
    count: usize,
    grants: &[u32],
    pages: &mut impl Pages,
    segments: &mut Vec<Segment>,
) -> Result<(), NotReady> {
    let page = pages.allocate().ok_or(NotReady::Stalled)?;
    let mut fetched = Ok(());
    for (number, &gref) in grants.iter().enumerate() {
        let here = (count - number * SEGMENTS_PER_PAGE).min(SEGMENTS_PER_PAGE);
        fetched = fetch_page(guest, GrantRef(gref), here, page, pages, segments);
        if fetched.is_err() {
            break;
        }
    }
    pages.release(page);
    fetched.map_err(NotReady::Broken)
}

fn fetch_page(
    guest: Domid,
    gref: GrantRef,
    count: usize,
    page: Page,
    pages: &mut impl Pages,
    segments: &mut Vec<Segment>,
) -> Result<(), Reason> {
    const SIZE: usize = size_of::<blkif::Segment>();
    let mut copy = [Copy {
        guest,
        gref,
        guest_offset: 0,
        page,
        offset: 0,
        bytes: (count * SIZE) as u32,
        direction: Direction::In,
        result: Ok(()),
    }];
    pages.copy(&mut copy);
    if let Some(reason) = failed(&copy) {
        return Err(reason);
    }
    let mut raw = [blkif::Segment::new_zeroed(); 64];
    for first in (0..count).step_by(raw.len()) {
        let some = (count - first).min(raw.len());
        pages.read(page, (first * SIZE) as u32, raw[..some].as_mut_bytes());
        for segment in &raw[..some] {
            segments.push(Segment::new(segment)?);
        }
    }
    Ok(())
}

/// Lets the device use the guest's own pages, if the frontend has promised to use them again and the device can. Returns whether
/// it does.
fn map(
    flight: &mut Flight,
    vbd: &mut Vbd<'_>,
    device: &impl Device,
    pages: &mut impl Pages,
) -> Result<bool, NotReady> {
    if !vbd.disk.persistent || !device.takes_gaps() && layout::has_gaps(&flight.segments) {
        return Ok(false);
    }
    for (number, segment) in flight.segments.iter().enumerate() {
        match vbd.persistent.acquire(vbd.disk.guest, segment.gref(), pages) {
            Ok(page) => {
                let piece = crate::device::Piece { page, offset: segment.offset(), bytes: segment.bytes() };
                flight.pieces.push(piece);
            }
            Err(error) => {
                flight.pieces.clear();
                flight.segments[..number].iter().for_each(|done| vbd.persistent.release(done.gref()));
                return match error {
                    MapError::NoRoom => {
                        vbd.lacks_room = true;
                        Ok(false)
                    }
                    MapError::Grant(error) => {
                        Err(NotReady::Broken(Reason::Grant { gref: segment.gref(), error }))
                    }
                };
            }
        }
    }
    flight.place = Place::Mapped;
    Ok(true)
}
