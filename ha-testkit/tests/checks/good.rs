//! What a correct cluster can do, with all that goes wrong around it.

use ha_testkit::history::{Answer, Call, EarlyEnd, Event, Loss, StoredValue, TakenFor, What};

use super::story::{
    Story, add, calm, campaign, fault, found, next_id, publish, put_plan, put_result, remove_plan, resign, result,
    save, term,
};

pub(crate) fn all() -> Vec<(&'static str, Vec<Event>)> {
    vec![
        ("a crash, an early end by evidence, a recovery", Story::tell(crash)),
        ("a pause, a fenced return", Story::tell(pause)),
        ("unknown outcomes that were applied, late or never", Story::tell(unknown)),
        ("calls that overlap", Story::tell(overlapping)),
        ("a job ends and begins anew", Story::tell(job_ends)),
        ("grants that are told late", Story::tell(told_late)),
        ("checkpoints added late and out of order", Story::tell(late_checkpoints)),
        ("answers that come after the term", Story::tell(late_answers)),
        ("a planned hand-over", Story::tell(hand_over)),
        ("keys of a backend", Story::tell(keys)),
        ("a calm that is cut short, and another one", Story::tell(calms)),
        ("a recovery that is overtaken again and again", Story::tell(overtaken)),
        ("a component resigns, and leads again under the term that another one has kept", Story::tell(kept)),
        ("a result is removed by several at once", Story::tell(removed_at_once)),
        ("a job begins anew, and one of its first checkpoints comes late", Story::tell(late_anew)),
        ("savepoints among checkpoints", Story::tell(savepoints)),
        ("a component resigns, and the other one with the services", Story::tell(both_resign)),
        ("a grant that is told after another term began, to one of two components", Story::tell(shared)),
        ("nothing at all", Vec::new()),
    ]
}

fn crash(s: &mut Story) {
    s.started("a");
    s.started("b");
    s.shown("b", "watch", None);
    s.granted("a", 1);
    s.believes("a", 1, 10_000);
    s.wrote("a", 1, publish("host-a"));
    s.shown("b", "watch", Some((1, "host-a")));
    s.wrote("a", 1, put_plan("plan 1"));
    for id in 1..=3 {
        s.takes("a", 1, id);
        s.wrote("a", 1, add(id));
    }
    s.begin("a", 1, add(4));
    s.restarted("a");
    s.note("b", What::EndedEarly { term: term(1), by: EarlyEnd::Evidence });
    s.granted("b", 2);
    s.recovers("b", &[2, 3]);
    s.reads_plan("b", Some("plan 1"));
    s.takes("b", 2, 4);
    s.note("nemesis", calm(100));
    s.wrote("b", 2, publish("host-b"));
    s.shown("b", "watch", None);
    s.shown("b", "watch", Some((2, "host-b")));
    s.note("nemesis", What::Healed);
    s.wait_ms(200);
    s.reads_plan("b", Some("plan 1"));
}

fn pause(s: &mut Story) {
    s.granted("a", 1);
    s.believes("a", 1, 100);
    s.wrote("a", 1, put_plan("plan 1"));
    let late = s.begin("a", 1, put_plan("plan 2"));
    s.note("nemesis", fault("pause", true));
    s.note("a", What::Paused);
    s.wait_ms(200);
    s.granted("b", 2);
    s.reads_plan("b", Some("plan 1"));
    // It finds nothing to remove, which needs no write.
    s.note("a", What::Resumed);
    s.wrote("a", 1, Call::RemoveCounter { job: "job".into() });
    s.end(late, super::story::refused("Fenced"));
    s.refused("a", 1, next_id(), "NotLeader");
    s.revoked("a", 1, Loss::Fenced);
    s.takes("b", 2, 1);
    s.granted("a", 3);
}

