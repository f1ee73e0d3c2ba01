use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ha_core::backend::SessionOptions;
use ha_core::election::LeaderContender;
use ha_core::retrieval::{Leader as Seen, LeaderRetrievalListener};
use ha_core::seam::{Deadline, Seam, Task};
use ha_core::{ComponentId, Error, HaServices, HighAvailabilityServices, PresenceOptions, ServicesOptions};
use tokio::sync::watch;
use uuid::Uuid;

use super::reader;
use super::workload::{Part, Surroundings};
use super::world::{AUDITOR, LATCH, World};
use crate::history::{Answer, Call, Leader, Loss, Outcome, Scribe, Term, What};

/// How many follow the leader in each process.
pub(super) const OBSERVERS: usize = 2;
const DISPATCHER: &str = "dispatcher";
const CONTENDER: &str = "resource_manager";

/// One life of one process.
pub(super) struct Life {
    pub(super) world: Arc<World>,
    pub(super) process: usize,
    pub(super) seam: Seam,
    pub(super) scribe: Scribe,
    pub(super) stop: watch::Receiver<bool>,
}

/// What the parts of one life share.
#[derive(Clone)]
pub(super) struct Own {
    pub(super) world: Arc<dyn Surroundings>,
    pub(super) process: usize,
    pub(super) part: Part,
    pub(super) seam: Seam,
    pub(super) scribe: Scribe,
    pub(super) services: Arc<HaServices>,
    pub(super) address: String,
}

impl Own {
    /// Makes a call, and notes what became of it.
    pub(super) async fn call<T>(
        &self,
        under: Option<u64>,
        call: Call,
        made: impl Future<Output = Result<T, Error>>,
        answer: impl FnOnce(&T) -> Answer,
    ) -> Result<T, Error> {
        let pending = self.scribe.invoked(under.map(|epoch| Term::new(LATCH, epoch)), call);
        let made = made.await;
        pending.returned(Outcome::of(made.as_ref().map(answer)));
        made
    }

    /// Whether nothing else of this process is on the latch, so that it is free when the dispatcher resigns. In the
    /// others it is granted the same term again, which the other component has kept.
    pub(super) fn contends_once(&self) -> bool {
        self.part != Part::Works
    }

    pub(super) fn chance(&self, one_in: u64) -> bool {
        self.seam.random_u64().is_multiple_of(one_in)
    }

    pub(super) async fn rest(&self, around: Duration) {
        self.seam.sleep(self.seam.jittered(around)).await;
    }
}

impl Life {
    pub(super) async fn live(mut self) {
        let mut stop = self.stop.clone();
        let stopped = async {
            // The sender lives as long as the life.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        let own = tokio::select! {
            biased;
            () = stopped => return,
            own = self.begin() => own,
        };
        work(own, &mut self.stop).await;
    }

    async fn begin(&self) -> Own {
        let (world, process) = (&self.world, self.process);
        let backend = loop {
            match world.connect(process, &self.seam).await {
                Ok(backend) => break backend,
                Err(_) => self.seam.sleep(Duration::from_millis(200)).await,
            }
        };
        let name = world.processes[process].name.clone();
        let session = SessionOptions { silence: world.plan.silence, label: name.clone() };
        let options = ServicesOptions { session, presence: PresenceOptions::Off, ..ServicesOptions::default() };
        let storage = world.storage(process, &self.seam);
        let services = HaServices::new(backend, storage, &options, self.seam.clone());
        let services = Arc::new(services.expect("the options are within their bounds"));
        let incarnation = world.alive(process).map_or(0, |alive| alive.incarnation);
        let address = format!("{name}-{incarnation}:6123");
        let part = match process {
            AUDITOR => Part::Audits,
            1 => Part::GivesUp,
            _ => Part::Works,
        };
        let world = Arc::<World>::clone(world);
        let (seam, scribe) = (self.seam.clone(), self.scribe.clone());
        Own { world, process, part, seam, scribe, services, address }
    }
}

/// Contends, follows and reads until it is to stop.
pub(super) async fn work(own: Own, stop: &mut watch::Receiver<bool>) {
    let followers = follow(&own);
    let contender = contend(&own).await;
    let _asking = contender.as_ref().map(|(contender, _)| own.seam.spawn(Arc::clone(contender).ask_now_and_then()));
    let _reader = own.seam.spawn(reader::read_now_and_then(own.clone()));
    super::leader::lead_again_and_again(&own, stop).await;
    drop(followers);
    // What the contender holds is given up with the services.
    let held = contender.as_ref().and_then(|(contender, _)| contender.granted());
    let closing = own.services.close();
    // What cannot be told is found out by silence.
    match held {
        Some(epoch) => {
            let call = Call::Resign { component: CONTENDER.to_owned() };
            drop(own.call(Some(epoch), call, closing, |()| Answer::Nothing).await);
        }
        None => drop(closing.await),
    }
    drop(contender);
}

