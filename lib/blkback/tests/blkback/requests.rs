//! Requests decoded and checked: what is a reason to disconnect, what is answered with an error, and that nothing else happens
//! whatever a slot holds.

use blkback::geometry::{Discard, Geometry};
use blkback::request::{Data, MAX_INDIRECT_SEGMENTS, Operation, Refusal, Request, Segment};
use blkback::{PAYLOAD, Reason};
use proptest::prelude::*;
use xen_abi::GrantRef;
use xen_abi::blkif::{self, DiscardFlags, DiscardRequest, IndirectRequest, ResponseStatus};
use zerocopy::{FromBytes, IntoBytes};

const MAX_INDIRECT: u16 = 600;

const DISK: Geometry = Geometry {
    sectors: 1000,
    sector_size: 512,
    physical_sector_size: 4096,
    read_only: false,
    cdrom: false,
    has_cache: true,
    discard: Some(Discard { granularity: 4096, alignment: 0, secure: false }),
};

fn segment(first_sect: u8, last_sect: u8) -> blkif::Segment {
    blkif::Segment { gref: GrantRef(9), first_sect, last_sect, pad: [0; 2] }
}

fn direct(operation: blkif::Operation, segments: &[blkif::Segment]) -> blkif::Request {
    let mut request = blkif::Request {
        operation: operation.raw(),
        nr_segments: segments.len() as u8,
        id: 77,
        sector_number: 5,
        ..Default::default()
    };
    request.seg[..segments.len()].copy_from_slice(segments);
    request
}

fn in_slot<T: IntoBytes + zerocopy::Immutable>(other: &T) -> blkif::Request {
    let mut request = blkif::Request::default();
    request.as_mut_bytes()[..size_of::<T>()].copy_from_slice(other.as_bytes());
    request
}

fn indirect(indirect_op: u8, nr_segments: u16) -> blkif::Request {
    in_slot(&IndirectRequest {
        operation: blkif::Operation::Indirect.raw(),
        indirect_op,
        nr_segments,
        id: 78,
        sector_number: 6,
        indirect_grefs: core::array::from_fn(|place| GrantRef(100 + place as u32)),
        ..Default::default()
    })
}

fn discard(sector_number: u64, nr_sectors: u64) -> blkif::Request {
    in_slot(&DiscardRequest {
        operation: blkif::Operation::Discard.raw(),
        flag: DiscardFlags::SECURE,
        id: 79,
        sector_number,
        nr_sectors,
        ..Default::default()
    })
}

fn decode(raw: &blkif::Request) -> Result<Request, Reason> {
    Request::decode(raw, MAX_INDIRECT)
}

#[test]
fn each_kind_is_decoded() {
    let request = decode(&direct(blkif::Operation::Write, &[segment(0, 7), segment(2, 2)])).unwrap();
    assert_eq!((request.id, request.code, request.operation, request.sector), (77, 1, Operation::Write, 5));
    let Data::Direct(segments) = &request.data else { panic!("{request:?}") };
    let places: Vec<_> =
        segments.iter().map(|segment| (segment.gref(), segment.offset(), segment.bytes())).collect();
    assert_eq!(places, [(GrantRef(9), 0, 4096), (GrantRef(9), 1024, 512)]);

    let request = decode(&indirect(0, 513)).unwrap();
    assert_eq!((request.id, request.operation, request.sector), (78, Operation::Read, 6));
    assert_eq!(request.code, 0, "the answer repeats the operation inside");
    assert_eq!(request.segments(), 513);
    let Data::Indirect { pages, .. } = &request.data else { panic!("{request:?}") };
    assert_eq!(pages[..], [100, 101], "513 segments are in two pages");

    let request = decode(&discard(8, 16)).unwrap();
    assert_eq!((request.id, request.sector), (79, 8));
    assert_eq!(request.operation, Operation::Discard { sectors: 16, secure: true });

    for (operation, expected) in [
        (blkif::Operation::FlushDiskcache, Operation::Flush),
        (blkif::Operation::WriteBarrier, Operation::Barrier),
        (blkif::Operation::Reserved1, Operation::Unknown),
    ] {
        assert_eq!(decode(&direct(operation, &[])).unwrap().operation, expected);
    }
    assert_eq!(
        Request::decode(&indirect(0, 1), 0).unwrap().operation,
        Operation::Unknown,
        "none were offered"
    );
}

#[test]
fn what_nobody_says_in_good_faith_is_a_reason() {
    use blkif::Operation::{Read, Write};
    let too_many = |found| Reason::Segments { found, max: 11 };
    let mut twelve = direct(Read, &[segment(0, 0); 11]);
    twelve.nr_segments = 12;
    let cases = [
        (direct(Read, &[]), too_many(0)),
        (direct(Write, &[]), too_many(0)),
        (twelve, too_many(12)),
        (direct(Read, &[segment(3, 2)]), Reason::Segment { first: 3, last: 2 }),
        (direct(Write, &[segment(0, 7), segment(0, 8)]), Reason::Segment { first: 0, last: 8 }),
        (
            direct(blkif::Operation::WriteBarrier, &[segment(255, 255)]),
            Reason::Segment { first: 255, last: 255 },
        ),
        (indirect(2, 5), Reason::IndirectOperation { found: 2 }),
        (indirect(6, 5), Reason::IndirectOperation { found: 6 }),
        (indirect(0, 0), Reason::Segments { found: 0, max: MAX_INDIRECT }),
        (indirect(1, MAX_INDIRECT + 1), Reason::Segments { found: MAX_INDIRECT + 1, max: MAX_INDIRECT }),
    ];
    for (raw, reason) in cases {
        assert_eq!(decode(&raw), Err(reason));
    }
    let most = MAX_INDIRECT_SEGMENTS;
    assert!(Request::decode(&indirect(0, most), u16::MAX).is_ok());
    let reason = Reason::Segments { found: most + 1, max: u16::MAX };
    assert_eq!(Request::decode(&indirect(0, most + 1), u16::MAX), Err(reason));
}

