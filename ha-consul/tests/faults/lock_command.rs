//! Consul's own `consul lock` and this library exclude each other.

use std::process::{Child, Command, Stdio};

use ha_core::HighAvailabilityServices;
use ha_testkit::servers::consul;

use crate::world::{World, epoch, run};

/// Killed with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `consul lock` on the latch's place; what it runs while it holds the lock touches the file and waits for its end.
fn lock(w: &World, sign: &std::path::Path) -> Running {
    let prefix = format!("{}/default/leader/latch", w.place.root);
    let mut command = Command::new(consul::program().unwrap());
    command
        .args(["lock", "-shell=false", &format!("-http-addr={}", w.agent.address()), &prefix])
        .args(["sh", "-c", "touch \"$0\"; exec sleep 600"])
        .arg(sign)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Running(command.spawn().unwrap())
}

/// Ends it as an operator does, so that it lets go in order.
fn interrupt(running: &mut Running) {
    let pid = running.0.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    running.0.wait().unwrap();
}

async fn signed(w: &World, sign: &std::path::Path) {
    w.in_time("consul lock has the lock", async {
        while !sign.exists() {
            w.seam.sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[test]
fn consul_lock_waits_for_a_leader_and_gets_its_turn() {
    run(async {
        let w = World::shared().await?;
        let folder = tempfile::TempDir::new().unwrap();
        let sign = folder.path().join("locked");
        let services = w.services("leader").await;
        let leadership = w.leadership(&services).await;
        let holder = w.holder().await;

        let _lock = lock(&w, &sign);
        // It shows itself by its session, and does not get further.
        w.in_time("consul lock is at work", async {
            while !w.agent.ask("GET", "/v1/session/list", b"").await.text().contains("Consul Lock")
                && !w.agent.ask("GET", "/v1/session/list", b"").await.text().contains("Lock")
            {
                w.seam.sleep(std::time::Duration::from_millis(10)).await;
            }
        })
        .await;
        leadership.publish("still leading").await.unwrap();
        assert_eq!(w.holder().await, holder, "consul lock has taken a latch that is held");
        assert!(!sign.exists());

        leadership.resign().await.unwrap();
        signed(&w, &sign).await;
        assert_ne!(w.holder().await, holder);
        services.close().await.unwrap();
        Ok(())
    });
}

/// `before`: whether somebody of ours has led before.
async fn waits_for_consul_lock(before: bool) -> Result<(), ha_testkit::Missing> {
    let w = World::shared().await?;
    let folder = tempfile::TempDir::new().unwrap();
    let sign = folder.path().join("locked");
    let mut last = 0;
    if before {
        let services = w.services("before").await;
        let leadership = w.leadership(&services).await;
        last = epoch(&leadership);
        leadership.resign().await.unwrap();
        services.close().await.unwrap();
    }
    let mut lock = lock(&w, &sign);
    signed(&w, &sign).await;
    let holder = w.holder().await;

    let services = w.services("leader").await;
    let election = services.dispatcher_leader_election().unwrap();
    let campaign = election.campaign();
    let early = w.seam.timeout(crate::member::SILENCE * 2, campaign).await;
    assert!(early.is_none(), "it leads although consul lock holds the latch");
    assert_eq!(w.holder().await, holder);

    interrupt(&mut lock);
    let leadership = w.leadership(&services).await;
    assert!(epoch(&leadership) > last);
    services.close().await.unwrap();
    Ok(())
}

#[test]
fn a_contender_waits_for_consul_lock_that_came_first() {
    // Fails if a lock without an epoch beside it counts as nobody's.
    run(waits_for_consul_lock(false));
}

#[test]
fn a_contender_waits_for_consul_lock_between_two_leaders() {
    run(waits_for_consul_lock(true));
}
