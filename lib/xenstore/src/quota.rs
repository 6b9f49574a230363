//! What one unprivileged domain may use.

/// One of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// Nodes that a domain owns.
    Nodes,
    /// Watches.
    Watches,
    /// Open transactions.
    Transactions,
    /// Requests with undelivered answers or events.
    Outstanding,
    /// Nodes that one transaction touches.
    TransactionNodes,
    /// Bytes for nodes, watches, transactions and undelivered output: above, the domain is no longer served.
    Memory,
    /// Bytes of one node.
    NodeSize,
    /// Bytes of one path.
    PathLength,
    /// Permissions of one node.
    Permissions,
    /// Bytes above which a domain's use of memory is worth a warning.
    MemoryWarning,
}

/// All limits. What is said to be limited by `n` is limited exactly as the C daemon's checks do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas([u32; Quota::COUNT]);

impl Quota {
    /// How many there are.
    pub const COUNT: usize = 10;
    /// All of them, in the order in which CONTROL's `quota` lists them, and then the one of `quota-soft`.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Nodes,
        Self::Watches,
        Self::Transactions,
        Self::Outstanding,
        Self::TransactionNodes,
        Self::Memory,
        Self::NodeSize,
        Self::PathLength,
        Self::Permissions,
        Self::MemoryWarning,
    ];

    /// Those whose excess is an error.
    pub fn hard() -> &'static [Self] {
        &Self::ALL[..Self::COUNT - 1]
    }

    /// Those whose excess is worth a warning.
    pub fn soft() -> &'static [Self] {
        &Self::ALL[Self::COUNT - 1..]
    }

    /// The name in CONTROL's `quota` and `quota-soft`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Watches => "watches",
            Self::Transactions => "transactions",
            Self::Outstanding => "outstanding",
            Self::TransactionNodes => "transaction-nodes",
            Self::Memory | Self::MemoryWarning => "memory",
            Self::NodeSize => "node-size",
            Self::PathLength => "path-max",
            Self::Permissions => "permissions",
        }
    }

    /// The name in a migration stream.
    pub(crate) const fn stream_name(self) -> &'static str {
        match self {
            Self::MemoryWarning => "soft-memory",
            quota => quota.name(),
        }
    }

    /// What CONTROL says it is.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Nodes => "Nodes per domain",
            Self::Watches => "Watches per domain",
            Self::Transactions => "Transactions per domain",
            Self::Outstanding => "Outstanding requests per domain",
            Self::TransactionNodes => "Max. number of accessed nodes per transaction",
            Self::Memory => "Total Xenstore memory per domain (error level)",
            Self::NodeSize => "Max. size of a node",
            Self::PathLength => "Max. length of a node path",
            Self::Permissions => "Max. number of permissions per node",
            Self::MemoryWarning => "Total Xenstore memory per domain (warning level)",
        }
    }
}

impl Default for Quotas {
    /// The C daemon's.
    fn default() -> Self {
        Self([
            1000,
            128,
            10,
            20,
            1024,
            2 * 1024 * 1024 + 512 * 1024,
            2048,
            crate::wire::RELATIVE_PATH_MAX as u32,
            5,
            2 * 1024 * 1024,
        ])
    }
}

impl Quotas {
    /// The value of a limit.
    pub const fn get(&self, quota: Quota) -> usize {
        self.0[quota as usize] as usize
    }

    /// Changes a limit.
    pub const fn set(&mut self, quota: Quota, value: u32) {
        self.0[quota as usize] = value;
    }

    /// All values, in the order of [`Quota::ALL`].
    pub(crate) const fn values(&self) -> &[u32; Quota::COUNT] {
        &self.0
    }

    pub(crate) const fn from_values(values: [u32; Quota::COUNT]) -> Self {
        Self(values)
    }
}
