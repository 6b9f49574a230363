//! What Xen knows about domains, asked through `/dev/xen/privcmd`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;

use xen_abi::domctl::DomainInfo;
use xen_abi::event_channel::{EventChannelOp, PortState, Status};
use xen_abi::hypercall::Hypercall;
use xen_abi::sysctl::{GetDomainInfoList, Sysctl, SysctlCommand};
use xen_abi::{AbiVersion, Domid, GuestHandle, Port};
use zerocopy::FromBytes;

use crate::evtchn::LocalPort;
use crate::shared::SharedMemory;

/// `struct privcmd_hypercall`.
#[repr(C)]
struct Request {
    operation: u64,
    arguments: [u64; 5],
}

/// `IOCTL_PRIVCMD_HYPERCALL`: `_IOC(_IOC_NONE, 'P', 0, sizeof(struct privcmd_hypercall))`.
const HYPERCALL: libc::c_ulong =
    ((size_of::<Request>() as libc::c_ulong) << 16) | ((b'P' as libc::c_ulong) << 8);

const PAGE: usize = 4096;
/// Pages of the buffer that Xen writes into: the first holds the command, the others the answers.
const PAGES: usize = 8;
/// Domains that one question asks about.
const DOMAINS: usize = (PAGES - 1) * PAGE / size_of::<DomainInfo>();

/// The device, opened, with a buffer that the kernel never moves.
#[derive(Debug)]
pub struct Hypervisor {
    device: File,
    buffer: SharedMemory,
}

impl Hypervisor {
    /// Opens `/dev/xen/privcmd`, and `/dev/xen/hypercall` for the buffer.
    ///
    /// # Errors
    /// What `open` and `mmap` say: `NotFound` where there is no Xen.
    pub fn open() -> io::Result<Self> {
        let open = |path| OpenOptions::new().read(true).write(true).custom_flags(libc::O_CLOEXEC).open(path);
        let buffer = SharedMemory::map_at(open("/dev/xen/hypercall")?.as_fd(), PAGES * PAGE, 0)?;
        Ok(Self { device: open("/dev/xen/privcmd")?, buffer })
    }

    /// What Xen knows of the domains from number `first` on, in order; as many as fit into one question. No domain
    /// at all from there on is an empty list.
    ///
    /// # Errors
    /// What Xen says: `EACCES` (`PermissionDenied`) for a Xen that speaks another version of the interface.
    pub fn domains(&self, first: Domid) -> io::Result<Vec<DomainInfo>> {
        let answers = self.buffer.address() + PAGE as u64;
        let question = GetDomainInfoList {
            first_domain: first,
            max_domains: DOMAINS as u32,
            buffer: GuestHandle(answers),
            ..GetDomainInfoList::default()
        };
        // One number for every release that is known.
        let command = Sysctl::new(SysctlCommand::GetDomainInfoList, AbiVersion::V4_17, &question);
        self.buffer.store_bytes(0, zerocopy::IntoBytes::as_bytes(&command));
        // At most `DOMAINS` answers are written behind the command, into the buffer.
        self.call(Hypercall::Sysctl, [self.buffer.address(), 0])?;
        let command = self.buffer.load_bytes(0, size_of::<Sysctl>());
        let command = Sysctl::read_from_bytes(&command).expect("as long as the structure");
        let count = (command.payload::<GetDomainInfoList>().num_domains as usize).min(DOMAINS);
        let bytes = self.buffer.load_bytes(PAGE, count * size_of::<DomainInfo>());
        let whole = bytes.chunks_exact(size_of::<DomainInfo>());
        Ok(whole.map(|one| DomainInfo::read_from_bytes(one).expect("as long as the structure")).collect())
    }

    /// The other end of a port of this domain that is bound to another domain's; none for one that is not.
    ///
    /// # Errors
    /// What Xen says.
    pub fn other_end(&self, port: LocalPort) -> io::Result<Option<(Domid, u32)>> {
        let question = Status::of(Domid::SELF, Port(port.0));
        self.buffer.store_bytes(0, zerocopy::IntoBytes::as_bytes(&question));
        let command = EventChannelOp::Status.raw().into();
        self.call(Hypercall::EventChannelOp, [command, self.buffer.address()])?;
        let answer = self.buffer.load_bytes(0, size_of::<Status>());
        let answer = Status::read_from_bytes(&answer).expect("as long as the structure");
        Ok(match answer.state() {
            Some(PortState::Interdomain(domain, port)) => Some((domain, port.0)),
            _ => None,
        })
    }

    /// A hypercall whose pointers, if any, lead to the buffer, with enough of it behind them.
    fn call(&self, hypercall: Hypercall, [first, second]: [u64; 2]) -> io::Result<()> {
        let request = Request { operation: hypercall.raw(), arguments: [first, second, 0, 0, 0] };
        // SAFETY: the request takes this structure and only reads it. What Xen reads and writes lies in `buffer`, as both
        // callers in this file see to, and nothing refers to that but as atomics.
        let result = unsafe { libc::ioctl(self.device.as_raw_fd(), HYPERCALL as _, &raw const request) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
