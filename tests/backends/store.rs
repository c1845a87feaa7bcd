//! The promises of `trait Store`, stamped over its backends.

mod board;
mod claim;
mod daily;
mod erase;
mod insert;
mod life;
mod rows;
mod sessions;
mod totals;
mod unnamed;

use std::sync::Arc;

use padron::store::{Store, StoreUrl, connect};
use tempfile::TempDir;

/// The one list of cases; one that is missing here is dead code, which the compiler tells.
macro_rules! every_case {
    ($backend:ident, $start:ident, $attributes:tt) => {
        stamp! { $backend, $start, $attributes,
            insert {
                one_that_is_free_is_new_and_found_with_every_field,
                a_race_of_one_idempotency_tag_has_one_winner_that_all_are_told,
                a_race_of_one_document_tag_has_one_winner,
                a_race_of_one_reference_has_one_winner,
                a_race_of_one_content_has_one_winner_that_all_are_told,
                same_content_is_the_answer_when_its_document_is_taken_too,
                same_key_is_the_answer_when_another_tag_is_taken_too,
                a_conflict_stores_nothing,
                the_same_record_again_is_new_and_stored_once,
                a_race_of_one_record_with_itself_is_new_for_all,
                records_without_tags_never_conflict,
                an_unknown_reference_finds_nothing,
            }
            rows {
                an_empty_store_has_no_rows,
                thousands_come_whole_in_order_of_city_and_id,
                one_city_is_counted_and_read_alone,
                a_period_is_counted_and_read_alone,
                cities_come_in_the_order_that_is_asked_for,
                an_unknown_city_is_empty,
                what_is_written_later_is_in_neither_counts_nor_rows,
                a_reader_that_leaves_early_does_no_harm,
                few_blocks_wait_for_a_slow_reader,
            }
            erase {
                what_is_erased_is_gone_and_its_tags_are_free,
                a_race_of_erasures_has_one_winner,
            }
            totals {
                they_are_what_rows_count_and_grow,
                every_racing_insert_is_counted_once,
                their_sequence_grows_with_every_change,
            }
            daily {
                registrations_are_counted_by_quarters_of_an_hour,
                what_is_erased_is_in_no_count,
                every_racing_insert_is_in_its_quarter,
            }
            unnamed {
                only_keys_that_no_record_names_are_given,
            }
            board {
                there_is_none_at_first,
                versions_follow_each_other,
                only_a_newer_one_is_given,
                a_race_of_one_version_has_one_winner,
                of_racing_reports_the_newest_count_stays,
            }
            sessions {
                one_that_was_added_is_found_by_its_tag_until_it_expires,
                adding_one_keeps_those_that_are_good,
                one_ends_once,
                an_expired_one_cannot_be_ended,
                a_race_of_ends_has_one_winner,
            }
            claim {
                the_first_stays,
                every_sealing_key_of_the_register_is_remembered_once,
                a_race_has_one_answer,
                erasures_are_counted_once,
            }
            life {
                it_answers_a_ping,
                after_its_end_every_call_fails,
                its_end_amid_writes_leaves_nobody_waiting,
            }
        }
    };
}

every_case!(sqlite, sqlite_file, []);
every_case!(
    mongo,
    mongo_database,
    [#[ignore = "needs a MongoDB server; .ci/run starts one"]]
);

stamp! { sqlite_amid_writes, sqlite_file, [], rows { counts_and_rows_agree_amid_writes, } }
stamp! {
    real_mongodb, mongo_database,
    [#[ignore = "needs a real MongoDB: SecantusDB fixes a snapshot anew for each command"]],
    rows { counts_and_rows_agree_amid_writes, }
}

/// A new SQLite file.
pub(crate) async fn sqlite_file() -> (Arc<dyn Store>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = StoreUrl::Sqlite(folder.path().join("padron.db"));
    (connect(&url).await.unwrap(), folder)
}

/// A new database on the server that `PADRON_TEST_MONGODB` names.
pub(crate) async fn mongo_database() -> (Arc<dyn Store>, crate::mongo::Database) {
    let database = crate::mongo::Database::new();
    (database.open().await.unwrap(), database)
}
