//! How the recovery kernel is entered: the ELF notes and `_start` for Xen, and the stubs behind the
//! trap table and the callbacks.
//!
//! In the user mode of a PV domain, Xen answers every exception, event and `syscall` by switching to
//! the kernel's page tables and stack and pushing `rcx, r11, [error code], rip, cs, rflags, rsp, ss`
//! (lowest address first). `HYPERVISOR_iret` leads back; it wants `rax, r11, rcx, flags` on top of
//! the same `rip ... ss`.

use core::arch::global_asm;
use xen_abi::Hypercall;
use xen_abi::context::ContextFlags;
use xen_abi::shared_info::VcpuInfo;

/// Numbers from here on are calls of the recovery kernel itself; below are Xen's.
pub(crate) const KERNEL_CALL_BASE: u64 = 0x1000;

/// The answer to a hypercall that main may not make: -EPERM.
const DENIED: i64 = -1;

/// The answer to a hypercall that an event has ended: -EAGAIN.
const AGAIN: i64 = -11;

global_asm!(
    // Elf notes: name "Xen", descriptors as xen/include/public/elfnote.h describes them.
    ".pushsection .note.Xen, \"a\", @note",
    ".macro xen_note_quad kind, value",
    ".long 4, 8, \\kind",
    ".asciz \"Xen\"",
    ".quad \\value",
    ".endm",
    ".macro xen_note_string kind, text",
    ".long 4, 2f - 1f, \\kind",
    ".asciz \"Xen\"",
    "1: .asciz \"\\text\"",
    "2: .balign 4",
    ".endm",
    "xen_note_string 6, \"R-VMM\"",
    "xen_note_string 8, \"generic\"",
    "xen_note_string 5, \"xen-3.0\"",
    "xen_note_quad 3, __image_start",
    "xen_note_quad 4, __image_start",
    "xen_note_quad 1, _start",
    // SUPPORTED_FEATURES: bit 11, this kernel may be dom0.
    "xen_note_quad 17, 0x800",
    ".popsection",
    //
    ".pushsection .text.entry, \"ax\", @progbits",
    ".globl _start",
    "_start:",
    "cld",
    "lea rsp, [rip + {stack} + {stack_size}]",
    "xor ebp, ebp",
    "mov rdi, rsi",
    "call {boot}",
    "ud2",
    //
    // One stub for each vector, 16 bytes apart.
    ".globl kernel_trap_stubs",
    ".balign 16",
    "kernel_trap_stubs:",
    ".set vector, 0",
    ".rept 256",
    ".balign 16",
    "push vector",
    "jmp 3f",
    ".set vector, vector + 1",
    ".endr",
    "3:",
    "push rax",
    "push rbx",
    "push rdx",
    "push rsi",
    "push rdi",
    "push rbp",
    "push r8",
    "push r9",
    "push r10",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov rdi, rsp",
    "cld",
    "and rsp, -16",
    "call {trap}",
    "ud2",
    //
    // Main's system calls: Xen's hypercalls where they are allowed, else the kernel's own.
    ".globl kernel_syscall",
    "kernel_syscall:",
    "add rsp, 16",
    "cmp rax, {call_base}",
    "jae 5f",
    "cmp rax, 63",
    "ja 4f",
    "bt qword ptr [rip + {allowed}], rax",
    "jnc 4f",
    "syscall",
    "6:",
    "push {in_syscall}",
    "push rcx",
    "push r11",
    "push rax",
    "mov eax, {iret}",
    "syscall",
    "ud2",
    "4:",
    "mov rax, {denied}",
    "jmp 6b",
    "5:",
    "push rbp",
    "mov rbp, rsp",
    "and rsp, -16",
    "mov rcx, rdx",
    "mov rdx, rsi",
    "mov rsi, rdi",
    "mov rdi, rax",
    "cld",
    "call {kernel_call}",
    "mov rsp, rbp",
    "pop rbp",
    "jmp 6b",
    //
    // A hypercall that an event ends: number in rdi, its argument in rsi. Xen looks for events again and again while
    // it is at one that takes long; then it delivers them as if the `syscall` were still to come.
    ".globl kernel_interruptible",
    "kernel_interruptible:",
    "mov rax, rdi",
    "mov rdi, rsi",
    "mov byte ptr [rip + {shared_info} + {upcall_mask}], 0",
    "7:",
    "syscall",
    "8:",
    "mov byte ptr [rip + {shared_info} + {upcall_mask}], 1",
    "ret",
    //
    // An event while main runs, or in the hypercall above: keep every register, as both go on behind it.
    ".globl kernel_event",
    "kernel_event:",
    "push rax",
    "push rdx",
    "push rsi",
    "push rdi",
    "push r8",
    "push r9",
    "push r10",
    "push rbx",
    "mov rbx, rsp",
    "sub rsp, 512",
    "and rsp, -16",
    "fxsave64 [rsp]",
    "cld",
    // In the hypercall: it is not begun again, but answers that it wants to be.
    "lea rax, [rip + 7b]",
    "cmp [rbx + 80], rax",
    "jne 9f",
    "lea rax, [rip + 8b]",
    "mov [rbx + 80], rax",
    "mov qword ptr [rbx + 56], {again}",
    "9:",
    "mov rdi, [rbx + 80]",
    "call {event}",
    "fxrstor64 [rsp]",
    "mov rsp, rbx",
    "pop rbx",
    "pop r10",
    "pop r9",
    "pop r8",
    "pop rdi",
    "pop rsi",
    "pop rdx",
    "pop rax",
    // On the stack: rcx, r11, rip, cs, rflags, rsp, ss.
    "pop rcx",
    "pop r11",
    "push 0",
    "push rcx",
    "push r11",
    "push rax",
    "mov eax, {iret}",
    "syscall",
    "ud2",
    //
    // Starts main at rdi with the stack at rsi, in user mode, on an empty kernel stack.
    ".globl kernel_enter_main",
    "kernel_enter_main:",
    "lea rsp, [rip + {stack} + {stack_size}]",
    "xor ebp, ebp",
    "push 0xe02b",
    "push rsi",
    "push 0x202",
    "push 0xe033",
    "push rdi",
    "push {in_syscall}",
    "push 0",
    "push 0",
    "push 0",
    "mov eax, {iret}",
    "syscall",
    "ud2",
    ".popsection",
    stack = sym crate::boot::STACK,
    stack_size = const crate::boot::STACK_SIZE,
    boot = sym crate::boot::boot,
    trap = sym crate::trap::trap,
    event = sym crate::watchdog::event,
    kernel_call = sym crate::call::kernel_call,
    allowed = sym crate::call::ALLOWED,
    call_base = const KERNEL_CALL_BASE,
    in_syscall = const ContextFlags::IN_SYSCALL.bits(),
    iret = const Hypercall::Iret.raw(),
    denied = const DENIED,
    again = const AGAIN,
    shared_info = sym crate::boot::SHARED_INFO,
    upcall_mask = const core::mem::offset_of!(VcpuInfo, evtchn_upcall_mask),
);

unsafe extern "C" {
    /// The first of 256 trap stubs, [`TRAP_STUB_SIZE`] bytes apart.
    pub(crate) fn kernel_trap_stubs();
    /// What Xen enters on `syscall` in user mode.
    pub(crate) fn kernel_syscall();
    /// The hypercall `number` with the address of its argument, ended by the first event that comes meanwhile.
    pub(crate) fn kernel_interruptible(number: u64, argument: u64) -> u64;
    /// What Xen enters on an event.
    pub(crate) fn kernel_event();
    /// Enters user mode at `rip` with the stack pointer `rsp`.
    pub(crate) fn kernel_enter_main(rip: u64, rsp: u64) -> !;
}

/// Bytes from one trap stub to the next.
pub(crate) const TRAP_STUB_SIZE: u64 = 16;
