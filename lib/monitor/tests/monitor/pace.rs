//! When root is to look closely.

use monitor::{
    Action, Actions, ComponentId, Event, Monitor, Observation, Phase, PlaneLimit, Policy, Progress,
};

const DEADLINE_US: u64 = 20_000;

/// One component, and what it shows.
struct Watch {
    monitor: Monitor<1>,
    now_us: u64,
    beats: u64,
    progress: Progress,
}

impl Watch {
    /// A component that has been ordered to start, but not been built.
    fn begin() -> Self {
        let policy =
            Policy { heartbeat_deadline_us: DEADLINE_US, stall_deadline_us: 40_000, ..Policy::DEFAULT };
        let monitor = Monitor::new(&[policy], PlaneLimit::DEFAULT).expect("a good policy");
        let mut watch = Self { monitor, now_us: 0, beats: 0, progress: Progress::default() };
        watch.tell(Event::Boot);
        watch
    }

    /// A component that is at work.
    fn at_work() -> Self {
        let mut watch = Self::begin();
        watch.look(1_000, true);
        assert_eq!(watch.monitor.phase(component()), Phase::Healthy);
        watch
    }

    /// Tells it, and carries out every repair that comes of it.
    fn tell(&mut self, event: Event<'_>) {
        let mut actions = Actions::default();
        self.monitor.handle(self.now_us, event, &mut actions);
        while let Some(action) = actions.pop() {
            if let Action::Repair(repair) = action {
                self.monitor.handle(self.now_us, Event::RepairDone(repair), &mut actions);
            }
        }
    }

    /// Time passes, and the component is looked at, which has beaten or not.
    fn look(&mut self, after_us: u64, beats: bool) {
        self.now_us += after_us;
        self.beats += u64::from(beats);
        let (beats, progress) = (self.beats, [self.progress]);
        let observation = Observation { cpu: None, beats, progress: &progress };
        self.tell(Event::Observed { component: component(), observation });
    }
}

fn component() -> ComponentId {
    ComponentId::new(0).expect("a component")
}

#[test]
fn four_looks_in_the_shortest_deadline_are_enough_while_all_is_well() {
    assert_eq!(Watch::begin().monitor.calm_period_us(), DEADLINE_US / 4);
}

#[test]
fn who_is_on_the_way_up_is_looked_at_closely() {
    let mut watch = Watch::begin();
    assert!(watch.monitor.is_uneasy());
    watch.look(1_000, true);
    assert!(!watch.monitor.is_uneasy());
}

#[test]
fn who_is_silent_is_looked_at_closely_until_it_beats() {
    let mut watch = Watch::at_work();
    watch.look(DEADLINE_US / 5 - 1, false);
    assert!(!watch.monitor.is_uneasy());
    watch.look(1, false);
    assert!(watch.monitor.is_uneasy());
    watch.look(1_000, true);
    assert!(!watch.monitor.is_uneasy());
}

#[test]
fn who_leaves_work_undone_is_looked_at_closely_until_it_does_some() {
    let mut watch = Watch::at_work();
    watch.progress.waiting = 2;
    (0..3).for_each(|_| watch.look(5_000, true));
    assert!(watch.monitor.is_uneasy());
    watch.progress.done = 1;
    watch.look(5_000, true);
    assert!(!watch.monitor.is_uneasy());
}
