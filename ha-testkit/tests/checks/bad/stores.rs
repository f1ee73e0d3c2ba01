use ha_testkit::checks::{
    AcknowledgedSurvives, IdsAreUnique, Linearizable, NotAppliedNeverAppears, PointersResolve, RecoveredPrefix,
};
use ha_testkit::history::{Answer, Call, Outcome, StoredValue, TakenFor};

use super::super::story::{
    Story, add, found, next_id, publish, put_plan, put_result, refused, remove_plan, result, save,
};
use super::{Bad, bad};

pub(super) fn all() -> Vec<Bad> {
    [lost(), lost_of_sets(), appeared(), ids(), pointers(), prefixes(), orders(), more_orders()]
        .into_iter()
        .flatten()
        .collect()
}

fn lost() -> Vec<Bad> {
    vec![
        bad(AcknowledgedSurvives, "a plan is gone", |s| {
            s.wrote("a", 1, put_plan("plan 1"));
            s.reads_plan("b", None);
        }),
        bad(AcknowledgedSurvives, "a plan is gone after a crash, and the only removal was refused", |s| {
            s.started("a");
            s.wrote("a", 1, put_plan("plan 1"));
            s.refused("a", 1, remove_plan(), "Fenced");
            s.restarted("a");
            s.reads_plan("a", None);
        }),
        bad(AcknowledgedSurvives, "an older plan is back", |s| {
            s.wrote("a", 1, put_plan("plan 1"));
            s.wrote("a", 1, put_plan("plan 2"));
            s.reads_plan("b", Some("plan 1"));
        }),
        bad(AcknowledgedSurvives, "a removed plan is back", |s| {
            s.wrote("a", 1, put_plan("plan 1"));
            s.wrote("a", 1, remove_plan());
            s.reads_plan("b", Some("plan 1"));
        }),
        bad(AcknowledgedSurvives, "an unanswered plan comes after its fence", |s| {
            s.granted("a", 1);
            s.unknown("a", 1, put_plan("plan 1"));
            s.granted("b", 2);
            s.wrote("b", 2, put_plan("plan 2"));
            s.reads_plan("b", Some("plan 1"));
        }),
        bad(AcknowledgedSurvives, "a plan is acknowledged late, and was not there when its term was over", |s| {
            s.granted("a", 1);
            let put = s.begin("a", 1, put_plan("plan 1"));
            s.granted("b", 2);
            s.reads_plan("b", None);
            s.end(put, Outcome::Done(Answer::Nothing));
        }),
        bad(AcknowledgedSurvives, "a result is gone", |s| {
            s.wrote("a", 1, put_result("finished"));
            s.wrote("a", 1, Call::CleanResult { job: "job".into(), keeps: true });
            s.done("b", 0, Call::ReadResult { job: "job".into() }, Answer::Result(None));
        }),
        bad(AcknowledgedSurvives, "a blob is gone", |s| {
            s.wrote("a", 1, Call::PutBlob { blob: "b".into(), content: "bytes".into() });
            s.done("b", 0, Call::ReadBlob { blob: "b".into() }, Answer::Value(None));
        }),
    ]
}

fn lost_of_sets() -> Vec<Bad> {
    let set = |next| Call::SetCount { job: "job".into(), next };
    let read = || Call::ReadCounter { job: "job".into() };
    vec![
        bad(AcknowledgedSurvives, "a checkpoint is gone", |s| {
            s.wrote("a", 1, add(1));
            s.wrote("a", 1, add(2));
            s.recovers("b", &[2]);
        }),
        bad(AcknowledgedSurvives, "the newest checkpoint is gone", |s| {
            s.wrote("a", 1, add(1));
            s.wrote("a", 1, add(2));
            s.wrote("a", 1, add(3));
            s.recovers("b", &[2]);
        }),
        bad(AcknowledgedSurvives, "a counter forgets a step", |s| {
            s.takes("a", 1, 1);
            s.done("b", 0, read(), Answer::Id(1));
        }),
        bad(AcknowledgedSurvives, "a counter forgets where it was set to", move |s| {
            s.wrote("a", 1, set(9));
            s.done("b", 0, read(), Answer::Id(8));
        }),
    ]
}

