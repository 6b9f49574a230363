//! INTRODUCE, RELEASE, RESUME, SET_TARGET and IS_DOMAIN_INTRODUCED; and what the host tells about domains.

use xen_abi::Domid;

use super::{Failure, Request};
use crate::connection::{ConnectionId, Peer};
use crate::damage::Damage;
use crate::effects::{DomainAction, Effects};
use crate::engine::Engine;
use crate::item::{DomainFacts, Item};
use crate::path;
use crate::permission::Permission;
use crate::wire::{Errno, number, one_string, strings, strtol};

impl Engine {
    /// INTRODUCE `<domid>|<gfn>|<port>|`: serve a domain's ring from now on.
    pub(super) fn introduce_request(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        let mut arguments = strings(request.payload);
        let (Some(domid), Some(gfn), Some(port)) = (arguments.next(), arguments.next(), arguments.next())
        else {
            return Err(Errno::Invalid.into());
        };
        let (domid, gfn, port) = (number(domid), strtol(gfn, 10).0 as u64, number(port));
        if port == 0 || !self.domains.has_ring(domid) {
            return Err(Errno::Invalid.into());
        }
        self.introduce(Domid(domid as u16), gfn, port, request.effects)?;
        request.acknowledge();
        Ok(())
    }

    /// Serve a domain's ring from now on; one that is served already begins anew.
    ///
    /// # Errors
    /// Something does not match its digest; nothing has been done.
    pub fn introduce(
        &mut self,
        domid: Domid,
        gfn: u64,
        port: u32,
        effects: &mut Effects,
    ) -> Result<(), Damage> {
        let mark = effects.mark();
        let known = self.domains.facts(domid)?;
        let connection = ConnectionId::of_domain(domid);
        let is_new = !known.is_some_and(|facts| facts.introduced);
        if is_new && domid != Domid::DOM0 {
            self.fire_special(effects, path::INTRODUCE_DOMAIN, domid)
                .inspect_err(|_| effects.back_to(mark))?;
        }
        let known = known.unwrap_or(DomainFacts { generation: self.generation, ..DomainFacts::default() });
        let facts = DomainFacts { introduced: true, shutdown: known.shutdown && !is_new, gfn, port, ..known };
        self.domains.set(domid, facts);
        effects.items.push(&Item::Domain { domid, facts });
        if is_new || !self.is_connected(connection) {
            self.connect(connection, Peer::Domain(domid), effects);
            effects.domains.push(DomainAction::Connect { domid, gfn, port });
        } else {
            self.reset_connection(connection, effects);
            effects.domains.push(DomainAction::Reconnect { domid, port });
        }
        Ok(())
    }

    /// RELEASE `<domid>|`: serve a domain no longer, and remove what it owns.
    pub(super) fn release_request(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        let (domid, _) = self.connected_argument(request)?;
        self.release(domid, request.effects)?;
        request.acknowledge();
        Ok(())
    }

    /// Serve a domain no longer, and remove what it owns. One that is not known stays unknown.
    ///
    /// # Errors
    /// Something does not match its digest; nothing has been done.
    pub fn release(&mut self, domid: Domid, effects: &mut Effects) -> Result<(), Damage> {
        let mark = effects.mark();
        self.try_release(domid, effects).inspect_err(|_| effects.back_to(mark))
    }

    fn try_release(&mut self, domid: Domid, effects: &mut Effects) -> Result<(), Damage> {
        let Some(facts) = self.domains.facts(domid)? else { return Ok(()) };
        let connection = ConnectionId::of_domain(domid);
        let mark = effects.mark();
        let owned = self.store.owned_by(domid);
        for &id in &owned {
            self.announce_removal(effects, id)?;
        }
        if facts.introduced {
            self.fire_special(effects, path::RELEASE_DOMAIN, domid)?;
        }
        for name in [path::INTRODUCE_DOMAIN, path::RELEASE_DOMAIN] {
            self.specials.get(name)?;
        }
        effects.forget_outputs_to(connection, mark);
        self.disconnect(connection, effects);
        for id in owned {
            self.remove_tree(effects, id)?;
        }
        for name in [path::INTRODUCE_DOMAIN, path::RELEASE_DOMAIN] {
            self.strike_from_special(domid, name, effects)?;
        }
        self.domains.remove(domid);
        // What was written before this does not mean the next domain of the same number.
        self.tick();
        effects.items.push(&Item::DomainGone { domid });
        if facts.introduced {
            effects.domains.push(DomainAction::Disconnect { domid });
        }
        Ok(())
    }

