//! Enums.

use crate::table::Table;

/// Adds them.
pub(crate) fn fill(table: &mut Table) {
    domain_side(table);
    backends(table);
    devices_and_memory(table);
    control(table);
    errors(table);
}

fn domain_side(table: &mut Table) {
    numbers! { table;
        hypercall::Hypercall = "__HYPERVISOR_" {
            SetTrapTable: set_trap_table, MmuUpdate: mmu_update, SetGdt: set_gdt, StackSwitch: stack_switch,
            SetCallbacks: set_callbacks, FpuTaskswitch: fpu_taskswitch, SchedOpCompat: sched_op_compat,
            PlatformOp: platform_op, SetDebugreg: set_debugreg, GetDebugreg: get_debugreg,
            UpdateDescriptor: update_descriptor, MemoryOp: memory_op, Multicall: multicall,
            UpdateVaMapping: update_va_mapping, SetTimerOp: set_timer_op,
            EventChannelOpCompat: event_channel_op_compat, XenVersion: xen_version, ConsoleIo: console_io,
            PhysdevOpCompat: physdev_op_compat, GrantTableOp: grant_table_op, VmAssist: vm_assist,
            UpdateVaMappingOtherdomain: update_va_mapping_otherdomain, Iret: iret, VcpuOp: vcpu_op,
            SetSegmentBase: set_segment_base, MmuextOp: mmuext_op, XsmOp: xsm_op, NmiOp: nmi_op, SchedOp: sched_op,
            CallbackOp: callback_op, XenoprofOp: xenoprof_op, EventChannelOp: event_channel_op,
            PhysdevOp: physdev_op, HvmOp: hvm_op, Sysctl: sysctl, Domctl: domctl, KexecOp: kexec_op,
            TmemOp: tmem_op, ArgoOp: argo_op, XenpmuOp: xenpmu_op, DmOp: dm_op, HypfsOp: hypfs_op, Arch0: arch_0,
            Arch1: arch_1,
        }
        callback::CallbackOp = "CALLBACKOP_" { Register: register, Unregister: unregister }
        callback::CallbackType = "CALLBACKTYPE_" {
            Event: event, Failsafe: failsafe, Syscall: syscall, SysenterDeprecated: sysenter_deprecated, Nmi: nmi,
            Sysenter: sysenter, Syscall32: syscall32,
        }
        console_io::ConsoleIo = "CONSOLEIO_" { Write: write, Read: read }
        context::SegmentBase = "SEGBASE_" {
            Fs: FS, GsUser: GS_USER, GsKernel: GS_KERNEL, GsUserSel: GS_USER_SEL
        }
        context::VmAssistCommand = "VMASST_CMD_" { Enable: enable, Disable: disable }
        context::VmAssist = "VMASST_TYPE_" {
            FourGbSegments: "VMASST_TYPE_4gb_segments", FourGbSegmentsNotify: "VMASST_TYPE_4gb_segments_notify",
            WritablePagetables: writable_pagetables, PaeExtendedCr3: pae_extended_cr3,
            ArchitecturalIopl: architectural_iopl, RunstateUpdateFlag: runstate_update_flag, M2pStrict: m2p_strict,
        }
        elfnote::ElfNote = "XEN_ELFNOTE_" {
            Info: INFO, Entry: ENTRY, HypercallPage: HYPERCALL_PAGE, VirtBase: VIRT_BASE,
            PaddrOffset: PADDR_OFFSET, XenVersion: XEN_VERSION, GuestOs: GUEST_OS, GuestVersion: GUEST_VERSION,
            Loader: LOADER, PaeMode: PAE_MODE, Features: FEATURES, BsdSymtab: BSD_SYMTAB, HvStartLow: HV_START_LOW,
            L1MfnValid: L1_MFN_VALID, SuspendCancel: SUSPEND_CANCEL, InitP2m: INIT_P2M,
            ModStartPfn: MOD_START_PFN, SupportedFeatures: SUPPORTED_FEATURES, Phys32Entry: PHYS32_ENTRY,
            CrashInfo: CRASH_INFO, CrashRegs: CRASH_REGS, DumpcoreNone: DUMPCORE_NONE,
            DumpcoreHeader: DUMPCORE_HEADER, DumpcoreXenVersion: DUMPCORE_XEN_VERSION,
            DumpcoreFormatVersion: DUMPCORE_FORMAT_VERSION;
            if defined Phys32Reloc: PHYS32_RELOC,
        }
        event_channel::EventChannelOp = "EVTCHNOP_" {
            BindInterdomain: bind_interdomain, BindVirq: bind_virq, BindPirq: bind_pirq, Close: close, Send: send,
            Status: status, AllocUnbound: alloc_unbound, BindIpi: bind_ipi, BindVcpu: bind_vcpu, Unmask: unmask,
            Reset: reset, InitControl: init_control, ExpandArray: expand_array, SetPriority: set_priority,
        }
        event_channel::StatusKind = "EVTCHNSTAT_" {
            Closed: closed, Unbound: unbound, Interdomain: interdomain, Pirq: pirq, Virq: virq, Ipi: ipi,
        }
        mmu::MmuUpdateKind = "MMU_" {
            Normal: NORMAL_PT_UPDATE, Machphys: MACHPHYS_UPDATE, PreserveAd: PT_UPDATE_PRESERVE_AD,
            NoTranslate: PT_UPDATE_NO_TRANSLATE,
        }
        mmu::MmuextCommand = "MMUEXT_" {
            PinL1Table: PIN_L1_TABLE, PinL2Table: PIN_L2_TABLE, PinL3Table: PIN_L3_TABLE, PinL4Table: PIN_L4_TABLE,
            UnpinTable: UNPIN_TABLE, NewBaseptr: NEW_BASEPTR, TlbFlushLocal: TLB_FLUSH_LOCAL,
            InvlpgLocal: INVLPG_LOCAL, TlbFlushMulti: TLB_FLUSH_MULTI, InvlpgMulti: INVLPG_MULTI,
            TlbFlushAll: TLB_FLUSH_ALL, InvlpgAll: INVLPG_ALL, FlushCache: FLUSH_CACHE, SetLdt: SET_LDT,
            NewUserBaseptr: NEW_USER_BASEPTR, ClearPage: CLEAR_PAGE, CopyPage: COPY_PAGE,
            FlushCacheGlobal: FLUSH_CACHE_GLOBAL, MarkSuper: MARK_SUPER, UnmarkSuper: UNMARK_SUPER,
        }
        sched::SchedOp = "SCHEDOP_" {
            Yield: yield, Block: block, Shutdown: shutdown, Poll: poll, RemoteShutdown: remote_shutdown,
            ShutdownCode: shutdown_code, Watchdog: watchdog, PinOverride: pin_override,
        }
        sched::ShutdownReason = "SHUTDOWN_" {
            Poweroff: poweroff, Reboot: reboot, Suspend: suspend, Crash: crash, Watchdog: watchdog,
            SoftReset: soft_reset,
        }
        vcpu::VcpuOp = "VCPUOP_" {
            Initialise: initialise, Up: up, Down: down, IsUp: is_up, GetRunstateInfo: get_runstate_info,
            RegisterRunstateMemoryArea: register_runstate_memory_area, SetPeriodicTimer: set_periodic_timer,
            StopPeriodicTimer: stop_periodic_timer, SetSingleshotTimer: set_singleshot_timer,
            StopSingleshotTimer: stop_singleshot_timer, RegisterVcpuInfo: register_vcpu_info, SendNmi: send_nmi,
            GetPhysid: get_physid, RegisterVcpuTimeMemoryArea: register_vcpu_time_memory_area;
            if defined RegisterRunstatePhysArea: register_runstate_phys_area,
            RegisterVcpuTimePhysArea: register_vcpu_time_phys_area,
        }
        vcpu::Runstate = "RUNSTATE_" {
            Running: running, Runnable: runnable, Blocked: blocked, Offline: offline
        }
        version::XenVersionOp = "XENVER_" {
            Version: version, ExtraVersion: extraversion, CompileInfo: compile_info, Capabilities: capabilities,
            Changeset: changeset, PlatformParameters: platform_parameters, GetFeatures: get_features,
            Pagesize: pagesize, GuestHandle: guest_handle, CommandLine: commandline, BuildId: build_id,
        }
        virq::Virq = "VIRQ_" {
            Timer: TIMER, Debug: DEBUG, Console: CONSOLE, DomExc: DOM_EXC, Tbuf: TBUF, Debugger: DEBUGGER,
            Xenoprof: XENOPROF, ConRing: CON_RING, PcpuState: PCPU_STATE, MemEvent: MEM_EVENT, Argo: ARGO,
            Enomem: ENOMEM, Xenpmu: XENPMU, Mca: ARCH_0,
        }
    }
}

