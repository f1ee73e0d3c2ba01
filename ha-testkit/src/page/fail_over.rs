use super::reading::read;
use super::story::{Reign, Story};
use crate::history::{Event, Term};

/// A component was led under one term, and then under another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailOver {
    /// Which component.
    pub component: String,
    /// Who led it.
    pub from: String,
    /// Who leads it then. The same process may come back, under a new term.
    pub to: String,
    /// Under which term.
    pub term: Term,
    /// Since when nobody could lead, by the clock of the history: the old leader heard of its loss, died, closed, or
    /// stood still for good. If none of that came before the grant, the moment of the grant: it was replaced alive.
    pub lost_ns: u64,
    /// When the new leader was told.
    pub granted_ns: u64,
}

impl FailOver {
    /// How long nobody led, as far as the history tells, in nanoseconds. A leader that is cut off counts as one until
    /// it knows.
    #[must_use]
    pub fn lasted_ns(&self) -> u64 {
        self.granted_ns - self.lost_ns
    }
}

/// Each time that a component changed from one term to another, in the order of the grants.
///
/// ```
/// use ha_testkit::history::{Recording, Term, What};
///
/// let recording = Recording::timeless();
/// let granted = |epoch| What::Granted { component: "dispatcher".into(), term: Term::new("main", epoch) };
/// recording.note_at(1_000, "jm-1", 1, granted(1));
/// recording.note_at(5_000, "jm-1", 1, What::Killed);
/// recording.note_at(7_000, "jm-2", 1, granted(2));
/// let fail_overs = ha_testkit::page::fail_overs(&recording.events());
/// assert_eq!((fail_overs.len(), fail_overs[0].lasted_ns()), (1, 2_000));
/// ```
#[must_use]
pub fn fail_overs(history: &[Event]) -> Vec<FailOver> {
    of(&read(history))
}

pub(super) fn of(story: &Story<'_>) -> Vec<FailOver> {
    let name = |reign: &Reign<'_>| story.processes[story.lives[reign.life].process].to_owned();
    let told = |change: Change<'_, '_>| FailOver {
        component: story.components[change.new.component].to_owned(),
        from: name(change.old),
        to: name(change.new),
        term: change.new.term.clone(),
        lost_ns: story.origin_ns + change.lost,
        granted_ns: story.origin_ns + change.new.from,
    };
    changes(story).into_iter().map(told).collect()
}

/// When nobody could lead a component: which, since when, until when, counted from the beginning of the history.
pub(super) fn vacant(story: &Story<'_>) -> impl Iterator<Item = (usize, u64, u64)> {
    let vacant = changes(story).into_iter().map(|change| (change.new.component, change.lost, change.new.from));
    vacant.filter(|(_, lost, granted)| lost < granted)
}

struct Change<'s, 'h> {
    old: &'s Reign<'h>,
    new: &'s Reign<'h>,
    lost: u64,
}

fn changes<'s, 'h>(story: &'s Story<'h>) -> Vec<Change<'s, 'h>> {
    let mut before: Vec<Option<&Reign<'_>>> = vec![None; story.components.len()];
    let mut found = Vec::new();
    for new in &story.reigns {
        let Some(old) = before[new.component].replace(new).filter(|old| old.term != new.term) else { continue };
        // A pause that lasts over the grant is what cost the old leader its term.
        let stood = story.lives[old.life].pauses.iter().find(|pause| pause.0 <= new.from && new.from <= pause.1);
        let lost = old.to.min(new.from).min(stood.map_or(u64::MAX, |pause| pause.0)).max(old.from);
        found.push(Change { old, new, lost });
    }
    found
}
