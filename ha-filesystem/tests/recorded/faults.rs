use std::sync::{Arc, Mutex};

use ha_filesystem::disk::Folder;

use crate::disk::{EIO, Fault, Lie, Recorded, World};
use crate::script::{Ledger, observe, play, verify};

/// So many losses of power are tried for one state of the disk, if there are more.
const CUTS_MAX: usize = 24;

#[derive(Debug, Default)]
struct Tried {
    points: u64,
    cuts: u64,
    /// Of so many points all losses of power that can be.
    exhaustive: u64,
    observed: u64,
}

/// Plays the script with a fault at each step, and judges what is left: as it is, or after losses of power.
async fn at_every_step(has_links: bool, fault: impl Fn(u64) -> Fault, power_fails: bool) -> Tried {
    on(World::default(), has_links, fault, power_fails).await
}

async fn on(empty: World, has_links: bool, fault: impl Fn(u64) -> Fault, power_fails: bool) -> Tried {
    let make = if has_links { Recorded::on } else { Recorded::without_links };
    let steps = {
        let world = Arc::new(Mutex::new(empty.clone()));
        let disk = make(&world, Fault::None);
        let mut ledger = Ledger::default();
        play(Arc::clone(&disk), &world, &mut ledger, has_links).await;
        assert!(ledger.errors.is_empty(), "without a fault: {:?}", ledger.errors);
        disk.steps()
    };
    assert!(steps > 100, "the script is about more than {steps} steps");
    let mut tried = Tried::default();
    for at in 0..steps {
        let fault = fault(at);
        let world = Arc::new(Mutex::new(empty.clone()));
        let disk = make(&world, fault);
        let mut ledger = Ledger::default();
        play(Arc::clone(&disk), &world, &mut ledger, has_links).await;
        disk.heal();
        if matches!(fault, Fault::Torn(_)) && !disk.tore() {
            // As if it had crashed there, which is tried elsewhere.
            continue;
        }
        tried.points += 1;
        let is_dead = matches!(fault, Fault::Crash(_) | Fault::Torn(_));
        let world = world.lock().unwrap().clone();
        verify(world.clone(), &ledger, has_links, &format!("{fault:?}")).await;
        if power_fails {
            let (cuts, all) = cuts(&world, at);
            tried.exhaustive += u64::from(all);
            for (number, cut) in cuts.into_iter().enumerate() {
                tried.cuts += 1;
                verify(cut, &ledger, has_links, &format!("{fault:?}, loss of power {number}")).await;
            }
            // What a second process read before the power failed is as true as what the first one was told. (After a
            // failed fsync it is not: the kernel told the first process of that, and nobody else.)
            if is_dead {
                let world = Arc::new(Mutex::new(world));
                observe(&world, &mut ledger, has_links).await;
                let world = world.lock().unwrap().clone();
                for cut in self::cuts(&world, at).0.into_iter().take(CUTS_MAX) {
                    tried.observed += 1;
                    verify(cut, &ledger, has_links, &format!("{fault:?}, observed, then loss of power")).await;
                }
            }
        }
    }
    tried
}

/// All that a loss of power can leave, if they are few; else some, by seeds. Whether they are all.
fn cuts(world: &World, seed: u64) -> (Vec<World>, bool) {
    let mut odometer: Vec<(usize, usize)> = Vec::new();
    let mut found = Vec::new();
    while world.undecided() <= 6 && found.len() < 4 * CUTS_MAX {
        let mut at = 0;
        found.push(world.after_power_cut(|radix| {
            if at == odometer.len() {
                odometer.push((0, radix));
            }
            at += 1;
            odometer[at - 1].0
        }));
        odometer.truncate(at);
        while let Some((digit, radix)) = odometer.pop() {
            if digit + 1 < radix {
                odometer.push((digit + 1, radix));
                break;
            }
        }
        if odometer.is_empty() {
            return (found, true);
        }
    }
    found.clear();
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for _ in 0..CUTS_MAX {
        found.push(world.after_power_cut(|radix| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % radix
        }));
    }
    (found, false)
}

fn told(what: &str, tried: &Tried) {
    ha_testkit::run::tell(format_args!("{what}: {tried:?}"));
    assert!(tried.points > 0);
}

#[tokio::test]
async fn nothing_told_is_lost_when_the_process_ends_at_any_step_and_the_power_fails() {
    // Fails if an answer goes out before all that it rests on is durable.
    let tried = at_every_step(true, Fault::Crash, true).await;
    told("crash at each step, then losses of power", &tried);
    assert!(tried.cuts > tried.points);
    told("crash within each write, then losses of power", &at_every_step(true, Fault::Torn, true).await);
}

#[tokio::test]
async fn the_same_holds_where_a_rename_takes_the_place_of_links() {
    // Fails if what a rename leaves behind differs: the first name is gone.
    told("crash at each step, renames", &at_every_step(false, Fault::Crash, true).await);
    told("an I/O error at each step, renames", &at_every_step(false, |at| Fault::Fails(at, EIO), false).await);
}

#[tokio::test]
async fn an_io_error_at_any_step_loses_nothing_that_was_told() {
    // Fails if a failed fsync is followed by an answer that rests on it, or a failed link is told as no entry.
    told("an I/O error at each step", &at_every_step(true, |at| Fault::Fails(at, EIO), true).await);
    told("an I/O error after each step was done", &at_every_step(true, |at| Fault::FailsDone(at, EIO), true).await);
}

#[tokio::test]
async fn a_disk_that_fills_up_or_becomes_read_only_at_any_step_loses_nothing() {
    // Fails if an entry that did not fit is told, torn, or comes back later.
    told("full from each step on", &at_every_step(true, Fault::Full, true).await);
    told("read-only from each step on", &at_every_step(true, Fault::ReadOnly, true).await);
}

#[test]
fn a_disk_that_forgets_what_it_acknowledged_is_found_out_here() {
    // Fails if these tests would let a missing fsync pass.
    let folders = [Folder::Root, Folder::Journal, Folder::Entries, Folder::Snapshots].map(Lie::Folder);
    for lie in folders.into_iter().chain([Lie::Files]) {
        let lying = World { lie: Some(lie), ..World::default() };
        let tried = std::panic::catch_unwind(|| {
            ha_testkit::run::block_on(on(lying, true, Fault::Crash, true));
        });
        assert!(tried.is_err(), "{lie:?} went unnoticed");
    }
}
