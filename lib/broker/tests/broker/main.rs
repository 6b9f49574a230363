//! Both ends of the broker's slots, with each other and with rubbish.

mod arbitrary;
mod encoding;
mod lives;
mod order;
mod rubbish;
mod steps;
