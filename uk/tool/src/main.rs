//! The toolstack unikernel: it builds guests, starts and stops them, and shows what they write to their consoles. It holds no
//! privilege: what it wants done, it asks of root.
//!
//! ```text
//!   XenStore --- journal, nodes, devices --+
//!   root ------- broker, register ---------+-- [ toolstack ] -- the life of each VM
//!   archive ---- files: kernels, ... ------+
//!
//!   guests' rings --- consoles --- root's console, line by line
//! ```
//!
//! What is in brackets is `lib/toolstack`. Arguments are words:
//!
//! | word | meaning |
//! |---|---|
//! | `store=MEMORY` | the memory of the ring to XenStore; `store.tool` if nothing is said |
//! | `net=COMPONENT` | who serves network interfaces; guests have none if nothing is said |
//! | `disk=COMPONENT` | who serves disks; guests have none if nothing is said |
//!
//! The operator's commands (`toolstack::command`) come over root's console: `tell tool create web`.

#![no_std]
#![no_main]

extern crate alloc;

mod arguments;
mod consoles;
mod files;
mod host;

use crate::arguments::Arguments;
use crate::consoles::Consoles;
use crate::files::Files;
use crate::host::ThisHost;
use broker::Client;
use core::cell::Cell;
use libos::futures::join::join3;
use libos::uk_abi::fault::Fault;
use libos::{Spawner, Uk, fault, store};
use toolstack::command::Order;
use toolstack::{Broker, Command, Host, Toolstack};

libos::main!(main);

async fn main(_spawner: Spawner, uk: Uk) {
    // Before anything is logged: consoles tell by the log how far the last life has come.
    let consoles = Consoles::find(&uk);
    log::info!("{}", uk.info());
    let arguments = Arguments::parse(uk.info().args());
    let files = match Files::read(&uk).await {
        Ok(files) => files,
        Err(error) => panic!("{error}"),
    };
    let world = ThisHost { files, consoles, steps_left: Cell::new(None) };
    join3(control(&uk, &arguments, &world), world.consoles.run(), faults(&world)).await;
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
async fn control(uk: &Uk, arguments: &Arguments, world: &ThisHost) {
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
        done(toolstack.wait().await);
    }
}

fn done<T>(result: Result<T, store::Error>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}
