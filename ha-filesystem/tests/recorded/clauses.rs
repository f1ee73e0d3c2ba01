use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ha_core::ErrorKind;
use ha_core::backend::ReadGuarantee;
use ha_core::journal::{Journal, Published, SnapshotName};
use ha_core::seam::Seam;
use ha_filesystem::disk::{Disk, Folder};
use ha_filesystem::{FilesystemDevice, FilesystemSettings, Mount, Reach};

use crate::disk::{EIO, Fault, Recorded, World};
use crate::script::open;

fn world() -> Arc<Mutex<World>> {
    Arc::new(Mutex::new(World::default()))
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[tokio::test]
async fn a_loser_uses_its_staged_file_again_and_writes_it_anew_when_it_was_collected() {
    // Fails if an idle writer fails for ever, or a loser writes its bytes again and again.
    let world = world();
    let (one, other) = (open(Recorded::on(&world, Fault::None)).await, open(Recorded::on(&world, Fault::None)).await);
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.publish(1, 1, &bytes("a")).await, Ok(Published::Won { floor: 0 }));
    assert_eq!(one.publish(2, 2, &bytes("b")).await, Ok(Published::Won { floor: 0 }));
    one.read(1).await.unwrap();
    assert_eq!(other.publish(1, 7, &bytes("c")).await, Ok(Published::Taken));
    let staged = world.lock().unwrap().names(Folder::Staged);
    assert_eq!(staged.len(), 1, "{staged:?}");
    assert_eq!(other.publish(2, 7, &bytes("c")).await, Ok(Published::Taken));
    assert_eq!(world.lock().unwrap().names(Folder::Staged), staged, "the same file competes again");
    world.lock().unwrap().take_away(Folder::Staged, &staged[0]);
    assert_eq!(other.publish(3, 7, &bytes("c")).await, Ok(Published::Won { floor: 0 }));
    assert_eq!(one.read(3).await.unwrap().entries, [bytes("c")]);
    other.read(4).await.unwrap();
    assert!(world.lock().unwrap().names(Folder::Staged).is_empty());
}

#[tokio::test]
async fn a_writer_and_a_reader_that_slept_learn_the_floor_with_their_answer() {
    // Fails if an entry at a swept number is answered without the floor that unmasks it.
    let world = world();
    let sleeper = open(Recorded::on(&world, Fault::None)).await.unwrap();
    let other = open(Recorded::on(&world, Fault::None)).await.unwrap();
    for number in 1..=6 {
        other.publish(number, u128::from(number), &bytes("x")).await.unwrap();
    }
    for (number, floor) in [(2, 0), (4, 2), (6, 4)] {
        other.put_snapshot(SnapshotName { number, floor }, &bytes("s")).await.unwrap();
    }
    other.sweep(&[]).await.unwrap();
    let read = sleeper.read(1).await.unwrap();
    assert!(read.entries.is_empty() && read.floor == 4, "behind, and not at the end: {read:?}");
    assert_eq!(sleeper.publish(1, 99, &bytes("late")).await, Ok(Published::Won { floor: 4 }));
    let read = other.read(1).await.unwrap();
    assert_eq!((read.entries, read.floor), (vec![bytes("late")], 4));
    let names: Vec<u64> = other.snapshots().await.unwrap().iter().map(|name| name.number).collect();
    assert_eq!(names, [6, 4], "the two newest stay, the newest first");
    assert_eq!(other.read(5).await.unwrap().entries.len(), 2);
}

