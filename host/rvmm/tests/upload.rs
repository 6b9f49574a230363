//! An upload to a host that has volumes and loses connections.

use api::http::Method;
use api::server::{Closed, Host, Keys, Wire, serve};
use api::types::{Digest, Done, Volume, Volumes};
use api::{Checksum, Found, Operation, Problem, Role, Status};
use futures::executor::block_on;
use rvmm::access::Access;
use rvmm::client::Client;
use rvmm::upload::{UploadError, Uploaded, upload};
use secure::{Secret, Seed};
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;
use tempfile::TempDir;

const MIB: usize = 1 << 20;

/// A host with one volume, which dies after so many requests: it is back at once, and knows nothing but what is on the volume.
struct Fake {
    volume: RefCell<Vec<u8>>,
    /// How many requests a life has; the last of them is done and not answered.
    life: usize,
    left: Cell<usize>,
    /// What was asked for, by its method.
    asked: RefCell<Vec<Method>>,
    /// It does not keep what is written.
    forgets: bool,
}

/// A connection; what is written to it when the host has just died is lost.
struct Line<'f>(TcpStream, &'f Fake);

impl Wire for Line<'_> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Closed> {
        self.0.read(buffer).map_err(|_| Closed)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        if self.1.left.get() == 0 {
            self.1.left.set(self.1.life);
            return Err(Closed);
        }
        self.0.write_all(bytes).map_err(|_| Closed)
    }
}

impl Host for Fake {
    fn now_us(&self) -> u64 {
        0
    }

    async fn wait_until(&self, _: u64) {
        pending().await
    }

    fn let_in(&self) -> bool {
        true
    }

    async fn carry_out(&self, found: &Found, body: &[u8]) -> Result<Vec<u8>, Problem> {
        self.left.set(self.left.get() - 1);
        self.asked.borrow_mut().push(found.route.method);
        let mut volume = self.volume.borrow_mut();
        let from = found.number("from", 0)? as usize;
        let answer = match found.route.operation {
            Operation::ListVolumes => {
                let (name, label) = ("disk0/p1".into(), "spare".into());
                let bytes = volume.len() as u64;
                let (state, users) = ("free".into(), Vec::new());
                let one = Volume { name, label, bytes, sector_bytes: 512, read_only: false, state, users };
                serde_json::to_vec(&Volumes { volumes: vec![one], next: None })
            }
            Operation::WriteVolume => {
                assert_eq!(found.word("sha256").unwrap(), Checksum::of(body));
                if !self.forgets {
                    volume[from..from + body.len()].copy_from_slice(body);
                }
                serde_json::to_vec(&Done { message: String::new() })
            }
            Operation::VolumeDigest => {
                let bytes = found.number("bytes", 0)? as usize;
                let sha256 = Checksum::of(&volume[from..from + bytes]);
                serde_json::to_vec(&Digest { from: from as u64, bytes: bytes as u64, sha256 })
            }
            Operation::FinishVolume => serde_json::to_vec(&Done { message: String::new() }),
            _ => return Err(Problem::new(Status::NotFound, "it is not served here")),
        };
        Ok(answer.unwrap())
    }
}

/// A client of such a host, and what the host has to show when the client has gone.
fn host(fake: Fake) -> (Client, Receiver<Fake>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (say, hear) = channel();
    spawn(move || {
        let keys = Keys::new(Secret::new([3; 32]));
        while !fake.asked.borrow().ends_with(&[Method::Post]) || fake.left.get() == fake.life {
            let (stream, _) = listener.accept().unwrap();
            block_on(serve(Line(stream, &fake), &fake, &keys, Seed::new([4; 32])));
        }
        // Nobody may wait for it any more.
        let _ = say.send(fake);
    });
    (Client::new(Access::of(address, &Secret::new([3; 32]), Role::Operator)), hear)
}

fn fake(volume: Vec<u8>, life: usize) -> Fake {
    let (asked, left) = (RefCell::default(), Cell::new(life));
    Fake { volume: RefCell::new(volume), life, left, asked, forgets: false }
}

fn image(bytes: usize) -> (TempDir, PathBuf, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image");
    let content: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8 ^ (at >> 12) as u8).collect();
    std::fs::write(&path, &content).unwrap();
    (directory, path, content)
}

#[test]
fn an_upload_goes_on_wherever_the_host_dies() {
    let (_directory, path, content) = image(MIB + 100);
    for life in [1000, 23, 2] {
        let (mut client, hear) = host(fake(vec![0xee; 2 * MIB], life));
        let (mut steps, mut last) = (0, 0);
        let uploaded = upload(&mut client, &path, "spare", |done, all| {
            assert!(done <= all && all == MIB as u64 + 512);
            (steps, last) = (steps + 1, done);
        });
        let bytes = MIB as u64 + 512;
        assert_eq!(uploaded.unwrap(), Uploaded { volume: "disk0/p1".into(), bytes, sent: bytes });
        assert!(steps > 16 && last == bytes);
        drop(client);
        let volume = hear.recv().unwrap().volume.into_inner();
        assert!(volume[..content.len()] == content);
        assert!(volume[content.len()..bytes as usize].iter().all(|byte| *byte == 0));
        assert!(volume[bytes as usize..].iter().all(|byte| *byte == 0xee));
    }
}

#[test]
fn what_is_there_is_not_sent() {
    let (_directory, path, content) = image(3 * MIB);
    let mut volume = content.clone();
    volume[MIB + 7] ^= 1;
    let (mut client, hear) = host(fake(volume, 1000));
    let uploaded = upload(&mut client, &path, "disk0/p1", |_, _| ()).unwrap();
    assert_eq!((uploaded.bytes, uploaded.sent), (3 * MIB as u64, MIB as u64));
    drop(client);
    let fake = hear.recv().unwrap();
    assert!(fake.volume.into_inner() == content);
    assert_eq!(fake.asked.borrow().iter().filter(|method| **method == Method::Put).count(), 16);
}

#[test]
fn what_cannot_be_is_not_begun() {
    let (_directory, path, _) = image(2 * MIB);
    let (mut client, _hear) = host(fake(vec![0; MIB], 1000));
    let mut refused =
        |path: &PathBuf, volume: &str| upload(&mut client, path, volume, |_, _| ()).unwrap_err();
    assert!(matches!(refused(&path, "disk0/p1"), UploadError::TooLarge { room, .. } if room == MIB as u64));
    assert!(matches!(refused(&path, "disk0"), UploadError::NoVolume(name) if name == "disk0"));
    assert!(matches!(refused(&path.with_file_name("other"), "spare"), UploadError::File { .. }));
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(refused(&path, "spare"), UploadError::Empty { .. }));
}

#[test]
fn a_volume_that_does_not_keep_what_is_written_is_found_out() {
    let (_directory, path, _) = image(1000);
    let (mut client, _hear) = host(Fake { forgets: true, ..fake(vec![0xee; MIB], 1000) });
    let error = upload(&mut client, &path, "spare", |_, _| ()).unwrap_err();
    assert!(matches!(error, UploadError::NotKept { from: 0, .. }), "{error}");
}
