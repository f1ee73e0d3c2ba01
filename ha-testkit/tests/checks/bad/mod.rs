//! One history for each way in which an invariant can be broken.

mod election;
mod form;
mod stores;
mod views;

use ha_testkit::checks::Check;
use ha_testkit::history::Event;

use super::story::Story;

/// A history that breaks an invariant.
pub(crate) struct Bad {
    /// The check that must refuse it.
    pub(crate) check: &'static str,
    /// What is wrong.
    pub(crate) way: &'static str,
    pub(crate) history: Vec<Event>,
}

fn bad(check: impl Check, way: &'static str, told: impl FnOnce(&mut Story)) -> Bad {
    Bad { check: check.name(), way, history: Story::tell(told) }
}

pub(crate) fn all() -> Vec<Bad> {
    [form::all(), election::all(), stores::all(), views::all()].into_iter().flatten().collect()
}
