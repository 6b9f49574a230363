//! What happens in XenStore: which devices there are, and what their frontends say.

use crate::device::{Device, Session, path_of, state};
use crate::service::{Notice, Service};
use crate::volumes::Volumes;
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use blkback::VbdId;
use core::cell::RefCell;
use libos::futures::select::{Either, select};
use libos::store::{Error, Event, Transaction};
use volume::Holder;
use xenbus::{Seen, XenbusState};

/// Where a toolstack writes the devices of this backend, and the token of the watch on it.
const DEVICES: &str = "backend/vbd";
const TOKEN: &str = "devices";

/// The devices.
pub struct Manager<'a> {
    session: Session,
    service: &'a RefCell<Service>,
    volumes: &'a Volumes,
    devices: Vec<Device>,
    /// Devices whose volumes could not be opened: they are tried again when one is given back.
    refused: Vec<Holder>,
}

impl<'a> Manager<'a> {
    /// Manages `service`'s devices.
    pub fn new(session: Session, service: &'a RefCell<Service>, volumes: &'a Volumes) -> Self {
        Self { session, service, volumes, devices: Vec::new(), refused: Vec::new() }
    }

    /// Does so for ever.
    ///
    /// # Errors
    /// [`Error`]: XenStore says what cannot be, or is lost.
    pub async fn run(&mut self) -> Result<(), Error> {
        self.session.watch(DEVICES, TOKEN).await?;
        let mut scanned = false;
        loop {
            while let Some(notice) = self.next_notice() {
                self.hear(notice).await?;
            }
            match select(self.session.event(), crate::noticed()).await {
                Either::First(event) => {
                    let event = event?;
                    self.changed(&event).await?;
                    // The first event comes with the watch, and all devices are looked at.
                    if !core::mem::replace(&mut scanned, true) {
                        self.disconnect_unknown();
                        self.volumes.guests_are_known();
                    }
                }
                Either::Second(()) => {}
            }
            if self.volumes.take_freed() {
                self.look_at_refused().await?;
            }
        }
    }

    fn next_notice(&mut self) -> Option<Notice> {
        self.service.borrow_mut().notice()
    }

    /// Lets go of frontends that are connected and not in XenStore any more.
    fn disconnect_unknown(&mut self) {
        let mut service = self.service.borrow_mut();
        let known = |holder| self.devices.iter().any(|device| device.holder == holder);
        let connected = service.connections().filter(|(_, connection)| !known(connection.holder));
        let unknown: Vec<_> = connected.map(|(id, connection)| (id, connection.holder)).collect();
        for (id, holder) in unknown {
            log::warn!("{holder} is not in XenStore any more");
            service.disconnect(id);
        }
        drop(service);
        crate::wake();
    }

    /// Something has changed in XenStore.
    async fn changed(&mut self, event: &Event) -> Result<(), Error> {
        if event.token != TOKEN {
            return self.frontend_changed(&event.token).await;
        }
        let mut parts = event.path.strip_prefix(DEVICES).unwrap_or_default().split('/').skip(1);
        let (domid, number, leaf) = (parts.next(), parts.next(), parts.next());
        match (domid.map(str::parse), number.map(str::parse), leaf) {
            (None, ..) => self.look_at_all().await,
            (Some(Ok(domid)), None, _) => self.look_at_guest(domid).await,
            (Some(Ok(domid)), Some(Ok(device)), None | Some("frontend" | "online" | "params" | "mode")) => {
                self.look(Holder { domid, device }).await
            }
            // What is no device, or was written by this side.
            _ => Ok(()),
        }
    }

    async fn look_at_all(&mut self) -> Result<(), Error> {
        let mut guests: Vec<u16> = self.children(DEVICES).await?;
        guests.extend(self.devices.iter().map(|device| device.holder.domid));
        guests.sort_unstable();
        guests.dedup();
        for guest in guests {
            self.look_at_guest(guest).await?;
        }
        Ok(())
    }

    async fn look_at_guest(&mut self, domid: u16) -> Result<(), Error> {
        let mut numbers: Vec<u32> = self.children(&alloc::format!("{DEVICES}/{domid}")).await?;
        let known = self.devices.iter().filter(|device| device.holder.domid == domid);
        numbers.extend(known.map(|device| device.holder.device));
        numbers.sort_unstable();
        numbers.dedup();
        for device in numbers {
            self.look(Holder { domid, device }).await?;
        }
        Ok(())
    }

