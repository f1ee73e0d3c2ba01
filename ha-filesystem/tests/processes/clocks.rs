//! Wall clocks that jump, and file times that are nonsense: nothing that decides looks at them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ha_core::HighAvailabilityServices;
use ha_core::backend::Backend;
use ha_core::journal::Journal;
use ha_core::seam::{BoxFuture, Clock, Moment, Rng, Seam, Tasks};
use ha_filesystem::{FilesystemDevice, FilesystemSettings};
use ha_testkit::async_trait;
use ha_testkit::run::block_on;
use ha_testkit::trials::{Believes, assert_never_two_at_once};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::member::{Member, acknowledged, checkpoint, checkpoints, leads_after, numbers, writes};
use crate::world::{ENDLESS, World};

/// What the wall clock says, one after the other: now and then, long ago, and in a far future.
const JUMPS: [u64; 5] = [0, 1_800_000_000_000, 1, 9_000_000_000_000_000, 1_500_000_000_000];

/// The system's, but for a wall clock that jumps each time it is looked at.
#[derive(Debug)]
struct Jumping {
    seam: Seam,
    looks: AtomicU64,
}

#[async_trait]
impl Clock for Jumping {
    fn now(&self) -> Moment {
        self.seam.now()
    }

    fn unix_ms(&self) -> u64 {
        JUMPS[self.looks.fetch_add(1, Ordering::Relaxed) as usize % JUMPS.len()]
    }

    async fn sleep_until(&self, at: Moment) {
        self.seam.sleep_until(at).await;
    }
}

impl Rng for Jumping {
    fn next_u64(&self) -> u64 {
        self.seam.random_u64()
    }
}

#[derive(Debug)]
struct OnThis(Handle);

impl Tasks for OnThis {
    fn spawn(&self, future: BoxFuture) -> AbortHandle {
        #[expect(clippy::disallowed_methods, reason = "this is a seam")]
        self.0.spawn(future).abort_handle()
    }

    fn spawn_critical(&self, future: BoxFuture) -> AbortHandle {
        self.spawn(future)
    }
}

fn jumping(begins: u64) -> Seam {
    let clock = Arc::new(Jumping { seam: Seam::system(), looks: AtomicU64::new(begins) });
    Seam::new(Arc::clone(&clock) as _, clock, Arc::new(OnThis(Handle::current())))
}

#[test]
fn a_wall_clock_that_jumps_ends_no_leadership_and_prolongs_none() {
    block_on(async {
        // Fails if a deadline, a silence, an order or a sweep rests on the wall clock of any process.
        let w = World::in_memory();
        let (one, other) = (jumping(0), jumping(3));
        let member = |label: &str| Member { ignore_locks: true, silence: Duration::from_secs(2), ..w.member(label) };
        let leader_backend = member("leader").backend(&one).await.unwrap();
        let leader = member("leader").services_on(Arc::clone(&leader_backend), &one);
        let standby = member("standby").services(&other).await;
        let leadership = w.leadership(&leader).await;
        let campaign = standby.dispatcher_leader_election().unwrap();
        let campaign = campaign.campaign();
        let mut campaign = std::pin::pin!(campaign);
        // Many silences long, with a standby that would take its place.
        let store = checkpoints(&leadership).await.unwrap();
        let began = leadership.valid_until();
        let mut told = Vec::new();
        let mut id = store.get_latest_checkpoint_id().await.unwrap();
        while leadership.valid_until().moment() < began.moment() + member("").silence * 4 {
            id += 1;
            store.add_checkpoint_and_subsume_oldest_one(checkpoint(id)).await.unwrap();
            told.extend(Believes::ask(&leadership, &one).map(|believes| (0, believes)));
            let early = w.seam.timeout(Duration::from_millis(10), &mut campaign).await;
            assert!(early.is_none(), "a standby leads beside a leader");
        }
        assert!(leadership.is_valid());
        // And it ends when it is due: nothing that it sends arrives from here on.
        let session = leader_backend.sessions().await.unwrap().remove(0).id;
        leader_backend.freeze(&session, true).unwrap();
        let asking = async {
            while let Some(believes) = Believes::ask(&leadership, &one) {
                told.push((0, believes));
                w.seam.sleep(Duration::from_millis(5)).await;
            }
            std::future::pending::<()>().await;
        };
        let successor = tokio::select! {
            biased;
            successor = w.in_time("the standby leads", campaign) => successor.unwrap(),
            () = asking => unreachable!("it waits for ever"),
        };
        told.extend(Believes::ask(&successor, &other).map(|believes| (1, believes)));
        told.extend(Believes::ask(&leadership, &one).map(|believes| (0, believes)));
        assert_never_two_at_once(&told);
        assert!(told.iter().any(|(who, _)| *who == 1));
        assert_eq!(checkpoints(&successor).await.unwrap().get_latest_checkpoint_id().await.unwrap(), id);
        leader_backend.freeze(&session, false).ok();
        leader_backend.close().await.unwrap();
    });
}

/// Makes every file look as old as it can be that a writer or a holder has there.
fn age(journal: &Path) {
    for folder in ["staged", "holders"] {
        for file in std::fs::read_dir(journal.join(".ha-journal").join(folder)).unwrap().flatten() {
            // Gone already, perhaps.
            let Ok(file) = std::fs::File::options().write(true).open(file.path()) else { continue };
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
    }
}

#[test]
fn a_file_system_whose_clock_jumps_by_years_takes_nothing_from_those_who_write_and_who_lead() {
    block_on(async {
        // Fails if what is collected as a leftover of the past was somebody's entry, or the evidence of a leader.
        let w = World::in_memory();
        let member = |label: &str| Member { silence: ENDLESS, ..w.member(label) };
        let mut leader = member("leader").spawn(&w.seam);
        writes(&leader, 1).await;
        let sweeper = FilesystemDevice::open(FilesystemSettings::at(w.path("journal")), w.seam.clone()).await.unwrap();
        let before = acknowledged(&leader.events()).len();
        while acknowledged(&leader.events()).len() < before + 300 {
            age(&w.path("journal"));
            sweeper.sweep(&[]).await.unwrap();
        }
        assert_eq!(numbers(&leader.events(), "elected").len(), 1, "it leads on in its term");
        assert!(leader.events().iter().all(|event| event.name != "lost" && event.name != "refused"));
        let standby = member("standby").spawn(&w.seam);
        w.has_tried("standby").await;
        age(&w.path("journal"));
        sweeper.sweep(&[]).await.unwrap();
        leader.kill();
        leader.exited().await;
        let token = numbers(&leader.events(), "elected")[0];
        leads_after(&standby, token).await;
        w.assert_nothing_is_lost_in(&member("successor"), vec![leader, standby]).await;
    });
}
