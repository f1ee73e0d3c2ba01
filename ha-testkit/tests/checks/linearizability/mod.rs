//! The search against histories whose answer is known: textbook ones, generated ones, and all small ones by brute force.

mod brute;
mod generated;
mod known;

use ha_testkit::checks::linearizability::{End, Interval, Specification, Verdict, linearize};

/// More than any history of these tests needs.
pub(crate) const STEPS: usize = 200_000;

pub(crate) fn call<C>(call: C, invoked: u64, returned: u64) -> Interval<C> {
    Interval { call, invoked, end: End::Returned(returned) }
}

pub(crate) fn unknown<C>(call: C, invoked: u64) -> Interval<C> {
    Interval { call, invoked, end: End::Unknown { until: None } }
}

pub(crate) fn unknown_until<C>(call: C, invoked: u64, until: u64) -> Interval<C> {
    Interval { call, invoked, end: End::Unknown { until: Some(until) } }
}

/// The verdict as yes or no. The order that comes with a yes is replayed: it is not taken on trust.
pub(crate) fn is_linearizable<S: Specification>(specification: &S, calls: &[Interval<S::Call>]) -> bool {
    match linearize(specification, calls, STEPS) {
        Verdict::Linearizable { order } => {
            assert!(explains(specification, calls, &order), "{order:?} does not explain {calls:?}");
            true
        }
        Verdict::Broken { stuck, .. } => {
            assert!(stuck < calls.len());
            false
        }
        Verdict::Undecided { steps } => panic!("{steps} steps for {calls:?}"),
    }
}

/// Whether this order of these calls is one: all that returned stand in it, nobody goes before one that had returned,
/// and the object answers so.
pub(crate) fn explains<S: Specification>(specification: &S, calls: &[Interval<S::Call>], order: &[usize]) -> bool {
    let complete = calls.iter().enumerate().all(|(at, call)| match call.end {
        End::Returned(_) => order.iter().filter(|placed| **placed == at).count() == 1,
        End::Unknown { .. } => order.iter().filter(|placed| **placed == at).count() <= 1,
    });
    let end = |at: usize| match calls[at].end {
        End::Returned(at) => at,
        End::Unknown { until } => until.unwrap_or(u64::MAX),
    };
    let in_time =
        (0..order.len()).all(|late| order[..late].iter().all(|early| calls[*early].invoked <= end(order[late])));
    let begun = order.iter().all(|at| calls[*at].invoked <= end(*at));
    let mut states = vec![specification.initial()];
    for at in order {
        states = states.iter().flat_map(|state| specification.after(state, &calls[*at].call)).collect();
        states.sort();
        states.dedup();
    }
    complete && in_time && begun && !states.is_empty()
}