    /// The children of a node whose names are numbers.
    async fn children<N: core::str::FromStr>(&mut self, path: &str) -> Result<Vec<N>, Error> {
        match self.session.directory(Transaction::NONE, path).await {
            Err(error) if error.errno().is_some() => Ok(Vec::new()),
            names => Ok(names?.iter().filter_map(|name| name.parse().ok()).collect()),
        }
    }

    /// Looks at a device: it may be new, or to be taken away, or gone.
    async fn look(&mut self, holder: Holder) -> Result<(), Error> {
        let path = path_of(holder);
        if self.refused.contains(&holder) {
            let online = self.session.find(Transaction::NONE, &alloc::format!("{path}/online")).await?;
            if online.as_deref() == Some(b"0") {
                // It has never begun, so it has ended.
                let closed = (XenbusState::Closed as u32).to_string();
                let state = alloc::format!("{path}/state");
                self.refused.retain(|other| *other != holder);
                return self.session.write(Transaction::NONE, &state, closed.as_bytes()).await;
            }
        }
        if !self.devices.iter().any(|device| device.holder == holder) {
            let id = self.service.borrow().connected(holder);
            let Some(device) = Device::find(&mut self.session, holder, id).await? else { return Ok(()) };
            return self.add(device).await;
        }
        let online = self.session.find(Transaction::NONE, &alloc::format!("{path}/online")).await?;
        let frontend = self.session.find(Transaction::NONE, &alloc::format!("{path}/frontend")).await?;
        self.see(holder, Seen::Online(online.as_deref() != Some(b"0"))).await?;
        if frontend.is_none() {
            // Somebody has taken away the directory: there is nobody to be connected to.
            self.see(holder, Seen::Frontend(XenbusState::Unknown)).await?;
        }
        Ok(())
    }

    async fn add(&mut self, mut device: Device) -> Result<(), Error> {
        let holder = device.holder;
        let Self { session, service, volumes, .. } = self;
        if !device.begin(session, service, volumes).await? {
            if !self.refused.contains(&holder) {
                self.refused.push(holder);
            }
            return Ok(());
        }
        self.refused.retain(|other| *other != holder);
        let (state, token) = (device.frontend_state(), device.token());
        self.devices.push(device);
        // Its first event has the device look at the frontend.
        self.session.watch(&state, &token).await
    }

    async fn frontend_changed(&mut self, token: &str) -> Result<(), Error> {
        let Some(device) = self.devices.iter().find(|device| device.token() == token) else { return Ok(()) };
        let (holder, path) = (device.holder, device.frontend_state());
        let seen = state(self.session.find(Transaction::NONE, &path).await.or_else(unreadable)?);
        self.see(holder, Seen::Frontend(seen)).await
    }

    /// Tells a device what is seen, and forgets it when it is gone.
    async fn see(&mut self, holder: Holder, seen: Seen) -> Result<(), Error> {
        let Self { session, service, volumes, devices, .. } = self;
        let Some(place) = devices.iter().position(|device| device.holder == holder) else { return Ok(()) };
        let device = &mut devices[place];
        if seen == Seen::Drained {
            device.id = None;
        }
        device.see(session, service, volumes, seen).await?;
        if device.is_gone {
            devices.swap_remove(place);
            Box::pin(self.look_at_refused()).await?;
        }
        Ok(())
    }

    /// Tries those again who were refused: a volume was given back.
    async fn look_at_refused(&mut self) -> Result<(), Error> {
        for holder in core::mem::take(&mut self.refused) {
            self.look(holder).await?;
        }
        Ok(())
    }

    /// Tells a frontend the size that its volume has now.
    async fn resize(&mut self, id: VbdId) -> Result<(), Error> {
        let Self { session, service, devices, .. } = self;
        match devices.iter_mut().find(|device| device.id == Some(id)) {
            Some(device) => device.resize(session, service, id).await,
            None => Ok(()),
        }
    }

    /// Hears what the backend has to say.
    async fn hear(&mut self, notice: Notice) -> Result<(), Error> {
        let (id, seen) = match notice {
            Notice::Broken(id, _) => (id, Seen::Broken),
            Notice::Drained(id) => (id, Seen::Drained),
            Notice::Resized(id) => return self.resize(id).await,
        };
        let Some(device) = self.devices.iter().find(|device| device.id == Some(id)) else { return Ok(()) };
        let holder = device.holder;
        if let Notice::Broken(_, reason) = notice {
            device.complain(&mut self.session, &reason).await?;
        }
        self.see(holder, seen).await
    }
}

/// A frontend's node that may not be read says as little as one that is not there.
fn unreadable(error: Error) -> Result<Option<Vec<u8>>, Error> {
    if error.errno().is_some() { Ok(None) } else { Err(error) }
}
