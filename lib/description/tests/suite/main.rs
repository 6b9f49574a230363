//! Descriptions, their text and their compact form, boot archives and symbol tables: held to what they promise, by example
//! and by property.

mod archive;
mod assign;
mod compact;
mod manual;
mod mistakes;
mod order;
mod strategy;
mod symbols;
mod text;
mod writer;

use description::{Description, Place, Problem};

/// Every breach of a rule.
fn breaches(description: &Description) -> Vec<(Place, Problem)> {
    let mut breaches = Vec::new();
    description.check(&mut |place, problem| breaches.push((place, problem)));
    breaches
}

/// The compact form.
fn encode(description: &Description) -> Vec<u8> {
    let mut buffer = vec![0; description::MAX_ENCODED];
    description.encode(&mut buffer).expect("it fits").to_vec()
}