    /// Takes a domain out of a special node's permissions; what it owned falls to dom0.
    fn strike_from_special(
        &mut self,
        domid: Domid,
        name: &[u8],
        effects: &mut Effects,
    ) -> Result<(), Damage> {
        let Some(special) = self.specials.get(name)? else { return Ok(()) };
        let mut permissions = special.record.to_permissions();
        let is_its = |permission: &Permission| permission.domid == u32::from(domid.0);
        if !permissions.iter().any(is_its) {
            return Ok(());
        }
        if is_its(&permissions[0]) {
            permissions[0].domid = 0;
        }
        permissions.retain(|permission| !is_its(permission));
        let record = self.store.record(name, &permissions, &[]);
        let generation = self.tick();
        effects.items.push(&Item::Node { path: name, birth: 0, generation, record: record.view() });
        self.specials.set(name, record, generation);
        Ok(())
    }

    /// The host tells at which port a domain waits for events: a stream from another daemon names that daemon's port.
    pub fn moved_port(&mut self, domid: Domid, port: u32) {
        if let Ok(Some(facts)) = self.domains.facts(domid) {
            self.domains.set(domid, DomainFacts { port, ..facts });
        }
    }

    /// The host tells that a domain is gone: what it owns is removed, and watchers of `@releaseDomain` hear of it if
    /// it was served.
    ///
    /// # Errors
    /// Something does not match its digest; nothing has been done.
    pub fn domain_died(&mut self, domid: Domid, effects: &mut Effects) -> Result<(), Damage> {
        self.release(domid, effects)
    }

    /// The host tells that a domain has shut down or crashed: watchers of `@releaseDomain` hear of it, once.
    ///
    /// # Errors
    /// Something does not match its digest; nothing has been done.
    pub fn domain_shutdown(&mut self, domid: Domid, effects: &mut Effects) -> Result<(), Damage> {
        let mark = effects.mark();
        let Some(facts) = self.domains.facts(domid)? else { return Ok(()) };
        if facts.introduced && !facts.shutdown {
            self.fire_special(effects, path::RELEASE_DOMAIN, domid).inspect_err(|_| effects.back_to(mark))?;
            let facts = DomainFacts { shutdown: true, ..facts };
            self.domains.set(domid, facts);
            effects.items.push(&Item::Domain { domid, facts });
        }
        Ok(())
    }

    /// RESUME `<domid>|`: the domain runs again, and its next shutdown is news.
    pub(super) fn resume(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        let (domid, facts) = self.connected_argument(request)?;
        let facts = DomainFacts { shutdown: false, ..facts };
        self.domains.set(domid, facts);
        request.effects.items.push(&Item::Domain { domid, facts });
        request.acknowledge();
        Ok(())
    }

    /// SET_TARGET `<domid>|<target>|`: the domain acts with the rights of the target as well.
    pub(super) fn set_target(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        let mut arguments = strings(request.payload);
        let (Some(domid), Some(target)) = (arguments.next(), arguments.next()) else {
            return Err(Errno::Invalid.into());
        };
        let (domid, facts) = self.connected(number(domid))?;
        let (target, _) = self.connected(number(target))?;
        let facts = DomainFacts { target: Some(target), ..facts };
        self.domains.set(domid, facts);
        request.effects.items.push(&Item::Domain { domid, facts });
        request.acknowledge();
        Ok(())
    }

    /// IS_DOMAIN_INTRODUCED `<domid>|`: whether the domain is served.
    pub(super) fn is_domain_introduced(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        let domid = number(one_string(request.payload).ok_or(Errno::Invalid)?);
        let is_introduced = domid == u32::from(Domid::SELF.0) || self.introduced(domid)?.is_some();
        request.reply(|payload| payload.extend_from_slice(if is_introduced { b"T\0" } else { b"F\0" }));
        Ok(())
    }

    fn introduced(&self, domid: u32) -> Result<Option<(Domid, DomainFacts)>, Damage> {
        let Ok(domid) = u16::try_from(domid).map(Domid) else { return Ok(None) };
        let facts = self.domains.facts(domid)?;
        Ok(facts.filter(|facts| facts.introduced).map(|facts| (domid, facts)))
    }

    /// A domain that is served over a ring.
    fn connected(&self, domid: u32) -> Result<(Domid, DomainFacts), Failure> {
        let (domid, facts) = self.introduced(domid)?.ok_or(Errno::NotFound)?;
        if domid != Domid::DOM0 && !self.is_connected(ConnectionId::of_domain(domid)) {
            return Err(Errno::Invalid.into());
        }
        Ok((domid, facts))
    }

    /// The served domain, not dom0, that is a request's only argument.
    fn connected_argument(&self, request: &Request<'_>) -> Result<(Domid, DomainFacts), Failure> {
        match number(one_string(request.payload).ok_or(Errno::Invalid)?) {
            0 => Err(Errno::Invalid.into()),
            domid => self.connected(domid),
        }
    }
}
