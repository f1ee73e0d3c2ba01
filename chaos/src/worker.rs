//! What a worker process does: the workload of the simulation, on real services.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ha::seam::{Deadline, Seam};
use ha::{Configuration, Error, HaServices, Opener};
use ha_testkit::history::{Recording, What};
use ha_testkit::process::{Stage, role};
use ha_testkit::sim::workload::{Member, Part, Surroundings, live};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::clock::{Skew, Translation};
use crate::hindered::{Hindered, Signs};
use crate::options::sabotages;

/// The role that a worker is started in. In a test binary it is a test of this name, which calls [`play_if_asked`].
pub const ROLE: &str = "worker";

/// How long a worker rests now and then between two calls.
const LEISURE: Duration = Duration::from_millis(30);
/// The pause before a backend that could not be reached is tried again.
const CONNECT_PAUSE: Duration = Duration::from_millis(200);

/// What a worker is told when it is started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) name: String,
    pub(crate) number: usize,
    pub(crate) incarnation: u32,
    pub(crate) audits: bool,
    /// Its configuration, as a URL.
    pub(crate) url: String,
    pub(crate) silence_ms: u64,
    /// Where it writes its history.
    pub(crate) history: PathBuf,
    pub(crate) sabotage: String,
    pub(crate) clock: Skew,
    pub(crate) signs: Signs,
}

#[derive(Debug)]
struct Real {
    silence: Duration,
    stage: Stage,
    clock: Translation,
}

impl Surroundings for Real {
    fn leisure(&self) -> Duration {
        LEISURE
    }

    fn silence(&self) -> Duration {
        self.silence
    }

    fn until_ns(&self, _: usize, _: &Seam, until: Deadline) -> Option<u64> {
        // The history has the machine's clock, and the deadline is by the worker's own. What is past already is noted,
        // too: a process may have been stopped since it looked.
        let at = (until != Deadline::PAST).then(|| self.clock.to_machines(until.moment()).since_origin())?;
        Some(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX))
    }

    fn audited(&self) {
        self.stage.tell("audited", ());
    }
}

/// Is a worker, if this process was started as one, and ends the process after that; otherwise does nothing.
pub fn play_if_asked() {
    role(ROLE, play);
}

async fn play(orders: Orders, stage: Stage) {
    end_at_a_panic();
    let machine = stage.seam().clone();
    let (seam, clock) = orders.clock.apply(&machine);
    let asked = ha::termination().expect("a runtime that does I/O");
    let (stop, mut stopped) = watch::channel(false);
    let _asked = seam.spawn(async move {
        asked.await;
        stop.send_replace(true);
        // The receiver must not take the end of the sender for the answer.
        std::future::pending::<()>().await;
    });
    let file = OpenOptions::new().create_new(true).append(true).open(&orders.history);
    let file = file.expect("a history of this life, which has none yet");
    let scribe = Recording::to_file(machine, file).scribe(&orders.name, orders.incarnation);
    scribe.note(What::Started);
    let services = tokio::select! {
        biased;
        _ = stopped.wait_for(|stop| *stop) => None,
        services = services(&orders, &seam, &stage) => Some(services),
    };
    if let Some(services) = services {
        let part = match (orders.audits, orders.number) {
            (true, _) => Part::Audits,
            // One of them, so that leaders also change without a fault.
            (false, 1) => Part::GivesUp,
            (false, _) => Part::Works,
        };
        let around = Arc::new(Real { silence: Duration::from_millis(orders.silence_ms), stage: stage.clone(), clock });
        let (name, scribe) = (orders.name.clone(), scribe.clone());
        let (process, incarnation) = (orders.number, orders.incarnation);
        let member = Member { process, part, name, incarnation, scribe, seam, services, around };
        live(member, &mut stopped).await;
    }
    scribe.note(What::Closed);
}

/// A panic in a task ends that task, and nobody hears of it: a worker of which one part is dead could go unnoticed. So it
/// ends the process, which is a finding.
fn end_at_a_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::abort();
    }));
}

/// Its services; tried again until the backend is reached.
async fn services(orders: &Orders, seam: &Seam, stage: &Stage) -> Arc<HaServices> {
    loop {
        match open(orders, seam, stage).await {
            Ok(services) => return Arc::new(services),
            // What is wrong with the settings does not heal.
            Err(error) if error.kind() == ha::ErrorKind::Invalid => panic!("{error:?}"),
            Err(_) => seam.sleep(CONNECT_PAUSE).await,
        }
    }
}

async fn open(orders: &Orders, seam: &Seam, stage: &Stage) -> Result<HaServices, Error> {
    let settings = Configuration::from_url(&orders.url)?.settings()?;
    // What `ha::open_url` does, in two steps: between them the backend may be broken on purpose.
    let opened = Opener::new(seam.clone()).connect(&settings).await?;
    let how = sabotages(&orders.sabotage).unwrap_or_else(|message| panic!("{message}"));
    // What is lost on the way is lost before what is broken on purpose hears of it, which may ignore it; a process stops
    // before that, too, which may have taken away what is waited for.
    let backend = Hindered::losing_answers(opened.backend, &orders.signs, stage.clone());
    let backend = how.into_iter().fold(backend, |backend, how| how.of(backend));
    let backend = Hindered::stopping(backend, &orders.signs, stage.clone());
    HaServices::new(backend, opened.storage, &opened.options, seam.clone())
}