fn check(raw: &blkif::Request, geometry: &Geometry) -> Result<(), Refusal> {
    let request = decode(raw).unwrap();
    let segments = match &request.data {
        Data::Direct(segments) => segments.to_vec(),
        Data::Indirect { segments, .. } => {
            vec![Segment::new(&segment(0, 7)).unwrap(); usize::from(*segments)]
        }
    };
    request.check(&segments, geometry)
}

#[test]
fn what_the_disk_cannot_do_is_refused() {
    use blkif::Operation::{FlushDiskcache, Read, Reserved1, Write, WriteBarrier};
    let at = |sector_number, raw: blkif::Request| blkif::Request { sector_number, ..raw };
    let page = [segment(0, 7)];
    let beyond = |sector, sectors| Err(Refusal::BeyondEnd { sector, sectors, end: 1000 });
    assert_eq!(check(&at(992, direct(Read, &page)), &DISK), Ok(()));
    assert_eq!(check(&at(993, direct(Read, &page)), &DISK), beyond(993, 8));
    assert_eq!(check(&at(u64::MAX, direct(Write, &page)), &DISK), beyond(u64::MAX, 8));
    assert_eq!(check(&indirect(1, 125), &DISK), beyond(6, 1000));
    assert_eq!(check(&discard(999, 1), &DISK), Ok(()));
    assert_eq!(check(&discard(1, u64::MAX), &DISK), beyond(1, u64::MAX));
    assert_eq!(
        check(&at(5000, direct(FlushDiskcache, &[])), &DISK),
        Ok(()),
        "there is nothing at that sector"
    );
    assert_eq!(check(&direct(Reserved1, &[]), &DISK), Err(Refusal::NotSupported));

    let read_only = Geometry { read_only: true, ..DISK };
    assert_eq!(check(&direct(Read, &page), &read_only), Ok(()));
    for raw in [direct(Write, &page), direct(WriteBarrier, &page), discard(0, 8)] {
        assert_eq!(check(&raw, &read_only), Err(Refusal::ReadOnly));
    }
    assert_eq!(check(&direct(FlushDiskcache, &[]), &read_only), Ok(()));

    let large = Geometry { sector_size: 4096, ..DISK };
    let misaligned = Err(Refusal::Misaligned { sector_size: 4096 });
    assert_eq!(check(&at(8, direct(Read, &page)), &large), Ok(()));
    assert_eq!(check(&at(9, direct(Read, &page)), &large), misaligned);
    assert_eq!(check(&at(8, direct(Read, &[segment(0, 6)])), &large), misaligned);
    assert_eq!(check(&discard(8, 4), &large), misaligned);

    assert_eq!(check(&discard(8, 8), &Geometry { discard: None, ..DISK }), Err(Refusal::NotSupported));
    assert_eq!(Refusal::NotSupported.status(), ResponseStatus::NotSupported);
    assert_eq!(Refusal::ReadOnly.status(), ResponseStatus::Error);
}

#[test]
fn the_largest_request_fits_into_a_record() {
    let request = Request {
        id: u64::MAX,
        code: 255,
        operation: Operation::Write,
        sector: u64::MAX,
        data: Data::Direct(
            [blkif::Segment { gref: GrantRef(u32::MAX), ..segment(7, 7) }; 11]
                .iter()
                .map(|raw| Segment::new(raw).unwrap())
                .collect(),
        ),
    };
    // The variant, the order, the retries; the disk, the queue and the index; as varints each.
    let rest = 1 + 10 + 1 + 3 + 3 + 5;
    let bytes = postcard::to_allocvec(&request).unwrap().len();
    assert!(rest + bytes <= PAYLOAD, "{rest} and {bytes} bytes");
}

proptest! {
    #[test]
    fn any_slot_is_decoded_to_something_that_can_be_checked(
        mut bytes in prop::collection::vec(any::<u8>(), 112),
        operation in 0..8_u8,
        sectors in 0..2000_u64,
        sector_size in prop::sample::select(vec![512_u32, 4096]),
    ) {
        bytes[0] = operation;
        let raw = blkif::Request::read_from_bytes(&bytes).unwrap();
        let Ok(request) = decode(&raw) else { return Ok(()) };
        prop_assert!(request.segments() <= usize::from(MAX_INDIRECT));
        let segments = match &request.data {
            Data::Direct(segments) => segments.to_vec(),
            Data::Indirect { .. } => Vec::new(),
        };
        let geometry = Geometry { sectors, sector_size, ..DISK };
        let bytes: u64 = segments.iter().map(|segment| u64::from(segment.bytes())).sum();
        for segment in &segments {
            prop_assert!(segment.offset() + segment.bytes() <= 4096 && segment.bytes() > 0);
        }
        if request.check(&segments, &geometry).is_ok() && bytes > 0 {
            prop_assert!(request.sector + bytes / 512 <= sectors);
            prop_assert!((request.sector * 512).is_multiple_of(u64::from(sector_size)));
        }
    }
}
