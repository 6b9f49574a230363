//! Random worlds: any policies, any graph, any sequence of mishaps, operators' wishes and nonsense.

use crate::world::{Body, POLICY, SAVED_BYTES, STEP_US, Strike, World};
use monitor::{
    Action, Cause, ComponentId, ComponentSet, CpuSample, Event, Granularity, Graph, Limits, MAX_COMPONENTS,
    Observation, Phase, PlaneLimit, Policy, Progress, Repair, Report, Rung, Saved,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Enough for every shape of trouble, few enough for it to meet.
const MOST: usize = 6;

const WINDOW_US: u64 = 50 * STEP_US;

type SmallWorld = World<MOST>;

/// Something that happens. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Strike(usize, Strike),
    CarryOut(usize),
    Refuse(usize),
    Forget(usize),
    AnswerLate(usize),
    Look,
    Leap { us: u64 },
    RestartRoot { lost: ComponentSet },
    Restart(usize, Rung),
    Release(usize),
    Nonsense(usize, Nonsense),
}

/// An event that is not true.
#[derive(Clone, Debug)]
enum Nonsense {
    Crashed,
    Corrupted,
    Done { of: usize },
    Failed { of: usize },
    Observed { cpu: Option<(u64, bool)>, beats: u64, progress: Vec<(u64, u64)> },
    Resumed,
}

fn any_rung() -> impl Strategy<Value = Rung> {
    prop::sample::select(Rung::ALL.to_vec())
}

