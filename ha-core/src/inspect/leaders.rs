use serde::Serialize;

use super::{Inspector, Problem, ProblemKind};
use crate::backend::{Entry, Latch, Mark, Name, Prefix, Snapshot};
use crate::election::{HolderInformation, LeaderInformation, StepDownRequest};
use crate::names::layout;
use crate::record;
use crate::{ComponentId, Error, ErrorKind};

/// Who leads what, as it stood at one moment for each latch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leaders {
    /// The cluster's one latch first, also if nobody has ever held it, then the independent ones by name.
    pub latches: Vec<LatchView>,
    /// Entries beside them that cannot be read.
    pub problems: Vec<Problem>,
    /// Independent latches could not be listed: who asks may not read them.
    pub independent_denied: bool,
    /// For [`Inspector::changed`].
    pub mark: Mark,
}

/// One latch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LatchView {
    /// The name of an independent latch; `None` for the cluster's one.
    pub latch: Option<String>,
    /// The epoch that it is held under; `None` if nobody holds it.
    pub epoch: Option<u64>,
    /// What the holder says of itself.
    pub holder: Option<HolderView>,
    /// What components have published beside it.
    pub components: Vec<ComponentView>,
    /// A request to step down that stands beside it.
    pub step_down: Option<RequestView>,
}

/// What the holder of a latch says of itself, when it took it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HolderView {
    /// Its label.
    pub label: String,
    /// When it took the latch, by its own wall clock.
    pub since_unix_ms: u64,
    /// After how long a silence it steps down by itself, and others may take the latch. How much of that is left is
    /// known to the holder and to the store, and told by neither.
    pub silence_ms: Option<u64>,
    /// Where it can be seen to live.
    pub presence: Option<String>,
}

/// What a component has published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ComponentView {
    /// The component.
    pub component: String,
    /// Where its leader is reached.
    pub address: String,
    /// The leader session id.
    pub session_id: String,
    /// The epoch that it was published under.
    pub epoch: u64,
    /// Whether that is the present term. What was published under an earlier one is shown to nobody.
    pub is_current: bool,
}

/// A request to step down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RequestView {
    /// Who asks.
    pub by: String,
    /// When, by the wall clock of who asks.
    pub at_unix_ms: u64,
    /// Whether it asks for the present term. For another it means nothing any more.
    pub is_current: bool,
}

impl Inspector {
    /// Who leads what.
    ///
    /// # Errors
    /// As [`Backend::list`](crate::backend::Backend::list): try again, or correct the permissions.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn leaders(&self) -> Result<Leaders, Error> {
        let home = self.backend.list(&layout::leader()).await?;
        let mut problems = Vec::new();
        let mut latches = vec![self.latch_view(None, &home.entries, &mut problems)];
        // Who may see the leaders and nothing else, as a client, is told of those.
        let (others, independent_denied) = match self.backend.list(&layout::extra_latches()).await {
            Ok(others) => (others, false),
            Err(error) if error.kind() == ErrorKind::Denied => {
                (Snapshot { entries: Vec::new(), mark: home.mark }, true)
            }
            Err(error) => return Err(error),
        };
        for (name, entries) in by_latch(&others) {
            latches.push(self.latch_view(Some(&name), entries, &mut problems));
        }
        Ok(Leaders { latches, problems, independent_denied, mark: home.mark })
    }

    fn latch_view(&self, name: Option<&Name>, entries: &[Entry], problems: &mut Vec<Problem>) -> LatchView {
        let latch = layout::latch(name);
        let held = entries.iter().find(|entry| entry.key == *latch.key()).filter(|entry| entry.held.is_some());
        let term = held.and_then(|entry| entry.held.as_ref());
        let mut view = LatchView {
            latch: name.map(ToString::to_string),
            epoch: term.map(|term| term.epoch),
            holder: held.and_then(|entry| self.holder(entry, problems)),
            components: Vec::new(),
            step_down: None,
        };
        let mut note = |entry: &Entry, error: &Error| {
            problems.push(Problem::new(ProblemKind::of_entry(error), &entry.key, None, error));
        };
        for entry in entries {
            if entry.key == layout::step_down(&latch) {
                match record::decode_within::<StepDownRequest>(entry, self.formats) {
                    Ok(record) => {
                        let is_current = term.is_some_and(|term| record.body.is_for(term));
                        let StepDownRequest { by, at_unix_ms, .. } = record.body;
                        view.step_down = Some(RequestView { by, at_unix_ms, is_current });
                    }
                    Err(error) => note(entry, &error),
                }
            } else if let Some(component) = component_of(&latch, entry) {
                match record::decode_within::<LeaderInformation>(entry, self.formats) {
                    Ok(record) => view.components.push(ComponentView {
                        component: component.to_string(),
                        address: record.body.address,
                        session_id: record.body.session_id.to_string(),
                        epoch: record.epoch,
                        is_current: Some(record.epoch) == view.epoch,
                    }),
                    Err(error) => note(entry, &error),
                }
            }
        }
        view
    }

    fn holder(&self, entry: &Entry, problems: &mut Vec<Problem>) -> Option<HolderView> {
        match record::decode_within::<HolderInformation>(entry, self.formats) {
            Ok(record) => {
                let HolderInformation { label, since_unix_ms, silence_ms, presence, .. } = record.body;
                let presence = presence.map(|presence| presence.address.to_string());
                Some(HolderView { label, since_unix_ms, silence_ms, presence })
            }
            Err(error) => {
                problems.push(Problem::new(ProblemKind::of_entry(&error), &entry.key, None, &error));
                None
            }
        }
    }
}

/// The component whose information the entry is.
fn component_of(latch: &Latch, entry: &Entry) -> Option<ComponentId> {
    let home: Prefix = latch.home();
    let component = home.relative(&entry.key)?.strip_suffix("/connection_info")?;
    ComponentId::new(component).ok()
}

/// The entries of each independent latch; sorted, as the list is.
pub(super) fn by_latch(snapshot: &Snapshot) -> Vec<(Name, &[Entry])> {
    let all = layout::extra_latches();
    let of = |entry: &Entry| all.relative(&entry.key).and_then(|rest| rest.split('/').next()).map(str::to_owned);
    let runs = snapshot.entries.chunk_by(|one, other| of(one) == of(other));
    let named = runs.filter_map(|run| Some((Name::new(of(run.first()?)?).ok()?, run)));
    // A key directly below the place of all latches is none's.
    named.filter(|(name, run)| run.iter().any(|entry| all.below(name).contains(&entry.key))).collect()
}
