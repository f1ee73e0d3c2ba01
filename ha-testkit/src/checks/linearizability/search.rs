use std::collections::BTreeSet;

use super::{End, Interval, Specification, Verdict};

/// Looks for an order of the calls in which the object of that specification would have answered as it did.
///
/// It takes at most `steps_max` steps (a step is one choice that is looked into), and for each some memory.
///
/// ```
/// use ha_testkit::checks::linearizability::{End, Interval, Register, RegisterCall::*, Verdict, linearize};
/// let call = |call, invoked, returned| Interval { call, invoked, end: End::Returned(returned) };
/// // Both overlap the write, so one may see it and the other one not; but not in this order.
/// let stale = [call(Put("new"), 1, 9), call(Read(Some("new")), 2, 3), call(Read(None), 4, 5)];
/// assert!(matches!(linearize(&Register::default(), &stale, 1000), Verdict::Broken { stuck: 2, .. }));
/// ```
pub fn linearize<S: Specification>(specification: &S, calls: &[Interval<S::Call>], steps_max: usize) -> Verdict {
    let ends = ends(calls);
    let twins = twins(calls);
    let mut search = Search { specification, calls, ends, twins, tried: Vec::new(), waiting: Vec::new() };
    search.run(steps_max)
}

/// A moment at which a call has taken effect, or never will.
struct Ending {
    call: usize,
    /// Whether it must have taken effect: it returned. Otherwise its effect has become impossible.
    must: bool,
    /// The calls that may take effect just before: begun and not ended. Those that end first come first.
    open: Vec<usize>,
}

/// What was chosen up to here.
struct Choice {
    /// The choice before, to tell the order in the end.
    before: Option<usize>,
    /// The call that was let take effect, if this choice was that.
    placed: Option<usize>,
}

/// A situation: the next ending to explain, what the object remembers, and which of the open calls have taken effect.
type Situation<State> = (usize, State, BTreeSet<usize>);

struct Search<'a, S: Specification> {
    specification: &'a S,
    calls: &'a [Interval<S::Call>],
    ends: Vec<Ending>,
    /// For a call of unknown outcome, an equal one that is to be placed first.
    twins: Vec<Option<usize>>,
    tried: Vec<Choice>,
    /// What is still to be looked into, the most promising last; each with the choice that leads there.
    waiting: Vec<(usize, Situation<S::State>)>,
}

impl<S: Specification> Search<'_, S> {
    fn run(&mut self, steps_max: usize) -> Verdict {
        let mut seen = BTreeSet::new();
        self.tried.push(Choice { before: None, placed: None });
        self.waiting.push((0, (0, self.specification.initial(), BTreeSet::new())));
        // The choice that came farthest, and how far.
        let mut farthest = (0, 0);
        let mut steps = 0;
        while let Some((choice, situation)) = self.waiting.pop() {
            let at = situation.0;
            if at == self.ends.len() {
                return Verdict::Linearizable { order: self.order(choice) };
            }
            if seen.contains(&situation) {
                continue;
            }
            if steps == steps_max {
                return Verdict::Undecided { steps };
            }
            steps += 1;
            if at > farthest.1 {
                farthest = (choice, at);
            }
            self.look_into(choice, &situation);
            seen.insert(situation);
        }
        Verdict::Broken { stuck: self.ends[farthest.1].call, order: self.order(farthest.0) }
    }

    fn look_into(&mut self, choice: usize, (at, state, placed): &Situation<S::State>) {
        let Ending { call, must, .. } = self.ends[*at];
        if placed.contains(&call) {
            let mut placed = placed.clone();
            placed.remove(&call);
            self.waiting.push((choice, (at + 1, state.clone(), placed)));
            return;
        }
        // What is pushed last is looked into first: the call that ends itself, then those that end soon.
        for at_open in (0..self.ends[*at].open.len()).rev() {
            let next = self.ends[*at].open[at_open];
            let twin_waits = self.twins[next].is_some_and(|t| self.ends[*at].open.contains(&t) && !placed.contains(&t));
            if placed.contains(&next) || twin_waits {
                continue;
            }
            for after in self.specification.after(state, &self.calls[next].call) {
                let mut placed = placed.clone();
                placed.insert(next);
                self.tried.push(Choice { before: Some(choice), placed: Some(next) });
                self.waiting.push((self.tried.len() - 1, (*at, after, placed)));
            }
        }
        if !must {
            self.waiting.push((choice, (at + 1, state.clone(), placed.clone())));
        }
    }

    fn order(&self, choice: usize) -> Vec<usize> {
        let choices = std::iter::successors(Some(choice), |at| self.tried[*at].before);
        let mut order: Vec<usize> = choices.filter_map(|at| self.tried[at].placed).collect();
        order.reverse();
        order
    }
}

/// All ends in the order of time.
fn ends<C>(calls: &[Interval<C>]) -> Vec<Ending> {
    let end_of = |call: usize| match calls[call].end {
        End::Returned(at) => Some((at, true)),
        End::Unknown { until } => until.map(|at| (at, false)),
    };
    let begins = calls.iter().enumerate().map(|(call, interval)| (interval.invoked, false, call));
    let ends = (0..calls.len()).filter_map(|call| end_of(call).map(|(at, _)| (at, true, call)));
    let mut moments: Vec<(u64, bool, usize)> = begins.chain(ends).collect();
    moments.sort_unstable();
    let mut open: Vec<usize> = Vec::new();
    let mut endings = Vec::new();
    for (_, is_end, call) in moments {
        if !is_end {
            // A call that ended before it began never takes effect.
            if end_of(call).is_none_or(|(at, _)| at >= calls[call].invoked) {
                open.push(call);
            }
            continue;
        }
        open.sort_by_key(|open| match (*open == call, end_of(*open)) {
            (true, _) => (0, 0),
            (false, Some((at, true))) => (1, at),
            (false, Some((at, false))) => (2, at),
            (false, None) => (3, calls[*open].invoked),
        });
        let must = matches!(calls[call].end, End::Returned(_));
        if must || open.contains(&call) {
            endings.push(Ending { call, must, open: open.clone() });
        }
        open.retain(|open| *open != call);
    }
    endings
}

/// Of equal calls of unknown outcome it is enough to try them in one order: the one that was invoked first goes first,
/// if it can go as late as the other one. Otherwise k of them are tried in k! orders that are all the same.
fn twins<C: PartialEq>(calls: &[Interval<C>]) -> Vec<Option<usize>> {
    let unknown = |call: &Interval<C>| match call.end {
        End::Returned(_) => None,
        End::Unknown { until } => Some(until.unwrap_or(u64::MAX)),
    };
    let doubtful: Vec<(usize, &Interval<C>, u64)> =
        calls.iter().enumerate().filter_map(|(at, call)| Some((at, call, unknown(call)?))).collect();
    let twin = |(at, call): (usize, &Interval<C>)| {
        let until = unknown(call)?;
        let is_twin = |(other_at, other, other_until): &&(usize, &Interval<C>, u64)| {
            let earlier = (other.invoked, *other_at) < (call.invoked, at);
            earlier && *other_until >= until && other.call == call.call
        };
        let twins = doubtful.iter().filter(is_twin);
        twins.max_by_key(|(other_at, other, _)| (other.invoked, *other_at)).map(|(other_at, ..)| *other_at)
    };
    calls.iter().enumerate().map(twin).collect()
}
