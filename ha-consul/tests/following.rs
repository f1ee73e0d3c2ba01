//! What following costs, seen on the way to the agent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ha_consul::{Consul, ConsulSettings};
use ha_core::backend::{Backend, Commit, Expect, Key, Mark, Outcome, Prefix, Scope};
use ha_core::seam::Seam;
use ha_testkit::Missing;
use ha_testkit::proxy::{Matching, Proxy, Treatment};
use ha_testkit::run::block_on;
use ha_testkit::servers::consul::{Agent, Options};

/// Larger than what is read again at once: a pause of 15 ms, at least.
const BYTES: usize = 128 * 1024;
const PAUSE: Duration = Duration::from_millis(15);

async fn reads_while_it_is_written() -> Result<(), Missing> {
    let seam = Seam::system();
    let agent = Agent::start(seam.clone(), Options::developer()).await?;
    let proxy = Proxy::to(agent.address(), seam.clone()).await;
    let reads = proxy.treat(Matching::path("index="), Treatment::SlowAnswer(Duration::ZERO));
    let consul = Arc::new(Consul::connect(ConsulSettings::at(proxy.address()), seam.clone()).await.unwrap());
    let key = Key::new("place/large").unwrap();
    let put = async |expect, value: Bytes| {
        let commit = Commit::new(seam.write_id()).put(key.clone(), expect, value);
        match consul.commit(&commit).await.unwrap() {
            Outcome::Applied { revisions } => revisions[0],
            other => panic!("{other:?}"),
        }
    };
    let value = Bytes::from(vec![b'x'; BYTES]);
    let mut revision = put(Expect::Absent, value.clone()).await;

    let (scope, follower) = (Scope::Below(Prefix::new("place").unwrap()), Arc::clone(&consul));
    let began = seam.now();
    let _following = seam.spawn(async move {
        let mut seen = Mark::UNSEEN;
        loop {
            let change = follower.changed(&scope, &seen).await.unwrap();
            let ha_core::backend::Change::Snapshot(snapshot) = change else { continue };
            seen = snapshot.mark;
        }
    });
    reads.matched(1).await;
    for _ in 0..100 {
        revision = put(Expect::Revision(revision), value.clone()).await;
    }
    // The one that waits now has not been answered.
    let answered = u32::try_from(reads.count().saturating_sub(1)).unwrap();
    let took = seam.now().since(began);
    assert!(answered * PAUSE <= took, "{answered} reads within {took:?} of {BYTES} bytes each");
    Ok(())
}

#[test]
fn a_large_place_is_not_read_without_pause_while_it_is_written() {
    if let Err(Missing(what)) = block_on(reads_while_it_is_written()) {
        assert!(std::env::var_os("CI").is_none(), "missing in CI: {what}");
        eprintln!("SKIPPED: {what}");
    }
}