fn backends(table: &mut Table) {
    numbers! { table;
        blkif::Operation = "BLKIF_OP_" {
            Read: READ, Write: WRITE, WriteBarrier: WRITE_BARRIER, FlushDiskcache: FLUSH_DISKCACHE,
            Reserved1: RESERVED_1, Discard: DISCARD, Indirect: INDIRECT,
        }
        blkif::ResponseStatus = "BLKIF_RSP_" { NotSupported: EOPNOTSUPP, Error: ERROR, Okay: OKAY }
        netif::ResponseStatus = "NETIF_RSP_" { Dropped: DROPPED, Error: ERROR, Okay: OKAY, Null: NULL }
        netif::ExtraType = "XEN_NETIF_EXTRA_TYPE_" {
            None: NONE, Gso: GSO, McastAdd: MCAST_ADD, McastDel: MCAST_DEL, Hash: HASH,
        }
        netif::GsoType = "XEN_NETIF_GSO_TYPE_" { None: NONE, TcpV4: TCPV4, TcpV6: TCPV6 }
        netif::HashAlgorithm = "XEN_NETIF_CTRL_HASH_ALGORITHM_" { None: NONE, Toeplitz: TOEPLITZ }
        netif::ControlType = "XEN_NETIF_CTRL_TYPE_" {
            Invalid: INVALID, GetHashFlags: GET_HASH_FLAGS, SetHashFlags: SET_HASH_FLAGS, SetHashKey: SET_HASH_KEY,
            GetHashMappingSize: GET_HASH_MAPPING_SIZE, SetHashMappingSize: SET_HASH_MAPPING_SIZE,
            SetHashMapping: SET_HASH_MAPPING, SetHashAlgorithm: SET_HASH_ALGORITHM,
            GetGrefMappingSize: GET_GREF_MAPPING_SIZE, AddGrefMapping: ADD_GREF_MAPPING,
            DelGrefMapping: DEL_GREF_MAPPING,
        }
        netif::ControlStatus = "XEN_NETIF_CTRL_STATUS_" {
            Success: SUCCESS, NotSupported: NOT_SUPPORTED, InvalidParameter: INVALID_PARAMETER,
            BufferOverflow: BUFFER_OVERFLOW,
        }
        xenbus::XenbusState = "XenbusState" {
            Unknown: Unknown, Initialising: Initialising, InitWait: InitWait, Initialised: Initialised,
            Connected: Connected, Closing: Closing, Closed: Closed, Reconfiguring: Reconfiguring,
            Reconfigured: Reconfigured,
        }
    }
}

