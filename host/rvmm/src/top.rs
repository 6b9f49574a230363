//! Components, repairs and guests on one screen, looked at again and again.

use crate::client::{Client, ClientError};
use crate::show;
use anyhow::Result;
use api::types::{Component, Components, Event, Events, Host, Vm, Vms};
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event as Input, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row, Table};
use std::time::Duration;

/// Lines of the event log that are kept to be shown.
const EVENTS: usize = 64;

/// What is shown.
#[derive(Clone, Debug, PartialEq)]
struct Screen {
    host: Host,
    components: Vec<Shown<Component>>,
    vms: Vec<Shown<Vm>>,
    log: Log,
}

/// What is known of the event log.
#[derive(Clone, Debug, Default, PartialEq)]
struct Log {
    /// The number of the line from which to go on.
    next: u64,
    /// The last lines about repairs.
    events: Vec<Event>,
}

/// Something with a figure that grows, and how fast it does: in a second.
#[derive(Clone, Debug, PartialEq)]
struct Shown<T> {
    what: T,
    rate: f64,
}

/// Looks, and shows what there is, until `q` is pressed.
///
/// # Errors
/// A [`ClientError`], or the terminal's.
pub fn run(client: &mut Client, delay: Duration) -> Result<()> {
    let mut screen = Screen::look(client, None)?;
    let mut terminal = ratatui::try_init()?;
    let watched = loop {
        if let Err(error) = terminal.draw(|frame| screen.draw(frame)) {
            break Err(error.into());
        }
        match is_over(delay) {
            Ok(false) => {}
            Ok(true) => break Ok(()),
            Err(error) => break Err(error),
        }
        match Screen::look(client, Some(&screen)) {
            Ok(next) => screen = next,
            // Who serves may be being revived, which is what one wants to look at.
            Err(ClientError::Connection { .. }) => {}
            Err(error) => break Err(error.into()),
        }
    };
    ratatui::try_restore()?;
    watched
}

