//! Structures, and types that are only a size.

use crate::table::Table;

/// Adds them.
pub(crate) fn fill(table: &mut Table) {
    types(table);
    domain_side(table);
    backends(table);
    grants_and_memory(table);
    devices(table);
    domctl(table);
    sysctl(table);
    unions(table);
}

fn types(table: &mut Table) {
    sizes! { table;
        types::Domid = "domid_t";
        types::GrantRef = "grant_ref_t";
        types::GrantHandle = "grant_handle_t";
        types::Port = "evtchn_port_t";
        types::Pfn = "xen_pfn_t";
        types::Mfn = "xen_pfn_t";
        types::MachineAddr = "uint64_aligned_t";
        types::VirtAddr = "xen_ulong_t";
        types::GuestHandle = "XEN_GUEST_HANDLE_64(uint8)";
        version::ExtraVersion = "xen_extraversion_t";
        version::Capabilities = "xen_capabilities_info_t";
        version::Changeset = "xen_changeset_info_t";
        version::CommandLine = "xen_commandline_t";
        domctl::DomainHandle = "xen_domain_handle_t";
    }
}

fn domain_side(table: &mut Table) {
    structs! { table;
        callback::CallbackRegister = "struct callback_register" { kind: "type", flags, address; pad }
        callback::CallbackUnregister = "struct callback_unregister" { kind: "type", pad: "_unused" }
        context::CpuUserRegs = "struct cpu_user_regs" {
            r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, error_code, entry_vector, rip,
            cs, pad0: "_pad0", saved_upcall_mask, pad1: "_pad1", rflags, rsp, ss, pad2: "_pad2", es,
            pad3: "_pad3", ds, pad4: "_pad4", fs, pad5: "_pad5", gs, pad6: "_pad6"
        }
        context::TrapInfo = "struct trap_info" { vector, flags, cs, address; pad }
        context::VcpuGuestContext = "struct vcpu_guest_context" {
            fpu_ctxt, flags, user_regs, trap_ctxt, ldt_base, ldt_ents, gdt_frames, gdt_ents, kernel_ss, kernel_sp,
            ctrlreg, debugreg, event_callback_eip, failsafe_callback_eip, syscall_callback_eip, vm_assist, fs_base,
            gs_base_kernel, gs_base_user
        }
        context::IretContext = "struct iret_context" { rax, r11, rcx, flags, rip, cs, rflags, rsp, ss }
        event_channel::AllocUnbound = "struct evtchn_alloc_unbound" { dom, remote_dom, port }
        event_channel::BindInterdomain = "struct evtchn_bind_interdomain" {
            remote_dom, remote_port, local_port; pad
        }
        event_channel::BindVirq = "struct evtchn_bind_virq" { virq, vcpu, port }
        event_channel::BindPirq = "struct evtchn_bind_pirq" { pirq, flags, port }
        event_channel::BindIpi = "struct evtchn_bind_ipi" { vcpu, port }
        event_channel::Close = "struct evtchn_close" { port }
        event_channel::SendEvent = "struct evtchn_send" { port }
        event_channel::Status = "struct evtchn_status" {
            dom, port, status, vcpu, peer: "u.pirq", peer_port: "u.interdomain.port"; pad
        }
        event_channel::BindVcpu = "struct evtchn_bind_vcpu" { port, vcpu }
        event_channel::Unmask = "struct evtchn_unmask" { port }
        event_channel::Reset = "struct evtchn_reset" { dom }
        event_channel::InitControl = "struct evtchn_init_control" {
            control_gfn, offset, vcpu, link_bits, pad: "_pad"
        }
        event_channel::ExpandArray = "struct evtchn_expand_array" { array_gfn }
        event_channel::SetPriority = "struct evtchn_set_priority" { port, priority }
        mmu::MmuUpdate = "struct mmu_update" { ptr, val }
        mmu::MmuextOp = "struct mmuext_op" { cmd, arg1, arg2; pad }
        multicall::MulticallEntry = "struct multicall_entry" { op, result, args }
        sched::Shutdown = "struct sched_shutdown" { reason }
        sched::Poll = "struct sched_poll" { ports, nr_ports, timeout; pad }
        sched::RemoteShutdown = "struct sched_remote_shutdown" { domain_id, reason; pad }
        sched::Watchdog = "struct sched_watchdog" { id, timeout }
        sched::PinOverride = "struct sched_pin_override" { pcpu }
        shared_info::SharedInfo = "struct shared_info" {
            vcpu_info, evtchn_pending, evtchn_mask, wc_version, wc_sec, wc_nsec, wc_sec_hi, arch
        }
        shared_info::VcpuInfo = "struct vcpu_info" {
            evtchn_upcall_pending, evtchn_upcall_mask, evtchn_pending_sel, arch, time; pad
        }
        shared_info::ArchVcpuInfo = "struct arch_vcpu_info" { cr2, pad }
        shared_info::VcpuTimeInfo = "struct vcpu_time_info" {
            version, pad0, tsc_timestamp, system_time, tsc_to_system_mul, tsc_shift, flags, pad1
        }
        shared_info::ArchSharedInfo = "struct arch_shared_info" {
            max_pfn, pfn_to_mfn_frame_list_list, nmi_reason, p2m_cr3, p2m_vaddr, p2m_generation
        }
        start_info::StartInfo = "struct start_info" {
            magic, nr_pages, shared_info, flags, store_mfn, store_evtchn, console, pt_base, nr_pt_frames, mfn_list,
            mod_start, mod_len, cmd_line, first_p2m_pfn, nr_p2m_frames; pad0, pad1
        }
        start_info::DomUConsole = "__typeof__(((struct start_info *)0)->console.domU)" { mfn, evtchn; pad }
        start_info::Dom0Console = "__typeof__(((struct start_info *)0)->console.dom0)" { info_off, info_size }
        start_info::MultibootMod = "struct xen_multiboot_mod_list" { mod_start, mod_end, cmdline, pad }
        vcpu::RunstateInfo = "struct vcpu_runstate_info" { state, state_entry_time, time; pad }
        vcpu::RegisterMemoryArea = "struct vcpu_register_runstate_memory_area" { addr }
        vcpu::SetPeriodicTimer = "struct vcpu_set_periodic_timer" { period_ns }
        vcpu::SetSingleshotTimer = "struct vcpu_set_singleshot_timer" { timeout_abs_ns, flags; pad }
        vcpu::RegisterVcpuInfo = "struct vcpu_register_vcpu_info" { mfn, offset, rsvd }
        vcpu::GetPhysid = "struct vcpu_get_physid" { phys_id }
        version::CompileInfo = "struct xen_compile_info" {
            compiler, compile_by, compile_domain, compile_date
        }
        version::PlatformParameters = "struct xen_platform_parameters" { virt_start }
        version::FeatureInfo = "struct xen_feature_info" { submap_idx, submap }
        console::ConsoleInterface = "struct xencons_interface" {
            input: "in", out, in_cons, in_prod, out_cons, out_prod
        }
        xs_wire::DomainInterface = "struct xenstore_domain_interface" {
            req, rsp, req_cons, req_prod, rsp_cons, rsp_prod, server_features, connection, error
        }
    }
}

