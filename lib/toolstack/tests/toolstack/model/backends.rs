//! The unikernels that serve devices, and the guests' drivers: both connect at once, and let go when they are to.

use super::store::Store;
use super::{DISK, NET};

/// Does one thing for each device. Answers whether there was anything to do.
pub fn go_on(store: &mut Store, are_stubborn: bool) -> bool {
    let mut active = false;
    for (backend, kind) in [(NET, "vif"), (DISK, "vbd")] {
        for guest in store.children(&format!("/local/domain/{}/backend/{kind}", backend.0)) {
            for device in store.children(&guest) {
                let Some(state) = store.read(&format!("{device}/state")) else { continue };
                let online = store.read(&format!("{device}/online"));
                let frontend = store.read(&format!("{device}/frontend")).unwrap_or_default();
                let is_there = store.read(&format!("{frontend}/state")).is_some();
                match &*state {
                    "1" if is_there => {
                        store.write(&format!("{device}/feature"), "1");
                        store.write(&format!("{device}/state"), "4");
                        store.write(&format!("{frontend}/state"), "4");
                    }
                    "1" | "4" | "5" if !are_stubborn && (!is_there || online.as_deref() == Some("0")) => {
                        store.write(&format!("{device}/state"), "6");
                    }
                    _ => continue,
                }
                active = true;
            }
        }
    }
    active
}
