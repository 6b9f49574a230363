//! The toolstack unikernel: it builds guests, starts and stops them, and shows what they write to their consoles. It holds no
//! privilege: what it wants done, it asks of root.
//!
//! ```text
//!   XenStore --- journal, nodes, devices --+
//!   root ------- broker, register ---------+-- [ toolstack ] -- the life of each VM
//!   archive ---- files: kernels, ... ------+
//!
//!   guests' rings --- consoles --- root's console, line by line
//!   network -------- api ----------+-- what operators ask for, and who is told of events
//! ```
//!
//! What is in brackets is `lib/toolstack`. Arguments are words:
//!
//! | word | meaning |
//! |---|---|
//! | `store=MEMORY` | the memory of the ring to XenStore; `store.tool` if nothing is said |
//! | `net=COMPONENT` | who serves network interfaces; guests have none if nothing is said |
//! | `disk=COMPONENT` | who serves disks; guests have none if nothing is said |
//! | `volumes=MEMORY` | the memory over which the disks' unikernel has volumes listed, read and written, if it is shared; `volumes` if nothing is said |
//! | `ip=ADDRESS/PREFIX` | where the management API is served; nowhere if nothing is said |
//! | `gw=ADDRESS` | who leads from there to other networks |
//! | `port=NUMBER` | the API's TCP port; 7800 if nothing is said |
//! | `cable=MEMORY` | the memory of the cable to `net`; `cable` if nothing is said |
//! | `hook=http://ADDRESS:PORT/PATH` | who is told when local repair is not enough; up to four such words |
//! | `name=NAME` | the host's name for those; its address if nothing is said |
//!
//! The operator's commands (`toolstack::command`) come over root's console: `tell tool create web`.

#![no_std]
#![no_main]

extern crate alloc;

mod api;
mod arguments;
mod consoles;
mod files;
mod host;

use crate::api::{Ask, Desk, HOOK_WORDS, Reply};
use crate::arguments::Arguments;
use crate::consoles::Consoles;
use crate::files::Files;
use crate::host::ThisHost;
use ::broker::Client;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::AtomicU64;
use libos::event::Event;
use libos::futures::join::join4;
use libos::futures::select::{Either, select};
use libos::time::{Duration, Timer};
use libos::uk_abi::fault::Fault;
use libos::{Spawner, Uk, fault, store};
use toolstack::command::Order;
use toolstack::{Broker, Command, Host, Refused, Toolstack};

/// The way to root.
type RootBroker = Broker<&'static [AtomicU64], Event>;

/// From where on what the API asks for is numbered. Root's numbers have the count of its lines in their upper half, and do not come so
/// far.
const API_NUMBERS: u64 = 1 << 63;

/// How long an answer has to be sent before what is asked for may end this life.
const UNTIL_HEARD: Duration = Duration::from_millis(100);

libos::main!(main);

async fn main(spawner: Spawner, uk: Uk) {
    // Before anything is logged: consoles tell by the log how far the last life has come.
    let words = uk.recovery_words();
    let (for_consoles, for_hooks) = words.split_at(words.len().saturating_sub(HOOK_WORDS));
    let consoles = Consoles::find(&uk, for_consoles);
    log::info!("{}", uk.info());
    let arguments = Arguments::parse(uk.info().args());
    let files = match Files::read(&uk).await {
        Ok(files) => files,
        Err(error) => panic!("{error}"),
    };
    let world = ThisHost { files, consoles, steps_left: Cell::new(None) };
    let desk = Desk::new();
    let hooks = (arguments.receivers.clone(), for_hooks);
    let api = api::run(spawner, &uk, arguments.listen, hooks, world.files.secret(), &desk, &world.consoles);
    let control = control(&uk, &arguments, &world, &desk);
    join4(control, world.consoles.run(), faults(&world), api).await;
}

/// Has this life end at the step that somebody wants it to end at.
async fn faults(world: &ThisHost) {
    loop {
        match fault::for_program().await {
            (Fault::StepCrash, steps) => {
                world.steps_left.set(Some(steps));
                log::info!("{steps} beginnings and ends of steps are left");
            }
            (fault, _) => log::error!("a toolstack cannot have the fault {fault}"),
        }
    }
}

