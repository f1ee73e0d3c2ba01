use std::fmt;
use std::time::Duration;

use ha::seam::Seam;
use ha_testkit::Missing;
use ha_testkit::checks::Violation;
use ha_testkit::history::{Event, What, write_lines};

use crate::judge::{healed, judge, passed_the_fence, permit};
use crate::options::Options;
use crate::plan::plan;
use crate::summary::Summary;
use crate::world::World;

/// Within what time a last worker leads and has read everything.
const AUDITED_WITHIN: Duration = Duration::from_secs(40);
/// How often the histories are looked at for the healing.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What came of a run.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ran {
    /// Everything that happened.
    pub history: Vec<Event>,
    /// The same, counted.
    pub summary: Summary,
    /// The promises that are broken.
    pub violations: Vec<Violation>,
    /// What else must not be: workers that ended by themselves, or did not end when they were asked to; and why a
    /// run proves nothing, if it does not.
    pub findings: Vec<String>,
    /// What could not be tried on this machine, and why.
    pub skipped: Vec<String>,
}

impl Ran {
    /// Whether everything is as it must be.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty() && self.findings.is_empty()
    }
}

/// Why a run gives no result.
#[derive(Debug)]
pub enum Failed {
    /// What it needs is not here. Tests are skipped for it, where they may be.
    Missing(Missing),
    /// Something else is wrong.
    Other(String),
}

impl From<String> for Failed {
    fn from(text: String) -> Self {
        Self::Other(text)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(Missing(text)) | Self::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Failed {}

/// Makes trouble for as long as the options say, lets the cluster heal, reads everything, and judges what happened.
///
/// The workers are this very program, started once more: its `main` (or a test that is called `worker`) must call
/// [`play_if_asked`](crate::worker::play_if_asked) first.
///
/// # Errors
/// [`Failed::Missing`]: there is no program of a server. [`Failed::Other`]: this machine does not take part, or a history
/// cannot be read; the text says what is wrong.
///
/// # Panics
/// A server does not come back.
///
/// # Cancel safety
/// After a drop all processes, mounts and folders that it made are gone.
pub async fn run(options: Options) -> Result<Ran, Failed> {
    let seam = Seam::system();
    let steps = plan(&options);
    let world = World::start(options, seam.clone()).await?;
    let began = seam.now();
    let trouble = steps.iter().map(|step| world.carry_out(step, began));
    futures_util::future::join_all(trouble).await;
    seam.sleep_until(began + world.options.trouble).await;

    world.start_all().await;
    let heals_within = world.options.heals_within();
    world.note(What::Calm { heals_within_ns: u64::try_from(heals_within.as_nanos()).unwrap_or(u64::MAX) });
    let calm = seam.now();
    while healed(&world.history()?, world.options.workers).is_none() && seam.now().since(calm) < heals_within {
        seam.sleep(LOOK_EVERY).await;
    }
    world.end_all().await;
    world.audit(AUDITED_WITHIN).await;

    let (windows, mut history) = (world.windows(), world.history()?);
    if let Some(position) = healed(&history, world.options.workers) {
        // Whole at that very event: what any process noted by then is there.
        let event =
            Event { process: "nemesis".into(), incarnation: 0, what: What::Healed, ..history[position].clone() };
        history.insert(position + 1, event);
    }
    permit(&mut history, &windows);
    // Before it is judged, which may take longer than somebody has patience for.
    for file in
        world.options.keep.iter().map(|folder| folder.join("history.jsonl")).chain(world.options.history.clone())
    {
        std::fs::write(&file, write_lines(&history)).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let (skipped, mut findings) = (world.skipped(), world.remains.findings());
    let mut summary = Summary { met_nothing: world.idle(), ..Summary::of(&history) };
    let late = world.remains.late_commits();
    findings.extend(passed_the_fence(&history, &late));
    for (_, commit) in late {
        *summary.late_commits.entry(commit.outcome).or_default() += 1;
    }
    findings.extend(summary.too_little(world.options.trouble));
    drop(world);
    // Beside the runtime: an interruption is heard meanwhile.
    let judged = seam.compute(move || (judge(&history, &windows), history)).await;
    let (violations, history) = judged.ok_or_else(|| "a check panicked".to_owned())?;
    Ok(Ran { history, summary, violations, findings, skipped })
}
