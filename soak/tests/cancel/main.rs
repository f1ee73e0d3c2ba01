//! Every public asynchronous function of the services, dropped at each of its await points: nothing that was
//! acknowledged is lost, nothing half done is seen, it can be called again, and nothing is left alive.
//!
//! Each operation runs in a fresh world for each point: once the process then does it again and closes, once everything
//! of the process is dropped where it stands and another takes over. Time is simulated: each call takes some, and what
//! is left alive shows as a task, a timer, a session or a call that does not end.

#![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]

mod cases;
mod complete;
mod world;

use std::time::Duration;

use cases::{Case, Leaves};
use ha_core::HighAvailabilityServices;
use ha_core::seam::Seam;
use ha_testkit::cancel::{Cut, at_every_await_point, cut_at};
use ha_testkit::sim;
use world::{On, Stored};

/// A campaign is given up after each of so many parts of the time that it takes.
const STEPS: u32 = 50;

/// What is stored when nothing was done, when it was done once, and twice; and the kind of error of the second time.
struct Expected {
    before: Stored,
    once: Stored,
    twice: Stored,
    again: Result<(), ha_core::Error>,
}

async fn expected(case: &Case, on: On, seam: &Seam) -> Expected {
    let before = (case.world)(on, seam.clone()).await.drop_and_look().await;
    let world = (case.world)(on, seam.clone()).await;
    (case.operation)(&world).await.unwrap_or_else(|error| panic!("{}: undisturbed: {error:?}", case.name));
    let once = world.drop_and_look().await;
    let (mut twice, mut again) = (once.clone(), Ok(()));
    if case.again {
        let world = (case.world)(on, seam.clone()).await;
        (case.operation)(&world).await.unwrap();
        again = (case.operation)(&world).await;
        twice = world.drop_and_look().await;
    }
    match case.leaves {
        Leaves::Nothing => assert_eq!((&once, &twice), (&before, &before), "{} writes", case.name),
        _ => assert_ne!(once, before, "{} does nothing here", case.name),
    }
    Expected { before, once, twice, again }
}

fn may_be(stored: &Stored, of: &[&Stored], what: &str) {
    assert!(of.contains(&stored), "{what}: {stored:#?}\nmay be one of {of:#?}");
}

/// The process does it again, and ends in order.
async fn done_again(case: &Case, on: On, seam: &Seam, expected: &Expected) -> usize {
    let make = async || (case.world)(on, seam.clone()).await;
    let operation = async |world: &world::World| (case.operation)(world).await;
    let points = at_every_await_point(make, operation, async |world, cut: Cut<Result<(), ha_core::Error>>, _| {
        if case.leaves != Leaves::Nothing {
            world.is_whole().await;
        }
        if let Cut::Done(result) = &cut {
            assert!(result.is_ok(), "{}: {result:?}", case.name);
        }
        if !case.again {
            may_be(&world.close_and_look().await, &[&expected.before, &expected.once], case.name);
            return;
        }
        let again = world.in_time("done again", (case.operation)(&world)).await;
        let kind = |result: &Result<(), ha_core::Error>| result.as_ref().err().map(ha_core::Error::kind);
        let answered = [None, kind(&expected.again)];
        assert!(answered.contains(&kind(&again)), "{}: done again it says {again:?}", case.name);
        may_be(&world.close_and_look().await, &[&expected.once, &expected.twice], case.name);
    });
    points.await
}

/// Everything of the process is dropped, and another takes over.
async fn left_alone(case: &Case, on: On, seam: &Seam, expected: &Expected) {
    let make = async || (case.world)(on, seam.clone()).await;
    let operation = async |world: &world::World| (case.operation)(world).await;
    let points = at_every_await_point(make, operation, async |world, cut: Cut<Result<(), ha_core::Error>>, _| {
        let (done, what) = (!cut.is_dropped(), case.name);
        drop(cut);
        let stored = world.drop_and_look().await;
        match case.leaves {
            _ if done => may_be(&stored, &[&expected.once], what),
            Leaves::Steps => {}
            _ => may_be(&stored, &[&expected.before, &expected.once], what),
        }
    });
    points.await;
}

fn cancel_all(cases: &[Case], on: On) {
    sim::run(1, async |seam| {
        for case in cases {
            let expected = expected(case, on, &seam).await;
            let points = done_again(case, on, &seam, &expected).await;
            // The backend below makes a difference to how a handle ends, not to what the next leader finds.
            if on == On::Embedded {
                left_alone(case, on, &seam, &expected).await;
            }
            println!("{} on {on:?}: {points} await points", case.name);
        }
    });
}

#[test]
fn elections_can_be_cancelled_anywhere() {
    cancel_all(&cases::elections(), On::Embedded);
}

#[test]
fn elections_over_a_journal_can_be_cancelled_anywhere() {
    cancel_all(&cases::elections(), On::Journal);
}

#[test]
fn stores_can_be_cancelled_anywhere() {
    cancel_all(&cases::stores(), On::Embedded);
}

#[test]
fn stores_over_a_journal_can_be_cancelled_anywhere() {
    cancel_all(&cases::stores(), On::Journal);
}

#[test]
fn clean_up_and_storage_can_be_cancelled_anywhere() {
    cancel_all(&cases::endings(), On::Embedded);
}

#[test]
fn clean_up_over_a_journal_can_be_cancelled_anywhere() {
    cancel_all(&cases::endings(), On::Journal);
}

/// Fails if a campaign that was given up wins all the same and keeps the latch: nobody would ever lead again.
#[test]
fn a_campaign_given_up_anywhere_keeps_the_latch_from_nobody() {
    for on in [On::Embedded, On::Journal] {
        sim::run(1, async |seam| {
            // A campaign waits for a task of the library, which does the steps: it is given up after each of them.
            let world = world::World::vacant(on, seam.clone()).await;
            let (second, began) = (world.process().await, seam.now());
            let election = second.services.dispatcher_leader_election().unwrap();
            drop(world.in_time("undisturbed", election.campaign()).await.unwrap());
            let takes = seam.now().since(began);
            println!("a campaign on {on:?} takes {takes:?}");
            drop((election, second));
            world.drop_and_look().await;
            for step in 0..=STEPS {
                let world = world::World::vacant(on, seam.clone()).await;
                // Whoever led just now lets others go first; so it is another that campaigns.
                let second = world.process().await;
                let election = second.services.dispatcher_leader_election().unwrap();
                let won = seam.timeout(takes * step / STEPS, election.campaign()).await;
                drop(won);
                // The process that gave up lives on, and may want to lead again.
                world.others_can_lead().await;
                drop(world.in_time("it leads later", election.campaign()).await.unwrap());
                drop((election, second));
                world.drop_and_look().await;
            }
        });
    }
}

/// Fails if giving up while another leads leaves something that wins when the other goes.
#[test]
fn a_campaign_given_up_behind_a_leader_keeps_the_latch_from_nobody() {
    sim::run(1, async |seam| {
        for point in 0..40 {
            let world = world::World::leading(On::Embedded, seam.clone()).await;
            let second = world.process().await;
            let election = second.services.dispatcher_leader_election().unwrap();
            let given_up = cut_at(point, election.campaign());
            drop(seam.timeout(Duration::from_secs(1), given_up).await);
            world.process.services.resign().await.unwrap();
            let third = world.process().await;
            let elected = third.services.dispatcher_leader_election().unwrap();
            drop(world.in_time("a third leads", elected.campaign()).await.unwrap());
            drop((election, elected, second, third));
            world.drop_and_look().await;
        }
    });
}