fn shown(own: &Own, observer: &str, leader: Option<&Seen>) {
    own.world.shows(own.process, observer, leader.map(|leader| leader.token.epoch()));
    let seen = |leader: &Seen| Leader { term: Term::new(LATCH, leader.token.epoch()), address: leader.address.clone() };
    let (observer, component) = (observer.to_owned(), DISPATCHER.to_owned());
    own.scribe.note(What::Shown { observer, component, leader: leader.map(seen) });
}

struct Listener(Own);

#[async_trait]
impl LeaderRetrievalListener for Listener {
    async fn notify_leader(&self, leader: Option<Seen>) {
        shown(&self.0, "listener", leader.as_ref());
    }

    async fn handle_error(&self, _: Error) {}
}

/// Follows the leader: by a watch, and by a listener.
fn follow(own: &Own) -> Vec<Task> {
    let mut tasks = Vec::new();
    if let Ok(retriever) = own.services.dispatcher_leader_retriever() {
        let (own, mut watch) = (own.clone(), retriever.watch());
        tasks.push(own.clone().seam.spawn(async move {
            shown(&own, "watch", watch.view().leader());
            loop {
                shown(&own, "watch", watch.changed().await.leader());
            }
        }));
    }
    if let Ok(retriever) = own.services.dispatcher_leader_retriever() {
        // It ends with the services.
        let started = retriever.start(Arc::new(Listener(own.clone())));
        tasks.push(own.seam.spawn(async move {
            let _kept = (started, retriever);
            std::future::pending().await
        }));
    }
    tasks
}

/// A contender of the kind that is called back.
struct Contender {
    own: Own,
    granted: std::sync::Mutex<Option<(u64, Uuid)>>,
    election: std::sync::Weak<dyn ha_core::election::LeaderElection>,
}

#[async_trait]
impl LeaderContender for Contender {
    async fn grant_leadership(&self, session_id: Uuid) {
        let Ok(service) = self.own.services.leader_election_service() else { return };
        let grant = service.current().borrow().clone();
        let Some(grant) = grant.filter(|grant| grant.session_id() == session_id) else { return };
        let epoch = grant.epoch();
        *self.granted.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((epoch, session_id));
        let (component, term) = (CONTENDER.to_owned(), Term::new(LATCH, epoch));
        self.own.scribe.note(What::Granted { component: component.clone(), term });
        self.own.world.told(self.own.process, CONTENDER, Some(epoch));
        if let Some(election) = self.election.upgrade() {
            let address = self.own.address.clone();
            let confirmed = election.confirm_leadership(session_id, &address);
            let call = Call::Publish { component, address: address.clone() };
            drop(self.own.call(Some(epoch), call, confirmed, |()| Answer::Nothing).await);
        }
    }

    async fn revoke_leadership(&self) {
        let granted = self.granted.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some((epoch, _)) = granted {
            self.own.world.told(self.own.process, CONTENDER, None);
            let (component, term) = (CONTENDER.to_owned(), Term::new(LATCH, epoch));
            self.own.scribe.note(What::Revoked { component, term, why: Loss::Untold });
        }
    }

    async fn handle_error(&self, _: Error) {}

    fn description(&self) -> String {
        self.own.address.clone()
    }
}

impl Contender {
    fn granted(&self) -> Option<u64> {
        self.granted.lock().unwrap_or_else(std::sync::PoisonError::into_inner).map(|(epoch, _)| epoch)
    }

    /// Asks now and then whether it still leads, and notes up to when it believes so: up to now, at least. Never done.
    async fn ask_now_and_then(self: Arc<Self>) {
        let own = &self.own;
        loop {
            own.rest(own.world.silence() / 5).await;
            let granted = *self.granted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let (Some((epoch, session_id)), Some(election)) = (granted, self.election.upgrade()) else { continue };
            if !election.has_leadership(session_id) {
                continue;
            }
            let Ok(service) = own.services.leader_election_service() else { continue };
            let grant = service.current().borrow().clone().filter(|grant| grant.session_id() == session_id);
            // It was told so just now, whatever the grant says.
            let now = Deadline::at(own.seam.now() + Duration::from_micros(1));
            let valid = grant.map_or(now, |grant| grant.valid_until());
            for until in [valid, now] {
                if let Some(until_ns) = own.world.until_ns(own.process, &own.seam, until) {
                    own.scribe.note(What::Believes { term: Term::new(LATCH, epoch), until_ns });
                }
            }
        }
    }
}

async fn contend(own: &Own) -> Option<(Arc<Contender>, Arc<dyn ha_core::election::LeaderElection>)> {
    if own.contends_once() {
        return None;
    }
    let election = own.services.leader_election(ComponentId::resource_manager()).ok()?;
    let (own, granted) = (own.clone(), std::sync::Mutex::default());
    let contender = Arc::new(Contender { own, granted, election: Arc::downgrade(&election) });
    // It is refused only when the services are closed.
    drop(election.start_leader_election(Arc::<Contender>::clone(&contender)).await);
    Some((contender, election))
}
