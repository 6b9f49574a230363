//! What the guests say.

use anyhow::Result;
use emulator::host::Host;
use emulator::line::Line;

/// What a guest says when it comes up, when its web server is there, when all files were what had been written, and when they were not.
const UP: &str = "guest: up ";
const SERVES: &str = "guest: web starts";
const ROUND: &str = "guest: files round=";
const DAMAGED: &str = "guest: files damaged";

/// The guests of rvmm.toml, as far as they have been listened to.
#[derive(Default)]
pub struct Guests {
    complaints: Vec<String>,
}

impl Guests {
    /// Waits until the web server is there, and the files have been checked for the first time.
    ///
    /// # Errors
    /// When a guest does not come up.
    pub fn wait_for(host: &mut Host) -> Result<Self> {
        // In small steps: a busy machine takes long over each.
        for ups in [1, 2] {
            let mut seen = 0;
            host.wait_line(format!("{ups} guests say that they are up"), |line| {
                seen += usize::from(says(line, UP).is_some());
                (seen == ups).then_some(())
            })?;
        }
        for said in [SERVES, ROUND] {
            host.wait_line(format!("a guest says {said:?}"), |line| says(line, said).map(drop))?;
        }
        Ok(Self::default())
    }

    /// Looks at what the guests have said since the chapter began.
    ///
    /// # Errors
    /// When the host has ended.
    pub fn look(&mut self, host: &Host) -> Result<()> {
        anyhow::ensure!(host.is_on(), "the host has ended");
        let complains = |line: &Line| says(line, DAMAGED).or_else(|| says(line, UP)).map(str::to_owned);
        self.complaints.extend(host.lines().iter().filter_map(complains));
        Ok(())
    }

    /// Waits until all files have been checked once more. Returns how often they have been.
    ///
    /// # Errors
    /// When they are not.
    pub fn rounds_after(&mut self, host: &mut Host) -> Result<u64> {
        host.begin_chapter();
        let round = |line: &Line| says(line, ROUND)?.strip_prefix(ROUND)?.parse().ok();
        let rounds = host.wait_line("all files are checked once more", round)?;
        self.look(host)?;
        Ok(rounds)
    }

    /// What they have said that they must not: of files that were not what had been written, and of another life.
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }
}

/// What a guest says in this line, if it begins so.
fn says<'a>(line: &'a Line, beginning: &str) -> Option<&'a str> {
    match line {
        Line::Domain(_, said) => said.starts_with(beginning).then_some(said),
        _ => None,
    }
}