/// Waits for as long as nothing is to be looked at; answers whether somebody wants to leave.
fn is_over(delay: Duration) -> Result<bool> {
    if !event::poll(delay)? {
        return Ok(false);
    }
    let Input::Key(key) = event::read()? else { return Ok(false) };
    // The terminal takes control-C for a key while it is drawn on.
    let is_interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    Ok(is_interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
}

/// How fast a figure has grown since it was looked at last, in a second. One of another life begins anew.
fn rate(before: Option<u64>, now: u64, seconds: f64) -> f64 {
    let grown = before.and_then(|before| now.checked_sub(before));
    grown.filter(|_| seconds > 0.0).map_or(0.0, |grown| grown as f64 / seconds)
}

/// A line of the event log, as short as it can be: a screen of 80 columns is to show how long a repair took.
fn line(event: &Event) -> String {
    format!("{:9.3} {}", event.at_us as f64 / 1e6, event.text)
}

/// Whether a line is about something that failed, or was repaired.
fn is_repair(event: &Event) -> bool {
    let word = event.text.split(' ').nth(1).unwrap_or_default();
    ["fault", "repair", "repaired", "repair-failed", "escalate", "hold"].contains(&word)
}

impl Screen {
    fn look(client: &mut Client, before: Option<&Self>) -> Result<Self, ClientError> {
        let host: Host = client.get("/v1/host")?;
        let components: Components = client.get("/v1/components")?;
        let vms: Vms = client.get("/v1/vms")?;
        let mut log = before.map_or(Log::default(), |before| before.log.clone());
        loop {
            let news: Events = client.news("/v1/events", log.next, 0)?;
            if news.events.is_empty() {
                break;
            }
            log.next = news.next;
            log.events.extend(news.events.into_iter().filter(is_repair));
        }
        log.events.drain(..log.events.len().saturating_sub(EVENTS));
        Ok(Self::of(host, components.components, vms.vms, log, before))
    }

    fn of(host: Host, components: Vec<Component>, vms: Vec<Vm>, log: Log, before: Option<&Self>) -> Self {
        let since_us = before.map_or(0, |before| host.uptime_us.saturating_sub(before.host.uptime_us));
        let seconds = since_us as f64 / 1e6;
        let beats = |one: &Component| {
            let before = before?.components.iter().find(|before| before.what.name == one.name)?;
            (before.what.incarnation == one.incarnation).then_some(before.what.beats)
        };
        let cpu = |vm: &Vm| {
            let before = before?.vms.iter().find(|before| before.what.uuid == vm.uuid)?;
            (before.what.domid == vm.domid).then_some(before.what.cpu_us)
        };
        let component = |what: Component| Shown { rate: rate(beats(&what), what.beats, seconds), what };
        let vm = |what: Vm| Shown { rate: rate(cpu(&what), what.cpu_us, seconds) / 1e4, what };
        let (components, vms) =
            (components.into_iter().map(component).collect(), vms.into_iter().map(vm).collect());
        Self { host, components, vms, log }
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let rows =
            |count: usize| Constraint::Length(u16::try_from(count).unwrap_or(u16::MAX).saturating_add(3));
        let parts =
            [Constraint::Length(1), rows(self.components.len()), rows(self.vms.len()), Constraint::Min(3)];
        let [head, components, vms, events] = Layout::vertical(parts).areas(frame.area());
        let Host { xen, processors, total_kib, free_kib, uptime_us } = &self.host;
        let text = format!(
            "Xen {xen}, {processors} CPUs, {} of {} MiB free, up for {} s; q leaves",
            free_kib / 1024,
            total_kib / 1024,
            uptime_us / 1_000_000
        );
        frame.render_widget(Paragraph::new(text), head);
        frame.render_widget(self.component_table(), components);
        frame.render_widget(self.vm_table(), vms);
        let room = usize::from(events.height.saturating_sub(2));
        let lines = self.log.events.iter().rev().take(room).rev().map(|event| Line::from(line(event)));
        let log =
            Paragraph::new(lines.collect::<Vec<_>>()).block(Block::bordered().title("Faults and repairs"));
        frame.render_widget(log, events);
    }

    fn component_table(&self) -> Table<'_> {
        let row = |Shown { what, rate }: &Shown<Component>| {
            let color = if what.state == "healthy" { Color::Green } else { Color::Red };
            let fault = show::fault(what.last_fault.as_ref());
            let (domid, life) = (what.domid.to_string(), what.incarnation.to_string());
            Row::new([what.name.clone(), domid, what.state.clone(), life, format!("{rate:.0}"), fault])
                .style(Style::new().fg(color))
        };
        let widths = [16, 5, 10, 6, 10, 24].map(Constraint::Length);
        Table::new(self.components.iter().map(row), widths)
            .header(Row::new(["Component", "ID", "State", "Life", "Beats/s", "Last fault"]).bold())
            .block(Block::bordered())
    }

    fn vm_table(&self) -> Table<'_> {
        let row = |Shown { what, rate }: &Shown<Vm>| {
            let domid = what.domid.map_or("-".into(), |domid| domid.to_string());
            let (memory, vcpus) = ((what.memory_kib / 1024).to_string(), what.vcpus.to_string());
            Row::new([what.name.clone(), domid, what.phase.clone(), memory, vcpus, format!("{rate:.1}")])
        };
        let widths = [30, 5, 10, 8, 5, 6].map(Constraint::Length);
        Table::new(self.vms.iter().map(row), widths)
            .header(Row::new(["Guest", "ID", "State", "Mem(MiB)", "VCPUs", "CPU %"]).bold())
            .block(Block::bordered())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::types::LastFault;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn screen(uptime_us: u64, incarnation: u64, beats: u64, cpu_us: u64, before: Option<&Screen>) -> Screen {
        let host =
            Host { xen: "4.17".into(), processors: 2, total_kib: 524_288, free_kib: 262_144, uptime_us };
        let last_fault = Some(LastFault { kind: "hang".into(), at_us: 1_234_567 });
        let (name, state) = ("net".to_owned(), "healthy".to_owned());
        let net = Component { name, state, domid: 4, incarnation, beats, last_fault };
        let (name, uuid, phase) = ("web".to_owned(), String::new(), "running".to_owned());
        let web = Vm { name, uuid, domid: Some(7), phase, memory_kib: 98_304, vcpus: 1, cpu_us };
        let event = Event { sequence: 9, at_us: 1_234_567, text: "net fault kind=hang".into() };
        let log = Log { next: 10, events: vec![event] };
        Screen::of(host, vec![net], vec![web], log, before)
    }

    #[test]
    fn what_there_is_is_shown_with_how_fast_it_grows() {
        let before = screen(1_000_000, 2, 100, 500_000, None);
        let now = screen(3_000_000, 2, 500, 1_500_000, Some(&before));
        let mut terminal = Terminal::new(TestBackend::new(80, 14)).unwrap();
        terminal.draw(|frame| now.draw(frame)).unwrap();
        let shown = terminal.backend().to_string();
        for part in [
            "Xen 4.17, 2 CPUs, 256 of 512 MiB free, up for 3 s",
            "net              4     healthy    2      200        hang at 1.235 s",
            "web                            7     running    96       1     50.0",
            "    1.235 net fault kind=hang",
        ] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
    }

    #[test]
    fn another_life_begins_to_count_anew() {
        let before = screen(1_000_000, 2, 100, 0, None);
        assert_eq!(screen(2_000_000, 3, 500, 0, Some(&before)).components[0].rate, 0.0);
    }

    #[test]
    fn only_faults_and_repairs_are_shown() {
        let line = |text: &str| Event { sequence: 1, at_us: 1, text: text.into() };
        assert!(is_repair(&line("net repaired rung=micro-reboot")));
        assert!(!is_repair(&line("net log level=info msg=fault")));
    }
}
