//! Which interfaces there are, and how far both ends of each are: what XenStore says, and what it is told.
//!
//! The backend's directory is `backend/vif/DOMID/HANDLE` in this domain's home; the toolstack makes it. A life that
//! follows another one has served its guests again before it gets here, and finds what it has missed.

use crate::keeper::Interface;
use crate::service::{FIRST_GUEST, LAST_PORT, Service};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use libos::channel::Channel;
use libos::futures::select::{Either, select};
use libos::store::{self, Error, Session, Transaction};
use libos::sync::blocking_mutex::raw::CriticalSectionRawMutex;
use libos::sync::signal::Signal;
use libos::xen_abi::Domid;
use libos::{Uk, clock};
use network::netback::{DeviceKeys, FrontendKeys, OFFERS};
use network::switch::BridgeName;
use xenbus::{Action, Backend, Seen, XenbusState};

/// Guests have been connected or disconnected: there may be work.
pub static CHANGED: Signal<CriticalSectionRawMutex, ()> = Signal::new();

/// Guests have been disconnected for what they did: XenStore is to be told.
pub static GONE: Signal<CriticalSectionRawMutex, ()> = Signal::new();

/// Where interfaces are, in this domain's home.
const BACKENDS: &str = "backend/vif";

/// The token of the watch on this directory. Those of the watches on frontends are `DOMID/HANDLE`.
const OWN: &str = "backends";

/// An interface, and where it stands.
struct Known {
    domid: Domid,
    handle: u32,
    /// The frontend's directory.
    frontend: String,
    backend: Backend,
}

impl Known {
    /// The backend's directory.
    fn directory(&self) -> String {
        directory(self.domid, self.handle)
    }

    /// The token of the watch on the frontend.
    fn token(&self) -> String {
        format!("{}/{}", self.domid.0, self.handle)
    }

    /// The node whose changes the frontend announces itself by.
    fn watched(&self) -> String {
        format!("{}/state", self.frontend)
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interface {} of {}", self.handle, self.domid)
    }
}

fn directory(domid: Domid, handle: u32) -> String {
    format!("{BACKENDS}/{}/{handle}", domid.0)
}

/// Serves XenStore's side of every interface, for ever.
///
/// # Panics
/// If the connection to XenStore is lost, or there is no memory for it: the next life begins anew.
pub async fn run(uk: &Uk, service: &RefCell<Service>, memory: &str, bridge: BridgeName) {
    let Some(session) = store::connect(uk, memory).await else { panic!("no XenStore shares {memory}") };
    let mut interfaces = Interfaces { session, service, bridge, known: Vec::new() };
    if let Err(error) = interfaces.serve().await {
        panic!("{error}");
    }
}

struct Interfaces<'a> {
    session: Session<'static, Channel>,
    service: &'a RefCell<Service>,
    /// The bridge of interfaces that name none.
    bridge: BridgeName,
    known: Vec<Known>,
}

