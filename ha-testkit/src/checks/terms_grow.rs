use std::collections::BTreeMap;

use super::operation::Operations;
use super::{Check, Place, Violation};
use crate::history::{Call, Event, Loss, Term, What};

/// Terms grow.
///
/// A contender is told later of a grant than the store knows of it, so the order in which processes tell of their
/// grants proves nothing. Three orders do: one contender hears of its terms as they come; a process that was started
/// after a term had begun can win newer ones only; and so can a component that campaigned after it had begun, unless
/// another one of its process had won the term before.
///
/// A contender is granted the same term again in one case alone: it had resigned, and all the time from then until it
/// campaigned again another component of its process held the term.
#[derive(Debug, Clone, Copy)]
pub struct TermsGrow;

impl Check for TermsGrow {
    fn name(&self) -> &'static str {
        "terms grow"
    }

    fn promise(&self) -> &'static str {
        "The epoch of each term is strictly greater than that of every earlier one of its latch."
    }

    fn promised_in(&self) -> Place {
        let words = "Strictly greater than that of every earlier term of the latch, on every backend";
        Place { file: "ha-core/src/backend/session.rs", words }
    }

    fn check(&self, history: &[Event]) -> Result<(), Violation> {
        let operations = Operations::of(history);
        let mut started: BTreeMap<(&str, u32), (usize, &Event)> = BTreeMap::new();
        let mut contenders = Contenders::default();
        for (position, event) in history.iter().enumerate() {
            let life = (event.process.as_str(), event.incarnation);
            match &event.what {
                What::Started => drop(started.insert(life, (position, event))),
                What::Invoked { call: Call::Campaign { component }, .. } => {
                    contenders.campaigned.insert((life, component), position);
                }
                What::Revoked { component, term, why } => {
                    if let Some(last) = contenders.last.get_mut(&(life, component.as_str(), term.latch.as_str())) {
                        last.over = Some((position, *why));
                    }
                }
                What::Granted { component, term } => {
                    if let Err(before) = contenders.grant(life, component, term, event) {
                        let what = format!("{component} was granted {term} after a term that is not older");
                        return Err(Violation::broken(self.name(), what, [before, event]));
                    }
                    let Some(first) = operations.terms.first_from(term) else { continue };
                    if let Some((start, began)) = started.get(&life)
                        && first.position < *start
                    {
                        let what =
                            format!("{term} was won by a process that was started after it, or a newer one, began");
                        return Err(Violation::broken(self.name(), what, [first.event, began, event]));
                    }
                    if let Some(campaign) = contenders.campaigned_after(life, component, first.position)
                        && !shares(history, life, component, term)
                    {
                        let what =
                            format!("{term} was won by a campaign that was made after it, or a newer one, began");
                        return Err(Violation::broken(self.name(), what, [first.event, &history[campaign], event]));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether another component of that life is granted that term, sooner or later.
fn shares(history: &[Event], life: Life<'_>, component: &str, term: &Term) -> bool {
    history.iter().filter(|event| (event.process.as_str(), event.incarnation) == life).any(|event| match &event.what {
        What::Granted { component: other, term: granted } => granted == term && other != component,
        _ => false,
    })
}

/// A life of a process.
type Life<'h> = (&'h str, u32);

/// The last grant of a contender, and how it ended.
struct Granted<'h> {
    epoch: u64,
    event: &'h Event,
    over: Option<(usize, Loss)>,
}

#[derive(Default)]
struct Contenders<'h> {
    /// By component and latch.
    last: BTreeMap<(Life<'h>, &'h str, &'h str), Granted<'h>>,
    /// When each component last began to campaign.
    campaigned: BTreeMap<(Life<'h>, &'h str), usize>,
}

impl<'h> Contenders<'h> {
    /// Takes a grant, or tells the one before that it does not fit.
    fn grant(&mut self, life: Life<'h>, component: &'h str, term: &'h Term, event: &'h Event) -> Result<(), &'h Event> {
        let contender = (life, component, term.latch.as_str());
        let before = self.last.get(&contender);
        let wrong = before.filter(|before| match before.epoch == term.epoch {
            true => !self.was_kept(before, contender),
            false => before.epoch > term.epoch,
        });
        if let Some(before) = wrong {
            return Err(before.event);
        }
        self.last.insert(contender, Granted { epoch: term.epoch, event, over: None });
        Ok(())
    }

    /// The last campaign of the component, if it was made after that position.
    fn campaigned_after(&self, life: Life<'h>, component: &'h str, position: usize) -> Option<usize> {
        self.campaigned.get(&(life, component)).copied().filter(|campaign| *campaign > position)
    }

    /// Whether another component of the same life held the term from the resignation on.
    fn was_kept(&self, resigned: &Granted<'h>, (life, component, latch): (Life<'h>, &'h str, &'h str)) -> bool {
        let Some((from, Loss::Resigned)) = resigned.over else { return false };
        let until = self.campaigned.get(&(life, component)).map_or(from, |at| from.max(*at));
        self.last.iter().any(|((of, other, on), granted)| {
            let same_term = (*of, *on) == (life, latch) && *other != component && granted.epoch == resigned.epoch;
            same_term && granted.over.is_none_or(|(over, _)| over > until)
        })
    }
}