fn backends(table: &mut Table) {
    structs! { table;
        blkif::Segment = "struct blkif_request_segment" { gref, first_sect, last_sect; pad }
        blkif::Request = "struct blkif_request" { operation, nr_segments, handle, id, sector_number, seg; pad }
        blkif::DiscardRequest = "struct blkif_request_discard" {
            operation, flag, handle, id, sector_number, nr_sectors; pad
        }
        blkif::IndirectRequest = "struct blkif_request_indirect" {
            operation, indirect_op, nr_segments, id, sector_number, handle, indirect_grefs; pad0, pad1, pad2
        }
        blkif::Response = "struct blkif_response" { id, operation, status; pad0, pad1 }
        netif::TxRequest = "struct netif_tx_request" { gref, offset, flags, id, size }
        netif::TxResponse = "struct netif_tx_response" { id, status }
        netif::RxRequest = "struct netif_rx_request" { id, pad, gref }
        netif::RxResponse = "struct netif_rx_response" { id, offset, flags, status }
        netif::ExtraInfo = "struct netif_extra_info" { kind: "type", flags, data: "u" }
        netif::Gso = "__typeof__(((struct netif_extra_info *)0)->u.gso)" { size, kind: "type", pad, features }
        netif::Mcast = "__typeof__(((struct netif_extra_info *)0)->u.mcast)" { addr }
        netif::Hash = "__typeof__(((struct netif_extra_info *)0)->u.hash)" { kind: "type", algorithm, value }
        netif::ControlRequest = "struct xen_netif_ctrl_request" { id, kind: "type", data }
        netif::ControlResponse = "struct xen_netif_ctrl_response" { id, kind: "type", status, data }
        netif::StaticGrant = "struct xen_netif_gref" { gref: "ref", flags, status }
    }
    for protocol in ["blkif", "netif_tx", "netif_rx", "xen_netif_ctrl"] {
        ring_header(table, &format!("struct {protocol}_sring"));
    }
    table.cover("ring::Header");
}