fn unknown(s: &mut Story) {
    s.granted("a", 1);
    // Applied, and seen.
    s.unknown("a", 1, put_plan("plan 1"));
    s.reads_plan("a", Some("plan 1"));
    // Not applied at first, then late.
    s.unknown("a", 1, put_plan("plan 2"));
    s.reads_plan("a", Some("plan 1"));
    s.reads_plan("a", Some("plan 2"));
    // Never.
    s.unknown("a", 1, remove_plan());
    s.reads_plan("a", Some("plan 2"));
    // Steps that may have used up ids: two of three did.
    s.takes("a", 1, 1);
    for _ in 0..3 {
        s.unknown("a", 1, next_id());
    }
    s.takes("a", 1, 4);
    // An add that is found, and one that is not.
    s.unknown("a", 1, add(1));
    s.recovers("a", &[1]);
    s.unknown("a", 1, add(2));
    s.unknown("a", 1, put_result("finished"));
    s.granted("b", 2);
    s.recovers("b", &[1]);
    s.refused("b", 2, put_result("finished"), "AlreadyExists");
    s.done("b", 0, Call::ReadResult { job: "job".into() }, result("finished", false));
}

fn overlapping(s: &mut Story) {
    s.granted("a", 1);
    let one = s.begin("a", 1, next_id());
    let other = s.begin("a", 1, next_id());
    s.end(one, ha_testkit::history::Outcome::Done(Answer::Id(2)));
    s.end(other, ha_testkit::history::Outcome::Done(Answer::Id(1)));
    let put = s.begin("a", 1, put_plan("plan 1"));
    let sees = s.begin("b", 0, Call::ReadPlan { job: "job".into() });
    let sees_not = s.begin("c", 0, Call::ReadPlan { job: "job".into() });
    s.end(sees, ha_testkit::history::Outcome::Done(Answer::Value(Some("plan 1".into()))));
    s.end(sees_not, ha_testkit::history::Outcome::Done(Answer::Value(None)));
    s.end(put, ha_testkit::history::Outcome::Done(Answer::Nothing));
}

fn job_ends(s: &mut Story) {
    s.granted("a", 1);
    s.takes("a", 1, 1);
    s.wrote("a", 1, add(1));
    s.wrote("a", 1, Call::SetCount { job: "job".into(), next: 7 });
    s.done("a", 0, Call::ReadCounter { job: "job".into() }, Answer::Id(7));
    s.wrote("a", 1, put_result("finished"));
    s.wrote("a", 1, Call::RemoveCheckpoints { job: "job".into() });
    s.wrote("a", 1, Call::RemoveCounter { job: "job".into() });
    s.wrote("a", 1, Call::PutBlob { blob: "b".into(), content: "bytes".into() });
    s.done("b", 0, Call::ReadBlob { blob: "b".into() }, Answer::Value(Some("bytes".into())));
    s.wrote("a", 1, Call::RemoveBlob { blob: "b".into() });
    s.done("b", 0, Call::ReadBlob { blob: "b".into() }, Answer::Value(None));
    s.wrote("a", 1, Call::CleanResult { job: "job".into(), keeps: true });
    s.done("b", 0, Call::ReadResult { job: "job".into() }, result("finished", true));
    s.wrote("a", 1, Call::CleanResult { job: "job".into(), keeps: false });
    s.done("b", 0, Call::ReadResult { job: "job".into() }, Answer::Result(None));
    s.recovers("b", &[]);
    s.takes("a", 1, 1);
    s.wrote("a", 1, add(1));
    s.recovers("b", &[1]);
}

fn told_late(s: &mut Story) {
    s.started("a");
    s.started("b");
    // `a` had won the first term, and was held up before anybody could tell.
    s.granted("b", 2);
    s.granted("a", 1);
    s.refused("a", 1, put_plan("plan 1"), "Fenced");
    s.revoked("a", 1, Loss::Untold);
    s.revoked("b", 2, Loss::DeadlinePassed);
    s.granted("b", 3);
    // Another latch has epochs of its own.
    let other = ha_testkit::history::Term::new("shard", 1);
    s.note("a", What::Granted { component: "shard".into(), term: other });
}

fn late_checkpoints(s: &mut Story) {
    s.granted("a", 1);
    s.wrote("a", 1, add(1));
    // This one comes late, when nobody has counted it: three are there, although two are to stay.
    s.unknown("a", 1, add(2));
    s.recovers("b", &[1]);
    s.wrote("a", 1, add(3));
    s.recovers("b", &[1, 2, 3]);
    s.wrote("a", 1, add(5));
    s.recovers("b", &[2, 3, 5]);
    s.wrote("a", 1, add(6));
    s.granted("b", 2);
    s.recovers("b", &[5, 6]);
    // Completed late: the one that is added stays, and so does the newest.
    s.wrote("b", 2, add(4));
    s.recovers("b", &[4, 6]);
}