/// What a request that was refused has come to: nothing, and that is noted. All other errors are the connection's.
fn refused<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error @ Error::Refused { .. }) => {
            log::warn!("XenStore: {error}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl Interfaces<'_> {
    async fn serve(&mut self) -> Result<(), Error> {
        self.session.watch(BACKENDS, OWN).await?;
        log::info!("XenStore serves this program");
        loop {
            match select(self.session.event(), GONE.wait()).await {
                Either::First(event) => {
                    let event = event?;
                    match interface_of(&event.path, &event.token) {
                        Some((domid, handle)) => self.look(domid, handle).await?,
                        None => self.scan().await?,
                    }
                }
                Either::Second(()) => self.disown().await?,
            }
        }
    }

    /// Looks for interfaces that have come, and at those that may have gone.
    async fn scan(&mut self) -> Result<(), Error> {
        let mut found: Vec<(Domid, u32)> =
            self.known.iter().map(|known| (known.domid, known.handle)).collect();
        for domid in self.children(BACKENDS).await? {
            for handle in self.children(&format!("{BACKENDS}/{domid}")).await? {
                if let (Ok(domid), Ok(handle)) = (domid.parse(), handle.parse()) {
                    found.push((Domid(domid), handle));
                }
            }
        }
        // What an earlier life has served, and is no more.
        let served = self.service.borrow().served();
        found.extend(served);
        found.sort_unstable();
        found.dedup();
        for (domid, handle) in found {
            self.look(domid, handle).await?;
        }
        Ok(())
    }

    async fn children(&mut self, path: &str) -> Result<Vec<String>, Error> {
        match self.session.directory(Transaction::NONE, path).await {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            names => Ok(refused(names)?.unwrap_or_default()),
        }
    }

    /// The text of a node; none if there is no such node, or it is no text.
    async fn text(&mut self, path: &str) -> Result<Option<String>, Error> {
        let value = refused(self.session.find(Transaction::NONE, path).await)?.flatten();
        Ok(value.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    async fn state(&mut self, path: &str) -> Result<XenbusState, Error> {
        let text = self.text(path).await?;
        let number = text.and_then(|text| text.trim().parse::<u32>().ok());
        Ok(number.and_then(XenbusState::from_raw).unwrap_or(XenbusState::Unknown))
    }

    /// Looks at one interface, and does what there is to do.
    async fn look(&mut self, domid: Domid, handle: u32) -> Result<(), Error> {
        let base = directory(domid, handle);
        let frontend = self.text(&format!("{base}/frontend")).await?;
        let place = self.known.iter().position(|known| (known.domid, known.handle) == (domid, handle));
        let Some(frontend) = frontend else {
            return self.forget(domid, handle, place).await;
        };
        let place = match place {
            Some(place) => place,
            None => self.meet(domid, handle, frontend).await?,
        };
        let online = self.text(&format!("{base}/online")).await?;
        self.see(place, Seen::Online(online.as_deref() != Some("0"))).await?;
        // It may have been removed just now.
        if let Some(watched) =
            self.known.get(place).filter(|known| known.is(domid, handle)).map(Known::watched)
        {
            let state = self.state(&watched).await?;
            self.see(place, Seen::Frontend(state)).await?;
        }
        Ok(())
    }

    /// An interface that was not known. Answers its place.
    async fn meet(&mut self, domid: Domid, handle: u32, frontend: String) -> Result<usize, Error> {
        let state = self.state(&format!("{}/state", directory(domid, handle))).await?;
        let (backend, action) = match state {
            XenbusState::Unknown | XenbusState::Initialising => {
                let (backend, action) = Backend::new();
                (backend, Some(action))
            }
            state => Backend::reborn(state),
        };
        let known = Known { domid, handle, frontend, backend };
        let (watched, token) = (known.watched(), known.token());
        self.known.push(known);
        refused(self.session.watch(&watched, &token).await)?;
        let place = self.known.len() - 1;
        self.act(place, action).await?;
        Ok(place)
    }

    /// An interface is gone from XenStore.
    async fn forget(&mut self, domid: Domid, handle: u32, place: Option<usize>) -> Result<(), Error> {
        self.disconnect(domid, handle);
        if let Some(place) = place {
            let known = self.known.swap_remove(place);
            log::info!("{known} is gone");
            // The frontend's directory may be gone, and the watch with it.
            let _ = self.session.unwatch(&known.watched(), &known.token()).await;
        }
        Ok(())
    }

    fn disconnect(&self, domid: Domid, handle: u32) {
        let mut service = self.service.borrow_mut();
        if let Some(vif) = service.find(domid, handle) {
            service.disconnect(vif);
            CHANGED.signal(());
        }
    }

    /// Tells XenStore of guests that were disconnected for what they did.
    async fn disown(&mut self) -> Result<(), Error> {
        let gone = core::mem::take(&mut self.service.borrow_mut().gone);
        for (domid, handle) in gone {
            if let Some(place) = self.known.iter().position(|known| known.is(domid, handle)) {
                self.see(place, Seen::Broken).await?;
            }
        }
        Ok(())
    }

    async fn see(&mut self, place: usize, seen: Seen) -> Result<(), Error> {
        let action = self.known.get_mut(place).and_then(|known| known.backend.see(seen));
        self.act(place, action).await
    }

    /// Does what is to be done, and what follows from that.
    async fn act(&mut self, place: usize, mut action: Option<Action>) -> Result<(), Error> {
        while let Some(now) = action {
            let Some(known) = self.known.get(place) else { return Ok(()) };
            let (base, domid, handle) = (known.directory(), known.domid, known.handle);
            let seen = match now {
                Action::Offer => {
                    for (key, value) in OFFERS.into_iter().chain([("hotplug-status", "connected")]) {
                        self.write(&base, key, value).await?;
                    }
                    self.write_state(place).await?;
                    Some(Seen::Offered)
                }
                Action::Connect | Action::Resume => {
                    let connected = self.connect(place, now == Action::Resume).await?;
                    if connected && now == Action::Connect {
                        self.write_state(place).await?;
                    }
                    Some(if connected { Seen::Connected } else { Seen::Broken })
                }
                Action::Disconnect => {
                    self.disconnect(domid, handle);
                    self.write_state(place).await?;
                    Some(Seen::Drained)
                }
                Action::Finish => {
                    self.write_state(place).await?;
                    None
                }
                Action::Remove => {
                    refused(self.session.remove(Transaction::NONE, &base).await)?;
                    return self.forget(domid, handle, Some(place)).await;
                }
            };
            action = match (seen, self.known.get_mut(place)) {
                (Some(seen), Some(known)) => known.backend.see(seen),
                _ => None,
            };
        }
        Ok(())
    }

    async fn write(&mut self, base: &str, key: &str, value: &str) -> Result<(), Error> {
        let path = format!("{base}/{key}");
        refused(self.session.write(Transaction::NONE, &path, value.as_bytes()).await).map(|_| ())
    }

    async fn write_state(&mut self, place: usize) -> Result<(), Error> {
        let Some(known) = self.known.get(place) else { return Ok(()) };
        let (base, state) = (known.directory(), known.backend.state());
        self.write(&base, "state", &format!("{}", state.raw())).await
    }

    /// Connects an interface, or goes on with one that an earlier life has served. Whether it is connected.
    async fn connect(&mut self, place: usize, is_old: bool) -> Result<bool, Error> {
        let Some(known) = self.known.get(place) else { return Ok(false) };
        let (domid, handle) = (known.domid, known.handle);
        let (name, base, frontend) = (format!("{known}"), known.directory(), known.frontend.clone());
        if self.service.borrow().find(domid, handle).is_some() {
            return Ok(true);
        }
        let own = self.table(&base).await?;
        let keys = DeviceKeys::read(|key| value(&own, key));
        let theirs = self.table(&frontend).await?;
        let frontend = FrontendKeys::read(|key| value(&theirs, key));
        let (keys, frontend) = match (keys, frontend) {
            (Ok(keys), Ok(frontend)) => (keys, frontend),
            (Err(error), _) | (_, Err(error)) => {
                log::warn!("{name}: {error}");
                return Ok(false);
            }
        };
        let mut service = self.service.borrow_mut();
        let Some(vif) = (FIRST_GUEST..LAST_PORT).find(|vif| service.guests[*vif].is_none()) else {
            log::warn!("{name}: the bridge has no port for it");
            return Ok(false);
        };
        let interface = Interface::new(domid, handle, &keys, &self.bridge);
        let queues = frontend.queues.len();
        let bridge = interface.bridge.clone();
        match service.connect(vif, interface, frontend, is_old, clock::now_us()) {
            Ok(()) => {
                log::info!("{name}: connected, {queues} queues, {} on {bridge}", keys.mac);
                CHANGED.signal(());
                Ok(true)
            }
            Err(error) => {
                log::warn!("{name}: {error}");
                Ok(false)
            }
        }
    }

    /// The nodes of a directory and of the directories in it, with their texts.
    async fn table(&mut self, directory: &str) -> Result<Vec<(String, String)>, Error> {
        let mut table = Vec::new();
        let mut names = self.children(directory).await?;
        while let Some(name) = names.pop() {
            let path = format!("{directory}/{name}");
            if name.starts_with("queue-") && !name.contains('/') {
                let inner = self.children(&path).await?;
                names.extend(inner.into_iter().map(|inner| format!("{name}/{inner}")));
            } else if let Some(text) = self.text(&path).await? {
                table.push((name, text));
            }
        }
        Ok(table)
    }
}

impl Known {
    fn is(&self, domid: Domid, handle: u32) -> bool {
        (self.domid, self.handle) == (domid, handle)
    }
}

fn value<'t>(table: &'t [(String, String)], key: &str) -> Option<&'t str> {
    table.iter().find(|(name, _)| name == key).map(|(_, text)| text.as_str())
}

/// Which interface an event is about, if it is about one.
fn interface_of(path: &str, token: &str) -> Option<(Domid, u32)> {
    let name = match token {
        OWN => path.strip_prefix(BACKENDS)?.strip_prefix('/')?,
        token => token,
    };
    let mut parts = name.split('/');
    Some((Domid(parts.next()?.parse().ok()?), parts.next()?.parse().ok()?))
}