/// The header of a ring: in C it has no name of its own, and stands at the start of each protocol's ring.
fn ring_header(table: &mut Table, ring: &str) {
    use std::mem::offset_of;
    use xen_abi::ring::Header;
    let fields = [
        ("req_prod", offset_of!(Header, req_prod)),
        ("req_event", offset_of!(Header, req_event)),
        ("rsp_prod", offset_of!(Header, rsp_prod)),
        ("rsp_event", offset_of!(Header, rsp_event)),
        ("pvt", offset_of!(Header, private)),
        ("__pad", offset_of!(Header, pad)),
        ("ring", size_of::<Header>()),
    ];
    for (c_field, offset) in fields {
        let rust = format!("offset of ring::Header's {c_field}");
        table.push(rust, offset as i64, format!("offsetof({ring}, {c_field})"), None);
    }
}

fn grants_and_memory(table: &mut Table) {
    structs! { table;
        grant_table::GrantEntryV1 = "struct grant_entry_v1" { flags, domid, frame }
        grant_table::MapGrantRef = "struct gnttab_map_grant_ref" {
            host_addr, flags, grant_ref: "ref", dom, status, handle, dev_bus_addr
        }
        grant_table::UnmapGrantRef = "struct gnttab_unmap_grant_ref" {
            host_addr, dev_bus_addr, handle, status; pad
        }
        grant_table::SetupTable = "struct gnttab_setup_table" {
            dom, nr_frames, status, frame_list; pad0, pad1
        }
        grant_table::CopySide = "struct gnttab_copy_ptr" { ref_or_frame: "u", domid, offset; pad }
        grant_table::GrantCopy = "struct gnttab_copy" { source, dest, len, flags, status; pad }
        grant_table::QuerySize = "struct gnttab_query_size" {
            dom, nr_frames, max_nr_frames, status; pad0, pad1
        }
        grant_table::UnmapAndReplace = "struct gnttab_unmap_and_replace" {
            host_addr, new_addr, handle, status; pad
        }
        grant_table::SetVersion = "struct gnttab_set_version" { version }
        grant_table::GetVersion = "struct gnttab_get_version" { dom, pad, version }
        grant_table::SwapGrantRef = "struct gnttab_swap_grant_ref" { ref_a, ref_b, status; pad }
        memory::MemoryReservation = "struct xen_memory_reservation" {
            extent_start, nr_extents, extent_order, mem_flags, domid; pad
        }
        memory::MemoryExchange = "struct xen_memory_exchange" { give: "in", take: "out", nr_exchanged }
        memory::MemoryDomain = "struct xen_memory_domain" { domid }
        memory::MachphysMfnList = "struct xen_machphys_mfn_list" {
            max_extents, extent_start, nr_extents; pad0, pad1
        }
        memory::MachphysMapping = "struct xen_machphys_mapping" { v_start, v_end, max_mfn }
        memory::AddToPhysmap = "struct xen_add_to_physmap" { domid, size, space, idx, gpfn }
        memory::RemoveFromPhysmap = "struct xen_remove_from_physmap" { domid, gpfn; pad }
        memory::MemoryMap = "struct xen_memory_map" { nr_entries, buffer; pad }
        memory::ForeignMemoryMap = "struct xen_foreign_memory_map" { domid, map; pad }
        memory::AcquireResource = "struct xen_mem_acquire_resource" {
            domid, kind: "type", id, nr_frames, pad, frame, frame_list
        }
    }
}

