#![no_std]
#![doc = "What root and a unikernel share."]

pub mod layout;