fn devices_and_memory(table: &mut Table) {
    numbers! { table;
        grant_table::GrantTableOp = "GNTTABOP_" {
            MapGrantRef: map_grant_ref, UnmapGrantRef: unmap_grant_ref, SetupTable: setup_table,
            DumpTable: dump_table, Transfer: transfer, Copy: copy, QuerySize: query_size,
            UnmapAndReplace: unmap_and_replace, SetVersion: set_version, GetStatusFrames: get_status_frames,
            GetVersion: get_version, SwapGrantRef: swap_grant_ref, CacheFlush: cache_flush,
        }
        memory::MemoryOp = "XENMEM_" {
            IncreaseReservation: increase_reservation, DecreaseReservation: decrease_reservation,
            MaximumRamPage: maximum_ram_page, CurrentReservation: current_reservation,
            MaximumReservation: maximum_reservation, MachphysMfnList: machphys_mfn_list,
            PopulatePhysmap: populate_physmap, AddToPhysmap: add_to_physmap, MemoryMap: memory_map,
            MachineMemoryMap: machine_memory_map, Exchange: exchange, MachphysMapping: machphys_mapping,
            SetMemoryMap: set_memory_map, MaximumGpfn: maximum_gpfn, RemoveFromPhysmap: remove_from_physmap,
            SetPodTarget: set_pod_target, GetPodTarget: get_pod_target,
            GetSharingFreedPages: get_sharing_freed_pages, GetSharingSharedPages: get_sharing_shared_pages,
            PagingOp: paging_op, AccessOp: access_op, SharingOp: sharing_op,
            AddToPhysmapBatch: add_to_physmap_batch, ClaimPages: claim_pages,
            MachphysCompatMfnList: machphys_compat_mfn_list, GetVnumainfo: get_vnumainfo,
            ReservedDeviceMemoryMap: reserved_device_memory_map, AcquireResource: acquire_resource,
        }
        memory::MapSpace = "XENMAPSPACE_" {
            SharedInfo: shared_info, GrantTable: grant_table, Gmfn: gmfn, GmfnRange: gmfn_range,
            GmfnForeign: gmfn_foreign, DevMmio: dev_mmio,
        }
        memory::ResourceType = "XENMEM_resource_" {
            IoreqServer: ioreq_server, GrantTable: grant_table, VmtraceBuf: vmtrace_buf,
        }
        physdev::PhysdevOp = "PHYSDEVOP_" {
            IrqStatusQuery: irq_status_query, SetIopl: set_iopl, SetIobitmap: set_iobitmap, ApicRead: apic_read,
            ApicWrite: apic_write, AllocIrqVector: alloc_irq_vector, FreeIrqVector: free_irq_vector, Eoi: eoi,
            MapPirq: map_pirq, UnmapPirq: unmap_pirq, ManagePciAdd: manage_pci_add,
            ManagePciRemove: manage_pci_remove, PirqEoiGmfnV1: pirq_eoi_gmfn_v1, RestoreMsi: restore_msi,
            ManagePciAddExt: manage_pci_add_ext, SetupGsi: setup_gsi, GetFreePirq: get_free_pirq,
            PciMmcfgReserved: pci_mmcfg_reserved, PciDeviceAdd: pci_device_add,
            PciDeviceRemove: pci_device_remove, RestoreMsiExt: restore_msi_ext, PirqEoiGmfnV2: pirq_eoi_gmfn_v2,
            DbgpOp: dbgp_op, PrepareMsix: prepare_msix, ReleaseMsix: release_msix;
            if defined PciDeviceReset: pci_device_reset,
        }
        physdev::MapPirqType = "MAP_PIRQ_TYPE_" {
            Msi: MSI, Gsi: GSI, Unknown: UNKNOWN, MsiSeg: MSI_SEG, MultiMsi: MULTI_MSI,
        }
        physdev::ResetKind = "PCI_DEVICE_RESET_" { ; if defined Cold: COLD, Warm: WARM, Hot: HOT, Flr: FLR }
    }
}

