//! The idempotent insert of a registration, with retries through failovers and lost replies.

use std::time::Duration;

use mongodb::{
    Collection,
    bson::{Document, RawDocumentBuf, doc},
    error::Error,
};
use tokio::time::{Instant, sleep};

use super::{
    documents,
    failure::{cause, is_duplicate, is_transient, may_have_written},
};
use crate::{
    domain::registration::Registration,
    foundation::seal::Tag,
    store::{Inserted, StoreError},
};

/// Pause before a retry.
const PAUSE: Duration = Duration::from_millis(50);

/// Inserts, and retries until `last_attempt` while that may help. Idempotent: a retry that conflicts with its own row
/// is stored. An answer that nothing was stored, or that it was, is of what a majority has.
pub(super) async fn insert(
    registrations: &Collection<RawDocumentBuf>,
    new: &Registration,
    last_attempt: Instant,
) -> Result<Inserted, StoreError> {
    let documents = registrations.clone_with_type::<Document>();
    let document = documents::of_registration(new);
    let mut may_be_stored = false;
    loop {
        let error = match documents.insert_one(&document).await {
            Ok(_) => return Ok(Inserted::New),
            Err(refused) if is_duplicate(&refused) => match conflict(registrations, new).await {
                Ok(Some(inserted)) => return inserted,
                // The record in the way, this very row perhaps, is not visible to a majority yet, or was erased
                // since.
                Ok(None) => {
                    may_be_stored = true;
                    refused
                }
                Err(error) => {
                    // The conflict may be with this very row, from an earlier attempt.
                    may_be_stored = true;
                    error
                }
            },
            Err(error) => {
                may_be_stored |= may_have_written(&error);
                error
            }
        };
        let again = is_transient(&error) || is_duplicate(&error);
        if !again || Instant::now() >= last_attempt {
            return Err(if may_be_stored {
                StoreError::Uncertain(cause(&error))
            } else {
                StoreError::Unavailable(cause(&error))
            });
        }
        sleep(PAUSE).await;
    }
}

/// Resolves a duplicate-key error: what became of the insert, by the record that is in its way.
async fn conflict(
    registrations: &Collection<RawDocumentBuf>,
    new: &Registration,
) -> Result<Option<Result<Inserted, StoreError>>, Error> {
    let tag = |tag: Option<Tag>| tag.as_ref().map(documents::tag);
    let filters = [
        tag(new.idempotency_tag).map(|tag| doc! { "idempotency_tag": tag }),
        Some(doc! { "_id": documents::uuid(new.id) }),
        tag(new.once_tag).map(|tag| doc! { "once_tag": tag }),
        tag(new.document_tag).map(|tag| doc! { "document_tag": tag }),
        Some(doc! { "reference": new.reference.symbols() }),
    ];
    for filter in filters.into_iter().flatten() {
        if let Some(known) = registrations.find_one(filter).await? {
            let known = documents::registration(&known);
            return Ok(Some(known.map(|known| verdict(known, new))));
        }
    }
    Ok(None)
}

/// In this order whichever filter found `known`, which a concurrent insert may have stored between two of them.
fn verdict(known: Registration, new: &Registration) -> Inserted {
    let same = |one: Option<Tag>, other: Option<Tag>| one.is_some() && one == other;
    if known.id == new.id {
        Inserted::New
    } else if same(known.idempotency_tag, new.idempotency_tag) {
        Inserted::SameKey(Box::new(known))
    } else if same(known.once_tag, new.once_tag) {
        Inserted::SameContent(Box::new(known))
    } else if same(known.document_tag, new.document_tag) {
        Inserted::SameDocument
    } else {
        Inserted::SameReference
    }
}