/// Drives the VMs for ever. An error of XenStore ends this life; the next goes on from the journal.
async fn control(uk: &Uk, arguments: &Arguments, world: &ThisHost, desk: &Desk) {
    let Some(session) = store::connect(uk, arguments.store).await else {
        panic!("nobody shares {}", arguments.store)
    };
    let (Some(words), Some(register)) = (uk.broker(), uk.register()) else {
        panic!("it needs the capability \"guests\"")
    };
    let doorbell = match uk.doorbell() {
        Ok(doorbell) => doorbell,
        Err(error) => panic!("{error}"),
    };
    let Some(client) = Client::open(words) else { panic!("the broker's memory is too small") };
    let broker = Broker::new(client, doorbell);
    let server = uk.shared(arguments.store).and_then(|memory| memory.others().next());
    let host = Host {
        own: uk.domid(),
        store: server.unwrap_or(uk.domid()),
        net: world.files.component(arguments.net),
        disk: world.files.component(arguments.disk),
    };
    let toolstack = Toolstack::start(world, host, session, &broker, register).await;
    world.consoles.drop_leftovers();
    let mut toolstack = done(toolstack);
    log::info!("the toolstack is up, with {} VMs", toolstack.list().count());
    // No two lives of this program have the same numbers.
    let mut number = API_NUMBERS | uk.info().incarnation << 32;
    loop {
        done(toolstack.turn().await);
        while let Some((number, line)) = uk.told() {
            let command = line.parse::<Command>();
            // Most commands mean something else when they are given a second time. A line for a guest is known by its number.
            let is_typed = matches!(&command, Ok(Command::On { order: Order::Type(_), .. }));
            if !is_typed {
                uk.take_told(number);
            }
            match command {
                Ok(command) => done(toolstack.operate(command, number).await),
                Err(error) => log::error!("refused: {error}"),
            }
            if is_typed {
                uk.take_told(number);
            }
        }
        match select(toolstack.wait(), desk.next()).await {
            Either::First(waited) => done(waited),
            Either::Second((connection, ask)) => {
                number += 1;
                // What may end this life is done when whoever has asked knows of it.
                if let Ask::After(request) = ask {
                    desk.reply(connection, Reply::Done);
                    Timer::after(UNTIL_HEARD).await;
                    if let Err(refusal) = broker.ask(&request).await {
                        log::error!("{}: {refusal}", request.name());
                    }
                    continue;
                }
                let reply = carry_out(&mut toolstack, &broker, ask, number).await;
                desk.reply(connection, done(reply));
            }
        }
    }
}

/// Does what somebody asks for at the API's desk. What is asked for has a number of its own.
async fn carry_out(
    toolstack: &mut Toolstack<'_, ThisHost>,
    broker: &RootBroker,
    ask: Ask,
    number: u64,
) -> Result<Reply, store::Error> {
    let done = match ask {
        Ask::List => {
            let mut vms = Vec::new();
            for index in 0..toolstack.count() {
                vms.extend(toolstack.inform(index).await);
            }
            Ok(Reply::Vms(vms))
        }
        Ask::Vm(name) => vm(toolstack, name).await,
        Ask::Vcpus(name) => match toolstack.index_of(&name) {
            Some(index) => Ok(Reply::Vcpus(toolstack.vcpus(index).await)),
            None => Err(Refused::NoVm(name)),
        },
        Ask::Devices(name) => match toolstack.index_of(&name) {
            Some(index) => toolstack.devices(index).await.map(Reply::Devices).map_err(Refused::Store),
            None => Err(Refused::NoVm(name)),
        },
        Ask::Create(config) => match toolstack.create_from(&config).await {
            Ok(name) => vm(toolstack, name).await,
            Err(refused) => Err(refused),
        },
        Ask::Do(command) => toolstack.carry_out(command, number).await.map(|()| Reply::Done),
        Ask::Root(request) | Ask::After(request) => Ok(Reply::Root(broker.ask(&request).await)),
    };
    match done {
        Err(Refused::Store(error)) => Err(error),
        Err(refused) => Ok(Reply::Refused(refused)),
        Ok(reply) => Ok(reply),
    }
}

/// What there is to say of a VM.
async fn vm(toolstack: &Toolstack<'_, ThisHost>, name: String) -> Result<Reply, Refused> {
    let index = toolstack.index_of(&name);
    let info = match index {
        Some(index) => toolstack.inform(index).await,
        None => None,
    };
    info.map(|info| Reply::Vms(vec![info])).ok_or(Refused::NoVm(name))
}

fn done<T>(result: Result<T, store::Error>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}