/// What took effect in time is acknowledged after the term was over.
fn late_answers(s: &mut Story) {
    let done = || ha_testkit::history::Outcome::Done(Answer::Nothing);
    s.granted("a", 1);
    let put = s.begin("a", 1, put_plan("plan 1"));
    let step = s.begin("a", 1, next_id());
    // This finds nothing to remove, whenever it looks.
    let remove = s.begin("a", 1, Call::RemoveBlob { blob: "b".into() });
    s.granted("b", 2);
    s.reads_plan("b", Some("plan 1"));
    s.takes("b", 2, 2);
    s.end(put, done());
    s.end(step, ha_testkit::history::Outcome::Done(Answer::Id(1)));
    s.end(remove, done());
    s.reads_plan("b", Some("plan 1"));
}

fn hand_over(s: &mut Story) {
    s.granted("a", 1);
    s.believes("a", 1, 10_000);
    s.wrote("a", 1, put_plan("plan 1"));
    s.wrote("a", 1, resign());
    s.revoked("a", 1, Loss::Resigned);
    s.granted("b", 2);
    s.believes("b", 2, 10_000);
    s.note("operator", What::EndedEarly { term: term(2), by: EarlyEnd::Operator });
    s.granted("a", 3);
    s.revoked("b", 2, Loss::Evicted);
    s.believes("a", 3, 10_000);
    s.note("a", What::Closed);
    s.granted("c", 4);
    s.reads_plan("c", Some("plan 1"));
}

fn keys(s: &mut Story) {
    let write = |expect, value: Option<&str>| Call::WriteKey { key: "k".into(), expect, value: value.map(Into::into) };
    let read = || Call::ReadKey { key: "k".into() };
    let stands = |revision, value: &str| Answer::Key(Some(StoredValue { revision, value: value.into() }));
    s.done("a", 0, read(), Answer::Key(None));
    s.done("a", 0, write(None, Some("one")), Answer::Revision(10));
    s.refused("b", 0, write(None, Some("two")), "Conflict");
    s.unknown("b", 0, write(Some(10), Some("three")));
    s.done("a", 0, read(), stands(10, "one"));
    s.done("a", 0, read(), stands(12, "three"));
    s.refused("a", 0, write(Some(10), Some("four")), "Conflict");
    s.done("a", 0, write(Some(12), None), Answer::Revision(12));
    s.done("a", 0, read(), Answer::Key(None));
}

fn calms(s: &mut Story) {
    s.granted("a", 1);
    s.shown("b", "watch", None);
    s.shown("b", "given up", None);
    s.note("nemesis", calm(100));
    s.wait_ms(50);
    s.note("nemesis", fault("cut", true));
    s.wait_ms(500);
    s.note("nemesis", fault("cut", false));
    s.note("nemesis", calm(100));
    s.unknown("a", 1, publish("lost"));
    s.wrote("a", 1, publish("host-a"));
    s.shown("b", "watch", Some((1, "lost")));
    s.shown("b", "watch", Some((1, "host-a")));
    s.note("b", What::Unwatched { observer: "given up".into() });
    s.note("nemesis", What::Healed);
    s.wait_ms(500);
    // This one has just begun to look.
    s.shown("b", "young", None);
}

fn overtaken(s: &mut Story) {
    s.granted("a", 1);
    s.wrote("a", 1, add(1));
    let beside = s.begin("b", 0, Call::Recover { job: "job".into() });
    for id in 2..=6 {
        s.wrote("a", 1, add(id));
    }
    s.end(beside, super::story::refused("Unavailable"));
    s.done("b", 0, Call::Recover { job: "job".into() }, found(&[5, 6]));
}

