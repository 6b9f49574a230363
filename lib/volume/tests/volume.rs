//! Names, tables and claims.

use proptest::prelude::*;
use volume::gpt::{Guid, Step};
use volume::testing::{seal, table};
use volume::{
    Claimant, Claims, DiskId, Extent, Holder, Layout, Partition, SECTOR, Search, TableError, Target,
    UnknownTarget, Which,
};

const SECTORS: u64 = 4096;

/// A disk with these partitions.
fn disk(partitions: &[(u64, u64, &str)]) -> Vec<u8> {
    let (head, tail) = table(SECTORS, partitions);
    let mut disk = vec![0; (SECTORS * u64::from(SECTOR)) as usize];
    disk[..head.len()].copy_from_slice(&head);
    let end = disk.len() - tail.len();
    disk[end..].copy_from_slice(&tail);
    disk
}

fn search(disk: &[u8]) -> Step {
    let mut search = Search::new(SECTORS, SECTOR).unwrap();
    loop {
        let wanted = search.wanted();
        let bytes = |sector| (sector * u64::from(SECTOR)) as usize;
        match search.seen(&disk[bytes(wanted.start)..bytes(wanted.end)]) {
            Step::Read => {}
            step => return step,
        }
    }
}

fn partitions() -> Vec<Partition> {
    match search(&disk(&[(64, 100, "root"), (200, 1000, "swap")])) {
        Step::Found(partitions, None) => partitions,
        step => panic!("{step:?}"),
    }
}

#[test]
fn a_table_is_read() {
    let partition = |number, label: &str, first, sectors| Partition {
        number,
        label: label.into(),
        guid: Guid::from_bytes([number as u8; 16]),
        first,
        sectors,
    };
    assert_eq!(partitions(), [partition(1, "root", 64, 100), partition(2, "swap", 200, 1000)]);
}

#[test]
fn the_table_at_the_end_is_used_where_that_at_the_beginning_is_damaged() {
    let whole = disk(&[(64, 100, "root"), (200, 1000, "swap")]);
    for place in [512, 512 + 40, 1024 + 33] {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        match search(&damaged) {
            Step::Found(found, Some(_)) => assert_eq!(found, partitions()),
            step => panic!("{step:?}"),
        }
        let last = damaged.len() - 100;
        damaged[last - 412..].fill(0);
        assert!(matches!(search(&damaged), Step::Nothing(_, TableError::Signature)), "{place}");
    }
}

/// Changes a field of the header at the beginning, with the checksums made right, and says what is found wrong.
fn with_header(offset: usize, value: &[u8]) -> TableError {
    let mut changed = disk(&[(64, 100, "root")]);
    let end = changed.len() - 512;
    changed[end..].fill(0);
    changed[512 + offset..512 + offset + value.len()].copy_from_slice(value);
    let (header, entries) = changed[512..].split_at_mut(512);
    seal(header, &entries[..128 * 128]);
    match search(&changed) {
        Step::Nothing(error, _) => error,
        step => panic!("{step:?}"),
    }
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    let block = |what, found| TableError::Block { what, found };
    let length = |what, found| TableError::Length { what, found };
    assert_eq!(with_header(12, &8u32.to_le_bytes()), length("header", 8));
    assert_eq!(with_header(24, &7u64.to_le_bytes()), block("header", 7));
    assert_eq!(with_header(40, &0u64.to_le_bytes()), block("first usable block", 0));
    assert_eq!(with_header(48, &SECTORS.to_le_bytes()), block("last usable block", SECTORS));
    assert_eq!(with_header(72, &SECTORS.to_le_bytes()), block("array of entries", SECTORS));
    assert_eq!(
        with_header(72, &(SECTORS - 1).to_le_bytes()),
        block("end of the array of entries", SECTORS + 30)
    );
    assert_eq!(
        with_header(80, &u32::MAX.to_le_bytes()),
        length("array of entries", u64::from(u32::MAX) * 128)
    );
    assert_eq!(with_header(84, &96u32.to_le_bytes()), length("size of an entry", 96));
}

#[test]
fn partitions_that_overlap_or_leave_the_disk_are_refused() {
    for partitions in [&[(64, 100, "a"), (163, 2, "b")][..], &[(20, 10, "a")], &[(64, SECTORS, "a")]] {
        let step = search(&disk(partitions));
        assert!(matches!(step, Step::Nothing(TableError::Partition { .. }, _)), "{step:?}");
    }
}

