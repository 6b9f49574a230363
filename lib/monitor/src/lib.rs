//! The decision maker: who is ill, what is done about it, and in which order.
//!
//! A pure state machine. Root (or whoever watches components) tells it what happened, as [`Event`]s with the time; it
//! answers with [`Action`]s. It makes no call, allocates nothing, computes no float and takes time that is bounded by
//! the number of components, so that it can run anywhere: in root, in a test, inside a hypervisor.
//!
//! What it promises, and what the tests in `tests/` hold it to:
//!
//! - whatever fails, once nothing fails any more every component is healthy, or held and reported, or waits for one that
//!   is held;
//! - nothing is repaired before what it needs is healthy;
//! - no storm: repairs within a window of time are limited, for each component and for the control plane as a whole;
//! - no component's failures keep another, which does not need it, from being repaired.
//!
//! | file | subject |
//! |---|---|
//! | `component` | components by number, sets of them |
//! | `policy` | what the system description says of each |
//! | `graph` | what needs what |
//! | `heartbeat` | who lives, starves, hangs or stalls |
//! | `pace` | how often to look |
//! | `window`, `ladder` | which rung of repair is next |
//! | `phase` | where a component stands, and what follows |
//! | `decision` | what events lead to |
//! | `turns` | whose turn it is to be repaired, and how |
//! | `saved` | what outlives a restart of root |
//! | `event`, `report` | what goes in, what comes out |

#![no_std]

mod component;
mod decision;
mod event;
mod graph;
mod heartbeat;
mod ladder;
mod pace;
mod phase;
mod policy;
mod report;
mod saved;
mod turns;
mod window;

pub use component::{ComponentId, ComponentSet, MAX_COMPONENTS, NoSuchComponent};
pub use decision::Monitor;
pub use event::{Action, Actions, Event, MAX_ACTIONS};
pub use graph::{Graph, GraphError};
pub use heartbeat::{CpuSample, MAX_PARTS, Observation, Progress};
pub use ladder::{Climb, NoSuchRung, Rung};
pub use phase::Phase;
pub use policy::{Granularity, Limits, PlaneLimit, Policy, PolicyError};
pub use report::{Cause, Failure, Fault, HoldReason, Line, Method, Repair, Report};
pub use saved::Saved;
use window::Window;
