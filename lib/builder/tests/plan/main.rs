//! Plans of unikernels: known ones, every reason to refuse one, and whatever chance makes of both.

mod page_table;
mod properties;
mod support;
mod uk_plan;