#[tokio::test]
async fn a_failed_fsync_of_a_folder_ends_the_handle_and_the_outcome_is_unknown() {
    // Fails if a second fsync, which believes the folder clean, is taken for success.
    let steps = {
        let disk = Recorded::on(&world(), Fault::None);
        let device = open(Arc::clone(&disk) as _).await.unwrap();
        let before = disk.steps();
        device.publish(1, 1, &bytes("a")).await.unwrap();
        // create, write, fsync, link, and then the fsync of the folder
        before + 4
    };
    let world = world();
    let device = open(Recorded::on(&world, Fault::Fails(steps, EIO))).await.unwrap();
    let error = device.publish(1, 1, &bytes("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error:?}");
    assert_eq!(world.lock().unwrap().names(Folder::Entries).len(), 1, "it was linked");
    for error in [device.read(1).await.unwrap_err(), device.publish(2, 2, &bytes("b")).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("open the store anew"), "{error}");
    }
    assert_eq!(device.sweep(&[]).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn leftovers_are_collected_by_the_clock_of_the_file_system_and_nothing_foreign_is() {
    // Fails if a file of a writer at work is collected, or one that is nobody's business.
    let world = world();
    let disk = Recorded::on(&world, Fault::None);
    let device = open(Arc::clone(&disk) as _).await.unwrap();
    let (old, young) = ("0".repeat(32), "1".repeat(32));
    for name in [old.as_str(), "notes.txt"] {
        drop(disk.create(Folder::Staged, name).unwrap());
    }
    for (name, text) in [("session-1", "ha-holder 1\n"), ("session-2", "ha-holder 1\n"), ("mine", "something else")] {
        disk.create(Folder::Holders, name).unwrap().write(text.as_bytes()).unwrap();
    }
    world.lock().unwrap().clock_s = 3601;
    drop(disk.create(Folder::Staged, &young).unwrap());
    device.sweep(&["session-2".into()]).await.unwrap();
    assert_eq!(world.lock().unwrap().names(Folder::Staged), [young.as_str(), "notes.txt"]);
    assert_eq!(world.lock().unwrap().names(Folder::Holders), ["mine", "session-2"]);
}

#[tokio::test]
async fn entries_without_an_identity_are_refused_and_left_alone() {
    // Fails if a damaged journal is taken for a fresh one.
    let world = world();
    let device = open(Recorded::on(&world, Fault::None)).await.unwrap();
    device.publish(1, 1, &bytes("a")).await.unwrap();
    device.close().await;
    assert_eq!(device.read(1).await.unwrap_err().kind(), ErrorKind::Closed);
    world.lock().unwrap().take_away(Folder::Journal, "identity");
    let error = open(Recorded::on(&world, Fault::None)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("identity"), "{error}");
    assert_eq!(world.lock().unwrap().bytes(Folder::Entries, "00000000000000000001"), Some(&b"a"[..]));
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_written() {
    let disk = Recorded::on(&world(), Fault::None);
    let device = open(Arc::clone(&disk) as _).await.unwrap();
    let before = disk.steps();
    let large = Bytes::from(vec![0; device.profile().entry_bytes_max + 1]);
    assert_eq!(device.publish(1, 1, &large).await.unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(device.publish(0, 1, &bytes("a")).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(disk.steps(), before);
}

#[tokio::test]
async fn two_ways_lead_to_all_that_is_swept() {
    // Fails if the damage of one snapshot is the end of everything, because the one at its floor was never made.
    let world = world();
    let device = open(Recorded::on(&world, Fault::None)).await.unwrap();
    for number in 1..=6 {
        device.publish(number, u128::from(number), &bytes("x")).await.unwrap();
    }
    device.put_snapshot(SnapshotName { number: 6, floor: 4 }, &bytes("s")).await.unwrap();
    device.sweep(&[]).await.unwrap();
    assert_eq!(world.lock().unwrap().names(Folder::Entries).len(), 6);
    device.put_snapshot(SnapshotName { number: 2, floor: 0 }, &bytes("s")).await.unwrap();
    device.sweep(&[]).await.unwrap();
    let left = world.lock().unwrap().names(Folder::Entries);
    assert_eq!(
        left.first().map(String::as_str),
        Some("00000000000000000003"),
        "from the second newest on all is there"
    );
    assert_eq!(device.read(3).await.unwrap().floor, 4, "the floor that answers carry stays what is listed");
}

#[tokio::test]
async fn whoever_only_looks_on_a_network_mount_writes_nothing_there_and_looks_seldom() {
    // Fails if a hundred idle processes keep a file server busy.
    let world = world();
    let network = Mount { name: "recorded", reach: Reach::Network };
    let disk = Recorded::on(&world, Fault::None);
    let settings = FilesystemSettings::at("recorded-disk");
    let device = FilesystemDevice::open_on(Arc::clone(&disk) as _, network, settings, Seam::system()).await.unwrap();
    let before = disk.steps();
    assert!(device.read(1).await.unwrap().entries.is_empty());
    assert!(disk.steps() - before <= 3, "{} steps to find nothing", disk.steps() - before);
    let before = disk.steps();
    device.appended(1, Duration::from_secs(2)).await;
    assert!(disk.steps() - before <= 12, "{} looks by one who has time", disk.steps() - before);
    // What was found is believed only by a listing that is fresh.
    device.publish(1, 1, &bytes("a")).await.unwrap();
    let others = open(Recorded::on(&world, Fault::None)).await.unwrap();
    world.lock().unwrap().caches = true;
    device.snapshots().await.unwrap();
    others.put_snapshot(SnapshotName { number: 3, floor: 1 }, &bytes("s")).await.unwrap();
    assert_eq!(device.read(1).await.unwrap().floor, 1);
}

#[tokio::test]
async fn where_listings_are_cached_each_is_made_fresh_and_what_that_leaves_is_collected() {
    // Fails if a writer on a network file system sees the floor of the past after its link.
    let world = world();
    let network = Mount { name: "recorded", reach: Reach::Network };
    let disk = Recorded::on(&world, Fault::None);
    let settings = FilesystemSettings::at("recorded-disk");
    let device = FilesystemDevice::open_on(Arc::clone(&disk) as _, network, settings, Seam::system()).await.unwrap();
    assert!(device.witness().is_none() && device.profile().reads == ReadGuarantee::Monotonic);
    let others = open(Recorded::on(&world, Fault::None)).await.unwrap();
    for (number, floor) in [(2, 0), (4, 2)] {
        others.put_snapshot(SnapshotName { number, floor }, &bytes("s")).await.unwrap();
    }
    world.lock().unwrap().caches = true;
    assert_eq!(device.publish(1, 1, &bytes("late")).await, Ok(Published::Won { floor: 2 }));
    others.put_snapshot(SnapshotName { number: 6, floor: 4 }, &bytes("s")).await.unwrap();
    assert_eq!(device.publish(2, 2, &bytes("late")).await, Ok(Published::Won { floor: 4 }));
    world.lock().unwrap().caches = false;
    let left = "f".repeat(32);
    drop(disk.create(Folder::Snapshots, &left).unwrap());
    world.lock().unwrap().clock_s = 3601;
    device.sweep(&[]).await.unwrap();
    assert!(!world.lock().unwrap().names(Folder::Snapshots).contains(&left));
}

#[tokio::test]
async fn a_shared_file_system_without_hard_links_is_refused_with_the_reason() {
    // Fails if a rename that only this client judges is taken for exclusive.
    for (name, reach, is_taken) in [
        ("fuse", Reach::Network, false),
        ("unknown", Reach::Network, false),
        ("smb", Reach::Network, true),
        ("vfat", Reach::Machine, true),
    ] {
        let disk = Recorded::without_links(&world(), Fault::None);
        let settings = FilesystemSettings::at("recorded-disk");
        let opened = FilesystemDevice::open_on(disk, Mount { name, reach }, settings, Seam::system()).await;
        match opened {
            Ok(device) => {
                assert!(is_taken, "{name}");
                assert_eq!(device.publish(1, 1, &bytes("a")).await, Ok(Published::Won { floor: 0 }));
                assert_eq!(device.publish(1, 2, &bytes("b")).await, Ok(Published::Taken));
                assert_eq!(device.publish(2, 2, &bytes("b")).await, Ok(Published::Won { floor: 0 }));
            }
            Err(error) => {
                assert!(!is_taken && error.kind() == ErrorKind::Unsupported, "{error:?}");
                assert!(error.to_string().contains("hard links") && error.to_string().contains(name), "{error}");
            }
        }
    }
}
