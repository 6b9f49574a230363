//! How a life of the toolstack begins: with what the last one has left, which may be in the middle of anything.

use super::{Toolstack, advance};
use crate::changes::Changes;
use crate::journal::{self, Journal};
use crate::layout::{self, Kind};
use crate::phase::{Event, Phase};
use crate::vm::Vm;
use crate::world::{Host, World};
use crate::{Broker, Uuid};
use alloc::format;
use alloc::vec::Vec;
use broker::Refusal;
use uk_abi::register::Register;
use xen_abi::Domid;
use xenstore_session::{Error, Session};

/// What watches are called by; all that an event says is that something is to be looked at.
const TOKEN: &str = "tool";

impl<'a, W: World> Toolstack<'a, W> {
    /// Takes over from the last life, if there was one, and starts the guests that start with the host.
    ///
    /// # Errors
    /// XenStore's.
    pub async fn start(
        world: &'a W,
        host: Host,
        session: Session<'a, W::StoreBell>,
        broker: &'a Broker<W::Words, W::RootBell>,
        register: Register<W::Words>,
    ) -> Result<Self, Error> {
        let mut toolstack = Self {
            world,
            host,
            session,
            broker,
            register,
            changes: None,
            vms: Vec::new(),
            has_moved: false,
            made_up: 0,
        };
        toolstack.prepare().await?;
        // What the last life has asked root for may still happen before that.
        broker.settle().await;
        let Journal { records, damaged, started } = journal::read(&mut toolstack.session).await?;
        for record in records {
            toolstack.take_over(record).await?;
        }
        for uuid in damaged {
            log::error!("the journal of {uuid} makes no sense: what there is of it is taken away");
            toolstack.drop_unknown(uuid, None).await?;
        }
        toolstack.drop_strangers().await?;
        for guest in world.guests().filter(|guest| !started.iter().any(|name| name == guest)) {
            toolstack.create_at_start(guest).await?;
        }
        Ok(toolstack)
    }

    /// Gives those who serve devices a home, and watches what they do there.
    async fn prepare(&mut self) -> Result<(), Error> {
        let mut changes = Changes::new();
        layout::host(&mut changes);
        let backends = [(self.host.net, "net", Kind::Vif), (self.host.disk, "disk", Kind::Vbd)];
        for (domid, name, kind) in backends {
            let Some(domid) = domid else { continue };
            layout::backend_home(domid, name, kind, &mut changes);
            self.session.watch(&format!("{}/backend/{kind}", layout::home(domid)), TOKEN).await?;
        }
        self.make(changes).await
    }

    /// Goes on with a VM that the last life has had.
    async fn take_over(&mut self, record: journal::Record) -> Result<(), Error> {
        let config = match &record.config {
            Some(text) => self.read_config(&record.name, text),
            None => self.config(&record.guest),
        };
        let Some(config) = config else {
            log::error!("{}: what there is of it is taken away", record.name);
            return self.drop_unknown(record.uuid, record.domain.map(|domain| domain.domid)).await;
        };
        let domain = record.domain.filter(|_| record.phase.has_domain());
        log::info!("{}: found {}", record.name, record.phase);
        let index = self.vms.len();
        self.vms.push(Vm::new(record, config));
        // Only where nobody can tell how far it has come, this begins it anew.
        self.enter(index, Event::Found).await?;
        let Some(domain) = domain else { return Ok(()) };
        self.world.open_console(domain.domid, domain.console);
        let settled = match self.vms[index].record.phase {
            Phase::Running | Phase::Stopping { .. } => self.make_it_run(domain.domid, true).await,
            Phase::Paused => self.make_it_run(domain.domid, false).await,
            _ => Ok(()),
        };
        match settled {
            Ok(()) => {}
            Err(Refusal::NotYours { .. }) => self.enter(index, Event::Gone).await?,
            Err(refusal) => log::error!("{}: {}: {refusal}", self.vms[index].record.name, domain.domid),
        }
        Ok(())
    }

    /// Takes away a VM of which nothing is known but its UUID and perhaps its domain.
    async fn drop_unknown(&mut self, uuid: Uuid, domid: Option<Domid>) -> Result<(), Error> {
        let mut changes = Changes::new();
        let domid = match domid {
            Some(domid) => Some(domid),
            None => self.broker.find(uuid.0).await.ok().flatten(),
        };
        if let Some(domid) = domid {
            layout::remove_domain(domid, uuid, &mut changes);
        }
        self.make(changes).await?;
        if let Err(refusal) = advance::destroy(self.broker, uuid.0).await {
            log::error!("{uuid}: its domain cannot be destroyed: {refusal}");
        }
        let mut changes = Changes::new();
        journal::remove(uuid, &mut changes);
        self.make(changes).await
    }

    /// Destroys domains of which the journal knows nothing.
    async fn drop_strangers(&mut self) -> Result<(), Error> {
        let mut after = Domid::DOM0;
        loop {
            match self.broker.next(after).await {
                Ok(Some((domid, handle))) => {
                    after = domid;
                    if self.vms.iter().all(|vm| vm.record.uuid.0 != handle) {
                        log::error!("{domid} is of no VM: it is destroyed");
                        self.drop_unknown(Uuid(handle), Some(domid)).await?;
                    }
                }
                Ok(None) => return Ok(()),
                Err(refusal) => {
                    log::error!("the domains there are: {refusal}");
                    return Ok(());
                }
            }
        }
    }
}
