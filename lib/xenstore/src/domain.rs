//! What is known of domains.

use alloc::collections::BTreeMap;

use xen_abi::Domid;

use crate::config::Existence;
use crate::damage::{Damage, Part, Subject};
use crate::digest::Key;
use crate::item::{DomainFacts, Item};

#[derive(Clone, Debug)]
pub(crate) struct Domain {
    facts: DomainFacts,
    digest: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Domains {
    key: Key,
    domains: BTreeMap<Domid, Domain>,
    existence: Existence,
    /// The sum of all domains' digests.
    digest: u64,
}

fn digest_of(key: Key, domid: Domid, facts: &DomainFacts) -> u64 {
    let fields = [
        u64::from(domid.0),
        facts.generation,
        u64::from(facts.introduced) | u64::from(facts.shutdown) << 1,
        facts.gfn,
        u64::from(facts.port),
        facts.target.map_or(u64::MAX, |target| u64::from(target.0)),
    ];
    key.numbers(2, &fields)
}

/// The number as that of a domain, if one can have it.
fn ordinary(domid: u32) -> Option<Domid> {
    u16::try_from(domid).ok().map(Domid).filter(|domid| domid.is_ordinary())
}

impl Domains {
    pub(crate) fn new(key: Key, existence: Existence) -> Self {
        Self { key, domains: BTreeMap::new(), existence, digest: 0 }
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Sums all digests up anew.
    pub(crate) fn sum_up(&mut self) {
        self.digest = self.domains.values().fold(0, |sum, domain| sum.wrapping_add(domain.digest));
    }

    /// Whether anything is known of a domain.
    pub(crate) fn knows(&self, domid: Domid) -> bool {
        self.domains.contains_key(&domid)
    }

    /// What is known of a domain, checked.
    pub(crate) fn facts(&self, domid: Domid) -> Result<Option<DomainFacts>, Damage> {
        let Some(domain) = self.domains.get(&domid) else { return Ok(None) };
        let found = digest_of(self.key, domid, &domain.facts);
        if found == domain.digest {
            return Ok(Some(domain.facts));
        }
        let subject = Subject::Domain(domid);
        Err(Damage { subject, part: Part::Fields, expected: domain.digest, found })
    }

    /// Sets what is known of a domain.
    pub(crate) fn set(&mut self, domid: Domid, facts: DomainFacts) {
        let digest = digest_of(self.key, domid, &facts);
        let new = Domain { facts, digest };
        let domain = self.domains.entry(domid).or_insert_with(|| {
            self.digest = self.digest.wrapping_add(digest);
            new
        });
        self.digest = self.digest.wrapping_sub(domain.digest).wrapping_add(digest);
        domain.facts = facts;
        domain.digest = digest;
    }

    pub(crate) fn remove(&mut self, domid: Domid) {
        if let Some(domain) = self.domains.remove(&domid) {
            self.digest = self.digest.wrapping_sub(domain.digest);
        }
    }

    /// All domains after this one, in order.
    pub(crate) fn after(&self, domid: Option<Domid>) -> impl Iterator<Item = (Domid, &DomainFacts)> {
        let from = domid.map_or(core::ops::Bound::Unbounded, core::ops::Bound::Excluded);
        let all = self.domains.range((from, core::ops::Bound::Unbounded));
        all.map(|(&domid, domain)| (domid, &domain.facts))
    }

    /// The item that tells of a domain.
    pub(crate) fn item(&self, domid: Domid) -> Option<Item<'_>> {
        let domain = self.domains.get(&domid)?;
        Some(Item::Domain { domid, facts: domain.facts })
    }

    /// Whether a domain exists, as far as the engine can know.
    pub(crate) fn exists(&self, domid: u32) -> bool {
        let Some(domid) = ordinary(domid) else { return false };
        domid == Domid::DOM0
            || self.domains.contains_key(&domid)
            || match &self.existence {
                Existence::Assumed => true,
                Existence::Asked(census) => census.exists(domid),
            }
    }

    /// Whether a domain's ring can be served: it is already, or the host says so.
    pub(crate) fn has_ring(&self, domid: u32) -> bool {
        let Some(domid) = ordinary(domid) else { return false };
        self.domains.get(&domid).is_some_and(|domain| domain.facts.introduced)
            || match &self.existence {
                Existence::Assumed => true,
                Existence::Asked(census) => census.has_ring(domid),
            }
    }

    /// Whether a permission for a domain that was written at this generation still means the same domain.
    pub(crate) fn means_same(&self, domid: u32, generation: u64) -> Result<bool, Damage> {
        let Ok(domid) = u16::try_from(domid) else { return Ok(false) };
        let facts = self.facts(Domid(domid))?;
        Ok(facts.is_some_and(|facts| facts.generation <= generation))
    }

    /// Flips one bit of what is known of a domain; false if it is not known.
    #[cfg(feature = "harm")]
    pub(crate) fn harm(&mut self, domid: Domid, bit: usize) -> bool {
        let Some(domain) = self.domains.get_mut(&domid) else { return false };
        match bit % 226 {
            bit if bit < 64 => domain.facts.generation ^= 1 << bit,
            bit if bit < 128 => domain.facts.gfn ^= 1 << (bit - 64),
            bit if bit < 160 => domain.facts.port ^= 1 << (bit - 128),
            160 => domain.facts.introduced ^= true,
            161 => domain.facts.shutdown ^= true,
            bit => domain.digest ^= 1 << (bit - 162),
        }
        true
    }
}
