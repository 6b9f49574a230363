//! What a guest finds when it starts, looked at as it does: through its registers and its page tables.

use std::collections::{BTreeMap, BTreeSet};

use builder::GuestParams;
use xen_abi::{
    Mfn,
    context::{FLAT_KERNEL_CS, FLAT_KERNEL_SS},
    elfnote::ElfNote,
    grant_table::{RESERVED_CONSOLE, RESERVED_XENSTORE},
    shared_info::{LEGACY_MAX_VCPUS, VcpuInfo},
    start_info::{DomUConsole, StartFlags, StartInfo},
};
use zerocopy::{FromBytes, IntoBytes};

use super::{
    kernel::Kernel,
    machine::{self, RW, Reached},
    xen::{Domain, SHARED_INFO},
};

const PAGE: u64 = 4096;

/// A guest that is about to run.
pub(crate) struct Guest<'d> {
    domain: &'d Domain,
    mappings: BTreeMap<u64, Reached>,
    tables: BTreeSet<Mfn>,
    pub(crate) start_info: StartInfo,
}

impl<'d> Guest<'d> {
    pub(crate) fn start(domain: &'d Domain) -> Self {
        assert!(domain.running);
        let context = domain.context.as_ref().expect("a vCPU");
        let cr3 = Mfn(context.ctrlreg[3] >> 12);
        assert_eq!(domain.pinned, Some(cr3), "the vCPU runs on what was pinned");
        let mut tables = BTreeSet::new();
        let mappings = machine::mappings(cr3, |table| {
            tables.insert(table);
            domain.words(table).try_into().unwrap()
        });
        let mut guest = Self { domain, mappings, tables, start_info: StartInfo::default() };
        let bytes = guest.read(context.user_regs.rsi, size_of::<StartInfo>());
        guest.start_info = StartInfo::read_from_bytes(&bytes).unwrap();
        guest
    }

    /// Bytes at a virtual address.
    pub(crate) fn read(&self, address: u64, length: usize) -> Vec<u8> {
        let frame = |page: u64| {
            let reached = self.mappings.get(&(page * PAGE));
            reached.unwrap_or_else(|| panic!("{:#x} is not mapped", page * PAGE)).frame
        };
        self.read_pages(address, length, frame)
    }

    /// Bytes of the guest's memory.
    fn read_memory(&self, offset: u64, length: usize) -> Vec<u8> {
        self.read_pages(offset, length, |page| self.domain.frames[page as usize])
    }

