use ha_testkit::checks::{
    DeposedAreTold, GrantsAlternate, OldTermsWriteNothing, OneWriterPerTerm, SilenceIsPatient, TermsGrow,
};
use ha_testkit::history::{Answer, Call, EarlyEnd, Loss, Outcome, What};

use super::super::story::{Story, add, campaign, next_id, publish, put_plan, put_result, remove_plan, resign, term};
use super::{Bad, bad};

pub(super) fn all() -> Vec<Bad> {
    [writers(), terms(), old_terms(), old_terms_without_a_trace(), turns(), silence()].into_iter().flatten().collect()
}

fn writers() -> Vec<Bad> {
    vec![
        bad(OneWriterPerTerm, "one term is granted to two processes", |s| {
            s.granted("a", 1);
            s.granted("b", 1);
        }),
        bad(OneWriterPerTerm, "somebody writes under the term of another", |s| {
            s.granted("a", 1);
            s.wrote("b", 1, put_plan("plan"));
        }),
        bad(OneWriterPerTerm, "two write under one term", |s| {
            s.wrote("a", 1, put_plan("plan 1"));
            s.wrote("b", 1, publish("host-b"));
        }),
        bad(OneWriterPerTerm, "a process goes on in its next life", |s| {
            s.started("a");
            s.granted("a", 1);
            s.restarted("a");
            s.takes("a", 1, 1);
        }),
    ]
}

fn terms() -> Vec<Bad> {
    vec![
        bad(TermsGrow, "a contender is granted an older term", |s| {
            s.granted("a", 2);
            s.revoked("a", 2, Loss::Evicted);
            s.granted("a", 1);
        }),
        bad(TermsGrow, "a contender is granted its term again", |s| {
            s.granted("a", 2);
            s.revoked("a", 2, Loss::Evicted);
            s.granted("a", 2);
        }),
        bad(TermsGrow, "a component that resigned is granted its term again, which nobody has kept", |s| {
            s.granted("a", 2);
            s.wrote("a", 2, resign());
            s.revoked("a", 2, Loss::Resigned);
            s.granted("a", 2);
        }),
        bad(TermsGrow, "a component that resigned is granted its term again, which another one had lost", |s| {
            s.granted("a", 2);
            s.note("a", What::Granted { component: "other".into(), term: term(2) });
            s.revoked("a", 2, Loss::Resigned);
            s.note("a", What::Revoked { component: "other".into(), term: term(2), why: Loss::Untold });
            s.begin("a", 0, campaign());
            s.granted("a", 2);
        }),
        bad(TermsGrow, "a component that lost its term is granted it again, which another one has kept", |s| {
            s.granted("a", 2);
            s.note("a", What::Granted { component: "other".into(), term: term(2) });
            s.revoked("a", 2, Loss::DeadlinePassed);
            s.granted("a", 2);
        }),
        bad(TermsGrow, "a component is granted its term again, which one of another process has kept", |s| {
            s.granted("a", 2);
            s.note("b", What::Granted { component: "other".into(), term: term(2) });
            s.revoked("a", 2, Loss::Resigned);
            s.granted("a", 2);
        }),
        bad(TermsGrow, "a new process wins an older term than was granted before it was started", |s| {
            s.granted("a", 2);
            s.started("b");
            s.granted("b", 1);
        }),
        bad(TermsGrow, "a new process wins an older term than was written under before it was started", |s| {
            s.wrote("a", 2, put_plan("plan"));
            s.started("b");
            s.granted("b", 1);
        }),
        bad(TermsGrow, "a campaign wins an older term than had begun before it", |s| {
            s.started("b");
            s.granted("a", 2);
            s.revoked("a", 2, Loss::Resigned);
            s.begin("b", 0, campaign());
            s.granted("b", 1);
        }),
        bad(TermsGrow, "a campaign wins a term that had begun before it, and is another's", |s| {
            s.shown("c", "watch", Some((2, "host-a")));
            s.begin("b", 0, campaign());
            s.granted("b", 2);
            s.note("a", What::Granted { component: "other".into(), term: term(2) });
        }),
        bad(TermsGrow, "a restarted process wins the term that observers were shown before", |s| {
            s.started("a");
            s.shown("b", "watch", Some((2, "host-c")));
            s.restarted("a");
            s.granted("a", 2);
        }),
    ]
}

/// `a` led under the first term; since then `b` leads under the second.
fn deposed(s: &mut Story) {
    s.granted("a", 1);
    s.wrote("a", 1, put_plan("plan 1"));
    s.wrote("a", 1, put_result("finished"));
    s.granted("b", 2);
}

