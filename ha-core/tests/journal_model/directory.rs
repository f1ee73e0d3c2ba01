use crate::guard::Guard;
use crate::history::{Entry, History, Number, TORN};

/// Numbers of a journal, 1 to this.
pub(crate) const NUMBERS: usize = 7;

/// Names in a directory as processes see them, and as they are on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Names<T> {
    seen: [T; NUMBERS],
    durable: [T; NUMBERS],
}

impl<T: Copy + PartialEq + Default> Names<T> {
    pub(crate) fn get(&self, number: Number) -> T {
        if usize::from(number) > NUMBERS { T::default() } else { self.seen[usize::from(number) - 1] }
    }

    pub(crate) fn set(&mut self, number: Number, value: T) {
        self.seen[usize::from(number) - 1] = value;
    }

    pub(crate) fn has(&self, number: Number) -> bool {
        self.get(number) != T::default()
    }

    pub(crate) fn fsync(&mut self) {
        self.durable = self.seen;
    }

    /// The numbers whose names an fsync would change on the disk, as bits.
    fn volatile(&self) -> u8 {
        (0..NUMBERS).filter(|at| self.seen[*at] != self.durable[*at]).map(|at| 1 << at).sum()
    }

    /// Of what was not durable, only this remains.
    fn lose_power(&mut self, remains: u8) {
        for at in (0..NUMBERS).filter(|at| remains & 1 << at == 0) {
            self.seen[at] = self.durable[at];
        }
        self.durable = self.seen;
    }
}

/// The directory of a journal. Snapshots have the name of their number; their floor follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Directory {
    pub(crate) entries: Names<Entry>,
    pub(crate) snapshots: Names<History>,
    /// The number of a snapshot that has its name and not its content any more.
    pub(crate) damaged: Number,
}

impl Directory {
    pub(crate) fn newest_snapshot(&self) -> Number {
        self.snapshot_before(NUMBERS as Number + 1)
    }

    pub(crate) fn snapshot_before(&self, number: Number) -> Number {
        (1..number).rev().find(|number| self.snapshots.has(*number)).unwrap_or(0)
    }

    /// The greatest floor that any snapshot names: one point before the newest one.
    pub(crate) fn floor(&self, interval: Number) -> Number {
        self.newest_snapshot().saturating_sub(interval)
    }

    /// Up to where entries may be removed.
    pub(crate) fn sweepable(&self, interval: Number, without: Option<Guard>) -> Number {
        let newest = self.newest_snapshot();
        let second = self.snapshot_before(newest);
        match without {
            Some(Guard::KeepInterval) => newest,
            Some(Guard::SecondSnapshotCovers) => self.floor(interval),
            _ => self.floor(interval).min(second),
        }
    }

    /// What the newest snapshot that can be read contains.
    pub(crate) fn load(&self) -> History {
        let intact = |number: &Number| *number != self.damaged && self.snapshots.has(*number);
        let newest = (1..=NUMBERS as Number).rev().find(intact);
        newest.map_or_else(History::default, |number| self.snapshots.get(number))
    }

    /// What a process finds that opens the journal and reads it to its end.
    pub(crate) fn replay(&self) -> History {
        let mut history = self.load();
        while self.entries.has(history.next()) && self.entries.get(history.next()) != TORN {
            history = history.and(self.entries.get(history.next()));
        }
        history
    }

    /// Every way in which the power can go: which of the names that are not durable remain.
    pub(crate) fn power_losses(&self) -> impl Iterator<Item = (u8, u8)> {
        let (entries, snapshots) = (self.entries.volatile(), self.snapshots.volatile());
        let subsets = |mask: u8| (0..=mask).filter(move |subset| subset & !mask == 0);
        subsets(entries).flat_map(move |some| subsets(snapshots).map(move |others| (some, others)))
    }

    /// The power goes. `torn`: files of entries have lost their content as well.
    pub(crate) fn lose_power(&mut self, entries: u8, snapshots: u8, torn: bool) {
        self.entries.lose_power(entries);
        self.snapshots.lose_power(snapshots);
        for number in (1..=NUMBERS as Number).filter(|_| torn) {
            if self.entries.has(number) {
                self.entries.set(number, TORN);
            }
        }
        self.entries.fsync();
    }
}
