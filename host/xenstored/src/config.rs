//! From the command line to what the engine is told.

use std::sync::Arc;

use xen_abi::Domid;
use xenstore::{Commands, Config, Existence, Quota, Quotas, Version};

use crate::cli::{OptionError, Options};

/// The names that the C daemon's `--quota` knows, and what they mean.
const QUOTAS: [(&str, Quota); 9] = [
    ("transaction-nodes", Quota::TransactionNodes),
    ("memory", Quota::Memory),
    ("nodes", Quota::Nodes),
    ("node-permissions", Quota::Permissions),
    ("node-size", Quota::NodeSize),
    ("outstanding", Quota::Outstanding),
    ("path-length", Quota::PathLength),
    ("transactions", Quota::Transactions),
    ("watches", Quota::Watches),
];

const KNOWN: &str = "transaction-nodes, memory, nodes, node-permissions, node-size, outstanding, path-length, \
                     transactions and watches";

/// The engine's configuration, for a store whose hashes have this seed.
///
/// # Errors
/// A quota that does not exist.
pub fn engine(
    options: &Options,
    seed: u64,
    existence: Existence,
    commands: Option<Arc<dyn Commands>>,
) -> Result<Config, OptionError> {
    let mut quotas = Quotas::default();
    let single = [
        (options.entry_nb, Quota::Nodes),
        (options.entry_size, Quota::NodeSize),
        (options.watch_nb, Quota::Watches),
        (options.transaction, Quota::Transactions),
        (options.perm_nb, Quota::Permissions),
        (options.path_max, Quota::PathLength),
    ];
    for (value, quota) in single {
        if let Some(value) = value {
            quotas.set(quota, value);
        }
    }
    for (name, value) in &options.quota {
        let Some((_, quota)) = QUOTAS.iter().find(|(known, _)| known == name) else {
            return Err(OptionError::UnknownName { option: "quota", known: KNOWN, found: name.clone() });
        };
        quotas.set(*quota, *value);
    }
    for (name, value) in &options.quota_soft {
        if name != "memory" {
            return Err(OptionError::UnknownName {
                option: "quota-soft",
                known: "memory",
                found: name.clone(),
            });
        }
        quotas.set(Quota::MemoryWarning, *value);
    }
    // The protocol's own limit, whatever is asked for.
    let path = quotas.get(Quota::PathLength).min(xenstore::wire::RELATIVE_PATH_MAX);
    quotas.set(Quota::PathLength, path as u32);
    let privileged = options.priv_domid.into_iter().map(Domid).collect();
    Ok(Config { quotas, seed, version: Version::default(), privileged, existence, commands })
}
