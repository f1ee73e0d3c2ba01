//! Sessions that are given up in the middle of something: nothing of them stays with Consul.

use std::time::Duration;

use ha_consul::Consul;
use ha_core::backend::{Acquire, Backend, Latch, Prefix, Session, SessionOptions};
use ha_testkit::proxy::{Matching, Proxy, Treatment};

use crate::world::{World, in_time, run};

/// Longer than any of these tests waits: what goes within it did not go by running out.
const LONG: Duration = Duration::from_secs(20 * 60);

struct Given {
    w: World,
    proxy: Proxy,
    consul: Consul,
    label: String,
}

impl Given {
    async fn new() -> Result<Self, ha_testkit::Missing> {
        let w = World::shared().await?;
        let proxy = Proxy::to(w.agent.address(), w.seam.clone()).await;
        let label = format!("given-{}", w.seam.uuid());
        let mut settings = w.place.member(&label, &[proxy.address().to_owned()]).settings();
        settings.liveness.session_ttl = Some(LONG);
        settings.request_timeout = Duration::from_secs(20);
        let consul = Consul::connect(settings, w.seam.clone()).await.unwrap();
        Ok(Self { w, proxy, consul, label })
    }

    fn options(&self) -> SessionOptions {
        SessionOptions { silence: LONG, label: self.label.clone() }
    }

    async fn open(&self) -> Box<dyn Session> {
        self.consul.open_session(&self.options()).await.unwrap()
    }

    /// How many sessions and checks of ours Consul knows.
    async fn left(&self) -> (usize, usize) {
        let sessions = self.w.agent.ask("GET", "/v1/session/list?consistent", b"").await.json();
        let checks = self.w.agent.ask("GET", "/v1/agent/checks", b"").await.json();
        let sessions = sessions.as_array().unwrap().iter().filter(|one| one["Name"] == self.label.as_str());
        let checks = checks.as_object().unwrap().values().filter(|one| one["Notes"] == self.label.as_str());
        (sessions.count(), checks.count())
    }

    async fn nothing_is_left(&self, what: &str) {
        in_time(&self.w.seam, what, async {
            while self.left().await != (0, 0) {
                self.w.seam.sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

#[test]
fn an_opening_that_is_given_up_at_any_step_leaves_nothing() {
    run(async {
        for step in ["/v1/agent/service/register", "/v1/session/create"] {
            let g = Given::new().await?;
            let rule = g.proxy.treat(Matching::path(step).times(1), Treatment::SlowAnswer(Duration::from_secs(5)));
            let options = g.options();
            tokio::select! {
                biased;
                opened = g.consul.open_session(&options) => panic!("{opened:?}"),
                () = async {
                    rule.matched(1).await;
                    // It was carried out; only its answer is on its way.
                    while g.left().await.1 == 0 || (step.contains("create") && g.left().await.0 == 0) {
                        g.w.seam.sleep(Duration::from_millis(5)).await;
                    }
                } => {}
            }
            g.nothing_is_left(step).await;
        }
        Ok(())
    });
}

#[test]
fn a_closing_that_is_given_up_leaves_nothing() {
    run(async {
        // Fails if a session that is over for its process is thought to be over at Consul.
        let g = Given::new().await?;
        let session = g.open().await;
        let lost = g.proxy.treat(Matching::path("/v1/session/destroy/").times(1), Treatment::Swallow);
        tokio::select! {
            biased;
            closed = session.close() => panic!("{closed:?}"),
            () = lost.matched(1) => {}
        }
        drop(session);
        g.nothing_is_left("a closing that was given up").await;
        Ok(())
    });
}

#[test]
fn a_closing_that_fails_is_gone_on_with_in_the_background() {
    run(async {
        let g = Given::new().await?;
        let session = g.open().await;
        let lost = g.proxy.treat(Matching::path("/v1/session/destroy/").times(1), Treatment::Refuse);
        session.close().await.unwrap_err();
        drop((session, lost));
        g.nothing_is_left("a closing that failed").await;
        Ok(())
    });
}

#[test]
fn a_session_that_an_operator_destroyed_leaves_no_check_when_it_is_dropped() {
    run(async {
        // Fails if whoever hears it first, and ends the session for the process, keeps its check from being removed.
        let g = Given::new().await?;
        let session = g.open().await;
        g.w.put(&format!("session/destroy/{}", session.id()), b"").await;
        let latch = Latch::below(&Prefix::new(format!("{}/{}", g.w.place.root, g.label)).unwrap());
        session.try_acquire(&latch, "me".into(), None).await.unwrap_err();
        drop(session);
        g.nothing_is_left("a session that was destroyed").await;
        Ok(())
    });
}

#[test]
fn an_attempt_that_is_given_up_keeps_no_latch_from_others() {
    run(async {
        let g = Given::new().await?;
        let latch = Latch::below(&Prefix::new(format!("{}/{}", g.w.place.root, g.label)).unwrap());
        let session = g.open().await;
        let slow = Treatment::SlowAnswer(Duration::from_secs(5));
        let rule = g.proxy.treat(Matching::path("/v1/txn").body("\"Verb\":\"lock\"").times(1), slow);
        tokio::select! {
            biased;
            won = session.try_acquire(&latch, "me".into(), None) => panic!("{won:?}"),
            () = rule.matched(1) => {}
        }
        drop(session);
        let other = g.open().await;
        in_time(&g.w.seam, "another takes the latch", async {
            while !matches!(other.try_acquire(&latch, "other".into(), None).await, Ok(Acquire::Won(_))) {
                g.w.seam.sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        other.close().await.unwrap();
        g.nothing_is_left("both are over").await;
        Ok(())
    });
}

#[test]
fn five_hundred_sessions_opened_and_closed_leave_nothing() {
    run(async {
        let g = Given::new().await?;
        for round in 0..25 {
            let opened = futures_util::future::join_all((0..20).map(|_| g.open())).await;
            let half = opened.len() / 2;
            for (number, session) in opened.into_iter().enumerate() {
                if number < half && round % 2 == 0 {
                    session.close().await.unwrap();
                }
            }
        }
        g.nothing_is_left("five hundred").await;
        g.consul.close().await.unwrap();
        Ok(())
    });
}
