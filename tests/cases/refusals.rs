//! Guests that cannot be built: each is refused with what is wrong with it, and leaves nothing behind.

use emulator::condition::component;
use rvmm_tests::guest::{FIRST, Guest, Packed, host_with};
use rvmm_tests::toolstack::TOOLSTACK;
use rvmm_tests::{Host, Setup};

/// Guests, what is wrong with each, and what is said of it.
fn cases() -> [(Guest, &'static str); 5] {
    let guest = |name| Guest::new(name).memory_mib(64);
    [
        (guest("wrong").packed(Packed::Alone).with("usb = 1"), "wrong: its configuration: 7:1: usb"),
        (guest("missing").packed(Packed::Alone), "missing: there is no kernel bookworm-guest/vmlinuz"),
        (guest("cut").packed(Packed::HalfTheKernel), "cut: the kernel: "),
        (guest("small").memory_mib(8), "small: the kernel and a ramdisk of"),
        (guest("large").memory_mib(8192), "large: 8192 MiB of memory are needed, "),
    ]
}

#[test]
fn a_guest_that_cannot_be_built_leaves_nothing_behind() {
    let guests: Vec<Guest> =
        cases().map(|(guest, _)| guest).into_iter().chain([Guest::new("sound")]).collect();
    let setup = Setup { system: host_with(&guests), memory_mib: Some(768), ..Setup::default() };
    let mut host = Host::switch_on("refusals", setup);
    // Nobody stands in the way of the one that can be built.
    host.wait_for_all(cases().map(|(_, said)| component(TOOLSTACK).logs(said)));
    host.wait_for_guest_to_say(FIRST, "guest: up ");
    host.toolstack_comes_to_list("1 VMs");
    let (before, nodes) = (host.free(), host.count_nodes());
    for (guest, said) in cases() {
        host.tell_toolstack(&format!("create {}", guest.name()), said);
        host.toolstack_comes_to_list("1 VMs");
    }
    host.has_used_nothing_up_since(&before);
    assert_eq!(host.count_nodes(), nodes);
    host.power_off();
}
