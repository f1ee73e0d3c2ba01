//! Nothing of a case outlives it, however it ends.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ha_core::backend::Key;
use ha_core::seam::Seam;
use ha_testkit::process::{Process, role};
use ha_testkit::registry::{Case, Level};
use ha_testkit::run::{OnBackend, block_on, test};
use ha_testkit::{BackendFactory, Missing, Store};

use crate::store::{ProcessesFactory, ProcessesStore};

const PATIENCE: Duration = Duration::from_secs(60);

const CASE: Case = Case { name: "t_00_a_case", claim: "Any.", level: Level::Backend, needs: &[] };

/// Whether the process does anything any more: one that nobody reaps still has its number.
fn is_gone(id: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{id}/stat"));
    state.map_or(true, |state| state.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

async fn until_gone(hosts: &[u32], folder: &Path) {
    let seam = Seam::system();
    let gone = seam.timeout(PATIENCE, async {
        while folder.exists() || !hosts.iter().all(|host| is_gone(*host)) {
            seam.sleep(Duration::from_millis(2)).await;
        }
    });
    let left: Vec<&u32> = hosts.iter().filter(|host| !is_gone(**host)).collect();
    assert!(gone.await.is_some(), "left behind, of the hosts {left:?} and {}", folder.display());
}

/// A process in which a case runs that is never over.
#[test]
fn a_case() {
    role("ends::a_case", async |_: (), stage| {
        let store = ProcessesFactory::restless().store().unwrap();
        let handles = [store.connect().await.unwrap(), store.connect().await.unwrap(), store.connect().await.unwrap()];
        stage.tell("at work", (store.hosts(), store.folder()));
        loop {
            for handle in &handles {
                handle.read(&Key::new("k").unwrap()).await.unwrap();
            }
            stage.seam().sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn a_test_that_is_killed_leaves_no_process_and_no_folder() {
    block_on(async {
        let mut case = Process::spawn(Seam::system(), "ends::a_case", &());
        let (hosts, folder): (Vec<u32>, PathBuf) = serde_json::from_value(case.told("at work").await.value).unwrap();
        assert_eq!((hosts.len(), folder.exists()), (3, true));
        assert!(hosts.iter().all(|host| !is_gone(*host)));
        case.kill();
        until_gone(&hosts, &folder).await;
    });
}

/// A store that was opened before its case.
struct Shown(Arc<ProcessesStore>);

#[async_trait]
impl BackendFactory for Shown {
    async fn open(&self) -> Result<Arc<dyn Store>, Missing> {
        Ok(Arc::clone(&self.0) as _)
    }
}

/// What a case panics with; its hosts, and its folder, which are gone.
fn failed(die: bool) -> String {
    let store = Arc::new(ProcessesFactory::new().store().unwrap());
    let (folder, hosts) = (store.folder(), Arc::new(Mutex::new(Vec::new())));
    let (inside, open, said) = (Arc::clone(&store), Shown(store), Arc::clone(&hosts));
    let run = move || {
        test("a place", &CASE, OnBackend(open), &[], |fixture| {
            Box::pin(async move {
                let handles = [fixture.connect().await, fixture.connect().await];
                *said.lock().unwrap() = inside.hosts();
                drop(inside);
                if die {
                    fixture.store().restart().await;
                }
                let read = handles[0].read(&Key::new("k").unwrap()).await;
                panic!("the case does not hold: {read:?}");
            })
        });
    };
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
    let hosts = hosts.lock().unwrap().clone();
    assert_eq!(hosts.len(), 2);
    assert!(hosts.iter().all(|host| is_gone(*host)), "killed and reaped before the case is told to have failed");
    assert!(!folder.exists(), "its folder went with it");
    panic.downcast_ref::<String>().unwrap().clone()
}

#[test]
fn a_case_that_panics_leaves_no_process_and_no_folder() {
    assert!(failed(false).contains("Ok(None)"));
}

#[test]
fn a_case_whose_hosts_die_hears_that_and_does_not_hang() {
    let said = failed(true);
    assert!(said.contains("the host of the handle is gone"), "{said}");
}