fn devices(table: &mut Table) {
    structs! { table;
        physdev::Eoi = "struct physdev_eoi" { irq }
        physdev::PirqEoiGmfn = "struct physdev_pirq_eoi_gmfn" { gmfn }
        physdev::IrqStatusQuery = "struct physdev_irq_status_query" { irq, flags }
        physdev::SetIopl = "struct physdev_set_iopl" { iopl }
        physdev::SetIobitmap = "struct physdev_set_iobitmap" { bitmap, nr_ports; pad }
        physdev::Apic = "struct physdev_apic" { apic_physbase, reg, value }
        physdev::Irq = "struct physdev_irq" { irq, vector }
        physdev::MapPirq = "struct physdev_map_pirq" {
            domid, kind: "type", index, pirq, bus, devfn, entry_nr, table_base; pad0, pad1
        }
        physdev::UnmapPirq = "struct physdev_unmap_pirq" { domid, pirq; pad }
        physdev::ManagePci = "struct physdev_manage_pci" { bus, devfn }
        physdev::ManagePciExt = "struct physdev_manage_pci_ext" {
            bus, devfn, is_extfn, is_virtfn, physfn; pad0, pad1
        }
        physdev::SetupGsi = "struct physdev_setup_gsi" { gsi, triggering, polarity; pad }
        physdev::GetFreePirq = "struct physdev_get_free_pirq" { kind: "type", pirq }
        physdev::PciMmcfgReserved = "struct physdev_pci_mmcfg_reserved" {
            address, segment, start_bus, end_bus, flags
        }
        physdev::PciDeviceAdd = "struct physdev_pci_device_add" { seg, bus, devfn, flags, physfn; pad }
        physdev::PciDevice = "struct physdev_pci_device" { seg, bus, devfn }
        #[if "defined(PHYSDEVOP_pci_device_reset)"]
        physdev::PciDeviceReset = "struct pci_device_reset" { dev, flags }
    }
}

