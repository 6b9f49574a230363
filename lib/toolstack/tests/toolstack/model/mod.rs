//! A host in which the toolstack can die at every effect that it has.
//!
//! An effect is a ring of a doorbell: what was asked of XenStore or of root is then done at once. A life that dies before it
//! has not asked; one that dies after it does not hear the answer.

mod backends;
mod kernels;
mod root;
mod store;

use broker::Client;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use ring::xenstore::Interface;
use root::Root;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use store::Store;
use toolstack::console::NotTyped;
use toolstack::layout::End;
use toolstack::{Broker, Command, Host, Phase, Toolstack, World};
use uk_abi::register::{self, Register, State};
use xen_abi::Domid;
use xenstore_session::{Doorbell, Session};

pub const OWN: Domid = Domid(4);
const STORE: Domid = Domid(1);
pub const NET: Domid = Domid(5);
pub const DISK: Domid = Domid(6);

/// The first number that a guest gets.
pub const FIRST_GUEST: u16 = 7;

/// The guest that starts with the host, and its VM.
pub const GUEST: &str = "web";

/// Another guest, which has no ramdisk.
pub const BARE: &str = "bare";

pub const CONFIG: &str = r#"
name = "web"
uuid = "5cea5da4-a1b2-4c3d-8e4f-0123456789ab"
kernel = "vmlinuz"
ramdisk = "initrd"
extra = "console=hvc0"
memory = 16
maxmem = 32
vcpus = 1
maxvcpus = 2
vif = ["mac=00:16:3e:01:02:03,bridge=br0,rate=80Mb/s", ""]
disk = ["/dev/vg/web,,xvda,rw", "/dev/vg/data,,xvdb,ro"]
"#;

/// When a life ends, counted in effects from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    Before(u64),
    After(u64),
}

/// How a life has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It died.
    Died,
    /// What it was to reach was reached, after so many effects.
    Reached(u64),
}

thread_local! {
    /// Slots of hosts that are off.
    static SPARE: RefCell<Vec<&'static [AtomicU64]>> = const { RefCell::new(Vec::new()) };
}

pub struct Machine {
    store: RefCell<Store>,
    root: RefCell<Root>,
    page: &'static ring::Page,
    slots: &'static [AtomicU64],
    register: &'static [AtomicU64],
    /// The kernel; empty if there is none.
    kernel: Vec<u8>,
    configs: BTreeMap<&'static str, String>,
    starts: Vec<&'static str>,
    ramdisk: Option<Vec<u8>>,
    now_us: Cell<u64>,
    /// The earliest time that somebody waits for.
    timer: Cell<u64>,
    effects: Cell<u64>,
    dies: Cell<Option<Death>>,
    is_dead: Cell<bool>,
    consoles: RefCell<Vec<Domid>>,
    /// What guests were given to read.
    pub typed: RefCell<Vec<String>>,
    /// Backends that do not let go of anything.
    pub stubborn_backends: Cell<bool>,
    /// Guests that do not do what they are asked for.
    pub stubborn_guests: Cell<bool>,
    /// Root does what it is asked for when the toolstack waits, and not at once.
    pub busy_root: Cell<bool>,
    /// What guests do, once, when they have run for a moment: this reason to stop.
    pub guests_stop: Cell<Option<u8>>,
}

impl Default for Machine {
    fn default() -> Self {
        let page: &'static ring::Page = Box::leak(Box::new([const { AtomicU32::new(0) }; 1024]));
        let words = |count: usize| -> &'static [AtomicU64] {
            (0..count).map(|_| AtomicU64::new(0)).collect::<Vec<_>>().leak()
        };
        Self {
            store: RefCell::new(Store::new(Interface::new(page), OWN)),
            root: RefCell::new(Root::new(4 * 16 * 256)),
            page,
            slots: SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| words(broker::layout::WORDS)),
            register: words(register::WORDS),
            kernel: kernel(),
            configs: [(GUEST, CONFIG.to_owned()), (BARE, CONFIG.replace("ramdisk = \"initrd\"", ""))].into(),
            starts: vec![GUEST],
            ramdisk: Some(vec![7; 5000]),
            now_us: Cell::new(1_000_000),
            timer: Cell::new(u64::MAX),
            effects: Cell::new(0),
            dies: Cell::new(None),
            is_dead: Cell::new(false),
            consoles: RefCell::default(),
            typed: RefCell::default(),
            stubborn_backends: Cell::new(false),
            stubborn_guests: Cell::new(false),
            busy_root: Cell::new(false),
            guests_stop: Cell::new(None),
        }
    }
}

impl Machine {
    /// A host whose guest has this configuration.
    pub fn with_config(config: &str) -> Self {
        Self { configs: [(GUEST, config.to_owned())].into(), ..Self::default() }
    }

