//! Events: telling those who watch of a change, if they may see it.

use xen_abi::Domid;

use crate::config::Version;
use crate::connection::Identity;
use crate::damage::Damage;
use crate::effects::Effects;
use crate::engine::Engine;
use crate::record::Record;
use crate::transaction::Seen;
use crate::watch::WatchId;
use crate::wire::Decimal;

/// Permissions, and since when they stand.
pub(crate) type Guard = (Record, u64);

/// Who may hear of a change: whoever could read the node before, or can read it now, or can read the node above if
/// the node still exists.
pub(crate) struct Audience {
    pub before: Option<Guard>,
    pub now: Option<Guard>,
    pub parent: Option<Guard>,
}

impl Audience {
    /// Nobody.
    pub(crate) const fn nobody() -> Self {
        Self { before: None, now: None, parent: None }
    }
}

impl From<&Seen> for Guard {
    fn from(seen: &Seen) -> Self {
        (seen.record.clone(), seen.generation)
    }
}

impl Engine {
    /// Sends events for a change of this path to the watches on it, and unless `exact` to those above it.
    ///
    /// `audience` is only asked for if anybody watches.
    pub(crate) fn fire(
        &self,
        effects: &mut Effects,
        path: &[u8],
        exact: bool,
        audience: impl FnOnce(&Self) -> Result<Audience, Damage>,
    ) -> Result<(), Damage> {
        let matches = self.watches.matching(path, exact)?;
        self.deliver(effects, path, &matches, audience)
    }

    /// Sends events for a change of this path to these watches.
    fn deliver(
        &self,
        effects: &mut Effects,
        path: &[u8],
        matches: &[WatchId],
        audience: impl FnOnce(&Self) -> Result<Audience, Damage>,
    ) -> Result<(), Damage> {
        if matches.is_empty() {
            return Ok(());
        }
        let audience = audience(self)?;
        for watch in matches.iter().filter_map(|&id| self.watches.get(id)) {
            let Some(identity) = self.identity(watch.connection)? else { continue };
            if self.may_hear(&identity, &audience)? {
                effects.outputs.event(watch.connection, watch.name_of(path), &watch.token);
            }
        }
        Ok(())
    }

    fn may_hear(&self, identity: &Identity, audience: &Audience) -> Result<bool, Damage> {
        if identity.privileged {
            return Ok(audience.before.is_some() || audience.now.is_some());
        }
        let can_read = |guard: &Option<Guard>| match guard {
            Some((record, generation)) => {
                let access = self.access(identity, record.view(), *generation)?;
                Ok(access.allows(crate::permission::Access::READ))
            }
            None => Ok(false),
        };
        if can_read(&audience.before)? {
            return Ok(true);
        }
        Ok(audience.now.is_some() && (can_read(&audience.now)? || can_read(&audience.parent)?))
    }

    /// Sends events for what happened to a domain, to watches on exactly the special node's name.
    ///
    /// Where watches may have a depth, those with one hear which domain it was, as do those on that domain alone.
    pub(crate) fn fire_special(
        &self,
        effects: &mut Effects,
        name: &[u8],
        domid: Domid,
    ) -> Result<(), Damage> {
        let audience = |engine: &Self| {
            let special = engine.specials.get(name)?;
            let now = special.map(|special| (special.record.clone(), special.generation));
            Ok(Audience { before: None, now, parent: None })
        };
        let mut matches = self.watches.matching(name, true)?;
        if self.config.version < Version::Xen4_22 {
            return self.deliver(effects, name, &matches, audience);
        }
        matches.retain(|id| self.watches.get(*id).is_some_and(|watch| watch.depth.is_none()));
        self.deliver(effects, name, &matches, audience)?;
        let with_domid = [name, b"/", Decimal::new(u64::from(domid.0)).as_bytes()].concat();
        let mut matches = self.watches.matching(&with_domid, false)?;
        let is_told =
            |watch: &crate::watch::Watch| watch.depth.is_some() || *watch.path == *with_domid.as_slice();
        matches.retain(|id| self.watches.get(*id).is_some_and(is_told));
        self.deliver(effects, &with_domid, &matches, audience)
    }
}
