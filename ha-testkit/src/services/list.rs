/// The list of all cases of the services: `group::name [needs] claim`. It drives the tests of every
/// backend, the registry and the document; a case is added here and nowhere else.
#[doc(hidden)]
#[macro_export]
macro_rules! services_cases {
    ($callback:ident => $($arguments:tt)*) => {
        $crate::$callback! {
            [$($arguments)*]
            election::le_01_grant_and_revoke_reach_every_contender []
                "Grant and revoke reach every contender.";
            election::le_02_a_component_takes_part_once []
                "A component takes part once.";
            election::le_03_closing_while_granted_does_not_hang []
                "Closing at any moment between registering and the grant returns, with a legal order of calls.";
            election::le_04_the_store_is_contacted_by_the_first_contender []
                "The store is contacted by the first contender.";
            election::le_05_a_closed_service_refuses_new_elections []
                "A closed service refuses new elections.";
            election::le_06_each_time_the_last_leaves_the_session_ends []
                "Each time the last leaves the session ends.";
            election::le_07_a_grant_whose_answer_is_lost_is_not_lost []
                "A grant whose answer is lost is not lost.";
            election::le_08_a_late_contender_is_granted_the_current_term []
                "A late contender is granted the current term.";
            election::le_09_who_has_left_is_not_granted []
                "Who has left is not granted.";
            election::le_10_closing_and_losing_at_once_revokes_once []
                "Closing and losing at once revokes once.";
            election::le_11_a_service_with_contenders_is_not_closed []
                "A service with contenders is not closed.";
            election::le_12_closing_while_leading_withdraws []
                "Closing while leading withdraws.";
            information::le_13_overwritten_and_removed_information_is_restored [Tamper]
                "Overwritten and removed information is restored.";
            information::le_14_only_what_is_wrong_is_restored [Tamper]
                "Only what is wrong is restored.";
            information::le_15_components_of_others_are_not_touched [Tamper]
                "Components of others are not touched.";
            election::le_16_nobody_leads_before_being_granted []
                "Nobody leads before being granted.";
            election::le_17_leadership_is_had_under_the_right_id_alone []
                "Leadership is had under the right id alone.";
            election::le_18_a_loss_is_known_before_the_contender_is_told []
                "A loss is known before the contender is told.";
            election::le_19_an_old_id_is_worth_nothing_in_a_new_term []
                "An old id is worth nothing in a new term.";
            election::le_20_who_has_closed_does_not_lead []
                "Who has closed does not lead.";
            information::le_21_who_does_not_lead_restores_nothing [Tamper]
                "Who does not lead restores nothing.";
            election::le_22_a_closed_contender_hears_of_no_grant []
                "A closed contender hears of no grant.";
            information::le_23_what_is_closed_is_not_restored_and_the_rest_is [Tamper]
                "What is closed is not restored and the rest is.";
            election::le_25_closing_revokes_before_it_returns []
                "Closing revokes before it returns.";
            election::le_26_a_stale_confirmation_changes_nothing_in_a_newer_term []
                "A stale confirmation changes nothing in a newer term.";
            election::le_27_a_confirmation_after_the_loss_changes_nothing []
                "A confirmation after the loss changes nothing.";
            election::le_28_an_error_that_lasts_reaches_every_contender []
                "An error that lasts reaches every contender.";
            election::le_29_an_error_after_close_reaches_nobody_who_left []
                "An error after close reaches nobody who left.";
            information::le_30_a_blocked_contender_does_not_hold_up_restorations [Tamper]
                "A blocked contender does not hold up restorations.";
            election::le_32_a_blocked_contender_does_not_hold_up_the_others []
                "A blocked contender does not hold up the others.";
            election::le_34_elections_that_never_began_end_as_well []
                "Elections that never began end as well.";
            driver::ld_01_what_is_published_is_seen_by_others []
                "What is published is seen by others.";
            driver::ld_02_of_ten_each_leads_once []
                "Of ten each leads once.";
            driver::ld_03_killed_leaders_are_replaced_round_after_round []
                "Killed leaders are replaced round after round.";
            driver::ld_04_one_publication_is_one_change []
                "One publication is one change.";
            driver::ld_05_a_failed_publication_is_told_to_who_publishes []
                "A failed publication is told to who publishes.";
            driver::ld_06_a_leader_that_ends_is_not_shown []
                "A leader that ends is not shown.";
            driver::ld_07_who_does_not_lead_removes_nothing []
                "Who does not lead removes nothing.";
            driver::ld_08_an_error_that_lasts_ends_a_campaign []
                "An error that lasts ends a campaign.";
            driver::ld_09_leadership_is_lost_and_regained []
                "Leadership is lost and regained.";
            driver::ld_10_of_many_one_leads []
                "Of many one leads.";
            driver::ld_11_who_does_not_lead_cannot_publish []
                "Who does not lead cannot publish.";
            driver::ld_12_independent_latches_have_independent_leaders []
                "Independent latches have independent leaders.";
            driver::ld_13_a_silent_leader_is_replaced [Freeze]
                "A silent leader is replaced.";
            driver::ld_14_a_revoked_session_is_followed_by_another [Expire Revoke]
                "A revoked session is followed by another.";
            retrieval::lr_01_a_listener_hears_who_leads []
                "A listener hears who leads.";
            retrieval::lr_02_a_listener_hears_that_nobody_leads []
                "A listener hears that nobody leads.";
            retrieval::lr_03_unreadable_information_is_an_error_once [Tamper]
                "Unreadable information is an error once.";
            retrieval::lr_04_nothing_is_heard_after_stop []
                "Nothing is heard after stop.";
            retrieval::lr_05_only_true_changes_are_heard []
                "Only true changes are heard.";
            retrieval::lr_06_nothing_is_heard_before_anybody_led []
                "Nothing is heard before anybody led.";
            retrieval::lr_07_a_long_outage_makes_the_leader_unknown []
                "A long outage makes the leader unknown.";
            retrieval::lr_08_a_short_outage_changes_nothing []
                "A short outage changes nothing.";
            retrieval::lr_10_a_leader_elected_during_an_outage_is_found []
                "A leader elected during an outage is found.";
            retrieval::lr_11_who_comes_late_sees_the_current_leader []
                "Who comes late sees the current leader.";
            retrieval::lr_12_two_retrievals_agree []
                "Two retrievals agree.";
            retrieval::lr_13_a_watch_that_is_denied_is_an_error []
                "A watch that is denied is an error.";
            retrieval::lr_14_everything_removed_is_nobody_and_then_the_next [Tamper]
                "Everything removed is nobody and then the next.";
            retrieval::lr_15_a_wait_for_a_leader_can_be_given_up []
                "A wait for a leader can be given up.";
            retrieval::lr_16_many_subscribers_share_one_watch []
                "Many subscribers share one watch.";
            states::sh_02_after_an_unknown_add_nothing_is_deleted []
                "After an unknown add nothing is deleted.";
            checkpoints::sh_03_what_exists_is_not_added_again []
                "Adding what exists is refused, leaves no state behind, and deletes none.";
            states::sh_04_a_lost_answer_that_is_found_out_is_success []
                "A lost answer that is found out is success.";
            states::sh_05_after_a_definite_failure_the_new_state_is_deleted []
                "After a definite failure the new state is deleted.";
            states::sh_08_after_an_unknown_replacement_both_states_stay []
                "After an unknown replacement both states stay.";
            states::sh_09_after_a_definite_failure_to_replace_the_old_state_stays []
                "After a definite failure to replace the old state stays.";
            states::sh_32_a_replacement_without_leadership_is_fenced []
                "A replacement without leadership is fenced.";
            storage::sh_37_removing_is_idempotent_over_state_that_is_gone_or_stays []
                "Removing is idempotent over state that is gone or stays.";
            storage::sh_38_removing_all_is_idempotent_over_state_that_stays []
                "Removing all is idempotent over state that stays.";
            counter::cc_01_the_first_id_is_one []
                "The first id is one.";
            counter::cc_02_ids_come_one_after_another []
                "Ids come one after another.";
            counter::cc_03_concurrent_callers_get_ids_without_gap_or_double []
                "Concurrent callers get ids without gap or double.";
            counter::cc_04_the_count_is_set_forward_alone []
                "The count is set forward alone.";
            counter::cc_05_the_end_of_the_job_removes_the_counter []
                "The end of the job removes the counter.";
            counter::cc_06_suspension_keeps_the_counter []
                "Suspension keeps the counter.";
            counter::cc_07_shutting_down_twice_is_fine []
                "Shutting down twice is fine.";
            counter::cc_08_a_failed_shutdown_can_be_repeated []
                "A failed shutdown can be repeated.";
            counter::cc_09_after_an_outage_it_counts_on []
                "After an outage it counts on.";
            counter::cc_15_a_deposed_leader_gets_no_id []
                "A deposed leader gets no id.";
            counter::cc_16_the_count_is_never_answered_from_memory []
                "The count is never answered from memory.";
            counter::cc_17_without_leadership_nothing_is_counted []
                "Without leadership nothing is counted.";
            checkpoints::cp_01_a_quota_of_nothing_is_refused []
                "A quota of nothing is refused.";
            checkpoints::cp_02_what_is_added_is_the_latest []
                "What is added is the latest.";
            checkpoints::cp_03_more_than_the_quota_discards_the_oldest []
                "More than the quota discards the oldest.";
            checkpoints::cp_04_an_empty_store_is_empty []
                "An empty store is empty.";
            checkpoints::cp_05_all_come_in_the_order_of_their_ids []
                "All come in the order of their ids.";
            checkpoints::cp_06_the_end_of_the_job_removes_and_discards_all []
                "The end of the job removes and discards all.";
            checkpoints::cp_07_the_newest_that_is_no_savepoint_stays []
                "The newest that is no savepoint stays.";
            checkpoints::cp_08_an_older_savepoint_gives_way []
                "An older savepoint gives way.";
            checkpoints::cp_09_the_savepoint_a_job_stops_with_replaces_all []
                "The savepoint a job stops with replaces all.";
            checkpoints::cp_10_below_the_quota_nothing_gives_way []
                "Below the quota nothing gives way.";
            checkpoints::cp_11_another_leader_recovers_all_in_order []
                "Another leader recovers all in order.";
            checkpoints::cp_12_a_broken_checkpoint_is_not_skipped []
                "A broken checkpoint is not skipped.";
            checkpoints::cp_14_a_failed_add_removes_nothing []
                "A failed add removes nothing.";
            checkpoints::cp_15_what_the_policy_retains_keeps_its_data []
                "What the policy retains keeps its data.";
            checkpoints::cp_16_suspension_keeps_everything []
                "Suspension keeps everything.";
            checkpoints::cp_17_nothing_is_added_after_shutdown []
                "Nothing is added after shutdown.";
            checkpoints::cp_18_more_than_the_quota_is_recovered_and_trimmed_by_the_next_add []
                "More than the quota is recovered and trimmed by the next add.";
            checkpoints::cp_22_an_old_leader_discards_nothing_that_the_new_one_recovered []
                "An old leader discards nothing that the new one recovered.";
            storage::cp_23_a_backlog_of_deletions_pauses_adding_until_it_is_gone []
                "A backlog of deletions pauses adding until it is gone.";
            checkpoints::cp_24_the_name_is_the_id_in_nineteen_digits []
                "The name is the id in nineteen digits.";
            checkpoints::cp_27_a_store_without_leadership_reads_and_adds_nothing []
                "A store without leadership reads and adds nothing.";
            checkpoints::cp_30_after_an_unknown_add_nothing_is_deleted []
                "After an unknown add nothing is deleted.";
            checkpoints::cp_31_a_failed_recovery_can_be_repeated []
                "A failed recovery can be repeated.";
            plans::ep_01_a_plan_is_recovered_by_another_leader []
                "A plan is recovered by another leader.";
            plans::ep_02_a_missing_plan_is_none []
                "A missing plan is none.";
            plans::ep_03_a_failed_recovery_owns_nothing_and_deletes_nothing []
                "A failed recovery owns nothing and deletes nothing.";
            plans::ep_04_a_new_plan_is_stored []
                "A new plan is stored.";
            plans::ep_05_an_own_plan_is_replaced_and_its_old_state_deleted []
                "An own plan is replaced and its old state deleted.";
            plans::ep_06_global_cleanup_removes_pointer_and_state []
                "Global cleanup removes pointer and state.";
            plans::ep_07_cleanup_works_for_plans_never_seen []
                "Cleanup works for plans never seen.";
            plans::ep_08_a_failed_removal_is_an_error_and_can_be_repeated []
                "A failed removal is an error and can be repeated.";
            plans::ep_09_all_jobs_are_listed_in_order []
                "All jobs are listed in order.";
            plans::ep_10_foreign_plans_are_announced_and_own_ones_are_not []
                "Foreign plans are announced and own ones are not.";
            plans::ep_12_a_removal_is_heard_by_who_owned_the_plan []
                "A removal is heard by who owned the plan.";
            plans::ep_14_a_stopped_store_is_told_nothing []
                "A stopped store is told nothing.";
            plans::ep_16_stopping_gives_up_what_it_owned_and_deletes_nothing []
                "Stopping gives up what it owned and deletes nothing.";
            plans::ep_17_local_cleanup_forgets_and_deletes_nothing []
                "Local cleanup forgets and deletes nothing.";
            plans::ep_18_requirements_are_replaced_and_the_plan_stays []
                "Requirements are replaced and the plan stays.";
            plans::ep_19_requirements_of_an_unknown_job_are_refused []
                "Requirements of an unknown job are refused.";
            plans::ep_20_put_and_remove_and_put_again []
                "Put and remove and put again.";
            plans::ep_21_one_broken_plan_does_not_hide_the_others [Tamper]
                "One broken plan does not hide the others.";
            plans::ep_22_who_only_watches_hears_and_touches_nothing []
                "Who only watches hears and touches nothing.";
            plans::ep_23_a_plan_that_is_not_owned_is_not_replaced []
                "A plan that is not owned is not replaced.";
            plans::ep_24_the_successor_removes_what_the_old_leader_still_has []
                "The successor removes what the old leader still has.";
            plans::ep_25_names_and_keys_belong_together []
                "Names and keys belong together.";
            job_results::jr_01_a_job_with_a_dirty_result_gets_no_other []
                "A job with a dirty result gets no other.";
            job_results::jr_02_a_job_with_a_clean_result_gets_no_other []
                "A job with a clean result gets no other.";
            job_results::jr_03_what_is_clean_can_be_marked_again []
                "What is clean can be marked again.";
            job_results::jr_04_a_job_without_a_result_cannot_be_marked []
                "A job without a result cannot be marked.";
            job_results::jr_05_a_dirty_result_is_there_and_dirty []
                "A dirty result is there and dirty.";
            job_results::jr_06_a_clean_result_is_there_and_clean []
                "A clean result is there and clean.";
            job_results::jr_07_without_a_result_nothing_is_there []
                "Without a result nothing is there.";
            job_results::jr_08_without_dirty_results_none_are_listed []
                "Without dirty results none are listed.";
            job_results::jr_09_dirty_results_are_listed_whole_to_the_next_leader []
                "Dirty results are listed whole to the next leader.";
            job_results::jr_10_clean_results_are_not_listed_as_dirty []
                "Clean results are not listed as dirty.";
            job_results::jr_11_a_result_stands_in_the_place_of_its_cluster []
                "A result stands in the place of its cluster.";
            job_results::jr_12_what_is_no_result_is_reported_and_hides_no_other [Tamper]
                "What is no result is reported and hides no other.";
            job_results::jr_13_nothing_has_to_be_set_up_before_the_first_result []
                "Nothing has to be set up before the first result.";
            job_results::jr_14_a_result_is_there_when_its_creation_returns []
                "A result is there when its creation returns.";
            job_results::jr_15_clean_follows_dirty_in_one_step []
                "Clean follows dirty in one step.";
            job_results::jr_16_marking_again_leaves_the_bytes_as_they_are []
                "Marking again leaves the bytes as they are.";
            job_results::jr_17_where_clean_results_are_removed_nothing_is_left []
                "Where clean results are removed nothing is left.";
            job_results::jr_18_a_result_says_its_format_and_a_newer_one_is_refused [Tamper]
                "A result says its format and a newer one is refused.";
            job_results::jr_19_every_field_comes_back []
                "Every field comes back.";
            blobs::bl_01_a_blob_is_there_only_when_its_content_is_stored []
                "A blob is there only when its content is stored.";
            blobs::bl_02_the_next_leader_has_the_blobs_and_removes_them_all []
                "The next leader has the blobs and removes them all.";
            blobs::bl_03_content_that_was_changed_is_never_handed_over_whole []
                "Content that was changed is never handed over whole.";
            blobs::bl_04_the_same_content_put_at_once_is_one_blob []
                "The same content put at once is one blob.";
            blobs::bl_05_deleting_what_is_not_there_is_fine []
                "Deleting what is not there is fine.";
            blobs::bl_06_deleting_all_of_a_job_touches_no_other []
                "Deleting all of a job touches no other.";
            cleanup::ha_01_pointers_go_before_states []
                "Cleaning up removes every pointer before the first state.";
            cleanup::ha_02_what_cannot_be_removed_keeps_its_state_and_closing_goes_on []
                "What cannot be removed keeps its state and closing goes on.";
            cleanup::ha_03_the_end_of_a_job_leaves_its_result []
                "The end of a job removes all of it but its result, which is not marked.";
            cleanup::ha_04_closing_keeps_everything []
                "Closing keeps everything.";
            cleanup::ha_05_cleaning_up_removes_all_but_results_latches_and_epochs []
                "Cleaning up removes all but results, latches and epochs, and what a user or a policy keeps.";
            cleanup::ha_06_what_stands_beside_the_cluster_stays []
                "What stands beside the cluster stays.";
            cleanup::ha_07_the_end_of_a_job_disturbs_no_other []
                "The end of a job disturbs no other, also for a job never seen here, and can be repeated.";
            cleanup::ha_12_cleaning_up_is_tried_until_it_is_done_and_then_the_result_is_clean []
                "Cleaning up is tried until it is done and then the result is clean.";
            cleanup::ha_13_the_next_leader_takes_over_what_is_dirty []
                "The next leader takes over what is dirty.";
            deposed::x_01_a_frozen_leader_changes_nothing_after_a_take_over []
                "Every call of a leader that does not know that it is over is refused, and its successor's data stays as it was, byte for byte.";
            deposed::x_02_frozen_between_check_and_write_it_changes_nothing []
                "The same if it was frozen after all its checks, just before the request left.";
            deposed::x_03_what_is_delivered_late_changes_nothing []
                "The same if the request left in time, and arrived after the successor's first writes.";
            deposed::x_04_tokens_grow_over_all_processes []
                "Tokens grow over all processes.";
            deposed::x_05_no_two_lead_at_one_instant []
                "At the instant at which one leadership begins no other is valid, over resignations, drops and read failures.";
            deposed::x_06_a_silent_leader_stops_before_another_can_begin [Freeze]
                "A silent leader stops before another can begin.";
            endings::x_08_a_callback_that_never_returns_does_not_weaken_the_fence []
                "A callback that never returns does not weaken the fence.";
            endings::x_09_terms_faster_than_callbacks_are_skipped_not_mixed []
                "Terms faster than callbacks are skipped not mixed.";
            endings::x_10_a_contender_that_panics_disturbs_nobody []
                "A contender that panics disturbs nobody.";
            trouble::x_13_a_lost_answer_of_any_call_is_found_out []
                "A lost answer of any call is found out.";
            trouble::x_16_lost_wake_ups_cost_time_alone []
                "Watches that never answer cost time, and nothing else: leaders change, and are found.";
            trouble::x_20_a_hundred_contenders_cost_little []
                "A hundred contenders cost little.";
            trouble::x_21_what_is_too_large_is_refused_before_anything_is_written []
                "What is too large is refused before anything is written.";
            storage::x_22_a_full_disk_fails_the_call_and_leaves_what_was_there []
                "A full disk fails the call and leaves what was there.";
            trouble::x_25_names_that_are_paths_are_refused_and_clusters_are_apart []
                "Names that are paths are refused and clusters are apart.";
            trouble::x_26_ids_are_unique_over_leaders_and_lost_answers []
                "Ids are unique over leaders and lost answers.";
            deposed::x_27_a_checkpoint_added_while_leadership_goes_is_there_or_not []
                "A checkpoint added while leadership goes is there or not.";
            trouble::x_28_ten_thousand_pointers_are_recovered []
                "Ten thousand pointers are recovered.";
            trouble::x_29_broken_entries_fail_loudly_and_stay [Tamper]
                "Broken entries fail loudly and stay.";
            cleanup::x_30_orphans_are_collected_and_nothing_else []
                "States that nothing will ever point to are collected; what waits for its pointer in the present term is not.";
            trouble::x_31_two_processes_with_one_name_are_two []
                "Two processes with one name are two.";
            trouble::x_32_an_old_version_does_not_replace_a_plan_that_was_made_anew []
                "An old version does not replace a plan that was made anew.";
            result_races::x_33_of_results_there_is_one_after_races_crashes_and_lost_leaderships []
                "Of results there is one after races crashes and lost leaderships.";
            blobs::x_34_a_blob_is_whole_or_not_there_whatever_happens_to_it []
                "A blob is whole or not there whatever happens to it.";
            endings::x_35_closing_or_dropping_at_any_point_leaves_nothing []
                "Closing or dropping at any point leaves nothing.";
            cleanup::x_36_an_interrupted_cleanup_is_finished_by_another_process []
                "An interrupted clean-up is finished by another process, disturbs no other job, and is refused without leadership.";
            formats::x_37_two_versions_share_a_cluster_until_its_format_is_raised []
                "Two versions of the library take turns on one cluster, each reading what the other wrote, until a leader raises its format; after that the older one takes no part, and changes nothing.";
            told::x_38_each_transition_is_told_once_with_its_term []
                "Each transition is told once with its term.";
            soak::x_39_nothing_grows_with_the_number_of_leaderships []
                "Nothing grows with the number of leaderships: no key and no state is left by those before, however they ended.";
            retrieval::x_40_a_retrieval_never_goes_back []
                "A retrieval never goes back.";
            endings::x_41_dropped_calls_leave_the_rules_intact []
                "Dropped calls leave the rules intact.";
            storage::x_42_a_state_storage_that_hangs_holds_up_nothing_else []
                "A state storage that hangs holds up nothing else.";
            endings::x_43_who_is_asked_to_step_down_hands_over_and_does_not_win_again []
                "Who is asked to step down hands over, and does not win again before somebody else has led.";
        }
    };
}
