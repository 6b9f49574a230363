//! One virtual disk of a guest, as XenStore has it.

use crate::records::Connection;
use crate::service::{OFFER, Service};
use crate::volumes::Volumes;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use blkback::VbdId;
use blkback::geometry::Geometry;
use blkback::keys::{self, Link, Node};
use core::cell::RefCell;
use core::fmt::Display;
use libos::channel::Channel;
use libos::store::{self, Error, Outcome, Transaction};
use volume::{Extent, Holder, Layout};
use xenbus::{Action, Backend, Seen, XenbusState};

/// The session with XenStore.
pub type Session = store::Session<'static, Channel>;

/// What `state` says; [`XenbusState::Unknown`] if there is no such node.
pub fn state(value: Option<Vec<u8>>) -> XenbusState {
    let number = value.and_then(|value| core::str::from_utf8(&value).ok()?.parse().ok());
    number.and_then(XenbusState::from_raw).unwrap_or(XenbusState::Unknown)
}

/// The value of a node, if there is one and it is text.
pub async fn text(session: &mut Session, path: &str) -> Result<Option<String>, Error> {
    let value = session.find(Transaction::NONE, path).await?;
    Ok(value.and_then(|value| String::from_utf8(value).ok()))
}

/// The volume of a device.
#[derive(Clone, Copy, Debug)]
struct Volume {
    extent: Extent,
    reads: bool,
    geometry: Geometry,
}

/// A virtual disk.
pub struct Device {
    pub holder: Holder,
    /// Its directory, below the uk's home.
    path: String,
    /// The frontend's directory.
    pub frontend: String,
    machine: Backend,
    volume: Option<Volume>,
    /// The backend's number for it, while it is connected.
    pub id: Option<VbdId>,
    /// It is to be forgotten.
    pub is_gone: bool,
}

/// The directory of a device, below the uk's home.
pub fn path_of(holder: Holder) -> String {
    format!("backend/vbd/{}/{}", holder.domid, holder.device)
}

