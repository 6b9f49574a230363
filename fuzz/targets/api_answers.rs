//! What a host answers to `rvmm`: heads of answers, and bodies of every kind, changed in their structure.
#![no_main]

use api::Problem;
use api::http::read_answer;
use api::types::{
    Components, Console, Devices, Digest, Done, Events, Host, Notification, Vcpus, Vm, Vms, Volumes,
};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// What a byte above 127 stands for; those below stand for themselves.
const WORDS: [&str; 40] = [
    "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n",
    r#"{"message":"#,
    r#"{"status":409,"message":"#,
    r#"{"vms":["#,
    r#"{"name":"web","uuid":"","domid":5,"phase":"running","memory_kib":1,"vcpus":1,"cpu_us":1}"#,
    r#"{"vcpus":["#,
    r#"{"vcpu":0,"online":true,"blocked":false,"running":true,"cpu":0,"cpu_us":1}"#,
    r#"{"vifs":[],"disks":["#,
    r#"{"id":0,"vdev":"xvda","backend_id":1,"frontend_id":2,"state":4,"event_channel":1,"ring":8,"backend":""}"#,
    r#"{"from":0,"next":4,"data":""#,
    "AAECAw==",
    r#"{"volumes":[],"next":"#,
    r#"{"components":["#,
    r#"{"name":"net","state":"held","domid":1,"incarnation":1,"beats":1,"last_fault":"#,
    r#"{"kind":"crash","at_us":5}"#,
    r#"{"events":[],"next":"#,
    r#"{"sequence":17,"at_us":5,"text":""}"#,
    r#"{"host":"a","log":"0","sequence":1,"after":0,"lost_from":1,"event":"#,
    r#"{"from":0,"bytes":1,"sha256":"#,
    r#"{"xen":"4.17","processors":1,"total_kib":1,"free_kib":1,"uptime_us":"#,
    "null",
    "true",
    "-1",
    "65536",
    "18446744073709551615",
    "1e999",
    "0.1",
    r#""\u0000""#,
    r#""\ud800""#,
    "\\",
    "\"",
    "{",
    "}",
    "[",
    "]",
    "}]}",
    "]}",
    ",",
    ":",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];

fuzz_target!(|bytes: &[u8]| {
    let text: Vec<u8> = bytes.iter().flat_map(|byte| word(*byte)).collect();
    if let Ok(Some((code, head, _))) = read_answer(&text) {
        assert!(head <= text.len() && (100..1000).contains(&code));
        bodies(&text[head..]);
    }
    bodies(&text);
});

fn word(byte: u8) -> Vec<u8> {
    match byte.checked_sub(128) {
        Some(number) if usize::from(number) < WORDS.len() => WORDS[usize::from(number)].as_bytes().to_vec(),
        _ => vec![byte],
    }
}

fn bodies(text: &[u8]) {
    again::<Problem>(text);
    again::<Done>(text);
    again::<Host>(text);
    again::<Vm>(text);
    again::<Vms>(text);
    again::<Vcpus>(text);
    again::<Devices>(text);
    again::<Volumes>(text);
    again::<Digest>(text);
    again::<Components>(text);
    again::<Events>(text);
    again::<Notification>(text);
    again::<Console>(text);
    if let Ok(console) = serde_json::from_slice::<Console>(text)
        && let Some(bytes) = console.bytes()
        && let Some(next) = console.from.checked_add(bytes.len() as u64)
    {
        assert_eq!(Console::new(console.from, &bytes), Console { next, ..console });
    }
}

/// What is written says the same as what was read.
fn again<T: Serialize + DeserializeOwned + PartialEq + Debug>(text: &[u8]) {
    if let Ok(read) = serde_json::from_slice::<T>(text) {
        let written = serde_json::to_vec(&read).expect("it has a form");
        assert_eq!(serde_json::from_slice::<T>(&written).expect("our own"), read);
    }
}
