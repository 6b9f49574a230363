//! Plans of unikernels and of guests: known ones, every reason to refuse one, and whatever chance makes of both.

mod debian;
mod guest_build;
mod guest_plan;
mod guest_properties;
mod guest_refusals;
mod page_table;
mod properties;
mod support;
mod uk_plan;