impl Device {
    /// A device that XenStore has and this life does not know yet. None if its directory is not complete.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn find(
        session: &mut Session,
        holder: Holder,
        id: Option<VbdId>,
    ) -> Result<Option<Self>, Error> {
        let path = path_of(holder);
        let Some(frontend) = text(session, &format!("{path}/frontend")).await? else { return Ok(None) };
        let (machine, _) = Backend::new();
        Ok(Some(Self { holder, path, frontend, machine, volume: None, id, is_gone: false }))
    }

    /// The token of the watch on the frontend's state.
    pub fn token(&self) -> String {
        format!("{}/{}", self.holder.domid, self.holder.device)
    }

    /// Opens its volume and does the first thing that there is to do. Returns whether it could be opened; if not, its directory
    /// says why.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn begin(
        &mut self,
        session: &mut Session,
        service: &RefCell<Service>,
        volumes: &Volumes,
    ) -> Result<bool, Error> {
        let known = self.id.and_then(|id| {
            let service = service.borrow();
            service.connections().find(|(other, _)| *other == id).map(|(_, c)| (c.extent, c.reads))
        });
        let params = text(session, &format!("{}/params", self.path)).await?.unwrap_or_default();
        let mode = text(session, &format!("{}/mode", self.path)).await?;
        let wanted = match known {
            Some(known) => Ok(known),
            None => {
                let found = open(&params, mode.as_deref(), volumes);
                found.map(|(extent, reads)| (service.borrow().now(&extent), reads))
            }
        };
        let claimed = wanted.and_then(|(extent, reads)| {
            volumes
                .claims()
                .claim(self.holder, extent.extents(), reads)
                .map_err(|error| error.to_string())?;
            let geometry = service.borrow().geometry(&extent, reads);
            let geometry = geometry.ok_or_else(|| String::from("its disk is not there"))?;
            Ok(Volume { extent, reads: geometry.read_only, geometry })
        });
        let volume = match claimed {
            Ok(volume) => volume,
            Err(error) => {
                volumes.claims().release(self.holder);
                let why = format!("{params:?}: {error}");
                if text(session, &format!("{}/hotplug-error", self.path)).await?.as_ref() != Some(&why) {
                    log::error!("{}: {why}", self.holder);
                    self.write(session, "hotplug-error", &why).await?;
                    self.write(session, "hotplug-status", "error").await?;
                }
                return Ok(false);
            }
        };
        self.volume = Some(volume);
        log::info!("{}: {params:?}, {} sectors", self.holder, volume.geometry.sectors);
        let state = state(session.find(Transaction::NONE, &format!("{}/state", self.path)).await?);
        let (machine, action) = Backend::reborn(state);
        self.machine = machine;
        self.act(session, service, volumes, action).await?;
        Ok(true)
    }

    /// Takes in what is seen, and does what follows.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn see(
        &mut self,
        session: &mut Session,
        service: &RefCell<Service>,
        volumes: &Volumes,
        seen: Seen,
    ) -> Result<(), Error> {
        if self.volume.is_none() {
            return Ok(());
        }
        let action = self.machine.see(seen);
        self.act(session, service, volumes, action).await
    }

    /// Tells the frontend, which is the backend's number `id`, how large its volume is now.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn resize(
        &mut self,
        session: &mut Session,
        service: &RefCell<Service>,
        id: VbdId,
    ) -> Result<(), Error> {
        let Some(Volume { extent, reads, geometry }) = &mut self.volume else { return Ok(()) };
        let now = service.borrow().now(extent);
        let Some(resized) = service.borrow().geometry(&now, *reads) else { return Ok(()) };
        if self.machine.state() != XenbusState::Connected {
            // It is told when it is connected.
            return Ok(());
        }
        log::info!("{}: {} sectors now, and there were {}", self.holder, resized.sectors, geometry.sectors);
        (*extent, *geometry) = (now, resized);
        self.tell(session, &keys::resized(&resized)).await?;
        service.borrow_mut().told_size(id, now);
        Ok(())
    }

    /// Says in XenStore why the frontend is not served.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn complain(&self, session: &mut Session, why: &dyn Display) -> Result<(), Error> {
        log::error!("{}: {why}", self.holder);
        self.write(session, "error", why.to_string()).await
    }

    async fn act(
        &mut self,
        session: &mut Session,
        service: &RefCell<Service>,
        volumes: &Volumes,
        first: Option<Action>,
    ) -> Result<(), Error> {
        let mut next = first;
        while let Some(action) = next {
            let seen = match action {
                Action::Offer => {
                    let nodes: Vec<Node> =
                        self.volume.iter().flat_map(|v| keys::offer(&OFFER, &v.geometry)).collect();
                    for (name, value) in nodes {
                        self.write(session, name, value.as_str()).await?;
                    }
                    self.write(session, "hotplug-status", "connected").await?;
                    self.write_state(session).await?;
                    Some(Seen::Offered)
                }
                Action::Connect | Action::Resume => {
                    let is_new = action == Action::Connect;
                    match self.connect(session, service).await? {
                        Ok(()) => {
                            if is_new && let Some(volume) = self.volume {
                                self.tell(session, &keys::properties(&volume.geometry)).await?;
                            }
                            Some(Seen::Connected)
                        }
                        Err(why) => {
                            self.complain(session, &why).await?;
                            Some(Seen::Broken)
                        }
                    }
                }
                Action::Disconnect => {
                    self.write_state(session).await?;
                    match self.id {
                        Some(id) => {
                            service.borrow_mut().disconnect(id);
                            crate::wake();
                            None
                        }
                        None => Some(Seen::Drained),
                    }
                }
                Action::Finish => {
                    self.write_state(session).await?;
                    None
                }
                Action::Remove => {
                    volumes.claims().release(self.holder);
                    self.is_gone = true;
                    session.unwatch(&self.frontend_state(), &self.token()).await.or_else(gone)?;
                    session.remove(Transaction::NONE, &self.path).await.or_else(gone)?;
                    None
                }
            };
            next = seen.and_then(|seen| self.machine.see(seen));
        }
        Ok(())
    }

    /// The node with the frontend's state.
    pub fn frontend_state(&self) -> String {
        format!("{}/state", self.frontend)
    }

    /// Connects the frontend, or finds it connected.
    async fn connect(
        &mut self,
        session: &mut Session,
        service: &RefCell<Service>,
    ) -> Result<Result<(), String>, Error> {
        if self.id.is_some() {
            return Ok(Ok(()));
        }
        let link = match self.link(session).await? {
            Ok(link) => link,
            Err(error) => return Ok(Err(error)),
        };
        let Some(Volume { extent, reads, .. }) = self.volume else { return Ok(Ok(())) };
        let connection = Connection { holder: self.holder, extent, reads, link };
        let connected = service.borrow_mut().connect(connection);
        crate::wake();
        Ok(connected.map(|id| self.id = Some(id)).map_err(|error| error.to_string()))
    }

    /// Reads how to connect.
    async fn link(&self, session: &mut Session) -> Result<Result<Link, String>, Error> {
        // Which nodes are read depends on what others say, so they are read as they are asked for.
        let mut nodes: BTreeMap<String, Option<String>> = BTreeMap::new();
        loop {
            let mut missing = None;
            let link = Link::read(&OFFER, |name| match nodes.get(name) {
                Some(value) => value.clone(),
                None => {
                    missing.get_or_insert_with(|| String::from(name));
                    None
                }
            });
            let Some(name) = missing else { return Ok(link.map_err(|error| error.to_string())) };
            let value = text(session, &format!("{}/{name}", self.frontend)).await?;
            nodes.insert(name, value);
        }
    }

    /// Says what the disk is, and that it is connected, at once.
    async fn tell(&self, session: &mut Session, nodes: &[Node]) -> Result<(), Error> {
        loop {
            let transaction = session.begin().await?;
            for (name, value) in nodes {
                session.write(transaction, &format!("{}/{name}", self.path), value.as_bytes()).await?;
            }
            let state = (self.machine.state() as u32).to_string();
            session.write(transaction, &format!("{}/state", self.path), state.as_bytes()).await?;
            if session.end(transaction, true).await? == Outcome::Committed {
                return Ok(());
            }
        }
    }

    async fn write_state(&self, session: &mut Session) -> Result<(), Error> {
        self.write(session, "state", (self.machine.state() as u32).to_string()).await
    }

    /// Writes a node of its directory. That of a device which was taken away meanwhile is not made anew.
    async fn write(&self, session: &mut Session, name: &str, value: impl AsRef<str>) -> Result<(), Error> {
        let frontend = session.find(Transaction::NONE, &format!("{}/frontend", self.path)).await?;
        if frontend.is_none() {
            return Ok(());
        }
        session.write(Transaction::NONE, &format!("{}/{name}", self.path), value.as_ref().as_bytes()).await
    }
}

/// What is not there any more need not be taken away.
fn gone(error: Error) -> Result<(), Error> {
    if error.errno().is_some() { Ok(()) } else { Err(error) }
}

/// Where the volume `params` is, and whether it is only to be read.
fn open(params: &str, mode: Option<&str>, volumes: &Volumes) -> Result<(Extent, bool), String> {
    let reads = match mode {
        Some("r") => true,
        None | Some("w") => false,
        Some(other) => return Err(format!("expected mode r or w, found {other:?}")),
    };
    Ok((volumes.find(params).map_err(|error| error.to_string())?, reads))
}
