//! Whether this machine's KVM can run Xen. That `/dev/kvm` is there does not say so.

use std::path::Path;
use std::time::Duration;

use crate::host::Host;
use crate::machine::{Accelerator, MachineConfig};

/// How long the trial machine may run.
const LIFETIME: Duration = Duration::from_secs(20);

/// The fastest accelerator with which `trial` boots until every component is up. KVM is tried, with the logs in `directory`.
pub fn fastest(trial: &MachineConfig, directory: &Path) -> Accelerator {
    let with_kvm = trial.clone().accelerator(Accelerator::Kvm);
    if Path::new("/dev/kvm").exists() && Host::boot(&with_kvm, directory, LIFETIME).is_ok() {
        Accelerator::Kvm
    } else {
        Accelerator::Tcg
    }
}
