//! A component: one unikernel that root builds, watches and revives.

use crate::{Capabilities, ComponentSet, Device, Granularity, Limits, Name};
use heapless::{String, Vec};
use monitor::Policy;
use serde::{Deserialize, Serialize};

/// The most devices that one component can have: the boot info page has room for so many.
pub const MAX_DEVICES: usize = uk_abi::boot_info::MAX_DEVICES;

/// The most bytes of arguments: the boot info page has room for so many.
pub const MAX_ARGS: usize = uk_abi::boot_info::ARGS_MAX;

/// One unikernel (uk) that root builds, watches and revives. It always has one vCPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Its name, unique among components.
    pub name: Name,
    /// The name of its ELF image in the boot archive.
    pub image: Name,
    /// All of its memory in pages: image, page tables, stack, log and heap.
    pub memory_pages: u32,
    /// Pages of its stack.
    pub stack_pages: u32,
    /// Its weight in Xen's credit2 scheduler (Xen's default, which guests have, is 256).
    pub weight: u16,
    /// The components that must be healthy before this one is started or repaired.
    pub depends_on: ComponentSet,
    /// The devices that it drives.
    pub devices: Vec<Device, MAX_DEVICES>,
    /// How often it beats, in microseconds.
    pub heartbeat_period_us: u64,
    /// Without a beat for so long, in microseconds, it hangs (or starves, which its CPU time tells).
    pub heartbeat_deadline_us: u64,
    /// Time from its start to its first beat, in microseconds.
    pub boot_deadline_us: u64,
    /// With work waiting and none completed for so long, in microseconds, a part of it stalls.
    pub stall_deadline_us: u64,
    /// Silent for so long, in microseconds, it is repaired even if all it lacked was CPU time.
    pub starved_deadline_us: u64,
    /// From the order to repair it to the end of the repair, in microseconds, the wait for other repairs included; a
    /// repair that has not ended by then has failed.
    pub repair_deadline_us: u64,
    /// So much CPU time, in microseconds, is enough to beat in: silent with more of it is hung, with less is starved.
    pub enough_cpu_us: u64,
    /// Whether useful work counts as a beat.
    pub work_is_beat: bool,
    /// How often it is repaired before root tries something stronger, or gives up.
    pub limits: Limits,
    /// Where on the ladder its repair starts.
    pub policy: Granularity,
    /// What it may ask root's broker for.
    pub capabilities: Capabilities,
    /// The memory in pages that the domains which it creates may have together; none for as much as there is.
    pub guest_memory_pages: Option<u32>,
    /// Pages of its recovery box, which outlives micro-reboots and rebuilds: they are root's, and lent to it.
    pub box_pages: u32,
    /// Pages of its log ring.
    pub log_pages: u32,
    /// Pages of the window in which it maps what other domains grant it.
    pub grant_window_pages: u32,
    /// Pages of its memory that are contiguous in the machine, for DMA; they lie in one 2 MiB extent.
    pub dma_pages: u32,
    /// Its arguments, in its own terms.
    pub args: String<MAX_ARGS>,
    /// Whether root starts it at boot; otherwise it waits for the operator.
    pub autostart: bool,
}

impl Component {
    /// A component of which only the names are said: what the monitor has to know is as in [`Policy::DEFAULT`].
    pub fn new(name: Name, image: Name) -> Self {
        Self {
            name,
            image,
            // Two extents of 2 MiB: an image of about 1 MiB, and as much again for its heap.
            memory_pages: 4 * 256,
            // 64 KiB, of which a uk's executor uses a tenth; a page guards its end.
            stack_pages: 16,
            // Sixteen times a guest's: it answers while guests burn every CPU.
            weight: 4096,
            depends_on: ComponentSet::EMPTY,
            devices: Vec::new(),
            // Under software emulation a poll of 1 ms takes 2 to 4 and one of 10 ms up to 16: 5 ms is felt as 5 to 10.
            heartbeat_period_us: 5_000,
            heartbeat_deadline_us: Policy::DEFAULT.heartbeat_deadline_us,
            boot_deadline_us: Policy::DEFAULT.boot_deadline_us,
            stall_deadline_us: Policy::DEFAULT.stall_deadline_us,
            starved_deadline_us: Policy::DEFAULT.starved_deadline_us,
            repair_deadline_us: Policy::DEFAULT.repair_deadline_us,
            enough_cpu_us: Policy::DEFAULT.enough_cpu_us,
            work_is_beat: Policy::DEFAULT.work_is_beat,
            limits: Policy::DEFAULT.limits,
            policy: Policy::DEFAULT.granularity,
            capabilities: Capabilities::empty(),
            guest_memory_pages: None,
            // 16 KiB: a few dozen small records, two copies each.
            box_pages: 4,
            // 16 KiB: some two hundred lines between two visits of root.
            log_pages: 4,
            // One L1 table.
            grant_window_pages: 512,
            dma_pages: 0,
            args: String::new(),
            autostart: Policy::DEFAULT.autostart,
        }
    }

    /// Whether it may have guests: it asks root's broker, and reads the boot archive with the guests' files and its own secret.
    pub fn may_have_guests(&self) -> bool {
        self.capabilities.contains(Capabilities::GUESTS)
    }
}