    /// A host on which no guest starts by itself.
    pub fn without_guests() -> Self {
        Self { starts: Vec::new(), ..Self::default() }
    }

    /// A host whose guest is called so.
    pub fn with_guest(name: &'static str) -> Self {
        Self { configs: [(name, CONFIG.to_owned())].into(), starts: vec![name], ..Self::default() }
    }

    pub fn with_kernel(self, kernel: Vec<u8>) -> Self {
        Self { kernel, ..self }
    }

    pub fn with_ramdisk(self, ramdisk: Vec<u8>) -> Self {
        Self { ramdisk: Some(ramdisk), ..self }
    }

    pub fn without_ramdisk(self) -> Self {
        Self { ramdisk: None, ..self }
    }

    /// A host lives as long as the test.
    pub fn power_on(self) -> &'static Self {
        Box::leak(Box::new(self))
    }

    /// The end of the host; the largest part of its memory is another's then.
    pub fn power_off(&'static self) {
        self.slots.iter().for_each(|word| word.store(0, Relaxed));
        SPARE.with_borrow_mut(|spare| spare.push(self.slots));
    }

    /// One life of the toolstack. It does what `operator` wants, which is asked each time when there is nothing else to do, until
    /// `is_reached` says that there is no more to do.
    pub fn live(
        &'static self,
        death: Option<Death>,
        operator: impl Fn(&Toolstack<'_, Self>) -> Option<Command>,
        is_reached: impl Fn(&Toolstack<'_, Self>) -> bool,
    ) -> Ended {
        self.effects.set(0);
        self.dies.set(death);
        self.is_dead.set(false);
        self.consoles.borrow_mut().clear();
        let client = Client::open(self.slots).expect("there are enough words");
        let broker = Broker::new(client, RootBell(self));
        let register = Register::new(self.register).expect("there are enough words");
        let host = Host { own: OWN, store: STORE, net: Some(NET), disk: Some(DISK) };
        let life = async {
            let interface = Interface::new(self.page);
            let session = Session::connect(interface, StoreBell(self), core::future::pending).await;
            let mut tool =
                Toolstack::start(self, host, session, &broker, register).await.expect("XenStore works");
            loop {
                tool.turn().await.expect("XenStore works");
                if is_reached(&tool) {
                    break;
                }
                match operator(&tool) {
                    Some(command) => tool.operate(command, 1).await.expect("XenStore works"),
                    None => tool.wait().await.expect("XenStore works"),
                }
            }
        };
        let mut life = pin!(life);
        let mut context = Context::from_waker(Waker::noop());
        let mut idle = 0;
        while idle < 1000 {
            if life.as_mut().poll(&mut context).is_ready() {
                return Ended::Reached(self.effects.get());
            }
            if self.is_dead.get() {
                return Ended::Died;
            }
            idle += 1;
            if !self.go_on() {
                // Nobody does anything: time passes.
                self.now_us.set(self.timer.replace(u64::MAX).min(self.now_us.get() + 1_000_000));
            }
        }
        panic!("it comes to nothing:\n{}", self.dump());
    }

    /// One life in which the operator wants this, and which ends when it is done.
    pub fn live_once(&'static self, command: Command) {
        let command = Cell::new(Some(command));
        let was_asked = Cell::new(false);
        let operator = |_: &Toolstack<'_, Self>| {
            was_asked.set(true);
            command.take()
        };
        self.live(None, operator, |_| was_asked.get());
    }

    /// Lets guests and backends do something. Answers whether anybody has.
    fn go_on(&self) -> bool {
        let (mut store, mut root) = (self.store.borrow_mut(), self.root.borrow_mut());
        let mut active = backends::go_on(&mut store, self.stubborn_backends.get());
        let register = Register::new(self.register).expect("there are enough words");
        if self.busy_root.get() {
            active |= root.serve(self.slots, &register, &self.consoles.borrow());
        }
        let mut stopped = false;
        for domain in root.running() {
            let domid = domain.domid;
            let path = format!("/local/domain/{}/control/shutdown", domid.0);
            let asked = match store.read(&path).as_deref() {
                Some("poweroff") => Some(0),
                Some("reboot") => Some(1),
                _ => None,
            };
            let asked = asked.filter(|_| !self.stubborn_guests.get());
            if let Some(reason) = asked.or(self.guests_stop.take()) {
                if asked.is_some() {
                    store.write(&path, "");
                }
                domain.stopped = Some(reason);
                register.became(domid.0, State::ShutDown { reason });
                stopped = true;
            }
        }
        if stopped {
            root.rings.set(true);
        }
        active | stopped
    }

    /// An effect: done, or the end of this life.
    fn effect(&self, effect: impl FnOnce()) {
        if self.is_dead.get() {
            return;
        }
        let number = self.effects.get();
        self.effects.set(number + 1);
        if self.dies.get() == Some(Death::Before(number)) {
            return self.is_dead.set(true);
        }
        effect();
        if self.dies.get() == Some(Death::After(number)) {
            self.is_dead.set(true);
        }
    }

    /// Time passes in which nothing happens.
    pub fn pass_time(&self, microseconds: u64) {
        self.now_us.set(self.now_us.get() + microseconds);
    }

    pub fn root(&self) -> std::cell::Ref<'_, Root> {
        self.root.borrow()
    }

    pub fn root_mut(&self) -> std::cell::RefMut<'_, Root> {
        self.root.borrow_mut()
    }

    /// All nodes, with their permissions, in order.
    pub fn nodes(&self) -> Vec<String> {
        self.store.borrow_mut().dump()
    }

    pub fn read(&self, path: &str) -> Option<String> {
        self.store.borrow_mut().read(path)
    }

    /// Everything that there is, for comparison: domains, memory, nodes, consoles.
    pub fn dump(&self) -> String {
        let consoles = self.consoles.borrow();
        let nodes = self.nodes();
        let nodes: Vec<_> = nodes.iter().filter(|node| !has_time(node)).cloned().collect();
        format!("{}consoles {consoles:?}\n{}\n", self.root(), nodes.join("\n"))
    }
}

