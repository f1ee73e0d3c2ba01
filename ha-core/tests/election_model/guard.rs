/// What election and fencing do against one race each. The model can leave out one of them; then it must find out why
/// it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// The store applies a commit only if the latch is held under the term that the commit names.
    Fence,
    /// Taking the latch raises its epoch in the same step.
    EpochRaised,
    /// Nothing that frees the latch resets its epoch.
    EpochKept,
    /// Evidence ends exactly the term that it is about.
    ExactTerm,
    /// A session takes a latch at most once.
    OncePerSession,
    /// The store waits for the whole silence, counted from the arrival of the last renewal.
    WholeSilence,
    /// The owner counts a renewal from when it was sent.
    FromSending,
    /// The owner's deadline moves only with a renewal that was acknowledged.
    OnlyAcknowledged,
    /// A leader stops at its own deadline.
    Deadline,
    /// A leader ends its grant before it lets go of the latch.
    EndBeforeRelease,
    /// An attempt that is given up gives up its session, for it may have won.
    SessionGivenUp,
    /// A latch whose attempt may still be on its way is released again.
    ReleasedAgain,
    /// An answer to a later attempt says nothing of an earlier one that was not answered.
    DoubtRemains,
    /// Every write has an expectation.
    Expectations,
    /// A revision never repeats for a key, not even after removal.
    RevisionsNeverRepeat,
    /// After an unknown outcome and a conflict, the write id that is found is compared.
    WriteIdCompared,
    /// After an unknown outcome and a broken guard, only an untouched revision proves that nothing was applied.
    AbsenceProvesNothing,
    /// What creates a key checks the barrier, which is raised before a doubtful key is removed.
    Barrier,
    /// A request to step down names the term that is to end.
    RequestNamesTerm,
}
