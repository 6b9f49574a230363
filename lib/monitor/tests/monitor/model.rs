//! Every state of small worlds: all failures, at every moment, in every order.
//!
//! Worlds of two and three components, in every shape that dependencies can have, with a bounded number of mishaps: a
//! crash, hang or stall of any component, also while it or another is being repaired; a repair that fails, or that root
//! forgets and answers late or never; a restart of root in the middle of it all. Orders are carried out in any sequence,
//! and root may look at any time.

use crate::world::{Body, POLICY, STEP_US, Strike, World};
use monitor::{
    Cause, ComponentId, ComponentSet, Granularity, Limits, Phase, PlaneLimit, Policy, Repair, Rung,
};
use stateright::{Checker, HasDiscoveries, Model, Property};

/// The most components in a model; a small monitor makes small states.
const MOST: usize = 3;

/// So long that nothing is forgotten in a model's life.
const LONG_US: u64 = 1_000_000 * STEP_US;

/// A small world and what may happen in it.
#[derive(Clone)]
struct Small {
    policies: Vec<Policy>,
    plane: PlaneLimit,
    mishaps: u8,
    /// What must be reached.
    reaches: Vec<Reached>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Strike(ComponentId, Strike),
    CarryOut(usize),
    Refuse(usize),
    Forget(usize),
    AnswerLate(usize),
    RestartRoot { lost: ComponentSet },
    Look,
}

impl Model for Small {
    type State = World<MOST>;
    type Action = Step;

    fn init_states(&self) -> Vec<Self::State> {
        vec![World::new(&self.policies, self.plane, &mut |_, _| ())]
    }

    fn actions(&self, world: &Self::State, steps: &mut Vec<Step>) {
        let orders = 0..world.orders.len();
        steps.extend(orders.clone().map(Step::CarryOut));
        steps.extend((0..world.forgotten.len()).map(Step::AnswerLate));
        // Root answers in time all that it has not forgotten.
        let in_time = |order: &Repair| world.now_us + STEP_US < order.ordered_us + POLICY.repair_deadline_us;
        if world.needs_look() && world.orders.iter().all(in_time) {
            steps.push(Step::Look);
        }
        if world.mishaps >= self.mishaps {
            return;
        }
        for component in world.components() {
            let strikes = [Strike::Crash, Strike::Hang, Strike::Stall].into_iter();
            let possible = strikes.filter(|&strike| world.can_strike(component, strike));
            steps.extend(possible.map(|strike| Step::Strike(component, strike)));
        }
        steps.extend(orders.clone().map(Step::Refuse));
        steps.extend(orders.map(Step::Forget));
        steps.push(Step::RestartRoot { lost: ComponentSet::EMPTY });
        let one = |component| Step::RestartRoot { lost: [component].into_iter().collect() };
        steps.extend(world.components().map(one));
    }

    fn next_state(&self, before: &Self::State, step: Step) -> Option<Self::State> {
        let mut world = before.clone();
        let see = &mut |_, _: &_| ();
        match step {
            Step::Strike(component, strike) => world.strike(component, strike, see),
            Step::CarryOut(order) => world.carry_out(order, see),
            Step::Refuse(order) => world.refuse(order, see),
            Step::Forget(order) => world.forget(order),
            Step::AnswerLate(order) => world.answer_late(order, see),
            Step::RestartRoot { lost } => world.restart_root(&self.policies, self.plane, lost, see),
            Step::Look => world.look(see),
        }
        if world == *before {
            world.broken = Some("going round in circles");
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("every order is right", |_, world: &World<MOST>| world.broken.is_none()),
            Property::always("what ends, ends in peace", |_, world: &World<MOST>| {
                let ended = world.orders.is_empty() && !world.needs_look();
                !ended || world.is_at_peace() && world.lets_run_who_runs()
            }),
            // Each mishap can cost the deadline of a heartbeat, of a boot and of a repair, two looks each.
            Property::always("it does end", |_, world: &World<MOST>| {
                world.now_us <= 6 * STEP_US * u64::from(world.mishaps + 1)
            }),
            Property::always("no storm", |small: &Small, world: &World<MOST>| small.is_calm(world)),
            Property::always("nobody is held for another's faults", |_, world: &World<MOST>| {
                world
                    .components()
                    .all(|component| !is_held(world, component) || world.touched.contains(component))
            }),
        ];
        properties.extend(self.reaches.iter().map(|&(name, reached)| Property::sometimes(name, reached)));
        properties
    }
}

