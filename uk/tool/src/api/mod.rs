//! The management API on the network: a TCP port behind which `lib/api` speaks HTTP in an encrypted channel.
//!
//! ```text
//!   net uk === cable === network (frames) --- embassy-net (TCP) --- lib/api (channel, HTTP, roles) --- host --- desk --- toolstack
//! ```
//!
//! There are so many connections and no more, each with its own memory; a client that stalls, floods or sends rubbish costs its own,
//! and who has not shown a token makes room for whoever comes next. Nothing of all this outlives a life of the toolstack: clients
//! connect again. Who is told of events is the other way round: this program connects.

mod desk;
mod doors;
mod hooks;
mod host;
mod metrics;
mod network;
mod volumes;

pub use desk::{Ask, Desk, Reply};
pub use hooks::{Receivers, WORDS as HOOK_WORDS};

use crate::arguments::Listen;
use crate::consoles::Consoles;
use ::api::limits::CONNECTIONS;
use ::api::server::{Closed, End, Keys, Wire};
use ::hooks::MAX_HOOKS;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::AtomicU64;
use doors::Doors;
use embassy_net::tcp::TcpSocket;
use embassy_net::{Config, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use hooks::Hooks;
use host::Host;
use libos::futures::join::{join, join_array};
use libos::futures::select::{Either, select};
use libos::time::{Duration, Timer};
use libos::{Spawner, Uk, clock};
use network::Line;
use secure::{Secret, Seed};
use volumes::Volumes;

/// Bytes that come in before they are read, for each connection. What a client uploads waits for an acknowledgement after each so many,
/// which takes a millisecond or two under software emulation; half of the cable has room for them.
const RECEIVE_BYTES: usize = 16 * 1024;

/// Bytes that go out before they are acknowledged: a record.
const SEND_BYTES: usize = 4608;

/// After how long without an acknowledgement a client is gone.
const GONE: Duration = Duration::from_secs(15);

/// How long what was said last may take to arrive.
const FAREWELL: Duration = Duration::from_millis(500);

/// Between two connections that were not even accepted.
const PAUSE: Duration = Duration::from_millis(10);

/// Times that are looked at for a seed. Each is good for a bit or two.
const SAMPLES: usize = 64;

/// Serves the API for ever; ends at once if the description says nothing of it.
pub async fn run(
    spawner: Spawner,
    uk: &Uk,
    listen: Option<Listen>,
    (receivers, kept): (Receivers, &'static [AtomicU64]),
    secret: Option<[u8; 32]>,
    desk: &Desk,
    consoles: &Consoles,
) {
    let Some(listen) = listen else { return };
    let Some(secret) = secret else {
        return log::error!("the boot archive has no secret for this component: the API is not served");
    };
    let Some(line) = Line::find(uk, listen.cable) else {
        return log::error!(
            "nobody shares a cable {} with this program: the API is not served",
            listen.cable
        );
    };
    let keys = Keys::new(Secret::new(secret));
    let seeds = Seeds { keys: &keys, life: uk.info().incarnation, drawn: Cell::new(0) };
    let Some(hooks) = Hooks::new(receivers, kept, || seeds.number()) else {
        return log::error!(
            "the recovery box has no room for how far others were told: the API is not served"
        );
    };
    // It is there for as long as this life.
    let resources = Box::leak(Box::new(StackResources::<{ CONNECTIONS + MAX_HOOKS + 1 }>::new()));
    let config = Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(listen.address, listen.prefix),
        gateway: listen.gateway,
        dns_servers: Default::default(),
    });
    let (stack, runner) = embassy_net::new(line, config, resources, seeds.number());
    match move_frames(runner) {
        Ok(task) => spawner.spawn(task),
        Err(error) => panic!("the network's task cannot be spawned: {error:?}"),
    }
    log::info!("the API is at {}:{}", listen.address, listen.port);
    let doors = Doors::new();
    let volumes = Volumes::find(uk, listen.volumes);
    let connections = core::array::from_fn::<_, CONNECTIONS, _>(|connection| {
        let host = Host {
            desk,
            consoles,
            volumes: &volumes,
            doors: &doors,
            hooks: &hooks,
            connection,
            own: uk.domid(),
        };
        connect(stack, listen.port, host, &keys, &seeds)
    });
    join(join_array(connections), hooks.run(stack, desk, keys.secret())).await;
}

/// Moves frames and keeps TCP's times. It is a task of its own: whoever looks at a connection wakes it, and in one task with the
/// connections it would have them look again, without end.
#[libos::task(embassy_executor = libos::embassy_executor)]
async fn move_frames(mut runner: Runner<'static, Line>) {
    runner.run().await
}

/// Serves one connection after the other.
async fn connect(stack: Stack<'_>, port: u16, host: Host<'_>, keys: &Keys, seeds: &Seeds<'_>) {
    let (mut receive, mut send): (Vec<u8>, Vec<u8>) = (vec![0; RECEIVE_BYTES], vec![0; SEND_BYTES]);
    loop {
        let mut socket = TcpSocket::new(stack, &mut receive, &mut send);
        socket.set_timeout(Some(GONE));
        socket.set_nagle_enabled(false);
        if socket.accept(port).await.is_err() {
            Timer::after(PAUSE).await;
            continue;
        }
        host.doors.arrive(host.connection);
        let served = api::server::serve(Socket(&mut socket), &host, keys, seeds.next());
        let end = match select(served, host.doors.must_go(host.connection)).await {
            Either::First(end) => end,
            Either::Second(()) => End::Displaced,
        };
        socket.close();
        // Whoever broke the rules is not waited for.
        if end == End::Over {
            let _ = libos::time::with_timeout(FAREWELL, socket.flush()).await;
        }
        socket.abort();
        let _ = libos::time::with_timeout(FAREWELL, socket.flush()).await;
        host.doors.leave(host.connection);
    }
}

/// A connection's bytes.
struct Socket<'s, 'b>(&'s mut TcpSocket<'b>);

impl Wire for Socket<'_, '_> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Closed> {
        self.0.read(buffer).await.map_err(|_| Closed)
    }

    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Closed> {
        while !bytes.is_empty() {
            match self.0.write(bytes).await {
                Ok(0) | Err(_) => return Err(Closed),
                Ok(count) => bytes = &bytes[count..],
            }
        }
        Ok(())
    }
}

/// Seeds, each for one handshake.
struct Seeds<'k> {
    keys: &'k Keys,
    /// Which life of this program it is.
    life: u64,
    /// How many there were in it.
    drawn: Cell<u64>,
}

impl Seeds<'_> {
    /// The next. A stock virtual CPU has no instruction for chance: that nobody can guess the seed rests on the secret; that no two
    /// are the same on the count, the life and the time; and what chance there is in times goes into it besides.
    fn next(&self) -> Seed {
        self.drawn.set(self.drawn.get() + 1);
        let numbers = [self.life, self.drawn.get()].into_iter().chain((0..SAMPLES).map(|_| clock::now_ns()));
        let once: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
        Seed::of(self.keys.secret(), &once)
    }

    /// A number.
    fn number(&self) -> u64 {
        let mut bytes = [0; 8];
        self.next().fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}
