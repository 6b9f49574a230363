//! A disk with a cache that is lost with the power, bad sectors, and no order among what it does at a time.

use super::Random;
use super::machine::Shared;
use blkback::device::{Busy, Command, CommandId, Completion, Device, Outcome, Piece, Volume};
use std::collections::{BTreeMap, BTreeSet};
use uk_abi::testing::Fuse;

pub(crate) type Sector = [u8; 512];

#[derive(Clone, Debug)]
enum Kind {
    Read {
        sector: u64,
        pieces: Vec<Piece>,
    },
    Write {
        sector: u64,
        pieces: Vec<Piece>,
    },
    /// With what had been written by then, and what of that nobody had been told of.
    Flush {
        written: u64,
        untold: BTreeSet<u64>,
    },
    Discard {
        sector: u64,
        sectors: u64,
    },
}

#[derive(Clone, Debug)]
struct UnderWay {
    id: CommandId,
    volume: Volume,
    kind: Kind,
}

/// What a sector holds: what is on the medium, and what was written over it since, with the number of that write.
#[derive(Debug)]
struct Cell {
    stable: Sector,
    cached: Vec<(u64, Sector)>,
}

/// The disk and its driver.
#[derive(Debug)]
pub(crate) struct Disk {
    machine: Shared,
    fuse: Fuse,
    random: Random,
    cells: BTreeMap<(Volume, u64), Cell>,
    pub(crate) bad: BTreeSet<(Volume, u64)>,
    under_way: Vec<UnderWay>,
    completions: Vec<(Completion, Vec<u64>)>,
    written: u64,
    /// Writes whose completion has not been reported.
    untold: BTreeSet<u64>,
    finished_last: Option<CommandId>,
    depth: usize,
    max_pieces: usize,
    takes_gaps: bool,
    /// A sector that kills the driver when it is asked for.
    pub(crate) poison: Option<(Volume, u64)>,
    /// Everything fails.
    pub(crate) fails: bool,
    /// It no longer does anything.
    pub(crate) hangs: bool,
    /// How often in a hundred a command is called off.
    pub(crate) abort_percent: u64,
}

impl Disk {
    pub(crate) fn new(machine: &Shared, fuse: &Fuse, random: &mut Random) -> Self {
        Self {
            machine: machine.clone(),
            fuse: fuse.clone(),
            depth: [1, 2, 8, 64][random.below(4) as usize],
            max_pieces: [1, 2, 5, 300][random.below(4) as usize],
            takes_gaps: random.chance(50),
            random: Random(random.next()),
            cells: BTreeMap::new(),
            bad: BTreeSet::new(),
            under_way: Vec::new(),
            completions: Vec::new(),
            written: 0,
            untold: BTreeSet::new(),
            finished_last: None,
            poison: None,
            fails: false,
            hangs: false,
            abort_percent: 0,
        }
    }

    fn cell(&mut self, volume: Volume, sector: u64) -> &mut Cell {
        self.cells.entry((volume, sector)).or_insert(Cell { stable: [0; 512], cached: Vec::new() })
    }

    /// What a sector holds now.
    pub(crate) fn content(&mut self, volume: Volume, sector: u64) -> Sector {
        let cell = self.cell(volume, sector);
        cell.cached.last().map_or(cell.stable, |&(_, content)| content)
    }

    /// Finishes something, if anything is under way.
    pub(crate) fn work(&mut self) {
        if self.hangs || self.under_way.is_empty() {
            return;
        }
        let which = self.random.below(self.under_way.len() as u64) as usize;
        let command = self.under_way.swap_remove(which);
        let before = self.written;
        let outcome = if self.random.chance(self.abort_percent) {
            self.half_do(&command);
            Outcome::Aborted
        } else {
            self.do_sectors(&command, |_| true)
        };
        let writes = (before + 1..=self.written).collect();
        self.completions.push((Completion { command: command.id, outcome }, writes));
    }

    /// Does the sectors of a command that `does` says.
    fn do_sectors(&mut self, command: &UnderWay, mut does: impl FnMut(u64) -> bool) -> Outcome {
        let volume = command.volume;
        if self.fails {
            return Outcome::Failed;
        }
        match &command.kind {
            Kind::Read { sector, pieces } | Kind::Write { sector, pieces } => {
                let writes = matches!(command.kind, Kind::Write { .. });
                let mut at = *sector;
                for piece in pieces {
                    for offset in (piece.offset..piece.offset + piece.bytes).step_by(512) {
                        let range = offset as usize..offset as usize + 512;
                        if self.bad.contains(&(volume, at)) {
                            return Outcome::Failed;
                        }
                        if does(at) && writes {
                            let mut content = [0; 512];
                            content.copy_from_slice(&self.machine.borrow_mut().dma(piece.page)[range]);
                            self.write(volume, at, content);
                        } else if !writes {
                            let content = self.content(volume, at);
                            self.machine.borrow_mut().dma(piece.page)[range].copy_from_slice(&content);
                        }
                        at += 1;
                    }
                }
            }
            Kind::Discard { sector, sectors } => {
                for at in *sector..sector + sectors {
                    if does(at) {
                        self.write(volume, at, [0; 512]);
                    }
                }
            }
            Kind::Flush { written, untold } => {
                let lasting = |&(number, _): &(u64, Sector)| number <= *written && !untold.contains(&number);
                for cell in self.cells.values_mut() {
                    if let Some(last) = cell.cached.iter().rposition(lasting) {
                        cell.stable =
                            cell.cached.drain(..=last).next_back().map_or(cell.stable, |(_, now)| now);
                    }
                }
            }
        }
        Outcome::Done
    }

