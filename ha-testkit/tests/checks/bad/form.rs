use ha_testkit::checks::WellFormed;
use ha_testkit::history::{Answer, Outcome, What};

use super::super::story::{next_id, put_plan};
use super::{Bad, bad};

pub(super) fn all() -> Vec<Bad> {
    let mut back = bad(WellFormed, "time goes back", |s| {
        s.started("a");
        s.granted("a", 1);
    });
    back.history.reverse();
    vec![
        back,
        bad(WellFormed, "a call returns twice", |s| {
            let call = s.begin("a", 1, put_plan("plan"));
            s.end(call, Outcome::Done(Answer::Nothing));
            s.end(call, Outcome::Done(Answer::Nothing));
        }),
        bad(WellFormed, "a call returns that was not made", |s| {
            s.note("a", What::Returned { op: 7, outcome: Outcome::Done(Answer::Nothing) });
        }),
        bad(WellFormed, "two calls have one number", |s| {
            for _ in 0..2 {
                s.note("a", What::Invoked { op: 7, under: None, call: next_id() });
            }
        }),
        bad(WellFormed, "an answer is not one to its call", |s| s.done("a", 1, next_id(), Answer::Nothing)),
        bad(WellFormed, "a dead process goes on", |s| {
            s.started("a");
            s.note("a", What::Killed);
            s.granted("a", 1);
        }),
        bad(WellFormed, "two processes have one name", |s| {
            s.started("a");
            s.begins_anew("a");
        }),
        bad(WellFormed, "a life begins twice", |s| {
            s.started("a");
            s.started("a");
        }),
    ]
}
