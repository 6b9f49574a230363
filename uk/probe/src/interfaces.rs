//! Network interfaces of guests, announced in XenStore as a toolstack does it.

use alloc::format;
use alloc::string::ToString;
use libos::channel::Channel;
use libos::grant::Domid;
use libos::store::{Error, Outcome, Permission, Session, Transaction};

/// An interface for each of some guests.
#[derive(Clone, Copy, Debug)]
pub struct Interfaces {
    /// The domain of their backend.
    backend: Domid,
    /// The first guest and the last.
    guests: (u16, u16),
}

impl Interfaces {
    /// Reads `BACKEND:FIRST-LAST`, all of them domains.
    pub fn parse(text: &str) -> Option<Self> {
        let (backend, guests) = text.split_once(':')?;
        let (first, last) = guests.split_once('-')?;
        Some(Self {
            backend: Domid(backend.parse().ok()?),
            guests: (first.parse().ok()?, last.parse().ok()?),
        })
    }

    /// Makes a home for the backend and for each guest, and both ends of an interface whose address ends with the
    /// guest's number. What is there stays as it is.
    ///
    /// # Errors
    /// XenStore's.
    pub async fn announce(&self, session: &mut Session<'static, Channel>) -> Result<(), Error> {
        make_home(session, self.backend).await?;
        for guest in self.guests.0..=self.guests.1 {
            make_home(session, Domid(guest)).await?;
            self.announce_one(session, Domid(guest)).await?;
        }
        Ok(())
    }

    async fn announce_one(&self, session: &mut Session<'static, Channel>, guest: Domid) -> Result<(), Error> {
        let backend = self.backend;
        let (guest_id, backend_id) = (guest.0.to_string(), backend.0.to_string());
        let front = format!("/local/domain/{guest_id}/device/vif/0");
        let back = format!("/local/domain/{backend_id}/backend/vif/{guest_id}/0");
        if session.find(Transaction::NONE, &back).await?.is_some() {
            return Ok(());
        }
        let mac = format!("00:16:3e:00:00:{:02x}", guest.0);
        let common = [("handle", "0"), ("mac", &mac), ("state", "1")];
        let theirs = [("backend", &*back), ("backend-id", &backend_id)];
        let ours = [
            ("frontend", &*front),
            ("frontend-id", &guest_id),
            ("online", "1"),
            ("type", "vif"),
            ("bridge", "xenbr0"),
        ];
        loop {
            let transaction = session.begin().await?;
            for (directory, owners, nodes) in
                [(&back, [backend, guest], &ours[..]), (&front, [guest, backend], &theirs)]
            {
                let permissions = [Permission::owner(owners[0]), Permission::reader(owners[1])];
                session.write(transaction, directory, b"").await?;
                session.set_permissions(transaction, directory, &permissions).await?;
                for (key, value) in nodes.iter().chain(&common) {
                    let path = format!("{directory}/{key}");
                    session.write(transaction, &path, value.as_bytes()).await?;
                    session.set_permissions(transaction, &path, &permissions).await?;
                }
            }
            if session.end(transaction, true).await? == Outcome::Committed {
                return Ok(());
            }
        }
    }
}

async fn make_home(session: &mut Session<'static, Channel>, domid: Domid) -> Result<(), Error> {
    let number = domid.0.to_string();
    for (name, value) in [("", ""), ("/domid", &*number), ("/data", "")] {
        let path = format!("/local/domain/{number}{name}");
        session.write(Transaction::NONE, &path, value.as_bytes()).await?;
        session.set_permissions(Transaction::NONE, &path, &[Permission::owner(domid)]).await?;
    }
    Ok(())
}