    fn write(&mut self, volume: Volume, sector: u64, content: Sector) {
        self.written += 1;
        let number = self.written;
        self.untold.insert(number);
        self.cell(volume, sector).cached.push((number, content));
    }

    /// Does some of a command, or all, or nothing.
    fn half_do(&mut self, command: &UnderWay) {
        let percent = [0, 50, 100][self.random.below(3) as usize];
        let mut random = Random(self.random.next());
        if percent > 0 && !matches!(command.kind, Kind::Flush { .. }) {
            self.do_sectors(command, |_| random.chance(percent));
        }
    }

    /// The driver dies, and the device is reset: of what was under way, anything may have happened.
    pub(crate) fn reset(&mut self) {
        for command in core::mem::take(&mut self.under_way) {
            self.half_do(&command);
        }
        self.completions.clear();
        self.hangs = false;
    }

    /// The power fails: of what was written since a sector was last made lasting, anything may be there.
    pub(crate) fn lose_power(&mut self) {
        for command in core::mem::take(&mut self.under_way) {
            self.half_do(&command);
        }
        for cell in self.cells.values_mut() {
            let kept = self.random.below(cell.cached.len() as u64 + 1) as usize;
            if let Some(&(_, content)) = kept.checked_sub(1).and_then(|last| cell.cached.get(last)) {
                cell.stable = content;
            }
            cell.cached.clear();
        }
    }

    /// Whether it has something to report.
    pub(crate) fn has_finished(&self) -> bool {
        !self.completions.is_empty()
    }

    /// Says once more that a command is finished, or that one is which nobody has given.
    pub(crate) fn lie(&mut self) {
        let command = self.finished_last.filter(|_| self.random.chance(80)).unwrap_or(CommandId(u64::MAX));
        self.completions.push((Completion { command, outcome: Outcome::Done }, Vec::new()));
    }
}

impl Device for Disk {
    fn max_pieces(&self) -> usize {
        self.max_pieces
    }

    fn takes_gaps(&self) -> bool {
        self.takes_gaps
    }

    fn submit(&mut self, id: CommandId, volume: Volume, command: Command<'_>) -> Result<(), Busy> {
        self.fuse.burn();
        if self.under_way.len() >= self.depth {
            return Err(Busy);
        }
        let kind = match command {
            Command::Read { sector, pieces } => Kind::Read { sector, pieces: pieces.to_vec() },
            Command::Write { sector, pieces } => Kind::Write { sector, pieces: pieces.to_vec() },
            Command::Flush => Kind::Flush { written: self.written, untold: self.untold.clone() },
            Command::Discard { sector, sectors, .. } => Kind::Discard { sector, sectors },
        };
        if let Kind::Read { sector, pieces } | Kind::Write { sector, pieces } = &kind {
            let bytes: u32 = pieces.iter().map(|piece| piece.bytes).sum();
            let range = *sector..sector + u64::from(bytes) / 512;
            self.hangs |= self.poison.is_some_and(|(where_to, at)| where_to == volume && range.contains(&at));
            assert!(!pieces.is_empty() && pieces.len() <= self.max_pieces, "{} pieces", pieces.len());
            if !self.takes_gaps {
                let ends = |pair: &[Piece]| pair[0].offset + pair[0].bytes == 4096 && pair[1].offset == 0;
                assert!(pieces.windows(2).all(ends), "gaps in {pieces:?}");
            }
        }
        self.under_way.push(UnderWay { id, volume, kind });
        self.fuse.burn();
        Ok(())
    }

    fn completion(&mut self) -> Option<Completion> {
        self.fuse.burn();
        (!self.completions.is_empty()).then(|| {
            let which = self.random.below(self.completions.len() as u64) as usize;
            let (completion, writes) = self.completions.swap_remove(which);
            writes.iter().for_each(|write| _ = self.untold.remove(write));
            self.finished_last = Some(completion.command);
            completion
        })
    }
}
