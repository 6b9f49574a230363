//! A guest's configuration, as an operator sends it: words that configurations are made of, and any other text between them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::fmt::Display;
use std::str::FromStr;
use xlcfg::{Config, Disk, Mistake, Vif};

/// What a byte above 127 stands for; those below stand for themselves.
const WORDS: &[&str] = &[
    "name='n'\nkernel='k'\nmemory=64\n",
    "name=",
    "kernel=",
    "memory=",
    "maxmem=",
    "vcpus=",
    "maxvcpus=",
    "cpu_weight=",
    "tsc_mode=",
    "on_crash=",
    "on_reboot=",
    "cmdline=",
    "root=",
    "extra=",
    "ramdisk=",
    "type=",
    "builder=",
    "uuid=",
    "'01234567-89ab-cdef-0123-456789abcdef'",
    "'restart'",
    "'coredump-destroy'",
    "'pv'",
    "'native'",
    "max_grant_frames=",
    "max_maptrack_frames=",
    "max_event_channels=",
    "vif=[",
    "disk=[",
    "'mac=00:16:3e:",
    "bridge=",
    "ip=",
    "rate=",
    "GB/s",
    "Kb/s",
    "vifname",
    "type=vif",
    "'/dev/vg/a,raw,xvda,rw'",
    "'phy:",
    "qcow2:",
    "target=",
    "vdev=",
    "xvdb",
    "sdaa15",
    "access=",
    "format=",
    "devtype=",
    "cdrom",
    "no-discard",
    "backendtype=phy",
    "script",
    "0x",
    "18446744073709551615",
    "\\n",
    "\\\"",
    "é",
    "\u{85}",
];

fuzz_target!(|bytes: &[u8]| {
    let text: String = bytes.iter().map(|byte| word(*byte)).collect();
    match Config::read(&text) {
        Ok(config) => check(&config),
        Err(mistake) => check_place(&mistake, &text),
    }
    // An operator types these alone.
    read_again::<Vif>(&text);
    read_again::<Disk>(&text);
});

fn word(byte: u8) -> String {
    match byte.checked_sub(128) {
        Some(number) => WORDS[usize::from(number) % WORDS.len()].to_owned(),
        None => char::from(byte).to_string(),
    }
}

fn check(config: &Config) {
    let Config { name, memory_mib, most_memory_mib, vcpus, most_vcpus, cpu_weight, .. } = config;
    assert!((1..=64).contains(&name.len()) && !name.contains('/'), "{name:?}");
    assert!(*memory_mib >= 1 && memory_mib <= most_memory_mib && *most_memory_mib <= 1 << 20);
    assert!(*vcpus >= 1 && vcpus <= most_vcpus && *most_vcpus <= 128 && *cpu_weight >= 1);
    config.vifs.iter().for_each(again);
    config.disks.iter().for_each(again);
    for (index, disk) in config.disks.iter().enumerate() {
        assert!(config.disks[..index].iter().all(|other| other.vdev != disk.vdev), "one name, two disks");
    }
}

/// A mistake stands where there is something to be read, or just behind.
fn check_place(mistake: &Mistake, text: &str) {
    let place = mistake.place;
    let line = text.split('\n').nth(place.line.wrapping_sub(1)).expect("there is such a line");
    assert!((1..=line.chars().count() + 1).contains(&place.column), "{mistake}");
    assert!(!mistake.to_string().is_empty());
}

fn read_again<T: FromStr + Display + PartialEq>(text: &str) {
    text.parse().iter().for_each(again::<T>);
}

/// What is written says the same as what was read.
fn again<T: FromStr + Display + PartialEq>(value: &T) {
    let text = value.to_string();
    assert!(text.parse().is_ok_and(|read: T| read == *value), "{text}");
}
