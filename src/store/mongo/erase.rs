//! The erasure of a registration, which is counted in the transaction that deletes it: a count of erasures beside one
//! of registrations tells what was lost, so neither may ever be ahead of the other.

use std::time::Duration;

use mongodb::{
    ClientSession,
    bson::{Document, doc},
    error::{Error, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT},
};
use tokio::time::{Instant, sleep};

use super::{
    COUNTERS, Collections, documents,
    failure::{cause, is_duplicate, of_read, of_write},
};
use crate::{
    domain::registration::{Reference, Registration},
    store::StoreError,
};

/// Pause before a retry.
const PAUSE: Duration = Duration::from_millis(20);

/// Erases, and retries until `last_attempt` while another transaction is in the way or no primary is known.
pub(super) async fn erase(
    at: &Collections,
    reference: Reference,
    last_attempt: Instant,
) -> Result<Option<Registration>, StoreError> {
    let session = at.database.client().start_session().await;
    let mut session = session.map_err(|error| of_read(&error))?;
    loop {
        let begun = session.start_transaction().await;
        begun.map_err(|error| of_read(&error))?;
        let (error, refused) = match delete_and_count(at, reference, &mut session).await {
            Ok(Some(erased)) => {
                // Before the commit: what cannot be read is not erased.
                let erased = documents::registration(&erased)?;
                match commit(&mut session, last_attempt).await {
                    Ok(()) => return Ok(Some(erased)),
                    Err(error) => {
                        let refused = of_commit(&error);
                        (error, refused)
                    }
                }
            }
            Ok(None) => {
                // Fails at worst to end what the server ends by itself.
                let _ = session.abort_transaction().await;
                return Ok(None);
            }
            Err(error) => {
                let _ = session.abort_transaction().await;
                let refused = of_read(&error);
                (error, refused)
            }
        };
        let again = error.contains_label(TRANSIENT_TRANSACTION_ERROR) || is_duplicate(&error);
        if !again || Instant::now() >= last_attempt {
            return Err(refused);
        }
        sleep(PAUSE).await;
    }
}

async fn delete_and_count(
    at: &Collections,
    reference: Reference,
    session: &mut ClientSession,
) -> Result<Option<mongodb::bson::RawDocumentBuf>, Error> {
    let filter = doc! { "reference": reference.symbols() };
    let deleting = at.registrations.find_one_and_delete(filter);
    let Some(erased) = deleting.session(&mut *session).await? else {
        return Ok(None);
    };
    let one_more = doc! { "$inc": { "erased": 1_i64 } };
    at.register
        .clone_with_type::<Document>()
        .update_one(doc! { "_id": COUNTERS }, one_more)
        .upsert(true)
        .session(session)
        .await?;
    Ok(Some(erased))
}

async fn commit(session: &mut ClientSession, last_attempt: Instant) -> Result<(), Error> {
    loop {
        match session.commit_transaction().await {
            Err(error)
                if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)
                    && Instant::now() < last_attempt =>
            {
                sleep(PAUSE).await;
            }
            committed => return committed,
        }
    }
}

/// The error of a commit.
fn of_commit(error: &Error) -> StoreError {
    if error.contains_label(TRANSIENT_TRANSACTION_ERROR) {
        StoreError::Unavailable(cause(error))
    } else {
        of_write(error)
    }
}