fn old_terms() -> Vec<Bad> {
    vec![
        bad(OldTermsWriteNothing, "a deposed leader's write is acknowledged", |s| {
            deposed(s);
            s.wrote("a", 1, put_plan("plan 2"));
        }),
        bad(DeposedAreTold, "a deposed leader is answered by what is stored", |s| {
            deposed(s);
            s.refused("a", 1, put_result("failed"), "AlreadyExists");
        }),
        bad(OldTermsWriteNothing, "a deposed leader takes an id", |s| {
            deposed(s);
            s.takes("a", 1, 1);
        }),
        bad(OldTermsWriteNothing, "a deposed leader publishes", |s| {
            deposed(s);
            s.wrote("a", 1, publish("host-a"));
        }),
        bad(OldTermsWriteNothing, "the newer term is known by its writes alone", |s| {
            s.wrote("b", 2, put_plan("plan 1"));
            s.wrote("a", 1, put_plan("plan 2"));
        }),
        bad(OldTermsWriteNothing, "a deposed leader removes what is there", |s| {
            deposed(s);
            s.wrote("a", 1, remove_plan());
        }),
        bad(OldTermsWriteNothing, "a deposed leader removes what the new one has put", |s| {
            s.granted("b", 2);
            s.wrote("b", 2, put_plan("plan 1"));
            s.wrote("a", 1, remove_plan());
        }),
        bad(OldTermsWriteNothing, "a deposed leader marks a dirty result", |s| {
            deposed(s);
            s.wrote("a", 1, Call::CleanResult { job: "job".into(), keeps: true });
        }),
        bad(OldTermsWriteNothing, "a deposed leader stores a blob that nobody else has", |s| {
            deposed(s);
            s.wrote("a", 1, Call::PutBlob { blob: "b".into(), content: "bytes".into() });
        }),
    ]
}

/// Writes that nobody acknowledged, and somebody saw.
fn old_terms_without_a_trace() -> Vec<Bad> {
    vec![
        bad(OldTermsWriteNothing, "a deposed leader's unanswered plan is read", |s| {
            deposed(s);
            s.unknown("a", 1, put_plan("plan 2"));
            s.reads_plan("b", Some("plan 2"));
        }),
        bad(OldTermsWriteNothing, "a deposed leader's lost checkpoint is recovered", |s| {
            deposed(s);
            s.begin("a", 1, add(1));
            s.recovers("b", &[1]);
        }),
    ]
}

fn turns() -> Vec<Bad> {
    vec![
        bad(GrantsAlternate, "granted twice", |s| {
            s.granted("a", 1);
            s.granted("a", 2);
        }),
        bad(GrantsAlternate, "revoked first", |s| s.revoked("a", 1, Loss::Untold)),
        bad(GrantsAlternate, "revoked twice", |s| {
            s.granted("a", 1);
            s.revoked("a", 1, Loss::Evicted);
            s.revoked("a", 1, Loss::Evicted);
        }),
        bad(GrantsAlternate, "another term is revoked than was granted", |s| {
            s.granted("a", 1);
            s.revoked("a", 2, Loss::Evicted);
        }),
    ]
}

fn silence() -> Vec<Bad> {
    let early = |way, between: fn(&mut Story)| {
        bad(SilenceIsPatient, way, move |s| {
            s.granted("a", 1);
            s.believes("a", 1, 100);
            between(s);
            s.granted("b", 2);
        })
    };
    vec![
        early("another leads while nobody has ended the term", |_| {}),
        early("its holder was told of an eviction, and nobody evicted it", |s| s.revoked("a", 1, Loss::Evicted)),
        early("its session ended early, and nobody ended it", |s| s.revoked("a", 1, Loss::SessionRevoked)),
        early("somebody else was killed", |s| s.note("c", What::Killed)),
        early("another term was ended", |s| {
            s.note("operator", What::EndedEarly { term: term(0), by: EarlyEnd::Operator });
        }),
        early("it was paused, which is silence", |s| s.note("a", What::Paused)),
        early("it resigned another leadership", |s| s.wrote("a", 7, super::super::story::resign())),
        early("one component of it resigned, and another one kept the term", |s| {
            s.note("a", What::Granted { component: "other".into(), term: term(1) });
            s.wrote("a", 1, resign());
            s.revoked("a", 1, Loss::Resigned);
        }),
        bad(SilenceIsPatient, "it believes in its term although another leads", |s| {
            s.granted("a", 1);
            s.granted("b", 2);
            s.believes("a", 1, 100);
        }),
        bad(SilenceIsPatient, "the newer term is seen by an observer alone", |s| {
            s.believes("a", 1, 100);
            s.shown("c", "watch", Some((2, "host-b")));
        }),
        bad(SilenceIsPatient, "the newer term is seen by its writes alone", |s| {
            s.believes("a", 1, 100);
            let call = s.begin("b", 2, next_id());
            s.end(call, Outcome::Done(Answer::Id(1)));
        }),
        bad(SilenceIsPatient, "the excuse comes after the take-over", |s| {
            s.believes("a", 1, 100);
            s.granted("b", 2);
            s.note("b", What::EndedEarly { term: term(1), by: EarlyEnd::Evidence });
        }),
    ]
}