fn domctl(table: &mut Table) {
    structs! { table;
        domctl::Domctl = "struct xen_domctl" { cmd, interface_version, domain, pad: "_pad", u }
        domctl::ArchDomainConfig = "struct xen_arch_domainconfig" { emulation_flags, misc_flags }
        #[if "XEN_DOMCTL_INTERFACE_VERSION <= 0x16"]
        domctl::CreateDomainV15 = "struct xen_domctl_createdomain" {
            ssidref, handle, flags, iommu_opts, max_vcpus, max_evtchn_port, max_grant_frames, max_maptrack_frames,
            grant_opts, vmtrace_size, cpupool_id, arch
        }
        #[if "XEN_DOMCTL_INTERFACE_VERSION >= 0x17"]
        domctl::CreateDomainV17 = "struct xen_domctl_createdomain" {
            ssidref, handle, flags, iommu_opts, max_vcpus, max_evtchn_port, max_grant_frames, max_maptrack_frames,
            grant_opts, altp2m_opts, vmtrace_size, cpupool_id, arch
        }
        domctl::DomainInfo = "struct xen_domctl_getdomaininfo" {
            domain, pad1, flags, tot_pages, max_pages, outstanding_pages, shr_pages, paged_pages, shared_info_frame,
            cpu_time, nr_online_vcpus, max_vcpu_id, ssidref, handle, cpupool, gpaddr_bits, pad2, arch_config
        }
        domctl::Bitmap = "struct xenctl_bitmap" { bitmap, nr_bits; pad }
        domctl::VcpuContext = "struct xen_domctl_vcpucontext" { vcpu, ctxt; pad }
        domctl::VcpuInfo = "struct xen_domctl_getvcpuinfo" {
            vcpu, online, blocked, running, cpu_time, cpu; pad0, pad1
        }
        domctl::VcpuAffinity = "struct xen_domctl_vcpuaffinity" { vcpu, flags, cpumap_hard, cpumap_soft }
        domctl::MaxVcpus = "struct xen_domctl_max_vcpus" { max }
        domctl::SetDomainHandle = "struct xen_domctl_setdomainhandle" { handle }
        domctl::HypercallInit = "struct xen_domctl_hypercall_init" { gmfn }
        domctl::SetTimeOffset = "struct xen_domctl_settimeoffset" { time_offset_seconds }
        domctl::AddressSize = "struct xen_domctl_address_size" { size }
        domctl::SendTrigger = "struct xen_domctl_sendtrigger" { trigger, vcpu }
        domctl::Subscribe = "struct xen_domctl_subscribe" { port }
        domctl::HvmContext = "struct xen_domctl_hvmcontext" { size, buffer; pad }
        domctl::TscInfo = "struct xen_domctl_tsc_info" { tsc_mode, gtsc_khz, incarnation, pad, elapsed_nsec }
        domctl::SetTarget = "struct xen_domctl_set_target" { target }
        domctl::SetVirqHandler = "struct xen_domctl_set_virq_handler" { virq }
        domctl::Credit = "struct xen_domctl_sched_credit" { weight, cap }
        domctl::Rtds = "struct xen_domctl_sched_rtds" { period, budget, flags }
        domctl::SchedulerVcpus = "__typeof__(((struct xen_domctl_scheduler_op *)0)->u.v)" {
            vcpus, nr_vcpus, padding
        }
        domctl::SchedulerOp = "struct xen_domctl_scheduler_op" { sched_id, cmd, u }
        domctl::IrqPermission = "struct xen_domctl_irq_permission" { pirq, allow_access, pad }
        domctl::IomemPermission = "struct xen_domctl_iomem_permission" {
            first_mfn, nr_mfns, allow_access; pad
        }
        domctl::IoportPermission = "struct xen_domctl_ioport_permission" {
            first_port, nr_ports, allow_access; pad
        }
        domctl::AssignDevice = "struct xen_domctl_assign_device" {
            dev, flags, machine_sbdf: "u.pci.machine_sbdf"; pad
        }
        domctl::MaxMem = "struct xen_domctl_max_mem" { max_memkb }
        domctl::GetPageFrameInfo3 = "struct xen_domctl_getpageframeinfo3" { num, array }
        domctl::PagingMempool = "struct xen_domctl_paging_mempool" { size }
        domctl::ShadowOpStats = "struct xen_domctl_shadow_op_stats" { fault_count, dirty_count }
        domctl::ShadowOp = "struct xen_domctl_shadow_op" { op, mode, mb, dirty_bitmap, pages, stats; pad }
    }
}