/// A state that a model must be able to reach, or it shows nothing.
type Reached = (&'static str, fn(&Small, &World<MOST>) -> bool);

const ALL_HEALTHY: Reached = ("all are healthy", |_, world| {
    world.components().all(|component| world.monitor.phase(component) == Phase::Healthy)
});

const ONE_HELD: Reached =
    ("one is held", |_, world| world.components().any(|component| is_held(world, component)));

const TWO_ILL: Reached = ("one fails while another is being repaired", |_, world| {
    let others_die = |order: &Repair| {
        world.components().any(|other| other != order.component && world.body(other) == Body::Dead)
    };
    world.orders.iter().any(others_die)
});

const CASCADE: Reached = ("one is rebuilt behind another", |_, world| uses(world, Rung::Cascade));

const EVERYTHING: Reached = ("everything is rebuilt", |_, world| uses(world, Rung::ControlPlane));

const WAITS_FOR_HELD: Reached = ("one waits for one that is held", |_, world| {
    let held = |needed| is_held(world, needed);
    let waits = |component| matches!(world.monitor.phase(component), Phase::Waiting { .. });
    world
        .components()
        .any(|component| waits(component) && world.monitor.graph().needs(component).iter().any(held))
});

fn is_held(world: &World<MOST>, component: ComponentId) -> bool {
    matches!(world.monitor.phase(component), Phase::Held { .. })
}

fn uses(world: &World<MOST>, rung: Rung) -> bool {
    world.orders.iter().any(|order| order.rung == rung && matches!(order.cause, Cause::Behind(_)))
}

impl Small {
    /// Whether each component was repaired for its own faults only as often as it failed and as its limits allow, and
    /// for others' faults only as often as theirs allow.
    fn is_calm(&self, world: &World<MOST>) -> bool {
        let own = |component: ComponentId| &world.tally[component.index()].own;
        let total: u8 = world.components().flat_map(own).sum();
        let plane: u8 = world.components().map(|component| own(component)[Rung::ControlPlane as usize]).sum();
        let losses = |component: ComponentId| world.tally[component.index()].losses;
        let plane_limit = self.plane.attempts * (1 + world.components().map(losses).sum::<u8>());
        let each = |component: ComponentId| {
            let limits = &self.policies[component.index()].limits;
            let culprits = world.monitor.graph().needs(component);
            let cascades: u8 = culprits.iter().map(|culprit| own(culprit)[Rung::Cascade as usize]).sum();
            let tally = &world.tally[component.index()];
            // Who loses the record of what was used cannot limit it.
            let within = |used: u8, limit: u8| used <= limit * (1 + tally.losses);
            Rung::ALL.iter().all(|&rung| within(tally.own[rung as usize], limits.attempts[rung as usize]))
                && within(tally.own.iter().sum(), limits.hold)
                && tally.behind <= cascades + plane_limit
                && tally.boot <= 1
        };
        total <= world.mishaps && plane <= plane_limit && world.components().all(each)
    }

    /// Visits every state; how many there were.
    fn visit_all(self) -> usize {
        // The first failure found is the one of the shortest path.
        let checker = self.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        checker.assert_properties();
        checker.unique_state_count()
    }
}

/// Every set of dependencies that `count` components can have, up to their numbering: each may need any before it.
fn shapes(count: usize) -> impl Iterator<Item = Vec<ComponentSet>> {
    let pairs = count * (count - 1) / 2;
    (0..1u32 << pairs).map(move |mut bits| {
        let mut needs = Vec::new();
        for component in 0..count {
            needs.push(ComponentSet::from_bits(bits & ((1 << component) - 1)));
            bits >>= component;
        }
        needs
    })
}

/// Limits under which a component climbs to be held in a few mishaps.
fn limits(attempts: [u8; Rung::COUNT]) -> Limits {
    Limits { attempts, hold: 10, window_us: LONG_US }
}

/// Visits all states of the worlds in which components need each other in the given ways.
fn visit(shapes: impl Iterator<Item = Vec<ComponentSet>>, limits: Limits, mishaps: u8, reaches: &[Reached]) {
    for needs in shapes {
        let policy =
            |&needs: &ComponentSet| Policy { needs, limits, granularity: Granularity::Fine, ..POLICY };
        let policies = needs.iter().map(policy).collect();
        let plane = PlaneLimit { attempts: 1, window_us: LONG_US };
        let started = std::time::Instant::now();
        let states = Small { policies, plane, mishaps, reaches: reaches.to_vec() }.visit_all();
        let (attempts, elapsed) = (limits.attempts, started.elapsed());
        println!("needs {needs:?}, attempts {attempts:?}, {mishaps} mishaps: {states} states in {elapsed:?}");
    }
}

#[test]
fn one_component_all_the_way_up() {
    visit(shapes(1), limits([1, 1, 1, 1, 1]), 6, &[ALL_HEALTHY, ONE_HELD]);
    visit(shapes(1), Limits { hold: 3, ..limits([1, 2, 2, 2, 1]) }, 5, &[ALL_HEALTHY, ONE_HELD]);
}

#[test]
fn two_components_that_climb_far() {
    visit(shapes(2), limits([1, 1, 1, 1, 1]), 3, &[ALL_HEALTHY, TWO_ILL]);
    visit(shapes(2), limits([0, 0, 1, 1, 1]), 4, &[ALL_HEALTHY, TWO_ILL, ONE_HELD, EVERYTHING]);
}

#[test]
fn three_components_that_climb_a_little() {
    visit(shapes(3), limits([1, 1, 1, 1, 1]), 2, &[ALL_HEALTHY, TWO_ILL]);
    visit(shapes(3), limits([0, 1, 0, 0, 0]), 3, &[ALL_HEALTHY, TWO_ILL, ONE_HELD]);
    visit(shapes(3), limits([0, 0, 0, 0, 1]), 2, &[ALL_HEALTHY, TWO_ILL, EVERYTHING]);
}

#[test]
fn a_chain_of_three_of_which_one_waits_for_one_that_is_held() {
    visit(shapes(3).skip(7), limits([0, 0, 0, 1, 1]), 3, &[CASCADE, EVERYTHING, WAITS_FOR_HELD]);
}
