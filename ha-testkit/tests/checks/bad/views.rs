use ha_testkit::checks::{Heals, RetrievalHears, RetrievalNeverGoesBack};
use ha_testkit::history::{Loss, What};

use super::super::story::{Story, calm, fault, publish};
use super::{Bad, bad};

pub(super) fn all() -> Vec<Bad> {
    [order(), deaf(), sick()].into_iter().flatten().collect()
}

fn order() -> Vec<Bad> {
    vec![
        bad(RetrievalNeverGoesBack, "an older leader is shown after a newer one", |s| {
            s.shown("a", "watch", Some((2, "host-b")));
            s.shown("a", "watch", Some((1, "host-a")));
        }),
        bad(RetrievalNeverGoesBack, "an older leader is shown after nobody was", |s| {
            s.shown("a", "watch", Some((2, "host-b")));
            s.shown("a", "watch", None);
            s.shown("a", "watch", Some((1, "host-b")));
        }),
    ]
}

/// An observer shows that; then the cluster calms down, a leader publishes, and `heard` comes.
fn published(s: &mut Story, before: Option<(u64, &str)>, heard: impl FnOnce(&mut Story)) {
    s.shown("b", "watch", before);
    s.note("nemesis", calm(100));
    s.granted("a", 2);
    s.wrote("a", 2, publish("host-a"));
    heard(s);
}

fn deaf() -> Vec<Bad> {
    vec![
        bad(RetrievalHears, "nobody is shown although the cluster is said to be whole", |s| {
            published(s, None, |s| s.note("nemesis", What::Healed));
        }),
        bad(RetrievalHears, "the leader before is shown", |s| {
            published(s, Some((1, "host-c")), |s| s.note("nemesis", What::Healed));
        }),
        bad(RetrievalHears, "an older address of the leader is shown", |s| {
            published(s, None, |s| {
                s.shown("b", "watch", Some((2, "host-a")));
                s.wrote("a", 2, publish("host-a, moved"));
                s.note("nemesis", What::Healed);
            });
        }),
        bad(RetrievalHears, "one of two hears nothing", |s| {
            s.shown("c", "watch", None);
            published(s, None, |s| {
                s.shown("b", "watch", Some((2, "host-a")));
                s.note("nemesis", What::Healed);
            });
        }),
        bad(RetrievalHears, "the next leader is not heard of, long after the cluster was whole", |s| {
            published(s, None, |s| {
                s.shown("b", "watch", Some((2, "host-a")));
                s.note("nemesis", What::Healed);
                s.revoked("a", 2, Loss::Resigned);
                s.granted("c", 3);
                s.wrote("c", 3, publish("host-c"));
                s.wait_ms(200);
                s.note("nemesis", fault("none", false));
            });
        }),
        bad(RetrievalHears, "the leader is forgotten again", |s| {
            published(s, None, |s| {
                s.shown("b", "watch", Some((2, "host-a")));
                s.note("nemesis", What::Healed);
                s.shown("b", "watch", None);
                s.wait_ms(200);
                s.note("nemesis", fault("none", false));
            });
        }),
    ]
}

fn sick() -> Vec<Bad> {
    vec![
        bad(Heals, "the cluster does not heal", |s| {
            s.note("nemesis", calm(100));
            s.wait_ms(200);
            s.granted("a", 1);
        }),
        bad(Heals, "the cluster heals too late", |s| {
            s.note("nemesis", calm(100));
            s.wait_ms(200);
            s.note("nemesis", What::Healed);
        }),
        bad(Heals, "the history ends before anybody can tell", |s| s.note("nemesis", calm(100))),
        bad(Heals, "faults come only after it should have healed", |s| {
            s.note("nemesis", calm(100));
            s.wait_ms(200);
            s.note("nemesis", fault("cut", true));
        }),
        bad(Heals, "it heals once, and not the second time", |s| {
            s.note("nemesis", calm(100));
            s.note("nemesis", What::Healed);
            s.note("a", What::Killed);
            s.note("nemesis", calm(100));
            s.wait_ms(200);
            s.started("b");
        }),
    ]
}