/// Whether a node says when a VM was started, which is another time in each run.
pub fn has_time(node: &str) -> bool {
    node.contains("/start_time") || node.contains("/crashes")
}

/// A kernel for PV guests.
pub fn kernel() -> Vec<u8> {
    kernels::linux()
}

/// The one VM is in this phase, and nothing else is going on.
pub fn is(phase: Phase) -> impl Fn(&Toolstack<'_, Machine>) -> bool {
    move |tool| tool.list().map(|(_, phase, _)| phase).eq([phase])
}

pub fn nobody(tool: &Toolstack<'_, Machine>) -> bool {
    tool.list().next().is_none()
}

pub fn no_operator(_: &Toolstack<'_, Machine>) -> Option<Command> {
    None
}

pub fn command(text: &str) -> Command {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub struct StoreBell(&'static Machine);

impl Doorbell for StoreBell {
    fn ring(&self) {
        self.0.effect(|| self.0.store.borrow_mut().turn());
    }

    fn wait(&self) -> impl Future<Output = ()> {
        poll_fn(|_| match !self.0.is_dead.get() && self.0.store.borrow_mut().take_news() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
    }
}

pub struct RootBell(&'static Machine);

impl Doorbell for RootBell {
    fn ring(&self) {
        let register = Register::new(self.0.register).expect("there are enough words");
        self.0.effect(|| {
            if !self.0.busy_root.get() {
                self.0.root.borrow_mut().serve(self.0.slots, &register, &self.0.consoles.borrow());
            }
        });
    }

    fn wait(&self) -> impl Future<Output = ()> {
        poll_fn(|_| match !self.0.is_dead.get() && self.0.root.borrow().rings.take() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
    }
}

impl World for Machine {
    type StoreBell = StoreBell;
    type RootBell = RootBell;
    type Words = &'static [AtomicU64];

    fn now_us(&self) -> u64 {
        self.now_us.get()
    }

    fn wait_until(&self, at_us: u64) -> impl Future<Output = ()> {
        poll_fn(move |_| {
            if self.now_us.get() >= at_us {
                return Poll::Ready(());
            }
            self.timer.set(self.timer.get().min(at_us));
            Poll::Pending
        })
    }

    fn guests(&self) -> impl Iterator<Item = &str> {
        self.starts.iter().copied()
    }

    fn config(&self, guest: &str) -> Option<String> {
        self.configs.get(guest).cloned()
    }

    fn kernel(&self, _guest: &str) -> Option<&[u8]> {
        Some(&self.kernel).filter(|kernel| !kernel.is_empty()).map(Vec::as_slice)
    }

    fn ramdisk(&self, guest: &str) -> Option<&[u8]> {
        self.ramdisk.as_deref().filter(|_| guest != BARE)
    }

    fn place(&self, _bytes: &[u8]) -> Option<u64> {
        None
    }

    fn open_console(&self, domid: Domid, _console: End) {
        let mut consoles = self.consoles.borrow_mut();
        consoles.retain(|open| *open != domid);
        consoles.push(domid);
    }

    fn recall_console(&self, domid: Domid) -> bool {
        self.consoles.borrow().contains(&domid)
    }

    fn type_into(&self, domid: Domid, _number: u64, line: &str) -> Result<(), NotTyped> {
        if !self.consoles.borrow().contains(&domid) {
            return Err(NotTyped::Closed);
        }
        self.typed.borrow_mut().push(line.to_owned());
        Ok(())
    }

    fn close_console(&self, domid: Domid) {
        self.consoles.borrow_mut().retain(|open| *open != domid);
    }
}
