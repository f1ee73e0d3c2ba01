use super::{Event, What};

/// One history out of those of several processes that have one clock.
///
/// Events are ordered by time. Where two have the same, returns come last: so an equal time never claims that one call
/// had returned before the other began. The order in which the histories are given does not matter if each process
/// stands in one of them.
#[must_use]
pub fn merge(histories: Vec<Vec<Event>>) -> Vec<Event> {
    let mut events: Vec<Event> = histories.into_iter().flatten().collect();
    // The sort keeps what is equal in the order in which its process noted it.
    events.sort_by(|one, other| place(one).cmp(&place(other)));
    events
}

fn place(event: &Event) -> (u64, bool, &str, u32) {
    let returned = matches!(event.what, What::Returned { .. });
    (event.at_ns, returned, &event.process, event.incarnation)
}