fn sysctl(table: &mut Table) {
    structs! { table;
        sysctl::Sysctl = "struct xen_sysctl" { cmd, interface_version, u }
        sysctl::ReadConsole = "struct xen_sysctl_readconsole" {
            clear, incremental, index, buffer, count; pad0, pad1
        }
        sysctl::Physinfo = "struct xen_sysctl_physinfo" {
            threads_per_core, cores_per_socket, nr_cpus, max_cpu_id, nr_nodes, max_node_id, cpu_khz, capabilities,
            arch_capabilities, pad, total_pages, free_pages, scrub_pages, outstanding_pages, max_mfn, hw_cap
        }
        sysctl::SchedId = "struct xen_sysctl_sched_id" { sched_id }
        sysctl::GetDomainInfoList = "struct xen_sysctl_getdomaininfolist" {
            first_domain, max_domains, buffer, num_domains; pad0, pad1
        }
        sysctl::DebugKeys = "struct xen_sysctl_debug_keys" { keys, nr_keys; pad }
        sysctl::CpuInfo = "struct xen_sysctl_cpuinfo" { idletime }
        sysctl::GetCpuInfo = "struct xen_sysctl_getcpuinfo" { max_cpus, info, nr_cpus; pad0, pad1 }
        sysctl::AvailHeap = "struct xen_sysctl_availheap" {
            min_bitwidth, max_bitwidth, node, avail_bytes; pad
        }
        sysctl::CpuHotplug = "struct xen_sysctl_cpu_hotplug" { cpu, op }
        sysctl::Cputopo = "struct xen_sysctl_cputopo" { core, socket, node }
        sysctl::CputopoInfo = "struct xen_sysctl_cputopoinfo" { num_cpus, cputopo; pad }
        sysctl::CpupoolOp = "struct xen_sysctl_cpupool_op" {
            op, cpupool_id, sched_id, domid, cpu, n_dom, cpumap
        }
        sysctl::CreditSchedule = "struct xen_sysctl_credit_schedule" {
            tslice_ms, ratelimit_us, vcpu_migr_delay_us
        }
        sysctl::Credit2Schedule = "struct xen_sysctl_credit2_schedule" { ratelimit_us }
        sysctl::SchedulerOp = "struct xen_sysctl_scheduler_op" { cpupool_id, sched_id, cmd, u; pad }
    }
}

/// Types that stand for more than one member of a union, and the one that C leaves open-ended.
fn unions(table: &mut Table) {
    use core::mem::offset_of;
    use xen_abi::{domctl, event_channel, grant_table, memory, start_info, vcpu, version};
    let mut equal = |rust: &str, value: usize, c: &str| table.push(rust.into(), value as i64, c.into(), None);

    let peer = offset_of!(event_channel::Status, peer);
    equal("event_channel::Status.peer", peer, "offsetof(struct evtchn_status, u.unbound.dom)");
    equal("event_channel::Status.peer", peer, "offsetof(struct evtchn_status, u.interdomain.dom)");
    equal("event_channel::Status.peer", peer, "offsetof(struct evtchn_status, u.virq)");
    let side = offset_of!(grant_table::CopySide, ref_or_frame);
    equal("grant_table::CopySide.ref_or_frame", side, "offsetof(struct gnttab_copy_ptr, u.ref)");
    equal("grant_table::CopySide.ref_or_frame", side, "offsetof(struct gnttab_copy_ptr, u.gmfn)");
    equal("domctl::Credit", size_of::<domctl::Credit>(), "sizeof(struct xen_domctl_sched_credit2)");
    let area = size_of::<vcpu::RegisterMemoryArea>();
    equal("vcpu::RegisterMemoryArea", area, "sizeof(struct vcpu_register_time_memory_area)");
    let console = offset_of!(start_info::StartInfo, console);
    equal("start_info::StartInfo.console", console, "offsetof(struct start_info, console.domU)");
    equal("start_info::StartInfo.console", console, "offsetof(struct start_info, console.dom0)");
    equal("memory::MemoryExchange", size_of::<memory::MemoryExchange>(), "sizeof(xen_memory_exchange_t)");

    table.cover("version::BuildId");
    let version::BuildId { len: _, buf: _ } = version::BuildId::request();
    let mut equal = |rust: &str, value: usize, c: &str| table.push(rust.into(), value as i64, c.into(), None);
    equal("version::BuildId.len", offset_of!(version::BuildId, len), "offsetof(struct xen_build_id, len)");
    equal("version::BuildId.buf", offset_of!(version::BuildId, buf), "offsetof(struct xen_build_id, buf)");
}
