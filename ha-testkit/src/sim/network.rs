use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ha_core::backend::Commit;
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng};
use tokio::sync::oneshot;

use super::backend::PATIENCE;
use super::counters::{Counters, Injected};
use super::executor::{Executor, Owner};
use super::store::{Answer, Request, Store};

/// How the line between one process and the store is. Chances are in thousandths.
#[derive(Debug, Clone)]
pub(super) struct Weather {
    /// How long a message takes, in microseconds.
    pub(super) delay_us: Range<u64>,
    /// How long an answer takes, if otherwise.
    pub(super) answer_us: Option<Range<u64>>,
    /// A request is lost on its way.
    pub(super) lost: u64,
    /// A request is applied, and its answer lost.
    pub(super) unanswered: u64,
    /// A request arrives seconds later, when nobody waits for it any more.
    pub(super) late: u64,
    /// A write arrives after its sender has stopped waiting, and has sent it again.
    pub(super) held_up: u64,
    /// Two copies of a write arrive, one right after the other.
    pub(super) twice: u64,
    /// A watch is told nothing.
    pub(super) deaf: u64,
    /// No commit (but those that take ids) arrives, or none is answered; all else goes on, renewals too.
    pub(super) commits: Option<Commits>,
    /// Nothing gets from the process to the store; nothing gets back.
    pub(super) cut_there: bool,
    pub(super) cut_back: bool,
}

impl Weather {
    pub(super) fn calm() -> Self {
        Self {
            delay_us: 100..2000,
            answer_us: None,
            lost: 0,
            unanswered: 0,
            late: 0,
            held_up: 0,
            twice: 0,
            deaf: 0,
            commits: None,
            cut_there: false,
            cut_back: false,
        }
    }
}

/// What becomes of commits alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Commits {
    Lost,
    Unanswered,
}

/// The line between one process, in all its lives, and the store. Clones are the same line.
#[derive(Clone)]
pub(super) struct Line {
    world: Seam,
    executor: Executor,
    store: Arc<Store>,
    counters: Counters,
    state: Arc<Mutex<State>>,
}

struct State {
    weather: Weather,
    random: StdRng,
}

/// What happens to one message.
struct Fate {
    there: Duration,
    back: Duration,
    lost: bool,
    unanswered: bool,
    twice: bool,
    deaf: bool,
}

/// What a caller hears of its request.
#[derive(Debug)]
pub(super) enum Heard {
    Answer(Answer),
    /// It was refused before anything was sent.
    NotSent,
    /// No answer came in time.
    Nothing,
}

/// Whether it takes an id. Those go on: without one, nobody would come to add a checkpoint.
fn counts(commit: &Commit) -> bool {
    commit.writes.iter().any(|write| write.key.last() == "checkpoint_id_counter")
}

impl Line {
    pub(super) fn new(
        world: Seam,
        executor: Executor,
        store: Arc<Store>,
        counters: Counters,
        weather: Weather,
        seed: u64,
    ) -> Self {
        let state = State { weather, random: StdRng::seed_from_u64(seed) };
        Self { world, executor, store, counters, state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Weather)) {
        change(&mut self.state().weather);
    }

    pub(super) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fate(&self, request: &Request) -> Fate {
        let mut state = self.state();
        let State { weather, random } = &mut *state;
        let mut chance = |thousandths: u64| random.next_u64() % 1000 < thousandths;
        let held_up = request.is_write() && chance(weather.held_up);
        let (lost, unanswered, late) = (chance(weather.lost), chance(weather.unanswered), chance(weather.late));
        let (twice, deaf) = (chance(weather.twice), chance(weather.deaf));
        let commits = weather.commits.filter(|_| matches!(request, Request::Commit(commit) if !counts(commit)));
        let lost = lost || commits == Some(Commits::Lost);
        let unanswered = unanswered || commits == Some(Commits::Unanswered);
        let mut within = |range: &Range<u64>| {
            let span = range.end.saturating_sub(range.start).max(1);
            Duration::from_micros(range.start + random.next_u64() % span)
        };
        let mut there = within(&weather.delay_us);
        let back = within(weather.answer_us.as_ref().unwrap_or(&weather.delay_us));
        if late && !lost {
            there += Duration::from_millis(500 + random.next_u64() % 20_000);
        }
        if held_up && !lost {
            there += PATIENCE + Duration::from_millis(random.next_u64() % 4000);
        }
        drop(state);
        let twice = twice && request.is_write();
        let deaf = deaf && request.is_watch();
        let counted = [
            (lost, Injected::RequestLost),
            (unanswered && !lost, Injected::AnswerLost),
            ((late || held_up) && !lost, Injected::DeliveredLate),
            (twice, Injected::DeliveredTwice),
            (deaf, Injected::WatchLost),
        ];
        counted.into_iter().filter(|(happens, _)| *happens).for_each(|(_, kind)| self.counters.injected(kind));
        Fate { there, back, lost, unanswered, twice, deaf }
    }

