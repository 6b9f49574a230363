//! Flags.

use crate::table::Table;

/// Adds them.
pub(crate) fn fill(table: &mut Table) {
    flags! { table;
        xs_wire::ServerFeatures = "XENSTORE_SERVER_FEATURE_" { RECONNECTION: RECONNECTION, ERROR: ERROR }
        blkif::VdiskFlags = "VDISK_" { CDROM: CDROM, REMOVABLE: REMOVABLE, READONLY: READONLY }
        blkif::DiscardFlags = "BLKIF_DISCARD_" { SECURE: SECURE }
        callback::CallbackFlags = "CALLBACKF_" { MASK_EVENTS: mask_events }
        context::ContextFlags = "VGCF_" {
            I387_VALID: i387_valid, IN_KERNEL: in_kernel, FAILSAFE_DISABLES_EVENTS: failsafe_disables_events,
            SYSCALL_DISABLES_EVENTS: syscall_disables_events, ONLINE: online, IN_SYSCALL: in_syscall,
        }
        // C has them as macros over a structure: the bits that reading tests, the bits that setting sets.
        context::TrapFlags = "" {
            DPL_MASK: "TI_GET_DPL(&(struct trap_info){ .flags = 0xff })",
            MASK_EVENTS: "TI_GET_IF(&(struct trap_info){ .flags = 0xff })",
        }
        domctl::CreateFlags = "XEN_DOMCTL_CDF_" {
            HVM: hvm, HAP: hap, S3_INTEGRITY: s3_integrity, OOS_OFF: oos_off, XS_DOMAIN: xs_domain, IOMMU: iommu,
            NESTED_VIRT: nested_virt, VPMU: vpmu,
        }
        domctl::IommuOptions = "XEN_DOMCTL_IOMMU_" { NO_SHAREPT: no_sharept }
        domctl::EmulationFlags = "XEN_X86_EMU_" {
            LAPIC: LAPIC, HPET: HPET, PM: PM, RTC: RTC, IOAPIC: IOAPIC, PIC: PIC, VGA: VGA, IOMMU: IOMMU, PIT: PIT,
            USE_PIRQ: USE_PIRQ, VPCI: VPCI,
        }
        domctl::MiscFlags = "XEN_X86_" { MSR_RELAXED: MSR_RELAXED }
        domctl::DomainInfoFlags = "XEN_DOMINF_" {
            DYING: dying, HVM_GUEST: hvm_guest, SHUTDOWN: shutdown, PAUSED: paused, BLOCKED: blocked,
            RUNNING: running, DEBUGGED: debugged, XS_DOMAIN: xs_domain, HAP: hap,
        }
        domctl::AffinityFlags = "XEN_VCPUAFFINITY_" { HARD: HARD, SOFT: SOFT, FORCE: FORCE }
        domctl::RtdsFlags = "XEN_DOMCTL_SCHEDRT_" { EXTRA: extra }
        domctl::AssignFlags = "XEN_DOMCTL_DEV_" { RDM_RELAXED: RDM_RELAXED }
        domctl::ShadowMode = "XEN_DOMCTL_SHADOW_ENABLE_" {
            REFCOUNT: REFCOUNT, LOG_DIRTY: LOG_DIRTY, TRANSLATE: TRANSLATE, EXTERNAL: EXTERNAL,
        }
        event_channel::BindPirqFlags = "BIND_PIRQ__" { WILL_SHARE: WILL_SHARE }
        grant_table::GrantFlags = "GTF_" {
            PERMIT_ACCESS: permit_access, ACCEPT_TRANSFER: accept_transfer, TYPE_MASK: type_mask, READONLY: readonly,
            READING: reading, WRITING: writing, PWT: PWT, PCD: PCD, PAT: PAT, SUB_PAGE: sub_page,
        }
        grant_table::MapFlags = "GNTMAP_" {
            DEVICE_MAP: device_map, HOST_MAP: host_map, READONLY: readonly, APPLICATION_MAP: application_map,
            CONTAINS_PTE: contains_pte, GUEST_AVAIL_MASK: guest_avail_mask,
        }
        grant_table::CopyFlags = "GNTCOPY_" { SOURCE_GREF: source_gref, DEST_GREF: dest_gref }
        memory::MemFlags = "XENMEMF_" {
            ADDRESS_BITS_MASK: "XENMEMF_get_address_bits(~0u)", NODE_MASK: "XENMEMF_node(0xfeu)",
            POPULATE_ON_DEMAND: populate_on_demand, EXACT_NODE_REQUEST: exact_node_request, VNODE: vnode,
        }
        mmu::UvmFlags = "UVMF_" {
            TLB_FLUSH: TLB_FLUSH, INVLPG: INVLPG, FLUSHTYPE_MASK: FLUSHTYPE_MASK, ALL: ALL
        }
        netif::TxFlags = "NETTXF_" {
            CSUM_BLANK: csum_blank, DATA_VALIDATED: data_validated, MORE_DATA: more_data, EXTRA_INFO: extra_info,
        }
        netif::RxFlags = "NETRXF_" {
            DATA_VALIDATED: data_validated, CSUM_BLANK: csum_blank, MORE_DATA: more_data, EXTRA_INFO: extra_info,
            GSO_PREFIX: gso_prefix,
        }
        netif::ExtraFlags = "XEN_NETIF_EXTRA_FLAG_" { MORE: MORE }
        netif::HashTypes = "XEN_NETIF_CTRL_HASH_TYPE_" {
            IPV4: IPV4, IPV4_TCP: IPV4_TCP, IPV6: IPV6, IPV6_TCP: IPV6_TCP,
        }
        netif::StaticGrantFlags = "XEN_NETIF_CTRLF_GREF_" { READONLY: readonly }
        physdev::IrqStatus = "XENIRQSTAT_" { NEEDS_EOI: needs_eoi, SHARED: shared }
        physdev::PciDeviceFlags = "XEN_PCI_DEV_" { EXTFN: EXTFN, VIRTFN: VIRTFN, PXM: PXM }
        physdev::MmcfgFlags = "XEN_PCI_MMCFG_" { RESERVED: RESERVED }
        shared_info::ClockFlags = "XEN_PVCLOCK_" { TSC_STABLE: TSC_STABLE_BIT, GUEST_STOPPED: GUEST_STOPPED }
        start_info::StartFlags = "SIF_" {
            PRIVILEGED: PRIVILEGED, INITDOMAIN: INITDOMAIN, MULTIBOOT_MOD: MULTIBOOT_MOD,
            MOD_START_PFN: MOD_START_PFN, VIRT_P2M_4TOOLS: VIRT_P2M_4TOOLS, PM_MASK: PM_MASK,
        }
        sysctl::PhysCaps = "XEN_SYSCTL_PHYSCAP_" {
            HVM: hvm, PV: pv, DIRECTIO: directio, HAP: hap, SHADOW: shadow, IOMMU_HAP_PT_SHARE: iommu_hap_pt_share,
            VMTRACE: vmtrace, VPMU: vpmu, GNTTAB_V1: gnttab_v1, GNTTAB_V2: gnttab_v2,
        }
        vcpu::SingleshotFlags = "VCPU_SSHOTTMR_" { FUTURE: future }
        version::Features = "1u << XENFEAT_" {
            WRITABLE_PAGE_TABLES: writable_page_tables, WRITABLE_DESCRIPTOR_TABLES: writable_descriptor_tables,
            AUTO_TRANSLATED_PHYSMAP: auto_translated_physmap, SUPERVISOR_MODE_KERNEL: supervisor_mode_kernel,
            PAE_PGDIR_ABOVE_4GB: pae_pgdir_above_4gb, MMU_PT_UPDATE_PRESERVE_AD: mmu_pt_update_preserve_ad,
            HIGHMEM_ASSIST: highmem_assist, GNTTAB_MAP_AVAIL_BITS: gnttab_map_avail_bits,
            HVM_CALLBACK_VECTOR: hvm_callback_vector, HVM_SAFE_PVCLOCK: hvm_safe_pvclock, HVM_PIRQS: hvm_pirqs,
            DOM0: dom0, MEMORY_OP_VNODE_SUPPORTED: memory_op_vnode_supported,
            ARM_SMCCC_SUPPORTED: ARM_SMCCC_supported, LINUX_RSDP_UNRESTRICTED: linux_rsdp_unrestricted,
            NOT_DIRECT_MAPPED: not_direct_mapped, DIRECT_MAPPED: direct_mapped;
            if defined("XENFEAT_") RUNSTATE_PHYS_AREA: runstate_phys_area, VCPU_TIME_PHYS_AREA: vcpu_time_phys_area,
            DM_MSIX_ALL_WRITES: dm_msix_all_writes,
        }
    }
}
