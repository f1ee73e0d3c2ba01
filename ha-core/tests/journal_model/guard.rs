/// What the protocol does against one race each. The model can leave out one of them; then it must find out why it is
/// there. `docs/protocols/journal.md` lists them beside their races.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// A number is made by exclusive creation: the second link to it fails.
    Exclusive,
    /// The content of an entry is durable before it gets its number.
    StagedFsync,
    /// The directory is fsynced between a link and its acknowledgement.
    FsyncBeforeAcknowledging,
    /// Whoever observes a number fsyncs the directory before it believes in it.
    FsyncOnObserving,
    /// After any answer to a link but success, the number is read and compared.
    CompareAfterFailure,
    /// A writer that linked a number up to the floor does not know whether its entry counts.
    WriterFloor,
    /// A reader that opened a number up to the floor throws it away.
    ReaderFloorOpened,
    /// A reader that did not find a number up to the floor is not at the end.
    ReaderFloorMissing,
    /// The floor is looked up after the link, the opening or the not finding.
    FloorLookedUpAfter,
    /// A batch whose fate is unknown is not published again.
    NoRepublishing,
    /// The names of the snapshots are durable before the first entry is removed because of them.
    SnapshotBeforeSweep,
    /// Nothing above the floor is removed, though the newest snapshot contains it.
    KeepInterval,
    /// Nothing above the second newest snapshot is removed.
    SecondSnapshotCovers,
    /// The two newest snapshots stay.
    KeepTwoSnapshots,
}
