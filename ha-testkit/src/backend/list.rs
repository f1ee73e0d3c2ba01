/// The list of all backend cases: `group::name [needs] claim`. It drives the tests of every
/// backend, the registry and the document; a case is added here and nowhere else.
#[doc(hidden)]
#[macro_export]
macro_rules! backend_cases {
    ($callback:ident => $($arguments:tt)*) => {
        $crate::$callback! {
            [$($arguments)*]
            commits::b_01_a_commit_is_applied_whole_or_not_at_all []
                "A commit is applied whole or not at all: a concurrent lister never sees half of it.";
            commits::b_02_one_unmet_expectation_holds_everything_back []
                "One unmet expectation holds back every write of the commit.";
            commits::b_03_checks_hold_without_writing []
                "Checks are part of the commit's condition, write nothing, and may stand alone.";
            commits::b_04_a_conflict_reports_what_was_found []
                "A conflict names the key and reports the entry that was found there, or its absence.";
            commits::b_05_the_revisions_answered_are_those_that_stand []
                "Applied answers one revision per write, in their order; the stored ones; of a removal, the one removed.";
            commits::b_06_a_commit_is_applied_once []
                "A commit is applied once; neither backend nor client sends it again by itself.";
            commits::b_07_the_same_bytes_again_are_a_new_write []
                "Writing the same bytes again is a write: new revision, old expectation in conflict.";
            commits::b_08_a_revision_never_comes_back []
                "A revision never comes back for a key, not even after removal and re-creation.";
            commits::b_09_what_is_acknowledged_is_seen_by_every_handle [LinearizableReads]
                "Reads and lists see whatever any handle was acknowledged before they began.";
            races::b_10_of_equal_creates_one_wins []
                "Of concurrent creates of one key exactly one wins, and the others see it.";
            races::b_11_of_equal_revisions_one_wins []
                "Of concurrent writes that expect one revision exactly one wins, and the others see it.";
            races::b_12_commits_that_overlap_form_one_order []
                "Commits that overlap in their keys form one order.";
            refusals::b_13_a_key_stands_once_in_a_commit []
                "A key stands once in a commit, writes and checks together; otherwise it is refused whole.";
            refusals::b_14_the_keys_of_a_latch_are_not_written_by_commits []
                "Keys of a latch cannot be written or checked through a commit.";
            refusals::b_15_removing_what_is_expected_absent_is_refused []
                "Removing what is expected to be absent is refused.";
            refusals::b_16_a_value_too_large_is_refused_whole []
                "A value larger than the profile allows is refused as too large, and nothing is applied.";
            refusals::b_17_too_many_operations_are_refused_whole []
                "More operations than the profile allows are refused as too large, and nothing is applied.";
            refusals::b_18_too_many_bytes_are_refused_whole []
                "More bytes than the profile allows are refused as too large, and nothing is applied.";
            refusals::b_19_what_the_profile_allows_is_accepted []
                "What the profile allows is accepted: the largest value, the most operations.";
            guards::b_20_only_the_exact_term_lets_a_write_pass []
                "A guarded commit is applied only under exactly the current term: epoch and native part.";
            guards::b_21_a_latch_that_is_free_or_another_fences []
                "A guard on a free latch, on one never taken, or with the term of another latch is fenced.";
            guards::b_22_fenced_outranks_conflict []
                "Fenced outranks conflict.";
            guards::b_23_a_broken_guard_never_heals []
                "A broken guard never heals: no later term equals an earlier one.";
            guards::b_24_no_old_write_follows_the_new_leaders_first []
                "Guard and write are one step: nothing of the old term is applied after the new term's first write.";
            guards::b_25_a_guard_reaches_every_key_of_its_commit []
                "A guard covers every write, removal and check of its commit.";
            epochs::b_26_the_epoch_grows_over_release_close_and_drop []
                "The epoch grows over release, closing, dropping, and on new handles.";
            epochs::b_27_the_epoch_grows_over_expiry [Expire]
                "The epoch grows over the expiry of a session.";
            epochs::b_28_the_epoch_grows_over_revocation [Revoke]
                "The epoch grows over the revocation of a session.";
            epochs::b_29_the_epoch_grows_over_removal_of_its_keys [Tamper]
                "The epoch grows over removal of the latch's key, of the epoch's key, and of both.";
            epochs::b_30_the_epoch_grows_over_a_restart [Restart]
                "The epoch grows over a restart of the store.";
            epochs::b_31_the_epoch_is_raised_in_the_step_that_takes_the_latch []
                "The epoch is raised in the step that takes the latch: holder and counter are seen together.";
            latches::b_32_of_many_contenders_one_wins []
                "Of many contenders exactly one takes a latch, and the others see its term.";
            latches::b_33_a_repeated_attempt_answers_the_same_term []
                "While a session holds a latch, a repeated attempt answers the same term.";
            latches::b_34_a_session_takes_a_latch_once []
                "A session takes a latch at most once; after losing or releasing it, it is refused as ended.";
            latches::b_35_who_is_refused_learns_who_holds_it []
                "Who is refused learns the holder's term and bytes, and what to wait for.";
            latches::b_36_waiting_as_told_ends_when_the_latch_is_free []
                "Waiting for the scope and mark of a refusal ends when the latch is free, also if that came first.";
            latches::b_37_only_the_holder_can_release []
                "Only the holder can release; for all others releasing does nothing.";
            latches::b_38_closing_a_session_frees_all_its_latches []
                "Closing a session frees all its latches at once.";
            latches::b_39_a_dropped_session_frees_its_latches_in_time []
                "Dropping a session frees its latches, by silence at the latest.";
            latches::b_40_dropping_is_evidence [FreeOnDrop]
                "Dropping a session is evidence where the backend says so: nobody waits for silence.";
            latches::b_41_one_session_holds_many_independent_latches []
                "One session holds many latches, each gained and lost by itself.";
            latches::b_42_an_entry_says_under_which_term_a_latch_is_held []
                "The entry of a latch says under which term it is held, and that it is not when it is free.";
            takeover::b_43_over_the_right_term_wins_at_once_and_fences_it []
                "A take-over of the right term wins at once, with a greater epoch, and fences the old term.";
            takeover::b_44_another_term_is_not_taken_over []
                "A take-over naming an older, a newer or a foreign term does nothing.";
            takeover::b_45_of_many_who_take_over_one_wins []
                "Of many who take over one term exactly one wins.";
            takeover::b_46_a_take_over_touches_one_latch []
                "A take-over ends one term; the session it was held on and its other latches go on.";
            takeover::b_47_over_a_free_latch_wins_as_any_attempt_does []
                "A take-over that finds the latch free wins as an ordinary attempt does.";
            sessions::b_48_silence_frees_nothing_before_the_deadline [Freeze]
                "Silence never gives the latch to another before the holder's own deadline.";
            sessions::b_49_slow_answers_do_not_stretch_the_deadline [Freeze SlowAnswers]
                "The deadline is counted from the sending of a renewal, not from its answer.";
            sessions::b_50_a_living_session_outlives_its_silence []
                "A session that is renewed outlives its silence many times.";
            sessions::b_51_the_deadline_is_never_further_than_the_silence []
                "The deadline is never further away than the silence, and past once the session is over.";
            sessions::b_52_all_waiters_hear_of_silence [Freeze]
                "All who wait for the end of a session hear of it when its silence has run out.";
            sessions::b_53_all_waiters_hear_of_expiry [Expire]
                "All who wait for the end of a session hear of it when the store expires it.";
            sessions::b_54_all_waiters_hear_of_revocation [Revoke]
                "All who wait for the end of a session hear of it when an operator revokes it.";
            sessions::b_55_a_closed_session_is_over_for_all []
                "A closed session is over for all who wait for it, and refuses attempts.";
            sessions::b_56_a_session_that_is_healed_in_time_goes_on [Freeze]
                "A session that was cut off and healed in time goes on.";
            sessions::b_57_a_silence_that_cannot_be_honoured_is_refused []
                "A silence that cannot be kept is refused, not corrected.";
            sessions::b_58_the_name_of_a_session_is_its_own []
                "Living sessions have names of their own.";
            foreign::b_59_a_foreign_value_on_the_latch_fences_and_frees [Tamper]
                "A foreign value on the latch fences its leader and lets others win.";
            foreign::b_60_removal_of_the_latch_fences_and_frees [Tamper]
                "Removal of the latch by a foreigner fences its leader and lets others win.";
            reading::b_61_a_prefix_ends_at_a_separator []
                "A prefix ends at a separator, for lists and for watchers.";
            reading::b_62_a_list_is_whole_and_in_the_order_of_keys []
                "A list is whole, in the order of keys, and empty where nothing is.";
            reading::b_63_bytes_come_back_as_they_were []
                "Bytes come back as they were written, the empty value included.";
            reading::b_64_two_clusters_never_see_each_other []
                "Two clusters under one root never see each other's keys, terms and latches.";
            reading::b_65_clusters_hear_of_their_own_changes_alone []
                "A watcher hears of its own cluster alone.";
            changes::b_66_who_has_seen_nothing_is_answered_at_once []
                "A watcher that has seen nothing is answered at once.";
            changes::b_67_every_kind_of_write_wakes []
                "Creation, overwriting, the same bytes again, and removal wake the watchers of key and prefix.";
            changes::b_68_a_latch_wakes_when_it_is_taken_and_let_go []
                "Taking a latch, a take-over, and letting go wake those who watch it.";
            changes::b_69_waits_that_were_dropped_make_nobody_deaf []
                "Dropped waits take no wake-up away from others.";
            changes::b_70_no_change_falls_between_mark_and_wait []
                "No change is lost between a mark and the wait from it.";
            changes::b_71_what_a_watcher_is_told_adds_up_to_a_list []
                "What a watcher is told, snapshot by snapshot and delta by delta, adds up to what a list says.";
            changes::b_72_ten_thousand_changes_are_told_as_their_result []
                "Ten thousand changes are told as their result, each key once.";
            changes::b_73_many_watchers_all_hear []
                "A change wakes everybody who waits for it.";
            changes::b_74_the_end_by_silence_wakes [Freeze]
                "The end of a silent session wakes those who watch its latch.";
            life::b_75_closing_ends_waiters_and_later_calls []
                "Closing a handle ends its waiters and fails every later call as closed; twice is fine.";
            life::b_76_closing_ends_own_sessions_and_keeps_data []
                "Closing a handle ends its sessions, touches no other handle, and keeps the data.";
            life::b_77_dropped_futures_leave_nothing_half_done []
                "Futures dropped at any poll leave nothing half done and nothing locked.";
            life::b_78_no_waiter_is_left_behind [CountWaiters]
                "Waits that ended or were dropped leave nothing behind in the store.";
            life::b_79_what_was_acknowledged_survives_a_restart [Restart]
                "What was acknowledged is there after a restart, and revisions still never come back.";
            life::b_80_the_profile_says_what_the_handle_does []
                "The profile is the same on every handle and large enough for the services.";
            life::b_81_reads_are_as_good_as_the_profile_says [LinearizableReads]
                "The profile promises linearizable reads where the test declares them.";
            life::b_82_a_commit_of_nothing_is_applied_or_fenced []
                "A commit of nothing is applied, or fenced if its guard is broken.";
            life::b_83_a_session_opened_while_its_handle_closes_is_over []
                "Nothing opened while its handle is being closed lives on.";
            reading::b_84_the_longest_key_is_as_good_as_any []
                "The longest key, and a latch at it, work like any other.";
        }
    };
}
