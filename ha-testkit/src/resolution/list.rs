/// The list of all cases of the resolution of unknown outcomes, as `backend_cases!`.
#[doc(hidden)]
#[macro_export]
macro_rules! resolution_cases {
    ($callback:ident => $($arguments:tt)*) => {
        $crate::$callback! {
            [$($arguments)*]
            rules::u_01_a_definite_answer_is_passed_on_and_sent_once []
                "A definite answer is passed on, and the commit was sent once.";
            rules::u_02_an_unknown_create_is_found_out []
                "A guarded create whose answer was lost is sent again and found out: applied once, with its revision.";
            rules::u_03_an_unknown_overwriting_is_found_out []
                "An overwriting whose answer was lost is sent again and found out; no copy is applied on top of another.";
            rules::u_04_an_unknown_removal_is_found_out []
                "A removal whose answer was lost is found out: all keys absent is applied.";
            rules::u_05_a_conflict_after_a_lost_answer_stays_unknown []
                "A conflict after a lost answer, with a rival's value, stays unknown: nothing may be deleted because of it.";
            rules::u_06_fenced_with_nothing_touched_is_not_applied_for_good []
                "Fenced after a lost answer, with a key at the revision it was to replace, is not applied for good.";
            rules::u_07_fenced_with_our_own_write_found_is_applied []
                "Fenced after a lost answer, with our own write found, is applied.";
            rules::u_08_fenced_with_keys_touched_by_others_stays_unknown []
                "Fenced after a lost answer, with keys changed by others, stays unknown.";
            rules::u_09_the_budget_ends_in_unknown []
                "When the budget ends the outcome is unknown, never a guess.";
            rules::u_10_the_budget_bounds_a_call_that_hangs []
                "The budget bounds calls that are never answered.";
            rules::u_11_an_unguarded_create_is_never_sent_again []
                "A create without a guard is never sent again: found by reading, or unknown.";
            rules::u_12_an_unguarded_overwriting_is_sent_again []
                "An overwriting without a guard is sent again.";
            rules::u_13_one_commit_per_key_is_under_way []
                "One commit per key is under way; other keys wait for nobody.";
            late::u_14_a_late_create_brings_nothing_back []
                "A late copy of a create does not bring back what was removed.";
            late::u_15_many_late_copies_bring_nothing_back []
                "Nor do many late copies.";
            late::u_16_a_cancelled_create_brings_nothing_back []
                "Nor does the copy of a create that was given up.";
            late::u_17_a_settled_create_does_not_hide_an_earlier_doubt []
                "A clean create does not clear the doubt that an earlier one of the same key left.";
            late::u_18_a_removal_together_with_other_writes_is_guarded_too []
                "A removal among other writes is guarded against late copies too.";
            late::u_19_a_create_under_way_survives_the_barrier []
                "A create that is under way while the barrier is raised is prepared anew and applied.";
            late::u_20_a_barrier_whose_raising_is_in_doubt_holds []
                "A barrier whose raising is in doubt holds.";
            late::u_21_a_barrier_that_cannot_be_raised_holds_the_removal_back []
                "Without a barrier nothing doubtful is removed.";
            late::u_22_a_late_create_of_an_earlier_term_is_fenced []
                "Late creates of an earlier term are fenced.";
            late::u_23_a_process_that_leads_again_is_safe_from_itself []
                "A process that leads again is safe from the copies of its earlier term.";
            late::u_24_the_barrier_is_not_written_by_commits []
                "The barrier cannot be written or removed through the committer under its own leadership.";
            late::u_25_an_attempt_whose_answer_was_lost_is_found_out []
                "An attempt on a latch, or a release, whose answer was lost is found out on the same session.";
            late::u_26_a_storm_of_faults_contradicts_no_acknowledgement []
                "No mixture of lost, late and refused commits and dropped futures contradicts an acknowledgement.";
            rules::u_27_a_fenced_create_stays_unknown_because_absence_proves_nothing []
                "Fenced after the lost answer of a create stays unknown: absence may come from a removal.";
        }
    };
}
