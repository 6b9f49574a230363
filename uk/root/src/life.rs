//! The start of a component's life: what a micro-reboot and a rebuild have in common.

use crate::component::{Component, Domain};
use builder::UkPlan;
use builder::elf_image::Permission;
use description::{Granularity, PciAddress};
use kernel::control::Control;
use kernel::window::Slot;
use uk_abi::boot_info::{BootInfo, BootReason};
use uk_abi::layout::{BOOT_INFO_VA, PAGE_SIZE, TRAP_STUB_SIZE, TRAP_STUBS};
use xen_abi::XenError;
use xen_abi::context::{
    ContextFlags, FLAT_KERNEL_CS, FLAT_KERNEL_SS, TrapFlags, TrapInfo, VcpuGuestContext, cr3_of,
};
use xen_abi::{Pfn, VirtAddr};
use zerocopy::IntoBytes;

/// Why a repair could not be carried out.
#[derive(Clone, Copy, Debug)]
pub enum RepairError {
    /// Xen refused a step.
    Xen {
        /// What was to be done.
        doing: &'static str,
        /// Xen's answer.
        error: XenError,
    },
    /// There is no domain to reboot in place.
    NoDomain,
    /// A page table above the lowest level is not what the plan says: only a rebuild mends that.
    TablesDamaged {
        /// Which one.
        table: Pfn,
    },
    /// The old domain is not gone: somebody still holds pages of it.
    Zombie,
    /// This host lacks a device that the component cannot do without.
    Incomplete,
    /// A device does not come back from its reset: nothing may be built on what it might write to.
    Device {
        /// Which one.
        bdf: PciAddress,
    },
}

impl core::fmt::Display for RepairError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Xen { doing, error } => write!(f, "{doing}: {error}"),
            Self::NoDomain => f.write_str("there is no domain to reboot in place"),
            Self::TablesDamaged { table } => write!(f, "the page table at pfn {table} is damaged"),
            Self::Zombie => f.write_str("the old domain is not gone: somebody still holds pages of it"),
            Self::Incomplete => f.write_str("this host lacks a device that it cannot do without"),
            Self::Device { bdf } => write!(f, "the device {bdf} does not come back from its reset"),
        }
    }
}

/// Says what was being done when Xen refused it.
pub trait Doing<T> {
    /// Turns Xen's error into a [`RepairError`] about `doing`.
    fn doing(self, doing: &'static str) -> Result<T, RepairError>;
}

impl<T> Doing<T> for Result<T, XenError> {
    fn doing(self, doing: &'static str) -> Result<T, RepairError> {
        self.map_err(|error| RepairError::Xen { doing, error })
    }
}

/// What can have happened to pages of the image that the component itself may not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constants {
    /// Nothing: they were mapped read-only all along, and it has no device that could write to them.
    Sound,
    /// Anything.
    Doubtful,
}

/// Writes the image, but for pages that are as they should be: to write code again for nothing costs
/// two milliseconds under emulation, which must then translate it again.
pub fn load_image(plan: &UkPlan<'_>, slot: &mut Slot, constants: Constants) {
    for segment in plan.segments() {
        if constants == Constants::Sound && segment.permission != Permission::Write {
            continue;
        }
        let mut offset = segment.pages.start.0 as usize * PAGE_SIZE;
        for page in segment.bytes.chunks(PAGE_SIZE) {
            if !slot.holds(offset, page) {
                slot.write(offset, page);
            }
            offset += page.len();
        }
        slot.zero(offset, segment.zeros() as usize);
    }
}

/// How a vCPU comes to the entry point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is set back to what it was before it ran, and put there. That takes Xen two tenths of a millisecond: it maps
    /// the context's pages for itself, and flushes what the processor has cached of all mappings.
    Put,
    /// It goes there by itself: the last life has ended itself, and its vCPU stands in code that leads there.
    Walk,
}

/// Prepares the pages that root and the component share for a new life, and its vCPU to start it.
/// The domain must not run.
pub fn begin(
    component: &mut Component,
    control: &Control,
    reason: BootReason,
    way: Way,
) -> Result<(), RepairError> {
    let Some(domain) = &component.domain else { return Err(RepairError::NoDomain) };
    component.incarnation += 1;
    // What a life has to say must not go under in what the last one said.
    component.log_printed = 0;
    let mut info = BootInfo::new(component.name, &component.description.args, reason);
    component.plan.describe(&mut info);
    component.lent.describe(&mut info);
    info.incarnation = component.incarnation;
    info.heartbeat_period_us = component.description.heartbeat_period_us;
    info.domid = component.domid().0;
    info.doorbell_port = domain.doorbell_there.0;
    info.repairs_parts = u64::from(component.description.policy == Granularity::Fine);
    let boot_info = component.plan.areas().boot_info.start.0 as usize;
    info.device_count = component.devices.len() as u16;
    component.slot.write(boot_info * PAGE_SIZE, info.as_bytes());
    for (page, device) in (boot_info + 1..).zip(component.devices.iter()) {
        component.slot.write(page * PAGE_SIZE, device.info.as_bytes());
    }

    let shared_info = component.slot.shared_info(component.shared_info_page());
    shared_info.mask_and_clear_all();
    shared_info.set_upcall_mask(true);
    if let Some(health) = component.health() {
        health.prepare_start();
        health.set_boot_wanted(true);
    }
    component.show_offers();
    if way == Way::Walk {
        return Ok(());
    }
    let mut context = VcpuGuestContext::default();
    fill_context(&mut context, &component.plan, domain);
    let domid = component.domid();
    control.reset_vcpu(domid).doing("resetting its vCPU")?;
    control.set_context(domid, 0, &context).doing("setting its vCPU's context")
}

/// A vCPU at the entry point, in kernel mode, with every exception led to the program's stubs.
fn fill_context(context: &mut VcpuGuestContext, plan: &UkPlan<'_>, domain: &Domain) {
    context.flags = ContextFlags::IN_KERNEL | ContextFlags::ONLINE;
    let regs = &mut context.user_regs;
    regs.rip = plan.entry().0;
    regs.cs = FLAT_KERNEL_CS;
    regs.rsp = plan.stack_top().0;
    regs.ss = FLAT_KERNEL_SS;
    regs.rsi = BOOT_INFO_VA;
    for (vector, trap) in context.trap_ctxt.iter_mut().enumerate() {
        let stub = plan.entry().0 + TRAP_STUBS + vector as u64 * TRAP_STUB_SIZE;
        *trap = TrapInfo::new(vector as u8, TrapFlags::MASK_EVENTS, VirtAddr(stub));
    }
    context.kernel_ss = FLAT_KERNEL_SS.into();
    context.kernel_sp = plan.stack_top();
    context.ctrlreg[3] = cr3_of(domain.frame(plan.root_table()));
}