fn kept(s: &mut Story) {
    let other = || "resource_manager".to_owned();
    s.granted("a", 2);
    s.note("a", What::Granted { component: other(), term: term(2) });
    s.believes("a", 2, 10_000);
    s.wrote("a", 2, resign());
    s.revoked("a", 2, Loss::Resigned);
    let campaign = s.begin("a", 0, campaign());
    s.granted("a", 2);
    // The one that had kept it goes, and the first keeps it on.
    s.note("a", What::Revoked { component: other(), term: term(2), why: Loss::Resigned });
    s.end(campaign, ha_testkit::history::Outcome::Done(Answer::Nothing));
    s.wrote("a", 2, put_plan("plan"));
    s.wrote("a", 2, resign());
    s.revoked("a", 2, Loss::Resigned);
    s.granted("a", 3);
}

fn removed_at_once(s: &mut Story) {
    let remove = || Call::CleanResult { job: "job".into(), keeps: false };
    let done = || ha_testkit::history::Outcome::Done(Answer::Nothing);
    s.granted("a", 1);
    s.wrote("a", 1, put_result("first"));
    let all = [s.begin("a", 1, remove()), s.begin("a", 1, remove()), s.begin("a", 1, remove())];
    s.end(all[0], done());
    // All three had found the first; the last is told only after the next one was there.
    s.end(all[1], done());
    s.wrote("a", 1, put_result("second"));
    s.end(all[2], done());
    s.unknown("a", 1, remove());
    s.refused("a", 1, remove(), "NotFound");
    s.wrote("a", 1, put_result("third"));
}

fn late_anew(s: &mut Story) {
    let again = || "state 1 again".to_owned();
    s.granted("a", 1);
    s.wrote("a", 1, add(1));
    s.wrote("a", 1, Call::RemoveCheckpoints { job: "job".into() });
    s.unknown(
        "a",
        1,
        Call::AddCheckpoint { job: "job".into(), id: 1, state: again(), retain: 2, taken_for: TakenFor::Checkpoint },
    );
    s.recovers("b", &[]);
    s.wrote("a", 1, add(2));
    s.wrote("a", 1, add(3));
    s.recovers("b", &[2, 3]);
    // It is there now, and who adds the next one does not know it.
    s.wrote("a", 1, add(4));
    let Answer::Checkpoints(mut there) = found(&[1, 3, 4]) else { unreachable!("checkpoints are found") };
    there[0].state = again();
    s.done("b", 0, Call::Recover { job: "job".into() }, Answer::Checkpoints(there));
}

/// Two are retained. The newest checkpoint stays below savepoints, until one that the job stops with.
fn savepoints(s: &mut Story) {
    s.granted("a", 1);
    s.wrote("a", 1, add(1));
    s.wrote("a", 1, save(2, TakenFor::Savepoint));
    s.wrote("a", 1, save(3, TakenFor::Savepoint));
    s.recovers("b", &[1, 3]);
    s.wrote("a", 1, save(4, TakenFor::Savepoint));
    s.recovers("b", &[1, 4]);
    s.unknown("a", 1, save(5, TakenFor::Savepoint));
    s.recovers("b", &[1, 5]);
    s.wrote("a", 1, add(6));
    s.recovers("b", &[5, 6]);
    s.wrote("a", 1, save(7, TakenFor::FinalSavepoint));
    s.wrote("a", 1, save(8, TakenFor::FinalSavepoint));
    s.recovers("b", &[7, 8]);
}

fn both_resign(s: &mut Story) {
    let other = || "other".to_owned();
    s.granted("a", 1);
    s.note("a", What::Granted { component: other(), term: term(1) });
    s.believes("a", 1, 10_000);
    s.wrote("a", 1, resign());
    s.revoked("a", 1, Loss::Resigned);
    let closing = s.begin("a", 1, Call::Resign { component: other() });
    s.granted("b", 2);
    s.note("a", What::Revoked { component: other(), term: term(1), why: Loss::Untold });
    s.end(closing, ha_testkit::history::Outcome::Done(Answer::Nothing));
}

/// The process had won it for its other component, and knows nothing of the newer one yet.
fn shared(s: &mut Story) {
    s.started("a");
    s.granted("b", 2);
    s.begin("a", 0, campaign());
    s.granted("a", 1);
    s.note("a", What::Granted { component: "other".into(), term: term(1) });
    s.refused("a", 1, put_plan("plan 1"), "Fenced");
}
