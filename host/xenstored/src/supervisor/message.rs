//! What a supervisor and its replicas say to each other: one message a packet, with open files attached to some.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// From the supervisor to a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// The first message: a file that the replica maps, in the order of [`crate::state`]. It comes with it.
    Memory,
    /// All memories have been given. The number is the seed of the store's hashes.
    Begin(u64),
    /// Follow this master.
    Follow(u8),
    /// Be the master. The clients' sockets follow as [`Order::Serve`].
    Lead {
        /// What the master before this one had written to all files when it died, if that is known.
        predecessor_wrote: Option<u64>,
        /// Whether no client of an earlier master can be there any more.
        fresh: bool,
        /// The replicas that live, one bit each.
        live: u8,
    },
    /// Serve a client; its socket comes with it.
    Serve(u32),
    /// All clients that there were when this replica became the master have been given.
    Served,
    /// A replica has started, or has died: these live, one bit each.
    Live(u8),
    /// Look into the memories: somebody has written something.
    Wake,
    /// Say that it is there.
    Ping,
    /// Open the trace file anew.
    Reopen,
    /// End in good order.
    Stop,
}

/// From a replica to its supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// Whether this replica has the whole state and follows: then it may become the master.
    Following(bool),
    /// This replica is the master, has settled what the last one left, and serves.
    Leading,
    /// It is there.
    Here,
    /// The client has gone, or was given up: its socket can be closed.
    Closed(u32),
    /// These should look into the memories, one bit each.
    Wake(u8),
    /// For the log.
    Report {
        /// Whether an operator should look at it.
        warning: bool,
        /// What happened.
        text: String,
    },
}

/// The longest message. A report that is longer is cut by who sends it.
pub const MESSAGE_MAX: usize = 2048;

/// One end of the way between a supervisor and a replica.
#[derive(Debug)]
pub struct Line {
    socket: OwnedFd,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way.
    Yes,
    /// There is no room now.
    Full,
    /// Nobody is at the other end any more.
    Gone,
}

/// What was there to be received.
#[derive(Debug)]
pub enum Received<T> {
    /// A message, and the file that came with it.
    Message(T, Option<OwnedFd>),
    /// Nothing now.
    Nothing,
    /// Nobody is at the other end any more.
    Gone,
}

impl Line {
    /// Two ends.
    ///
    /// # Errors
    /// What `socketpair` says.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC;
        let (here, there) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self { socket: here }, there))
    }

    /// The end that a process was started with.
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Sends a message, with a file if there is one, and never blocks.
    ///
    /// # Errors
    /// What `sendmsg` says, other than that there is no room or nobody at the other end.
    pub fn send<T: Serialize>(&self, message: &T, file: Option<BorrowedFd<'_>>) -> io::Result<Sent> {
        let bytes = postcard::to_stdvec(message).map_err(io::Error::other)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let files: Vec<BorrowedFd<'_>> = file.into_iter().collect();
        if !files.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(&files));
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match rustix::net::sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut ancillary, flags) {
            Ok(_) => Ok(Sent::Yes),
            Err(Errno::AGAIN | Errno::NOBUFS) => Ok(Sent::Full),
            Err(Errno::PIPE | Errno::CONNRESET) => Ok(Sent::Gone),
            Err(error) => Err(error.into()),
        }
    }

    /// Receives a message if there is one, and never blocks.
    ///
    /// # Errors
    /// What `recvmsg` says, and `InvalidData` for a message that is none: the other end is another program.
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<Received<T>> {
        let mut bytes = [0; MESSAGE_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let length = match rustix::net::recvmsg(&self.socket, &mut parts, &mut ancillary, flags) {
            Ok(received) if received.bytes == 0 => return Ok(Received::Gone),
            Ok(received) => received.bytes,
            Err(Errno::AGAIN) => return Ok(Received::Nothing),
            Err(Errno::CONNRESET) => return Ok(Received::Gone),
            Err(error) => return Err(error.into()),
        };
        let mut file = None;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(mut files) = message {
                file = files.next();
            }
        }
        let message = postcard::from_bytes(&bytes[..length])
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Received::Message(message, file))
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
