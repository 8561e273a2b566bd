//! What every log must do: one table of cases, run against each implementation. What only one of them can do or suffer
//! is in `sqlite_only` and `postgres_only`.

mod appends;
mod concurrency;
mod faults;
mod journal;
mod postgres_only;
mod reads;
mod receipts;
mod sqlite_only;

use std::sync::Arc;

use verbatim_events::log::EventLog;

/// Runs each case against each kind of log.
macro_rules! contract {
    (every log: { $($module:ident: $($case:ident)+;)+ } databases alone: { $($fault:ident)+ }) => {
        contract!(@kind memory $($module: $($case)+;)+);
        contract!(@kind sqlite $($module: $($case)+;)+ faults: $($fault)+;);
        contract!(@kind postgres $($module: $($case)+;)+ faults: $($fault)+;);
    };
    (@kind $kind:ident $($module:ident: $($case:ident)+;)+) => {
        mod $kind {
            use support::log_home::LogHome;
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$module::$case(LogHome::$kind().await).await;
                }
            )+)+
        }
    };
}

contract! {
    every log: {
        appends:
            events_come_back_as_they_were
            positions_are_gapless_and_appends_are_not_interleaved
            a_wrong_version_is_a_conflict
            a_wrong_hash_is_a_conflict
            a_chat_that_exists_is_not_made_again
            a_chat_that_does_not_exist_does_not_grow
            several_chats_grow_together_or_not_at_all
            a_chat_may_be_expected_without_growing
            malformed_appends_are_refused
            large_appends_are_whole
            the_log_survives_being_closed
            the_timeline_stays;
        receipts:
            a_receipt_is_kept_with_its_events
            a_receipt_needs_no_events
            a_known_key_is_a_duplicate_whatever_is_asked
            keys_of_other_owners_are_other_keys
            a_conflict_keeps_no_receipt
            equal_keys_at_once_are_done_once
            receipts_survive_being_closed;
        reads:
            an_unknown_chat_is_empty
            chats_are_read_in_pages
            the_log_is_read_in_pages
            pages_say_how_far_they_looked
            beyond_the_end_there_is_nothing
            long_reads_are_whole;
        concurrency:
            a_reader_misses_nothing_of_sixteen_writers
            one_of_many_equal_appends_wins
            a_follower_is_woken
            an_append_is_done_even_if_nobody_waits;
    }
    databases alone: {
            a_failure_before_the_commit_writes_nothing
            a_lost_answer_is_found_by_reading_again
            an_unknown_outcome_that_did_not_happen_is_found_by_reading_again
            a_batch_fails_as_a_whole
            a_delayed_commit_is_never_skipped
    }
}

/// All events of a log, in pages of `limit`.
async fn read_everything(log: &Arc<dyn EventLog>, limit: usize) -> Vec<verbatim_events::envelope::Stored> {
    let mut events = Vec::new();
    let mut after = 0;
    loop {
        let page = log.read_all(after, limit).await.unwrap();
        if page.events.is_empty() {
            assert_eq!(page.scanned_to, after);
            return events;
        }
        after = page.scanned_to;
        events.extend(page.events);
    }
}

/// Fails unless positions are 1, 2, 3 … and every chat's chain holds.
fn verify_log(events: &[verbatim_events::envelope::Stored]) {
    let mut chats: std::collections::BTreeMap<_, Vec<_>> = std::collections::BTreeMap::new();
    for (stored, position) in events.iter().zip(1..) {
        assert_eq!(stored.position, position);
        chats.entry(stored.event.chat_id).or_default().push(stored.clone());
    }
    for events in chats.values() {
        support::chain::verify_chain(events);
    }
}