fn control(table: &mut Table) {
    numbers! { table;
        domctl::DomctlCommand = "XEN_DOMCTL_" {
            CreateDomain: createdomain, DestroyDomain: destroydomain, PauseDomain: pausedomain,
            UnpauseDomain: unpausedomain, GetDomainInfo: getdomaininfo, SetVcpuAffinity: setvcpuaffinity,
            ShadowOp: shadow_op, MaxMem: max_mem, SetVcpuContext: setvcpucontext, GetVcpuContext: getvcpucontext,
            GetVcpuInfo: getvcpuinfo, MaxVcpus: max_vcpus, SchedulerOp: scheduler_op,
            SetDomainHandle: setdomainhandle, SetDebugging: setdebugging, IrqPermission: irq_permission,
            IomemPermission: iomem_permission, IoportPermission: ioport_permission, HypercallInit: hypercall_init,
            SetTimeOffset: settimeoffset, GetVcpuAffinity: getvcpuaffinity, RealModeArea: real_mode_area,
            ResumeDomain: resumedomain, SendTrigger: sendtrigger, Subscribe: subscribe,
            GetHvmContext: gethvmcontext, SetHvmContext: sethvmcontext, SetAddressSize: set_address_size,
            GetAddressSize: get_address_size, AssignDevice: assign_device, BindPtIrq: bind_pt_irq,
            MemoryMapping: memory_mapping, IoportMapping: ioport_mapping, SetExtVcpuContext: set_ext_vcpucontext,
            GetExtVcpuContext: get_ext_vcpucontext, TestAssignDevice: test_assign_device, SetTarget: set_target,
            DeassignDevice: deassign_device, UnbindPtIrq: unbind_pt_irq, GetDeviceGroup: get_device_group,
            DebugOp: debug_op, GetHvmContextPartial: gethvmcontext_partial, VmEventOp: vm_event_op,
            MemSharingOp: mem_sharing_op, GetTscInfo: gettscinfo, SetTscInfo: settscinfo,
            GetPageFrameInfo3: getpageframeinfo3, SetVcpuExtState: setvcpuextstate,
            GetVcpuExtState: getvcpuextstate, SetAccessRequired: set_access_required, AuditP2m: audit_p2m,
            SetVirqHandler: set_virq_handler, SetBrokenPageP2m: set_broken_page_p2m,
            SetNodeAffinity: setnodeaffinity, GetNodeAffinity: getnodeaffinity, CacheFlush: cacheflush,
            GetVcpuMsrs: get_vcpu_msrs, SetVcpuMsrs: set_vcpu_msrs, SetVnumaInfo: setvnumainfo,
            PsrCmtOp: psr_cmt_op, MonitorOp: monitor_op, PsrAlloc: psr_alloc, SoftReset: soft_reset,
            VuartOp: vuart_op, GetCpuPolicy: get_cpu_policy, SetCpuPolicy: set_cpu_policy, VmtraceOp: vmtrace_op,
            GetPagingMempoolSize: get_paging_mempool_size, SetPagingMempoolSize: set_paging_mempool_size,
        }
        domctl::DeviceKind = "XEN_DOMCTL_DEV_" { Pci: PCI, Dt: DT }
        domctl::Trigger = "XEN_DOMCTL_SENDTRIGGER_" {
            Nmi: NMI, Reset: RESET, Init: INIT, Power: POWER, Sleep: SLEEP
        }
        domctl::SchedulerId = "XEN_SCHEDULER_" {
            Credit: CREDIT, Credit2: CREDIT2, Arinc653: ARINC653, Rtds: RTDS, Null: NULL,
        }
        domctl::SchedulerOpCommand = "XEN_DOMCTL_SCHEDOP_" {
            PutInfo: putinfo, GetInfo: getinfo, PutVcpuInfo: putvcpuinfo, GetVcpuInfo: getvcpuinfo,
        }
        domctl::ShadowOpCommand = "XEN_DOMCTL_SHADOW_OP_" {
            Off: OFF, EnableTest: ENABLE_TEST, EnableLogdirty: ENABLE_LOGDIRTY, Clean: CLEAN, Peek: PEEK,
            GetAllocation: GET_ALLOCATION, SetAllocation: SET_ALLOCATION, Enable: ENABLE,
        }
        domctl::FrameType = "XEN_DOMCTL_PFINFO_" {
            NoTab: NOTAB, L1Tab: L1TAB, L2Tab: L2TAB, L3Tab: L3TAB, L4Tab: L4TAB,
            PinnedL1Tab: "XEN_DOMCTL_PFINFO_LPINTAB | XEN_DOMCTL_PFINFO_L1TAB",
            PinnedL2Tab: "XEN_DOMCTL_PFINFO_LPINTAB | XEN_DOMCTL_PFINFO_L2TAB",
            PinnedL3Tab: "XEN_DOMCTL_PFINFO_LPINTAB | XEN_DOMCTL_PFINFO_L3TAB",
            PinnedL4Tab: "XEN_DOMCTL_PFINFO_LPINTAB | XEN_DOMCTL_PFINFO_L4TAB",
            Broken: BROKEN, Xalloc: XALLOC, Xtab: XTAB,
        }
        sysctl::SysctlCommand = "XEN_SYSCTL_" {
            ReadConsole: readconsole, TbufOp: tbuf_op, Physinfo: physinfo, SchedId: sched_id, PerfcOp: perfc_op,
            GetDomainInfoList: getdomaininfolist, DebugKeys: debug_keys, GetCpuInfo: getcpuinfo,
            AvailHeap: availheap, GetPmstat: get_pmstat, CpuHotplug: cpu_hotplug, PmOp: pm_op,
            PageOfflineOp: page_offline_op, LockprofOp: lockprof_op, CputopoInfo: cputopoinfo, NumaInfo: numainfo,
            CpupoolOp: cpupool_op, SchedulerOp: scheduler_op, CoverageOp: coverage_op, PsrCmtOp: psr_cmt_op,
            PcitopoInfo: pcitopoinfo, PsrAlloc: psr_alloc, GetCpuLevellingCaps: get_cpu_levelling_caps,
            GetCpuFeatureset: get_cpu_featureset, LivepatchOp: livepatch_op, GetCpuPolicy: get_cpu_policy,
        }
        sysctl::CpuHotplugOp = "XEN_SYSCTL_CPU_HOTPLUG_" {
            Online: ONLINE, Offline: OFFLINE, SmtEnable: SMT_ENABLE, SmtDisable: SMT_DISABLE,
        }
        sysctl::CpupoolCommand = "XEN_SYSCTL_CPUPOOL_OP_" {
            Create: CREATE, Destroy: DESTROY, Info: INFO, AddCpu: ADDCPU, RmCpu: RMCPU, MoveDomain: MOVEDOMAIN,
            FreeInfo: FREEINFO,
        }
        sysctl::SchedulerCommand = "XEN_SYSCTL_SCHEDOP_" { PutInfo: putinfo, GetInfo: getinfo }
    }
}

