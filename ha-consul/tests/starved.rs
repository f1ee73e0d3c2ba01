//! An application that blocks its whole runtime keeps its session, and can be made to give it up.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use ha_consul::{Consul, ConsulSettings};
use ha_core::backend::{Acquire, Backend, Key, Latch, Prefix, Session, SessionOptions};
use ha_core::seam::Seam;
use ha_testkit::Missing;
use ha_testkit::proxy::{Fault, Matching, Proxy, Rule, Treatment};
use ha_testkit::servers::consul::{Agent, Options};
use serde_json::json;
use tokio::runtime::Runtime;

const SILENCE: Duration = Duration::from_millis(1500);
const PATIENCE: Duration = Duration::from_secs(120);

/// The agent and the way to it, on a runtime that nobody blocks.
struct World {
    runtime: Runtime,
    seam: Seam,
    _agent: Agent,
    proxy: Arc<Proxy>,
}

impl World {
    fn start() -> Result<Self, Missing> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let seam = Seam::system();
        let agent = runtime
            .block_on(Agent::start(seam.clone(), Options::developer().with(json!({ "session_ttl_min": "100ms" }))))?;
        let proxy = Arc::new(runtime.block_on(Proxy::to(agent.address(), seam.clone())));
        Ok(Self { runtime, seam, _agent: agent, proxy })
    }

    /// By a name: it has to be looked up each time that a connection is made.
    async fn connect(&self) -> Consul {
        let port = self.proxy.address().rsplit_once(':').unwrap().1;
        let mut settings = ConsulSettings::at(format!("localhost:{port}"));
        settings.liveness.session_ttl = Some(SILENCE);
        settings.request_timeout = Duration::from_secs(10);
        Consul::connect(settings, Seam::system()).await.unwrap()
    }

    async fn session(&self, consul: &Consul) -> Box<dyn Session> {
        consul.open_session(&SessionOptions { silence: SILENCE, label: "starved".into() }).await.unwrap()
    }

    fn heartbeats(&self) -> Rule {
        let _inside = self.runtime.enter();
        self.proxy.treat(Matching::path("/v1/agent/check/pass/"), Treatment::SlowAnswer(Duration::ZERO))
    }
}

fn run(test: impl FnOnce(&World)) {
    match World::start() {
        Ok(world) => test(&world),
        Err(Missing(what)) => {
            assert!(std::env::var_os("CI").is_none(), "missing in CI: {what}");
            eprintln!("SKIPPED: {what}");
        }
    }
}

fn application() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_blocked_runtime_takes_nothing_from_renewals_not_even_a_new_connection() {
    run(|w| {
        // Fails if a connection, a timer or the look-up of a name that renewals need lives on that runtime.
        application().block_on(async {
            let consul = w.connect().await;
            let session = w.session(&consul).await;
            let (beats, proxy) = (w.heartbeats(), Arc::clone(&w.proxy));
            let (tell, told) = channel();
            let seam = w.seam.clone();
            w.runtime.spawn(async move {
                beats.matched(4).await;
                proxy.fault(Fault::Cut);
                seam.sleep(SILENCE / 10).await;
                proxy.fault(Fault::None);
                let so_far = beats.count();
                beats.matched(so_far + 12).await;
                let _ = tell.send(());
            });
            // Nothing else of this runtime goes on meanwhile.
            told.recv_timeout(PATIENCE).expect("heartbeats go on");
            assert!(!session.valid_until().is_past(w.seam.now()), "it is over");
            session.close().await.unwrap();
        });
    });
}

#[test]
fn a_session_of_a_runtime_that_is_gone_is_renewed() {
    run(|w| {
        let session = application().block_on(async { w.session(&w.connect().await).await });
        let beats = w.heartbeats();
        w.runtime.block_on(async {
            w.seam.timeout(PATIENCE, beats.matched(8)).await.expect("heartbeats go on");
            assert!(!session.valid_until().is_past(w.seam.now()), "it is over");
            session.close().await.unwrap();
        });
    });
}

#[test]
fn a_latch_is_released_and_a_session_closed_from_elsewhere_while_its_runtime_is_blocked() {
    run(|w| {
        // Fails if the request waits for a connection that lives on the blocked runtime.
        application().block_on(async {
            let consul = w.connect().await;
            let session = w.session(&consul).await;
            let latch = Latch::below(&Prefix::new("place").unwrap());
            let won = session.try_acquire(&latch, "me".into(), None).await.unwrap();
            assert!(matches!(won, Acquire::Won(_)));
            // A connection that is free, and whose task lives here.
            assert!(consul.read(&Key::new("place/key").unwrap()).await.unwrap().is_none());
            let (tell, told) = channel();
            let closing = async move {
                let released = session.release(&latch).await;
                let _ = tell.send(released.and(session.close().await));
            };
            w.seam.spawn_critical(closing).detach();
            told.recv_timeout(PATIENCE).unwrap().unwrap();
        });
    });
}
