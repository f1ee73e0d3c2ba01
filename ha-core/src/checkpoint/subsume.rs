use super::CheckpointKind;

/// Which of these checkpoints (in the order of their ids) give way, oldest first, so that at most
/// `retained_max` remain if the rules allow it:
///
/// * the newest stays, and so does the one just added;
/// * the newest that is no savepoint stays, for incremental state may refer to it, unless the
///   newest of all is the savepoint that the job stops with.
pub(super) fn subsumed(all: &[(u64, CheckpointKind)], added: u64, retained_max: usize) -> Vec<u64> {
    let Some((newest, newest_kind)) = all.last().copied() else { return Vec::new() };
    let excess = all.len().saturating_sub(retained_max);
    let base = match newest_kind {
        CheckpointKind::SynchronousSavepoint => None,
        _ => all.iter().rev().find(|(_, kind)| *kind == CheckpointKind::Checkpoint).map(|(id, _)| *id),
    };
    let ids = all.iter().map(|(id, _)| *id);
    ids.filter(|id| *id != newest && *id != added && Some(*id) != base).take(excess).collect()
}

#[cfg(test)]
mod tests {
    use super::CheckpointKind::{Checkpoint as Cp, Savepoint as Sp, SynchronousSavepoint as Stop};
    use super::*;

    /// Adds one after another, ids from 1 on, and says which remain.
    fn retained(max: usize, kinds: &[CheckpointKind]) -> Vec<u64> {
        let mut all: Vec<(u64, CheckpointKind)> = Vec::new();
        for (id, kind) in (1..).zip(kinds) {
            all.push((id, *kind));
            let gone = subsumed(&all, id, max);
            all.retain(|(id, _)| !gone.contains(id));
        }
        all.into_iter().map(|(id, _)| id).collect()
    }

    /// CP-07 to CP-10.
    #[test]
    fn the_retention_table_holds() {
        assert_eq!(retained(1, &[Cp, Cp, Sp, Sp, Sp]), [2, 5]);
        assert_eq!(retained(1, &[Cp, Cp, Cp]), [3]);
        assert_eq!(retained(3, &[Cp, Cp]), [1, 2]);
        assert_eq!(retained(1, &[Sp, Sp]), [2]);
        assert_eq!(retained(2, &[Sp, Cp, Sp, Cp]), [3, 4]);
        assert_eq!(retained(1, &[Cp, Sp, Stop]), [3]);
        assert_eq!(retained(1, &[Cp, Stop, Cp]), [3]);
        assert_eq!(retained(2, &[Cp, Sp, Sp, Sp]), [1, 4]);
    }

    #[test]
    fn one_that_is_completed_late_does_not_subsume_itself() {
        let all = [(1, Sp), (5, Cp), (6, Cp)];
        assert_eq!(subsumed(&all, 1, 1), [5]);
    }

    #[test]
    fn nothing_that_must_stay_is_ever_subsumed() {
        // Every sequence of up to seven of the three kinds, every quota up to three.
        for length in 0..=7_u32 {
            for code in 0..3_usize.pow(length) {
                let kind = |at| [Cp, Sp, Stop][code / 3_usize.pow(at) % 3];
                let all: Vec<_> = (0..length).map(|at| (u64::from(at) + 1, kind(at))).collect();
                for max in 1..=3 {
                    let gone = subsumed(&all, u64::from(length), max);
                    let left: Vec<_> = all.iter().filter(|(id, _)| !gone.contains(id)).collect();
                    assert_eq!(left.last().copied(), all.last());
                    let stops = all.last().is_some_and(|(_, kind)| *kind == Stop);
                    let base = all.iter().rfind(|(_, kind)| *kind == Cp);
                    assert!(stops || base.is_none_or(|base| left.contains(&base)), "{all:?} {gone:?}");
                    assert!(left.len() >= all.len().min(max) && left.len() <= max + 1, "{all:?} {gone:?}");
                }
            }
        }
    }
}
