//! The keys of xl.cfg(5) that are refused, and why.

/// Nothing of a device model runs.
const EMULATED: &str = "no device is emulated for a PV guest";
/// What only guests with hardware page tables have.
const HARDWARE: &str = "it concerns guests with hardware page tables, and this host runs PV guests";
/// What has one answer here.
const FIXED: &str = "this host has one way to do it";
/// What would need a scheduler or a topology that is not handled.
const PLACEMENT: &str = "guests are placed by the scheduler alone";
/// What nobody serves.
const UNSERVED: &str = "nothing on this host serves such a device";
/// What nobody has built.
const BOOTLOADER: &str = "a guest's kernel is a file of the host's; nothing looks for one inside its disk";
/// Security labels.
const LABELS: &str = "Xen's distribution packages are built without labels";

/// Keys with the reason.
const REFUSED: &[(&str, &[&str])] = &[
    (
        EMULATED,
        &[
            "smbios",
            "acpi_firmware",
            "bios",
            "bios_path_override",
            "boot",
            "device_model_args",
            "device_model_args_hvm",
            "device_model_args_pv",
            "device_model_override",
            "device_model_stubdomain_override",
            "device_model_stubdomain_seclabel",
            "device_model_user",
            "device_model_version",
            "dm_restrict",
            "gfx_passthru",
            "hdtype",
            "keymap",
            "nographic",
            "opengl",
            "sdl",
            "serial",
            "soundhw",
            "spice",
            "spice_clipboard_sharing",
            "spice_image_compression",
            "spice_streaming_video",
            "spiceagent_mouse",
            "spicedisable_ticketing",
            "spicehost",
            "spicepasswd",
            "spiceport",
            "spicetls_port",
            "spiceusbredirection",
            "spicevdagent",
            "stdvga",
            "stubdomain_cmdline",
            "stubdomain_kernel",
            "stubdomain_memory",
            "stubdomain_ramdisk",
            "usb",
            "usbdev",
            "usbdevice",
            "usbversion",
            "vendor_device",
            "vga",
            "videoram",
            "vnc",
            "vncdisplay",
            "vnclisten",
            "vncpasswd",
            "vncunused",
            "xen_platform_pci",
        ],
    ),
    (
        HARDWARE,
        &[
            "hvm_pirq",
            "sve",
            "acpi",
            "acpi_laptop_slate",
            "acpi_s3",
            "acpi_s4",
            "altp2m",
            "altp2mhvm",
            "apic",
            "cpuid",
            "hap",
            "hpet",
            "mca_caps",
            "mmio_hole",
            "ms_vm_genid",
            "msr_relaxed",
            "nestedhvm",
            "nx",
            "oos",
            "pae",
            "passthrough",
            "pvshim",
            "pvshim_cmdline",
            "pvshim_extra",
            "pvshim_path",
            "rdm",
            "rdm_mem_boundary",
            "shadow_memory",
            "smbios_firmware",
            "timer_mode",
            "viridian",
            "vmtrace_buf_kb",
            "vpmu",
            "vpt_align",
        ],
    ),
    (BOOTLOADER, &["bootloader", "bootloader_args", "bootloader_restrict", "bootloader_user", "firmware"]),
    (PLACEMENT, &["llc_colors", "cap", "cpus", "cpus_soft", "pool", "vnuma"]),
    (
        UNSERVED,
        &[
            "channel",
            "device_tree",
            "dtdev",
            "iomem",
            "ioports",
            "irqs",
            "p9",
            "pci",
            "pci_msitranslate",
            "pci_permissive",
            "pci_power_mgmt",
            "pci_seize",
            "pvcalls",
            "usbctrl",
            "vdispl",
            "vfb",
            "virtio",
            "vkb",
            "vkb_device",
            "vsnd",
            "vtpm",
            "vuart",
        ],
    ),
    (LABELS, &["init_seclabel", "seclabel"]),
    (
        FIXED,
        &[
            "nomigrate",
            "driver_domain",
            "e820_host",
            "gic_version",
            "grant_usage",
            "localtime",
            "max_grant_version",
            "nr_spis",
            "on_soft_reset",
            "rtc_timeoffset",
            "tee",
            "xend_suspend_evtchn_compat",
        ],
    ),
];

/// Why a key of xl.cfg(5) is refused; none if it is not in there.
pub(crate) fn refused(key: &str) -> Option<&'static str> {
    REFUSED.iter().find(|(_, keys)| keys.contains(&key)).map(|(why, _)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_refused_twice() {
        let all = || REFUSED.iter().flat_map(|(_, keys)| keys.iter());
        for key in all() {
            assert_eq!(all().filter(|other| *other == key).count(), 1, "{key}");
            assert!(refused(key).is_some());
        }
    }
}