fn appeared() -> Vec<Bad> {
    vec![
        bad(NotAppliedNeverAppears, "a refused plan is read", |s| {
            s.refused("a", 1, put_plan("plan 1"), "Unavailable");
            s.reads_plan("b", Some("plan 1"));
        }),
        bad(NotAppliedNeverAppears, "a refused plan was seen before it was refused", |s| {
            let put = s.begin("a", 1, put_plan("plan 1"));
            s.reads_plan("b", Some("plan 1"));
            s.end(put, refused("Fenced"));
        }),
        bad(NotAppliedNeverAppears, "a plan is read that nobody has put", |s| s.reads_plan("b", Some("plan 1"))),
        bad(NotAppliedNeverAppears, "a plan is read before somebody puts it", |s| {
            s.reads_plan("b", Some("plan 1"));
            s.wrote("a", 1, put_plan("plan 1"));
        }),
        bad(NotAppliedNeverAppears, "a refused checkpoint is recovered", |s| {
            s.refused("a", 1, add(1), "Fenced");
            s.recovers("b", &[1]);
        }),
        bad(NotAppliedNeverAppears, "a checkpoint has the state of another one", |s| {
            s.wrote("a", 1, add(1));
            let Answer::Checkpoints(mut wrong) = found(&[1]) else { unreachable!() };
            wrong[0].state = "state 2".into();
            s.done("b", 0, Call::Recover { job: "job".into() }, Answer::Checkpoints(wrong));
        }),
        bad(NotAppliedNeverAppears, "a refused result is read", |s| {
            s.refused("a", 1, put_result("failed"), "NotLeader");
            s.done("b", 0, Call::ReadResult { job: "job".into() }, result("failed", false));
        }),
        bad(NotAppliedNeverAppears, "an address is shown that was published under another term", |s| {
            s.granted("a", 1);
            s.wrote("a", 1, publish("host-a"));
            s.granted("c", 2);
            s.shown("b", "watch", Some((2, "host-a")));
        }),
        bad(NotAppliedNeverAppears, "an address is shown before it is published", |s| {
            s.granted("a", 1);
            s.shown("b", "watch", Some((1, "host-a")));
            s.wrote("a", 1, publish("host-a"));
        }),
        bad(NotAppliedNeverAppears, "a refused address is shown", |s| {
            s.granted("a", 1);
            s.refused("a", 1, publish("host-a"), "Fenced");
            s.shown("b", "watch", Some((1, "host-a")));
        }),
    ]
}

fn ids() -> Vec<Bad> {
    vec![
        bad(IdsAreUnique, "an id is given twice", |s| {
            s.takes("a", 1, 1);
            s.takes("a", 1, 1);
        }),
        bad(IdsAreUnique, "an id is given twice, at once", |s| {
            let one = s.begin("a", 1, next_id());
            s.takes("b", 1, 1);
            s.end(one, Outcome::Done(Answer::Id(1)));
        }),
        bad(IdsAreUnique, "ids go back", |s| {
            s.takes("a", 1, 5);
            s.takes("b", 2, 4);
        }),
        bad(IdsAreUnique, "an id is given again after a removal that was refused", |s| {
            s.takes("a", 1, 1);
            s.refused("a", 1, Call::RemoveCounter { job: "job".into() }, "Fenced");
            s.takes("b", 2, 1);
        }),
        bad(IdsAreUnique, "an id is given again before the removal", |s| {
            s.takes("a", 1, 1);
            s.takes("a", 1, 1);
            s.wrote("a", 1, Call::RemoveCounter { job: "job".into() });
        }),
    ]
}

fn pointers() -> Vec<Bad> {
    let recover = || Call::Recover { job: "job".into() };
    vec![
        bad(PointersResolve, "a plan's state is missing", |s| {
            s.refused("a", 0, Call::ReadPlan { job: "job".into() }, "StateMissing");
        }),
        bad(PointersResolve, "a blob is corrupt", |s| {
            s.refused("a", 0, Call::ReadBlob { blob: "b".into() }, "Corrupt");
        }),
        bad(PointersResolve, "a checkpoint's state is missing, and nobody subsumes", move |s| {
            s.wrote("a", 1, add(1));
            s.refused("b", 0, recover(), "StateMissing");
        }),
        bad(PointersResolve, "a checkpoint's state is missing, and what was unanswered had been seen", move |s| {
            for id in 1..=6 {
                s.unknown("a", 1, add(id));
                s.recovers("a", &[id]);
            }
            s.refused("a", 1, recover(), "StateMissing");
        }),
        bad(PointersResolve, "a checkpoint's state is missing, and all that was subsumed was before", move |s| {
            for id in 1..9 {
                s.wrote("a", 1, add(id));
            }
            s.refused("b", 0, recover(), "StateMissing");
        }),
    ]
}