fn any_nonsense() -> impl Strategy<Value = Nonsense> {
    let progress = prop::collection::vec((0..4u64, 0..4u64), 0..20);
    prop_oneof![
        Just(Nonsense::Crashed),
        Just(Nonsense::Corrupted),
        any::<usize>().prop_map(|of| Nonsense::Done { of }),
        any::<usize>().prop_map(|of| Nonsense::Failed { of }),
        (any::<Option<(u64, bool)>>(), prop_oneof![0..4u64, Just(u64::MAX)], progress)
            .prop_map(|(cpu, beats, progress)| Nonsense::Observed { cpu, beats, progress }),
        Just(Nonsense::Resumed),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let strike = prop::sample::select(vec![Strike::Crash, Strike::Hang, Strike::Stall]);
    prop_oneof![
        6 => (any::<usize>(), strike).prop_map(|(who, strike)| Step::Strike(who, strike)),
        8 => any::<usize>().prop_map(Step::CarryOut),
        2 => any::<usize>().prop_map(Step::Refuse),
        1 => any::<usize>().prop_map(Step::Forget),
        1 => any::<usize>().prop_map(Step::AnswerLate),
        8 => Just(Step::Look),
        1 => (0..2 * WINDOW_US).prop_map(|us| Step::Leap { us }),
        1 => (0..1u32 << MOST).prop_map(|bits| Step::RestartRoot { lost: ComponentSet::from_bits(bits & bits >> 1) }),
        1 => (any::<usize>(), any_rung()).prop_map(|(who, rung)| Step::Restart(who, rung)),
        1 => any::<usize>().prop_map(Step::Release),
        1 => (any::<usize>(), any_nonsense()).prop_map(|(who, what)| Step::Nonsense(who, what)),
    ]
}

fn any_policies() -> impl Strategy<Value = Vec<Policy>> {
    let one = (any::<u32>(), prop::array::uniform5(0..3u8), 0..8u8, any::<bool>(), any::<bool>());
    prop::collection::vec(one, 1..=MOST).prop_map(|drawn| {
        let policy = |(index, (needs, attempts, hold, fine, work_is_beat))| Policy {
            // Each may need what comes before it.
            needs: ComponentSet::from_bits(needs & ((1u32 << index) - 1)),
            limits: Limits { attempts, hold, window_us: WINDOW_US },
            granularity: if fine { Granularity::Fine } else { Granularity::Coarse },
            work_is_beat,
            ..POLICY
        };
        drawn.into_iter().enumerate().map(policy).collect()
    })
}

fn any_plane() -> impl Strategy<Value = PlaneLimit> {
    (0..3u8).prop_map(|attempts| PlaneLimit { attempts, window_us: 2 * WINDOW_US })
}

/// What was repaired when, to count it.
#[derive(Default)]
struct History {
    repairs: Vec<Repair>,
    /// When each component had itself repaired, by which rung.
    own: Vec<(u64, ComponentId, Rung)>,
    /// When everything was rebuilt.
    everything: Vec<u64>,
}

impl History {
    fn see(&mut self, now_us: u64, action: &Action) {
        match *action {
            Action::Repair(repair) => {
                self.repairs.push(repair);
                if matches!(repair.cause, Cause::Fault(_) | Cause::Failure(_))
                    && repair.rung < Rung::ControlPlane
                {
                    self.own.push((now_us, repair.component, repair.rung));
                }
            }
            Action::Report(Report::RebuildAll { cause, .. }) if cause != Cause::Operator => {
                self.everything.push(now_us);
            }
            Action::Report(Report::Release { component }) => self.forget(component),
            Action::Boost { .. } | Action::Probe { .. } | Action::Hold { .. } | Action::Report(_) => {}
        }
    }

    fn forget(&mut self, component: ComponentId) {
        self.own.retain(|(_, whose, _)| *whose != component);
    }

    /// Whether every window that ends now is within its limits.
    fn is_within(&self, now_us: u64, policies: &[Policy], plane: PlaneLimit) -> bool {
        let recent = |at_us: u64, window_us: u64| at_us + window_us > now_us;
        let everything = self.everything.iter().filter(|&&at_us| recent(at_us, plane.window_us)).count();
        let each = ComponentId::first(policies.len()).zip(policies).all(|(component, policy)| {
            let limits = policy.limits;
            let own = || self.own.iter().filter(|own| own.1 == component && recent(own.0, limits.window_us));
            let by = |rung: Rung| own().filter(|own| own.2 == rung).count();
            Rung::ALL.iter().all(|&rung| by(rung) <= limits.attempts[rung as usize].into())
                && own().count() <= limits.hold.into()
        });
        each && everything <= plane.attempts.into()
    }
}

/// Lets a step happen in the world, if it can.
fn take(world: &mut SmallWorld, step: &Step, policies: &[Policy], plane: PlaneLimit, history: &mut History) {
    let pick = |number: usize, among: usize| (among > 0).then(|| number % among);
    let who = |number: usize| ComponentId::new(number % policies.len()).expect("a component");
    match *step {
        Step::Strike(number, strike) if world.can_strike(who(number), strike) => {
            world.strike(who(number), strike, &mut |now, action| history.see(now, action));
        }
        Step::Strike(..) => {}
        Step::CarryOut(number) => {
            if let Some(order) = pick(number, world.orders.len()) {
                world.carry_out(order, &mut |now, action| history.see(now, action));
            }
        }
        Step::Refuse(number) => {
            if let Some(order) = pick(number, world.orders.len()) {
                world.refuse(order, &mut |now, action| history.see(now, action));
            }
        }
        Step::Forget(number) => {
            pick(number, world.orders.len()).into_iter().for_each(|order| world.forget(order));
        }
        Step::AnswerLate(number) => {
            if let Some(forgotten) = pick(number, world.forgotten.len()) {
                world.answer_late(forgotten, &mut |now, action| history.see(now, action));
            }
        }
        Step::Look => world.look(&mut |now, action| history.see(now, action)),
        Step::Leap { us } => world.now_us += us,
        Step::RestartRoot { lost } => {
            lost.iter().for_each(|component| history.forget(component));
            if !lost.is_empty() {
                history.everything.clear();
            }
            world.restart_root(policies, plane, lost, &mut |now, action| history.see(now, action));
        }
        Step::Restart(number, rung) => {
            let event = Event::OperatorRestart { component: who(number), rung };
            world.tell(event, &mut |now, action| history.see(now, action));
        }
        Step::Release(number) => {
            let event = Event::OperatorRelease { component: who(number) };
            world.tell(event, &mut |now, action| history.see(now, action));
        }
        Step::Nonsense(number, ref nonsense) => tell_nonsense(world, who(number), nonsense, history),
    }
}

fn tell_nonsense(world: &mut SmallWorld, component: ComponentId, nonsense: &Nonsense, history: &mut History) {
    let an_old_one = |of: usize| history.repairs[of % history.repairs.len()];
    let parts: Vec<Progress>;
    let event = match *nonsense {
        Nonsense::Crashed => Event::Crashed { component },
        Nonsense::Corrupted => Event::Corrupted { component },
        Nonsense::Done { of } => Event::RepairDone(an_old_one(of)),
        Nonsense::Failed { of } => Event::RepairFailed(an_old_one(of)),
        Nonsense::Observed { cpu, beats, ref progress } => {
            parts = progress.iter().map(|&(waiting, done)| Progress { waiting, done }).collect();
            let cpu = cpu.map(|(used_us, runnable)| CpuSample { used_us, runnable });
            Event::Observed { component, observation: Observation { cpu, beats, progress: &parts } }
        }
        Nonsense::Resumed => Event::Resume { component, saved: None },
    };
    // The answer to an order that stands is no nonsense.
    if !matches!(event, Event::RepairDone(repair) | Event::RepairFailed(repair) if world.orders.contains(&repair))
    {
        world.tell(event, &mut |now, action| history.see(now, action));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_it_is_dealt_with_in_order_and_comes_to_an_end(
        policies in any_policies(),
        plane in any_plane(),
        steps in prop::collection::vec(any_step(), 0..150),
    ) {
        let mut history = History::default();
        let mut world = SmallWorld::new(&policies, plane, &mut |now, action| history.see(now, action));
        for step in &steps {
            take(&mut world, step, &policies, plane, &mut history);
            prop_assert_eq!(world.broken, None, "after {:?}", step);
            prop_assert!(history.is_within(world.now_us, &policies, plane), "a storm after {:?}", step);
        }
        world.calm_down(&mut |now, action| history.see(now, action));
        prop_assert_eq!(world.broken, None);
        prop_assert!(history.is_within(world.now_us, &policies, plane), "a storm at the end");
        prop_assert!(world.is_at_peace(), "{:?}", world.summary());

        // Nothing is lost for ever: whoever is held runs again when released.
        while let Some(held) = world.components().find(|&c| matches!(world.monitor.phase(c), Phase::Held { .. })) {
            world.tell(Event::OperatorRelease { component: held }, &mut |_, _| ());
            world.calm_down(&mut |_, _| ());
            prop_assert_eq!(world.broken, None);
        }
        let all = world.components().all(|component| world.body(component) == Body::Alive);
        prop_assert!(all && world.is_at_peace(), "{:?}", world.summary());
    }

    #[test]
    fn a_damaged_record_does_no_more_harm_than_a_lost_one(
        policies in any_policies(),
        steps in prop::collection::vec(any_step(), 0..60),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        leap_back_us in 0..WINDOW_US,
    ) {
        let plane = PlaneLimit { attempts: 1, window_us: WINDOW_US };
        let mut history = History::default();
        let mut world = SmallWorld::new(&policies, plane, &mut |now, action| history.see(now, action));
        steps.iter().for_each(|step| take(&mut world, step, &policies, plane, &mut history));

        let mut resumed = SmallWorld::new(&policies, plane, &mut |_, _| ());
        resumed.monitor = monitor::Monitor::new(&policies, plane).expect("the same policies");
        resumed.orders.clear();
        // A record may also be of another time than it says.
        resumed.now_us = world.now_us.saturating_sub(leap_back_us);
        for component in world.components() {
            let saved = world.monitor.saved(component).expect("a component");
            let mut room = [0; SAVED_BYTES];
            let bytes = postcard::to_slice(saved, &mut room).expect("a small record");
            for (index, byte) in &damage {
                let index = index.index(bytes.len());
                bytes[index] = *byte;
            }
            let saved = postcard::from_bytes::<Saved>(bytes).ok();
            let event = Event::Resume { component, saved: saved.as_ref() };
            resumed.monitor.handle(resumed.now_us, event, &mut monitor::Actions::default());
        }
        resumed.tell(Event::Boot, &mut |_, _| ());
        // Who is held by the record was reported in another life.
        let ignored = Some("held and not reported");
        resumed.broken = resumed.broken.filter(|_| resumed.broken != ignored);
        resumed.calm_down(&mut |_, _| ());
        prop_assert!(resumed.broken.is_none() || resumed.broken == ignored, "{:?}", resumed.broken);
        let ends = |phase| matches!(phase, Phase::Healthy | Phase::Held { .. } | Phase::Waiting { .. });
        prop_assert!(resumed.components().all(|component| ends(resumed.monitor.phase(component))));
    }

    #[test]
    fn the_graph_knows_what_can_be_reached(needs in prop::collection::vec(any::<u32>(), 1..=MAX_COMPONENTS)) {
        let count = needs.len();
        let all = ComponentSet::first(count).bits();
        // Few enough needs that some graphs have no cycle.
        let direct: Vec<ComponentSet> =
            needs.iter().map(|bits| ComponentSet::from_bits(bits & bits >> 7 & bits >> 13 & bits >> 17 & all)).collect();
        let reachable: Vec<BTreeSet<usize>> = (0..count).map(|from| reach(&direct, from)).collect();
        let cyclic = (0..count).any(|component| reachable[component].contains(&component));
        match Graph::<MAX_COMPONENTS>::new(&direct) {
            Err(_) => prop_assert!(cyclic),
            Ok(graph) => {
                prop_assert!(!cyclic);
                for component in ComponentId::first(count) {
                    let indexes = |set: ComponentSet| set.iter().map(ComponentId::index).collect::<BTreeSet<_>>();
                    prop_assert_eq!(&indexes(graph.needs(component)), &reachable[component.index()]);
                    let dependents: BTreeSet<usize> =
                        (0..count).filter(|&other| reachable[other].contains(&component.index())).collect();
                    prop_assert_eq!(&indexes(graph.dependents(component)), &dependents);
                    let lower = |need| graph.rank(need) < graph.rank(component);
                    prop_assert!(graph.needs(component).iter().all(lower));
                }
            }
        }
    }
}

/// What can be reached from a component, by walking.
fn reach(direct: &[ComponentSet], from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<usize> = direct[from].iter().map(ComponentId::index).collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(direct[next].iter().map(ComponentId::index));
        }
    }
    reached
}
