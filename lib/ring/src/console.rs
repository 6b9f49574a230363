//! A domain's console (`struct xencons_interface`).

use crate::Page;
use crate::byte::Ring;
use core::mem::offset_of;
use xen_abi::console::ConsoleInterface;

/// The page of a console.
#[derive(Clone, Copy, Debug)]
pub struct Console<'a>(&'a Page);

impl<'a> Console<'a> {
    /// The console whose page `page` is.
    pub const fn new(page: &'a Page) -> Self {
        Self(page)
    }

    /// To the domain.
    pub fn input(&self) -> Ring<'a> {
        ring!(self.0, ConsoleInterface, input, in_cons, in_prod)
    }

    /// From the domain.
    pub fn output(&self) -> Ring<'a> {
        ring!(self.0, ConsoleInterface, out, out_cons, out_prod)
    }
}
