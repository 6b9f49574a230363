//! CONTROL: commands to the daemon itself. Those that concern its process are the host's: see [`Commands`].
//!
//! [`Commands`]: crate::Commands

use alloc::format;
use alloc::string::String;
use core::fmt::Write as _;

use smallvec::SmallVec;
use xen_abi::Domid;

use super::{Failure, Request};
use crate::connection::ConnectionId;
use crate::effects::DomainAction;
use crate::engine::Engine;
use crate::item::Item;
use crate::quota::Quota;
use crate::scrub::Cursor;
use crate::wire::{Errno, number, signed_number, strings};

const HELP: &str = "check\t\nlog\ton|off\nprint\t<string>\nquota\t[set <name> <val>|<domid>]\n\
    quota-soft\t[set <name> <val>]\n";

impl Engine {
    /// CONTROL `<command>|[<parameter>|]*`.
    pub(super) fn control(&mut self, request: &mut Request<'_>) -> Result<(), Failure> {
        let arguments: SmallVec<[&[u8]; 4]> = strings(request.payload).collect();
        match *arguments {
            [b"check"] => {
                let mut cursor = Cursor::default();
                while !self.scrub(&mut cursor, usize::MAX)?.finished {}
                request.acknowledge();
            }
            [b"log", b"on"] => self.switch_log(request, true),
            [b"log", b"off"] => self.switch_log(request, false),
            [b"print", _] => request.acknowledge(),
            [b"help"] => {
                let host = self.config.commands.as_ref().map_or("", |commands| commands.help());
                answer(request, &format!("{HELP}{host}help\t\n"));
            }
            [b"quota"] => answer(request, &self.quota_settings(Quota::hard())),
            [b"quota-soft"] => answer(request, &self.quota_settings(Quota::soft())),
            [b"quota", b"set", name, value] => self.set_quota(request, Quota::hard(), name, value)?,
            [b"quota-soft", b"set", name, value] => self.set_quota(request, Quota::soft(), name, value)?,
            [b"quota", domid] if domid != b"set" => {
                let usage = self.usage(number(domid)).ok_or(Errno::NotFound)?;
                answer(request, &usage);
            }
            _ => {
                let commands = self.config.commands.as_ref().ok_or(Errno::Invalid)?;
                let text = commands.command(&arguments, self.open).ok_or(Errno::Invalid)?;
                answer(request, &text);
            }
        }
        Ok(())
    }

    fn switch_log(&self, request: &mut Request<'_>, on: bool) {
        request.effects.domains.push(DomainAction::Log { on });
        request.acknowledge();
    }

    fn quota_settings(&self, quotas: &[Quota]) -> String {
        let mut text = String::from("Quota settings:\n");
        for quota in quotas {
            let (name, value) = (quota.name(), self.quotas.get(*quota));
            let _infallible = writeln!(text, "{name:<17}: {value:>8} {}", quota.description());
        }
        text
    }

    fn set_quota(
        &mut self,
        request: &mut Request<'_>,
        quotas: &[Quota],
        name: &[u8],
        value: &[u8],
    ) -> Result<(), Failure> {
        let value = u32::try_from(signed_number(value)).ok().filter(|value| *value > 0);
        let quota = quotas.iter().find(|quota| quota.name().as_bytes() == name);
        let (Some(quota), Some(value)) = (quota, value) else { return Err(Errno::Invalid.into()) };
        self.check_quotas()?;
        let mut quotas = self.quotas;
        quotas.set(*quota, value);
        self.set_quotas(quotas);
        request.effects.items.push(&Item::Quotas(quotas));
        request.acknowledge();
        Ok(())
    }

    /// What a domain uses, if the domain is known.
    fn usage(&self, domid: u32) -> Option<String> {
        let domid = u16::try_from(domid).ok().map(Domid)?;
        if !self.domains.knows(domid) {
            return None;
        }
        let ring = self.connections.get(&ConnectionId::of_domain(domid));
        let numbers = [
            ("nodes", self.store.account(domid).nodes),
            ("watches", ring.map_or(0, |ring| ring.watches.len())),
            ("transactions", ring.map_or(0, |ring| ring.transactions.len())),
            ("outstanding", 0),
            ("memory", self.memory(domid)),
        ];
        let mut text = format!("Domain {}:\n", domid.0);
        for (name, number) in numbers {
            let _infallible = writeln!(text, "{name:<16}: {number:>8}");
        }
        Some(text)
    }
}

fn answer(request: &mut Request<'_>, text: &str) {
    request.reply(|payload| {
        payload.extend_from_slice(text.as_bytes());
        payload.push(0);
    });
}