fn errors(table: &mut Table) {
    numbers! { table;
        xs_wire::Connection = "XENSTORE_" { Connected: CONNECTED, Reconnect: RECONNECT }
        xs_wire::ConnectionError = "XENSTORE_ERROR_" {
            None: NONE, Communication: COMM, RingIndexes: RINGIDX, Protocol: PROTO
        }
        errno::Errno = "ERROR_" {
            Eperm: EPERM, Enoent: ENOENT, Esrch: ESRCH, Eintr: EINTR, Eio: EIO, Enxio: ENXIO, E2big: E2BIG,
            Enoexec: ENOEXEC, Ebadf: EBADF, Echild: ECHILD, Eagain: EAGAIN, Enomem: ENOMEM, Eacces: EACCES,
            Efault: EFAULT, Ebusy: EBUSY, Eexist: EEXIST, Exdev: EXDEV, Enodev: ENODEV, Enotdir: ENOTDIR,
            Eisdir: EISDIR, Einval: EINVAL, Enfile: ENFILE, Emfile: EMFILE, Enospc: ENOSPC, Erofs: EROFS,
            Emlink: EMLINK, Edom: EDOM, Erange: ERANGE, Edeadlk: EDEADLK, Enametoolong: ENAMETOOLONG,
            Enolck: ENOLCK, Enosys: ENOSYS, Enotempty: ENOTEMPTY, Enodata: ENODATA, Etime: ETIME,
            Ebadmsg: EBADMSG, Eoverflow: EOVERFLOW, Eilseq: EILSEQ, Erestart: ERESTART, Enotsock: ENOTSOCK,
            Emsgsize: EMSGSIZE, Eopnotsupp: EOPNOTSUPP, Eaddrinuse: EADDRINUSE, Eaddrnotavail: EADDRNOTAVAIL,
            Enobufs: ENOBUFS, Eisconn: EISCONN, Enotconn: ENOTCONN, Etimedout: ETIMEDOUT,
            Econnrefused: ECONNREFUSED,
        }
        grant_table::GrantStatus = "GNTST_" {
            Okay: okay, GeneralError: general_error, BadDomain: bad_domain, BadGntref: bad_gntref,
            BadHandle: bad_handle, BadVirtAddr: bad_virt_addr, BadDevAddr: bad_dev_addr,
            NoDeviceSpace: no_device_space, PermissionDenied: permission_denied, BadPage: bad_page,
            BadCopyArg: bad_copy_arg, AddressTooBig: address_too_big, Eagain: eagain, NoSpace: no_space,
        }
    }
}
