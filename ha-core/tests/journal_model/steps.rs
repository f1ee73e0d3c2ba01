use crate::guard::Guard;
use crate::history::History;
use crate::model::{Action, Protocol, World};
use crate::process::{Reader, Sweep, WriterStep};

/// What each step does.
impl Protocol {
    pub(crate) fn link(&self, world: &mut World, at: usize, how: &Action) {
        let writer = &mut world.writers[at];
        if writer.entry == 0 {
            writer.entry = self.entry(at, writer.begun);
            writer.begun += 1;
        }
        let (entry, number) = (writer.entry, writer.number());
        let free = !world.directory.entries.has(number) || self.lacks(Guard::Exclusive);
        writer.step = WriterStep::Doubting;
        match how {
            Action::LinkDelayed(_) => writer.late = Some((entry, number)),
            Action::Link(_) if free => writer.step = WriterStep::Linked,
            _ => {}
        }
        if free && !matches!(how, Action::LinkDelayed(_)) {
            world.directory.entries.set(number, entry);
        }
        if !matches!(how, Action::Link(_)) {
            world.lost_answers -= 1;
        }
    }

    pub(crate) fn settle(&self, world: &mut World, at: usize) {
        let step = world.writers[at].step;
        let floor = self.floor(world, world.writers[at].floor);
        world.writers[at].floor = self.remembered(world);
        let needless = match step {
            WriterStep::Linked => Guard::FsyncBeforeAcknowledging,
            _ => Guard::FsyncOnObserving,
        };
        if !self.lacks(needless) {
            world.directory.entries.fsync();
        }
        let number = world.writers[at].number();
        let entry = world.writers[at].entry;
        match step {
            WriterStep::Linked if floor >= number && !self.lacks(Guard::WriterFloor) => self.reload(world, at),
            WriterStep::Linked => self.acknowledge(world, at),
            WriterStep::Looked { found: 0 } if floor >= number && !self.lacks(Guard::ReaderFloorMissing) => {
                self.reload(world, at);
            }
            WriterStep::Looked { found: 0 } => world.writers[at].give_up(),
            WriterStep::Looked { .. } if floor >= number && !self.lacks(Guard::ReaderFloorOpened) => {
                self.reload(world, at);
            }
            WriterStep::Looked { found } if found == entry && !self.lacks(Guard::CompareAfterFailure) => {
                self.acknowledge(world, at);
            }
            WriterStep::Looked { found } => {
                let writer = &mut world.writers[at];
                writer.history = writer.history.and(found);
                writer.settle();
            }
            _ => {}
        }
    }

    /// The number may have been swept: whether the batch was applied is not known, and the history is read anew.
    fn reload(&self, world: &mut World, at: usize) {
        let writer = &mut world.writers[at];
        writer.history = world.directory.load();
        if self.lacks(Guard::NoRepublishing) { writer.settle() } else { writer.give_up() }
    }

    fn acknowledge(&self, world: &mut World, at: usize) {
        let writer = &mut world.writers[at];
        let (entry, number) = (writer.entry, writer.number());
        let before = writer.history;
        writer.history = before.and(entry);
        writer.give_up();
        let known = world.acknowledged;
        world.broken.two_winners |= number <= known.len() && known.get(number) != entry;
        world.acknowledged = known.longer(before.and(entry));
        let (holders, known) = (Self::holders(before.and(entry)), Self::holders(known));
        let epoch = holders.len();
        world.broken.epoch_twice |= Self::acquires(entry) && epoch <= known.len() && known.get(epoch) != entry;
    }

    pub(crate) fn reader_settles(&self, world: &mut World, at: usize) {
        let Some(opened) = world.readers[at].opened.take() else { return };
        if !self.lacks(Guard::FsyncOnObserving) {
            world.directory.entries.fsync();
        }
        let floor = self.floor(world, world.readers[at].floor);
        world.readers[at].floor = self.remembered(world);
        let reader = &mut world.readers[at];
        let guard = if opened.found == 0 { Guard::ReaderFloorMissing } else { Guard::ReaderFloorOpened };
        if floor >= reader.history.next() && !self.lacks(guard) {
            reader.history = world.directory.load();
        } else if opened.found == 0 {
            world.broken.stale_answer |= reader.history.len() < opened.due;
        } else {
            reader.history = reader.history.and(opened.found);
        }
    }

    pub(crate) fn sweep_begins(&self, world: &mut World, at: usize) {
        let directory = &mut world.directory;
        let newest = directory.newest_snapshot();
        let second = directory.snapshot_before(newest);
        let snapshots_before = if self.lacks(Guard::KeepTwoSnapshots) { newest } else { second };
        let entries_to = directory.sweepable(self.interval, self.without);
        if !self.lacks(Guard::SnapshotBeforeSweep) {
            directory.snapshots.fsync();
        }
        world.sweeps[at] = Some(Sweep { entries_to, snapshots_before });
    }

    pub(crate) fn sweep_removes(world: &mut World, at: usize) {
        let Some(sweep) = world.sweeps[at] else { return };
        let directory = &mut world.directory;
        if let Some(number) = (1..=sweep.entries_to).find(|number| directory.entries.has(*number)) {
            directory.entries.set(number, 0);
            return;
        }
        for number in 1..sweep.snapshots_before {
            directory.snapshots.set(number, History::default());
        }
        world.sweeps[at] = None;
    }

    pub(crate) fn lose_power(&self, world: &mut World, entries: u8, snapshots: u8) {
        for history in world.writers.iter().map(|it| it.history).chain(world.readers.iter().map(|it| it.history)) {
            world.answered = world.answered.longer(history);
        }
        world.power_losses -= 1;
        world.directory.lose_power(entries, snapshots, self.lacks(Guard::StagedFsync));
        let history = world.directory.load();
        for writer in &mut world.writers {
            writer.give_up();
            writer.history = history;
        }
        world.readers.fill(Reader { history, ..Reader::default() });
        world.sweeps.fill(None);
    }
}
