//! Whole-system tests: each boots hosts in QEMU, does something to them, and says what must follow.

mod api;
mod boot;
mod broker;
mod devices;
mod disk;
mod faults;
mod guests;
mod ladder;
mod network;
mod network_cards;
mod network_programs;
mod refusals;
mod root_faults;
mod service;
mod sharing;
mod soak;
mod store;
mod tool;
