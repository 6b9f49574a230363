//! Constants, those of types included.

use crate::table::{Number, Table};

/// Adds them.
pub(crate) fn fill(table: &mut Table) {
    constants! { table;
        blkif::MAX_SEGMENTS_PER_REQUEST = "BLKIF_MAX_SEGMENTS_PER_REQUEST";
        blkif::MAX_INDIRECT_PAGES_PER_REQUEST = "BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST";
        context::FLAT_KERNEL_CS = "FLAT_KERNEL_CS";
        context::FLAT_KERNEL_DS = "FLAT_KERNEL_DS";
        context::FLAT_KERNEL_SS = "FLAT_KERNEL_SS";
        context::FLAT_USER_CS = "FLAT_USER_CS";
        context::FLAT_USER_CS32 = "FLAT_USER_CS32";
        context::FLAT_USER_DS = "FLAT_USER_DS";
        context::FLAT_USER_SS = "FLAT_USER_SS";
        context::IRET_KERNEL_CS = "FLAT_KERNEL_CS & ~3";
        context::HYPERVISOR_VIRT_START = "HYPERVISOR_VIRT_START";
        context::HYPERVISOR_VIRT_END = "HYPERVISOR_VIRT_END";
        context::MACH2PHYS_VIRT_START = "MACH2PHYS_VIRT_START";
        context::MACH2PHYS_VIRT_END = "MACH2PHYS_VIRT_END";
        context::FIRST_RESERVED_GDT_ENTRY = "FIRST_RESERVED_GDT_ENTRY";
        domctl::SHUTDOWN_SHIFT = "XEN_DOMINF_shutdownshift";
        domctl::SHUTDOWN_MASK = "XEN_DOMINF_shutdownmask";
        domctl::FRAME_PINNED = "XEN_DOMCTL_PFINFO_LPINTAB";
        domctl::FRAME_TYPE_MASK = "XEN_DOMCTL_PFINFO_LTAB_MASK";
        grant_table::NR_RESERVED_ENTRIES = "GNTTAB_NR_RESERVED_ENTRIES";
        grant_table::RESERVED_CONSOLE = "GNTTAB_RESERVED_CONSOLE";
        grant_table::RESERVED_XENSTORE = "GNTTAB_RESERVED_XENSTORE";
        memory::MAPIDX_GRANT_TABLE_STATUS = "XENMAPIDX_grant_table_status";
        memory::RESOURCE_GRANT_TABLE_ID_SHARED = "XENMEM_resource_grant_table_id_shared";
        memory::RESOURCE_GRANT_TABLE_ID_STATUS = "XENMEM_resource_grant_table_id_status";
        netif::MAX_TX_SIZE = "XEN_NETIF_MAX_TX_SIZE";
        shared_info::LEGACY_MAX_VCPUS = "XEN_LEGACY_MAX_VCPUS";
        shared_info::EVENT_WORDS = "sizeof(xen_ulong_t) * 8";
        shared_info::NR_EVENT_CHANNELS = "EVTCHN_2L_NR_CHANNELS";
        start_info::MAX_GUEST_CMDLINE = "MAX_GUEST_CMDLINE";
        sysctl::CPUPOOL_PAR_ANY = "XEN_SYSCTL_CPUPOOL_PAR_ANY";
        sysctl::SCHED_RATELIMIT_MAX = "XEN_SYSCTL_SCHED_RATELIMIT_MAX";
        sysctl::SCHED_RATELIMIT_MIN = "XEN_SYSCTL_SCHED_RATELIMIT_MIN";
        sysctl::CSCHED_TSLICE_MAX = "XEN_SYSCTL_CSCHED_TSLICE_MAX";
        sysctl::CSCHED_TSLICE_MIN = "XEN_SYSCTL_CSCHED_TSLICE_MIN";
        sysctl::CSCHED_MGR_DLY_MAX_US = "XEN_SYSCTL_CSCHED_MGR_DLY_MAX_US";
        vcpu::RUNSTATE_UPDATE = "XEN_RUNSTATE_UPDATE";
        virq::NR_VIRQS = "NR_VIRQS";
        xs_wire::XENSTORE_RING_SIZE = "XENSTORE_RING_SIZE";
    }

    table.cover("physdev::PCI_DEVICE_RESET_MASK");
    let mask = xen_abi::physdev::PCI_DEVICE_RESET_MASK.number();
    let name = "PCI_DEVICE_RESET_MASK";
    table.push(format!("physdev::{name}"), mask, name.into(), Some("defined(PCI_DEVICE_RESET_MASK)"));

    use xen_abi::Domid;
    let mut domid = |value: Domid, c: &str| {
        table.push(format!("Domid of {value}"), value.number(), c.into(), None);
    };
    domid(Domid::FIRST_RESERVED, "DOMID_FIRST_RESERVED");
    domid(Domid::SELF, "DOMID_SELF");
    domid(Domid::IO, "DOMID_IO");
    domid(Domid::XEN, "DOMID_XEN");
    domid(Domid::COW, "DOMID_COW");
    domid(Domid::INVALID, "DOMID_INVALID");
    domid(Domid::IDLE, "DOMID_IDLE");

    use xen_abi::memory::MemFlags;
    let mut mem_flags = |value: MemFlags, c: &str| {
        table.push(format!("{value:?}"), i64::from(value.bits()), c.into(), None);
    };
    mem_flags(MemFlags::address_bits(32), "XENMEMF_address_bits(32)");
    mem_flags(MemFlags::node(3), "XENMEMF_node(3)");
    mem_flags(MemFlags::node(3) | MemFlags::EXACT_NODE_REQUEST, "XENMEMF_exact_node(3)");

    let cr3 = xen_abi::context::cr3_of(xen_abi::Mfn(0x1_2345)).number();
    table.push("context::cr3_of(0x12345)".into(), cr3, "xen_pfn_to_cr3(0x12345)".into(), None);
}