    fn is_cut_there(&self) -> bool {
        self.state().weather.cut_there
    }

    /// Sends a request and waits for its answer, so long by the clock of whoever sends. Dropped, it is on its way all
    /// the same.
    pub(super) async fn ask(&self, seam: &Seam, request: Request, at_most: Duration) -> Heard {
        let fate = self.fate(&request);
        if self.is_cut_there() && self.state().random.next_u64().is_multiple_of(2) {
            // The connection is refused, or is known to be broken.
            seam.sleep(fate.there).await;
            return Heard::NotSent;
        }
        let (answer, answered) = oneshot::channel();
        self.executor.spawn(Owner::WORLD, self.clone().carry(request, fate, answer));
        match seam.timeout(at_most, answered).await {
            Some(Ok(answer)) => Heard::Answer(answer),
            // Whoever carried it dropped it: nothing comes any more, and nobody can know that.
            Some(Err(_)) => {
                seam.sleep(at_most).await;
                Heard::Nothing
            }
            None => Heard::Nothing,
        }
    }

    /// A message on its way. What it belongs to may be dead long since.
    async fn carry(self, request: Request, fate: Fate, mut answer: oneshot::Sender<Answer>) {
        self.world.sleep(fate.there).await;
        if fate.lost || self.is_cut_there() {
            return;
        }
        let mut handled = match request.is_watch() {
            // A connection that ends takes its watch with it.
            true => tokio::select! {
                biased;
                () = answer.closed() => return,
                handled = self.store.handle(&request) => handled,
            },
            false => self.store.handle(&request).await,
        };
        if fate.twice {
            drop(self.store.handle(&request).await);
            // Race: one copy is refused before anything is done, and the other one is applied.
            // Closed by: a refusal of one of two is no refusal of the write.
            // Cost if missed: what was told as not applied is there.
            if matches!(&handled, Answer::Failed(error) if !error.may_have_applied()) {
                let error = Error::new(ErrorKind::Indeterminate, "store").because("one of two copies was refused");
                handled = Answer::Failed(error);
            }
        }
        self.world.sleep(fate.back).await;
        if !fate.unanswered && !fate.deaf && !self.state().weather.cut_back {
            // Whoever asked may be gone.
            let _ = answer.send(handled);
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("weather", &self.state().weather).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ha_core::backend::{Backend as _, Commit, Expect, Key};

    use super::super::backend::SimBackend;
    use super::super::store::Condition;
    use super::*;
    use crate::mutants::Defect;

    #[test]
    fn a_write_of_which_one_copy_was_refused_is_not_told_as_refused() {
        // It fails if the answer to the first copy is told while the second one is applied.
        super::super::run(1, async |seam| {
            let counters = Counters::default();
            let store = Store::new(seam.clone(), Defect::None, counters.clone(), 1);
            let executor = Executor::new(1);
            let mut weather = Weather::calm();
            weather.twice = 1000;
            let line = Line::new(seam.clone(), executor.clone(), Arc::clone(&store), counters, weather, 1);
            let (tell, told) = oneshot::channel();
            executor.spawn(Owner::WORLD, async move {
                let backend = SimBackend::new(line, seam.clone());
                let mut refused = Vec::new();
                store.set(Condition { refuses: 500, ..Condition::default() });
                for number in 0..100 {
                    let key = Key::new(format!("key-{number}")).unwrap();
                    let commit = Commit::new(seam.write_id()).put(key.clone(), Expect::Absent, "1".into());
                    if backend.commit(&commit).await.is_err_and(|error| !error.may_have_applied()) {
                        refused.push(key);
                    }
                }
                store.set(Condition::default());
                for key in refused {
                    assert!(backend.read(&key).await.unwrap().is_none(), "{key} was refused, and is there");
                }
                let _ = tell.send(());
            });
            executor.run_until(told).await;
            assert_eq!(executor.panics(), []);
        });
    }
}