fn prefixes() -> Vec<Bad> {
    let three = |s: &mut Story| (1..=3).for_each(|id| s.wrote("a", 1, add(id)));
    vec![
        bad(RecoveredPrefix, "a gap between two that are there", move |s| {
            three(s);
            s.wrote("a", 1, add(4));
            s.recovers("b", &[2, 4]);
        }),
        bad(RecoveredPrefix, "the newest is not there", move |s| {
            three(s);
            s.recovers("b", &[1, 2]);
        }),
        bad(RecoveredPrefix, "too few are left", move |s| {
            three(s);
            s.recovers("b", &[3]);
        }),
        bad(RecoveredPrefix, "nothing is left", move |s| {
            three(s);
            s.recovers("b", &[]);
        }),
        bad(RecoveredPrefix, "one that had given way is back", move |s| {
            three(s);
            s.recovers("b", &[2, 3]);
            s.recovers("b", &[1, 2, 3]);
        }),
        bad(RecoveredPrefix, "an unanswered one comes after its fence", move |s| {
            s.granted("a", 1);
            s.unknown("a", 1, add(1));
            s.granted("b", 2);
            s.recovers("b", &[]);
            s.recovers("b", &[1]);
        }),
        bad(RecoveredPrefix, "a savepoint is gone that none had to give way to", |s| {
            s.wrote("a", 1, add(1));
            s.wrote("a", 1, save(2, TakenFor::Savepoint));
            s.recovers("b", &[1]);
        }),
        bad(RecoveredPrefix, "a checkpoint is gone, and an older one is there beside a savepoint", |s| {
            s.wrote("a", 1, add(1));
            s.wrote("a", 1, add(2));
            s.wrote("a", 1, save(3, TakenFor::Savepoint));
            s.recovers("b", &[1, 3]);
        }),
        bad(RecoveredPrefix, "one is there twice", move |s| {
            three(s);
            s.recovers("b", &[2, 2, 3]);
        }),
    ]
}

fn orders() -> Vec<Bad> {
    vec![
        bad(Linearizable::default(), "two reads see a plan come and go while it is put", |s| {
            let put = s.begin("a", 1, put_plan("plan 1"));
            s.reads_plan("b", Some("plan 1"));
            s.reads_plan("c", None);
            s.end(put, Outcome::Done(Answer::Nothing));
        }),
        bad(Linearizable::default(), "two readers disagree on the order of two plans", |s| {
            let one = s.begin("a", 1, put_plan("plan 1"));
            let other = s.begin("a", 1, put_plan("plan 2"));
            s.reads_plan("b", Some("plan 1"));
            s.reads_plan("b", Some("plan 2"));
            s.reads_plan("c", Some("plan 1"));
            s.end(one, Outcome::Done(Answer::Nothing));
            s.end(other, Outcome::Done(Answer::Nothing));
        }),
        bad(Linearizable::default(), "an unanswered plan comes after its fence", |s| {
            s.granted("a", 1);
            s.unknown("a", 1, put_plan("plan 1"));
            s.granted("b", 2);
            s.reads_plan("b", None);
            s.reads_plan("b", Some("plan 1"));
        }),
        bad(Linearizable::default(), "a plan is put after its term was over, and acknowledged", |s| {
            s.granted("a", 1);
            let put = s.begin("a", 1, put_plan("plan 1"));
            s.granted("b", 2);
            s.reads_plan("b", None);
            s.end(put, Outcome::Done(Answer::Nothing));
            s.reads_plan("b", Some("plan 1"));
        }),
        bad(Linearizable::default(), "an id is skipped that nobody can have taken", |s| {
            s.takes("a", 1, 1);
            s.takes("a", 1, 3);
        }),
        bad(Linearizable::default(), "one unanswered step takes two ids", |s| {
            s.takes("a", 1, 1);
            s.unknown("a", 1, next_id());
            s.takes("a", 1, 4);
        }),
        bad(Linearizable::default(), "the newest checkpoint gives way to savepoints", |s| {
            s.wrote("a", 1, add(1));
            s.wrote("a", 1, save(2, TakenFor::Savepoint));
            s.wrote("a", 1, save(3, TakenFor::Savepoint));
            s.recovers("b", &[2, 3]);
        }),
        bad(Linearizable::default(), "a checkpoint stays below a savepoint that the job stopped with", |s| {
            s.wrote("a", 1, add(1));
            s.wrote("a", 1, save(2, TakenFor::Savepoint));
            s.wrote("a", 1, save(3, TakenFor::FinalSavepoint));
            s.recovers("b", &[1, 3]);
        }),
        bad(Linearizable::default(), "a checkpoint stays that has given way", |s| {
            (1..=3).for_each(|id| s.wrote("a", 1, add(id)));
            s.recovers("b", &[1, 2, 3]);
        }),
    ]
}

