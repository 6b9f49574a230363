//! Base address registers.

use crate::Msix;
use uk_abi::device_info::{BAR_64, BAR_IO, BAR_PREFETCH, BARS, BarInfo, DeviceInfo};
use uk_abi::layout::PAGE_SIZE;
use xen_abi::{MachineAddr, Mfn};

const PAGE: u64 = PAGE_SIZE as u64;

/// Works out where the registers are and how large. `probe` answers of a base address register what it says, and which
/// of its bits can be set (PCI local bus 3.0, 6.2.5.1); it is asked once for each, in order.
pub fn decode(mut probe: impl FnMut(usize) -> (u32, u32)) -> [BarInfo; BARS] {
    let mut bars = [BarInfo::default(); BARS];
    let mut index = 0;
    while index < BARS {
        let (low, low_mask) = probe(index);
        if low & 1 != 0 {
            let machine = u64::from(low & !3);
            let size = u64::from((low_mask & !3).wrapping_neg() & 0xffff);
            bars[index] = BarInfo { va: 0, machine, size, flags: BAR_IO };
        } else {
            let is_64 = low & 6 == 4 && index + 1 < BARS;
            let (high, high_mask) = if is_64 { probe(index + 1) } else { (0, u32::MAX) };
            let machine = u64::from(high) << 32 | u64::from(low & !0xf);
            let mask = u64::from(high_mask) << 32 | u64::from(low_mask & !0xf);
            let size = if low_mask & !0xf == 0 && !is_64 { 0 } else { mask.wrapping_neg() };
            let prefetch = if low & 8 != 0 { BAR_PREFETCH } else { 0 };
            bars[index] = BarInfo { va: 0, machine, size, flags: prefetch | if is_64 { BAR_64 } else { 0 } };
            index += usize::from(is_64);
        }
        index += 1;
    }
    bars
}

/// The registers behind `info.bars[index]` that a unikernel may map, as the first frame and the number of pages: all of
/// them, but for MSI-X's own, which Xen keeps to itself, and what comes after those. Registers that do not start on a
/// page share it with another device's, and are mapped for nobody.
pub fn mappable(info: &DeviceInfo, msix: Option<&Msix>, index: usize) -> Option<(Mfn, u64)> {
    let bar = info.bars.get(index)?;
    if bar.flags & BAR_IO != 0 || bar.size == 0 || bar.machine == 0 || !bar.machine.is_multiple_of(PAGE) {
        return None;
    }
    let own = msix.into_iter().flat_map(|msix| [msix.table, msix.pending]);
    let end = own.filter(|(of, _)| *of == index).map(|(_, offset)| offset / PAGE);
    let pages = end.min().unwrap_or(bar.size.div_ceil(PAGE));
    (pages > 0).then(|| (MachineAddr(bar.machine).mfn(), pages))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zerocopy::FromZeros;

    /// The registers of a device, as those who write and read back all ones find them.
    fn decoded(registers: [(u32, u32); BARS]) -> [BarInfo; BARS] {
        decode(|index| registers[index])
    }

    #[test]
    fn each_kind_of_register_is_told() {
        let bars = decoded([
            (0x0000_c001, 0xffff_ffe1), // 32 ports
            (0xfebc_0000, 0xffff_f000), // 4 KiB of memory
            (0xe000_000c, 0xffff_c00c), // 16 KiB, 64-bit, prefetchable, above 4 GiB
            (0x0000_0008, 0xffff_ffff),
            (0, 0),                     // none
            (0xfd00_0008, 0xff00_0008), // 16 MiB, prefetchable
        ]);
        let bar = |machine, size, flags| BarInfo { va: 0, machine, size, flags };
        let wanted = [
            bar(0xc000, 32, BAR_IO),
            bar(0xfebc_0000, 0x1000, 0),
            bar(0x8_e000_0000, 0x4000, BAR_64 | BAR_PREFETCH),
            BarInfo::default(),
            BarInfo::default(),
            bar(0xfd00_0000, 0x100_0000, BAR_PREFETCH),
        ];
        assert_eq!(bars, wanted);
    }

    #[test]
    fn the_last_register_has_no_upper_half() {
        let mut registers = [(0, 0); BARS];
        registers[BARS - 1] = (0xe000_0004, 0xffff_c004);
        let last = decoded(registers)[BARS - 1];
        assert_eq!((last.machine, last.flags & BAR_64), (0xe000_0000, 0));
    }

    fn device(bar: BarInfo) -> DeviceInfo {
        let mut info = DeviceInfo::new_zeroed();
        info.bars[1] = bar;
        info
    }

    #[test]
    fn what_xen_keeps_and_what_shares_a_page_is_not_mapped() {
        let bar = |machine, size, flags| BarInfo { va: 0, machine, size, flags };
        let msix =
            |table, pending| Msix { offset: 0x40, vectors: 1, table: (1, table), pending: (1, pending) };
        let pages = |bar, msix: Option<Msix>| mappable(&device(bar), msix.as_ref(), 1);
        let memory = bar(0xfebc_0000, 0x4000, 0);
        assert_eq!(pages(memory, None), Some((Mfn(0xfebc0), 4)));
        assert_eq!(pages(memory, Some(msix(0x2000, 0x3000))), Some((Mfn(0xfebc0), 2)));
        assert_eq!(pages(memory, Some(msix(0x3800, 0x1800))), Some((Mfn(0xfebc0), 1)));
        assert_eq!(pages(memory, Some(msix(0x0, 0x800))), None);
        let elsewhere = Msix { table: (0, 0), pending: (0, 0x800), ..msix(0, 0) };
        assert_eq!(pages(memory, Some(elsewhere)), Some((Mfn(0xfebc0), 4)));
        assert_eq!(pages(bar(0xfebc_0000, 0x800, 0), None), Some((Mfn(0xfebc0), 1)));
        assert_eq!(pages(bar(0xfebc_0800, 0x800, 0), None), None);
        assert_eq!(pages(bar(0xc000, 0x1000, BAR_IO), None), None);
        assert_eq!(pages(bar(0, 0x1000, 0), None), None);
        assert_eq!(mappable(&device(memory), None, BARS), None);
    }

    proptest! {
        /// Whatever a device answers, there is a result, and only what has a size is mapped.
        #[test]
        fn decoding_is_total(registers in any::<[(u32, u32); BARS]>()) {
            let mut info = DeviceInfo::new_zeroed();
            info.bars = decoded(registers);
            for index in 0..BARS {
                if let Some((_, pages)) = mappable(&info, None, index) {
                    prop_assert!(pages > 0 && info.bars[index].size > (pages - 1) * PAGE);
                }
            }
        }
    }
}
