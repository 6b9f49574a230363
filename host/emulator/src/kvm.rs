//! Whether this machine's KVM can run Xen. That `/dev/kvm` is there does not say so.

use std::path::Path;
use std::time::Duration;

use crate::host::Host;
use crate::machine::{Accelerator, MachineConfig};

/// How long the trial machine may run.
const LIFETIME: Duration = Duration::from_secs(20);

/// Whether `config` boots with KVM until every component is up. It is tried, with the logs in `directory`.
pub fn can_boot(config: &MachineConfig, directory: &Path) -> bool {
    Path::new("/dev/kvm").exists()
        && Host::boot(&config.clone().accelerator(Accelerator::Kvm), directory, LIFETIME).is_ok()
}