fn remove_result() -> Call {
    Call::CleanResult { job: "job".into(), keeps: false }
}

fn more_orders() -> Vec<Bad> {
    let write = |expect, value: Option<&str>| Call::WriteKey { key: "k".into(), expect, value: value.map(Into::into) };
    let read = || Call::ReadKey { key: "k".into() };
    let stands = |revision, value: &str| Answer::Key(Some(StoredValue { revision, value: value.into() }));
    vec![
        bad(Linearizable::default(), "two results are created", |s| {
            s.wrote("a", 1, put_result("finished"));
            s.wrote("b", 2, put_result("failed"));
        }),
        bad(Linearizable::default(), "a clean result is dirty again", |s| {
            s.wrote("a", 1, put_result("finished"));
            s.wrote("a", 1, Call::CleanResult { job: "job".into(), keeps: true });
            s.done("b", 0, Call::ReadResult { job: "job".into() }, result("finished", false));
        }),
        bad(Linearizable::default(), "a result that is there is not found when it is to be removed", |s| {
            s.wrote("a", 1, put_result("finished"));
            s.refused("a", 1, remove_result(), "NotFound");
        }),
        bad(Linearizable::default(), "a result is removed twice, one after the other", |s| {
            s.wrote("a", 1, put_result("finished"));
            s.wrote("a", 1, remove_result());
            s.wrote("a", 1, remove_result());
        }),
        bad(Linearizable::default(), "a result is removed that there never was", |s| {
            let one = s.begin("a", 1, remove_result());
            let other = s.begin("a", 1, remove_result());
            [one, other].into_iter().for_each(|begun| s.end(begun, Outcome::Done(Answer::Nothing)));
        }),
        bad(Linearizable::default(), "two remove a result at once, and it is there", |s| {
            s.wrote("a", 1, put_result("finished"));
            let one = s.begin("a", 1, remove_result());
            let other = s.begin("a", 1, remove_result());
            [one, other].into_iter().for_each(|begun| s.end(begun, Outcome::Done(Answer::Nothing)));
            s.done("b", 0, Call::ReadResult { job: "job".into() }, result("finished", false));
        }),
        bad(Linearizable::default(), "a result is refused although there is none", |s| {
            s.refused("a", 1, put_result("finished"), "AlreadyExists");
        }),
        bad(Linearizable::default(), "two writes of a key replace one revision", move |s| {
            s.done("a", 0, write(None, Some("one")), Answer::Revision(10));
            s.done("a", 0, write(Some(10), Some("two")), Answer::Revision(11));
            s.done("b", 0, write(Some(10), Some("three")), Answer::Revision(12));
        }),
        bad(Linearizable::default(), "a write of a key conflicts with nothing", move |s| {
            s.done("a", 0, write(None, Some("one")), Answer::Revision(10));
            s.refused("a", 0, write(Some(10), Some("two")), "Conflict");
        }),
        bad(Linearizable::default(), "an unanswered write has two revisions", move |s| {
            s.unknown("a", 0, write(None, Some("one")));
            s.done("b", 0, read(), stands(10, "one"));
            s.done("b", 0, read(), stands(11, "one"));
        }),
        bad(Linearizable::default(), "an older revision is read after a newer one", move |s| {
            s.done("a", 0, write(None, Some("one")), Answer::Revision(10));
            s.done("a", 0, write(Some(10), Some("two")), Answer::Revision(11));
            s.done("b", 0, read(), stands(10, "one"));
        }),
    ]
}