    fn read_pages(&self, start: u64, length: usize, frame: impl Fn(u64) -> Mfn) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let at = start + bytes.len() as u64;
            let rest = &self.domain.page(frame(at / PAGE))[(at % PAGE) as usize..];
            bytes.extend(&rest[..rest.len().min(length - bytes.len())]);
        }
        bytes
    }

    /// Everything that a kernel relies on, for the kernel and the parameters that it was built from.
    pub(crate) fn assert_sound(&self, kernel: &Kernel, params: &GuestParams<'_>) {
        self.assert_registers(kernel);
        self.assert_mapping(kernel);
        self.assert_tables();
        self.assert_p2m();
        self.assert_files(kernel, params);
        self.assert_rings(params);
        let info = &self.start_info;
        assert!(info.magic.starts_with(b"xen-3.0-x86_64\0"));
        assert_eq!(info.nr_pages, params.memory_pages);
        assert_eq!(info.nr_pages, self.domain.frames.len() as u64);
        assert_eq!(info.shared_info, SHARED_INFO.addr().0);
        assert_eq!(info.command_line(), params.command_line);
        let create = self.domain.create.unwrap();
        assert!(create.memory_kib >= params.most_pages * 4);
        assert_eq!((create.vcpus, create.handle, create.tsc), (params.vcpus, params.handle, params.tsc));
        assert_eq!(create.tables, params.tables);
        let map = &self.domain.memory_map[..];
        assert!(map.len() == 1 && map[0].addr == 0 && map[0].size >= params.most_pages * PAGE);
    }

    fn note(kernel: &Kernel, kind: ElfNote) -> Option<u64> {
        let (_, value) = kernel.notes.iter().find(|(other, _)| *other == kind)?;
        Some(u64::from_le_bytes(value[..].try_into().unwrap()))
    }

    fn assert_registers(&self, kernel: &Kernel) {
        let context = self.domain.context.as_ref().unwrap();
        let registers = &context.user_regs;
        assert_eq!(Some(registers.rip), Self::note(kernel, ElfNote::Entry));
        assert_eq!((registers.cs, registers.ss), (FLAT_KERNEL_CS, FLAT_KERNEL_SS));
        assert_eq!(registers.rflags, 1 << 9);
        assert_eq!(context.kernel_sp.0, registers.rsp);
        // A page of stack that nothing else has.
        let stack = self.mappings[&(registers.rsp - PAGE)];
        assert!(stack.flags & RW != 0 && !self.tables.contains(&stack.frame));
        assert!(registers.rsp - PAGE >= self.start_info.pt_base.0 + self.start_info.nr_pt_frames * PAGE);
        // No event comes before the kernel wants one.
        let vcpus = self.domain.page(SHARED_INFO).chunks(size_of::<VcpuInfo>()).take(LEGACY_MAX_VCPUS);
        let masked = VcpuInfo { evtchn_upcall_mask: 1, ..VcpuInfo::default() };
        assert!(vcpus.into_iter().all(|info| info == masked.as_bytes()));
        let page = Self::note(kernel, ElfNote::HypercallPage).map(|address| self.mappings[&address].frame);
        assert_eq!(self.domain.hypercall_page, page);
    }

    /// From the base on, one page after the other, to a multiple of 4 MiB or the end of the memory, which leaves 512 KiB
    /// behind the stack.
    fn assert_mapping(&self, kernel: &Kernel) {
        let mut address = kernel.virt_base;
        let mut pages = self.domain.frames.iter();
        while let Some(reached) = self.mappings.get(&address) {
            assert_eq!(Some(&reached.frame), pages.next(), "at {address:#x}");
            let is_table = self.tables.contains(&reached.frame);
            assert_eq!(reached.flags & RW != 0, !is_table, "at {address:#x}: tables are read-only");
            address += PAGE;
        }
        assert!(address.is_multiple_of(4 << 20) || pages.next().is_none(), "it ends at {address:#x}");
        let stack_top = self.domain.context.as_ref().unwrap().user_regs.rsp;
        let spare = address - stack_top;
        assert!((512 << 10..(512 << 10) + (4 << 20)).contains(&spare), "{spare:#x} bytes behind the stack");
        // Nobody else takes these 512 KiB.
        let frames = (stack_top..stack_top + (512 << 10)).step_by(PAGE as usize);
        let frames: BTreeSet<_> = frames.map(|address| self.mappings[&address].frame).collect();
        let list = self.mappings.range(self.start_info.mfn_list.0..).take(self.list_pages());
        assert!(list.into_iter().all(|(_, reached)| !frames.contains(&reached.frame)));
        assert!(frames.is_disjoint(&self.tables));
    }

    /// Pages of the p2m list.
    fn list_pages(&self) -> usize {
        self.start_info.nr_pages.div_ceil(512) as usize
    }

    /// All tables are where the start info says, and none is mapped writable.
    fn assert_tables(&self) {
        let info = &self.start_info;
        let cr3 = self.domain.pinned.unwrap();
        assert_eq!(self.mappings[&info.pt_base.0].frame, cr3);
        let named = (0..info.nr_pt_frames).map(|page| self.mappings[&(info.pt_base.0 + page * PAGE)].frame);
        let mut named: BTreeSet<_> = named.collect();
        // A p2m list outside the mapping has its tables with it.
        let (start, end) = (info.first_p2m_pfn.0, info.first_p2m_pfn.0 + info.nr_p2m_frames);
        if info.nr_p2m_frames > 0 {
            named.extend(&self.domain.frames[start as usize + self.list_pages()..end as usize]);
        }
        assert_eq!(named, self.tables);
        for (address, reached) in &self.mappings {
            assert!(reached.flags & RW == 0 || !self.tables.contains(&reached.frame), "{address:#x}");
        }
    }

    /// The list names the frame of each page, in order, so that no frame comes twice.
    fn assert_p2m(&self) {
        let info = &self.start_info;
        let bytes = self.read(info.mfn_list.0, info.nr_pages as usize * 8);
        let list: Vec<_> =
            bytes.chunks(8).map(|entry| Mfn(u64::from_le_bytes(entry.try_into().unwrap()))).collect();
        assert_eq!(list, self.domain.frames);
        let inverse: BTreeMap<_, _> = list.iter().zip(0u64..).collect();
        assert_eq!(inverse.len(), list.len());
        if info.nr_p2m_frames > 0 {
            let first = self.mappings[&info.mfn_list.0].frame;
            assert_eq!(inverse[&first], info.first_p2m_pfn.0);
        }
    }

    /// The kernel is where it is linked for, and the ramdisk where the start info says.
    fn assert_files(&self, kernel: &Kernel, params: &GuestParams<'_>) {
        for part in &kernel.parts {
            let address = kernel.virt_base + (part.physical - kernel.paddr_offset);
            assert_eq!(self.read(address, part.bytes.len()), part.bytes);
            let zeros = (part.size as usize) - part.bytes.len();
            let tail = self.read(address + part.bytes.len() as u64, zeros);
            assert!(tail.iter().all(|byte| *byte == 0), "the zeros of {address:#x}");
        }
        let info = &self.start_info;
        assert_eq!(info.mod_len, params.initrd.len() as u64);
        if params.initrd.is_empty() {
            assert_eq!((info.mod_start, info.flags), (0, StartFlags::empty()));
        } else if Self::note(kernel, ElfNote::ModStartPfn) == Some(1) {
            assert_eq!(info.flags, StartFlags::MOD_START_PFN);
            assert_eq!(self.read_memory(info.mod_start * PAGE, params.initrd.len()), params.initrd);
        } else {
            assert_eq!(info.flags, StartFlags::empty());
            assert_eq!(self.read(info.mod_start, params.initrd.len()), params.initrd);
        }
    }

    /// The rings are empty, granted and connected to who serves them.
    fn assert_rings(&self, params: &GuestParams<'_>) {
        let info = &self.start_info;
        let console = info.console.get::<DomUConsole>();
        let rings = [
            (RESERVED_XENSTORE, params.store, info.store_mfn, info.store_evtchn),
            (RESERVED_CONSOLE, Some(params.console), console.mfn, console.evtchn),
        ];
        assert_ne!(info.store_mfn, console.mfn);
        assert_ne!(info.store_evtchn, console.evtchn);
        assert_eq!(self.domain.grants.len(), rings.iter().filter(|(_, server, ..)| server.is_some()).count());
        for (entry, server, frame, port) in rings {
            assert_eq!(self.domain.page(frame), &[0; 4096]);
            assert!(!self.tables.contains(&frame));
            assert_eq!(self.domain.grants.get(&entry).copied(), server.map(|server| (server, frame)));
            let remote = (port.0 as usize).checked_sub(1).map(|index| self.domain.ports[index]);
            assert_eq!(remote, server);
        }
    }
}