#[test]
fn names_are_found() {
    let (ours, other) = (partitions(), Vec::new());
    let find = |name: &'static str| {
        let disks = [(SECTORS, &ours[..]), (99, &other[..])];
        Target::parse(name).and_then(|target| target.find(disks.into_iter()))
    };
    let on = |disk, first, sectors| Ok(Extent { disk: DiskId(disk), first, sectors });
    assert_eq!(find("disk0"), on(0, 0, SECTORS));
    assert_eq!(find("phy:disk1"), on(1, 0, 99));
    assert_eq!(find("disk0/p2"), on(0, 200, 1000));
    assert_eq!(find("disk0/root"), on(0, 64, 100));
    assert_eq!(find("PARTLABEL=swap"), on(0, 200, 1000));
    assert_eq!(find("partuuid=01010101-0101-0101-0101-010101010101"), on(0, 64, 100));
    assert_eq!(find("disk2"), Err(UnknownTarget::Disk { disk: DiskId(2), disks: 2 }));
    assert_eq!(find("disk0/p3"), Err(UnknownTarget::Partition(Which::Number(3))));
    assert_eq!(find("disk1/root"), Err(UnknownTarget::Partition(Which::Label("root"))));
    for name in ["", "disk", "disk0/", "disk-1", "disk999", "sda", "partuuid=1", "partlabel=", "/dev/disk0"] {
        assert_eq!(find(name), Err(UnknownTarget::Name(name)));
    }
}

#[test]
fn a_name_that_two_partitions_have_is_nobodys() {
    let Step::Found(twins, None) = search(&disk(&[(64, 100, "root"), (200, 1000, "root")])) else { panic!() };
    let target = Target::parse("partlabel=root").unwrap();
    assert_eq!(
        target.find([(SECTORS, &twins[..])].into_iter()),
        Err(UnknownTarget::Ambiguous(Which::Label("root")))
    );
}

#[test]
fn who_writes_is_alone() {
    let holder = |domid| Holder { domid, device: 51712 };
    let part = |first, sectors| Extent { disk: DiskId(0), first, sectors };
    let mut claims = Claims::default();
    let mut claim = |domid, extent: Extent, reads| claims.claim(holder(domid), extent.extents(), reads);
    assert_eq!(claim(1, part(0, 10), true), Ok(()));
    assert_eq!(claim(2, part(5, 10), true), Ok(()));
    let conflict = claim(3, part(9, 1), false).unwrap_err();
    assert_eq!((conflict.holder, conflict.reads), (holder(1).into(), true));
    assert_eq!(claim(3, part(15, 5), false), Ok(()));
    assert_eq!(claim(4, part(0, 20), true).unwrap_err().holder, holder(3).into());
    assert_eq!(claim(4, Extent { disk: DiskId(1), ..part(0, 20) }, false), Ok(()));
    claims.release(holder(3));
    assert_eq!(claims.claim(holder(5), part(15, 5).extents(), false), Ok(()));
}

#[test]
fn an_operator_is_in_guests_way_and_not_in_its_own() {
    let guest = Holder { domid: 7, device: 51712 };
    let part = |first| Extent { disk: DiskId(0), first, sectors: 10 };
    let mut claims = Claims::default();
    claims.claim(Claimant::Operator, part(0).extents(), false).unwrap();
    claims.claim(Claimant::Operator, part(5).extents(), false).unwrap();
    claims.claim(Claimant::Operator, part(0).extents(), false).unwrap();
    assert_eq!(claims.claim(guest, part(12).extents(), true).unwrap_err().holder, Claimant::Operator);
    claims.release_extent(Claimant::Operator, &part(5));
    assert_eq!(claims.claim(guest, part(12).extents(), true), Ok(()));
    assert_eq!(claims.check(Claimant::Operator, &part(20), true), Ok(()));
    assert_eq!(claims.check(Claimant::Operator, &part(20), false).unwrap_err().holder, guest.into());
    let disk = Extent { disk: DiskId(0), first: 0, sectors: 100 };
    assert_eq!(claims.holders(disk).collect::<Vec<_>>(), [(Claimant::Operator, false), (guest.into(), true)]);
}

proptest! {
    #[test]
    fn a_place_in_an_extent_is_within_it(first in 0..1u64 << 40, sectors in 0..1u64 << 20, sector: u64, count in 0..1u64 << 21) {
        let extent = Extent { disk: DiskId(0), first, sectors };
        match extent.place(sector, count) {
            Some(place) => {
                prop_assert_eq!(place.first, first + sector);
                prop_assert!(sector < sectors && place.sectors == count && place.first + count <= first + sectors);
            }
            None => prop_assert!(sector >= sectors || sectors - sector < count),
        }
    }

    #[test]
    fn no_name_is_taken_for_what_it_is_not(name in "\\PC{0,20}") {
        if let Ok(Target { disk, partition }) = Target::parse(&name) {
            prop_assert!(disk.is_some() || partition.is_some());
        }
    }
}
