//! Intake: the one way in which a person becomes a record.
//!
//! Called by the form's handler and by `padron seed`; idempotent: the same content is the same registration, whatever the
//! idempotency key, and a key that comes again with other content is refused.
//! The photo goes first and the record second, so that a record always has its photo; a failure between the two
//! leaves at most an orphan, a photo that no record names, which is removed here or, when that fails too, by the
//! sweep. It never stores a person in plaintext.

use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::{NoContext, Uuid};

use crate::{
    domain::registration::{
        Envelope, NewRegistration, Person, Reference, Registration, StoredPhoto,
    },
    foundation::seal::{Keyring, TagOf, random},
    photos::{Photos, PhotosError},
    store::{Inserted, Records, StoreError},
};

/// Draws before giving up on finding a free reference, where a collision is retried; even with a thousand million
/// registrations one draw in six hundred is taken.
const DRAWS: usize = 8;

/// A registration that is durable.
#[derive(Debug)]
pub struct Registered {
    /// As stored.
    pub registration: Registration,
    /// Whether this is a replay: an earlier request with the same content had made it, under the same idempotency key
    /// or another.
    pub replayed: bool,
}

/// Why nobody was registered.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// Other content was registered under the same idempotency key, and got this reference: the client may have lost
    /// the answer that told it.
    #[error("the idempotency key was used for another registration")]
    KeyReused(Reference),
    /// The document number is registered already.
    #[error("the document number is registered already")]
    AlreadyRegistered,
    /// The record store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The photo store failed.
    #[error(transparent)]
    Photos(#[from] PhotosError),
    /// The task that did it panicked or was cancelled.
    #[error("the registration was interrupted: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// What intake works with.
#[derive(Clone)]
pub struct Intake {
    store: Arc<dyn Records>,
    photos: Photos,
    keyring: Arc<Keyring>,
    tracker: TaskTracker,
}

impl Intake {
    /// Intake into these tiers; `tracker` is what a graceful shutdown waits for.
    #[must_use]
    pub fn new(
        store: Arc<dyn Records>,
        photos: Photos,
        keyring: Arc<Keyring>,
        tracker: TaskTracker,
    ) -> Self {
        Self {
            store,
            photos,
            keyring,
            tracker,
        }
    }

    /// Registers a person and returns once photo and record are durable.
    ///
    /// It runs in a task of its own: a client that hangs up cancels only the waiting, never half of the work, and
    /// `held`, the upload's share of the memory budget, is released when the work is done.
    ///
    /// # Errors
    /// [`IntakeError`]; nothing is kept then, except after [`StoreError::Uncertain`].
    pub async fn register(
        &self,
        new: NewRegistration,
        now: Timestamp,
        held: impl Send + 'static,
    ) -> Result<Registered, IntakeError> {
        let intake = self.clone();
        let registering = async move {
            let registered = intake.run(new, now).await;
            drop(held);
            registered
        };
        self.tracker.spawn(registering.in_current_span()).await?
    }

    async fn run(&self, new: NewRegistration, now: Timestamp) -> Result<Registered, IntakeError> {
        let id = Uuid::new_v7(uuid::Timestamp::from_unix(
            NoContext,
            now.as_second().cast_unsigned(),
            now.subsec_nanosecond().cast_unsigned(),
        ));
        let (person, registration) = self.seal(new, id, now).await?;
        let photo = registration.photo.clone();
        let result = self.insert(&person, registration).await;
        let stored = matches!(
            &result,
            Ok(Registered {
                replayed: false,
                ..
            })
        );
        // After an uncertain outcome the record may be there: its photo stays, and the sweep decides.
        let unknown = matches!(&result, Err(IntakeError::Store(StoreError::Uncertain(_))));
        if !stored && !unknown {
            self.discard(photo).await;
        }
        result
    }

    /// Puts the photo and encrypts the person: a registration that only waits for the store.
    async fn seal(
        &self,
        new: NewRegistration,
        id: Uuid,
        now: Timestamp,
    ) -> Result<(Person, Registration), IntakeError> {
        let photo = match new.photo {
            Some(photo) => Some(self.photos.put(id, photo).await?),
            None => None,
        };
        let person = new.person;
        let city = new.city.code;
        let digest = photo.as_ref().map(|photo| &photo.digest);
        let content_tag = person.content_tag(&self.keyring, city, digest);
        let envelope = Envelope {
            id,
            reference: Reference::from_random(random()),
            city,
            registered_at: Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now),
            photo_key: photo.as_ref().map(|photo| photo.key),
        };
        let registration = Registration {
            id,
            reference: envelope.reference,
            city,
            registered_at: envelope.registered_at,
            sealed: person.seal(&self.keyring, &envelope),
            document_tag: person.document_tag(&self.keyring),
            idempotency_tag: new.idempotency_key.map(|key| {
                self.keyring
                    .tag(TagOf::IdempotencyKey, &[key.as_str().as_bytes()])
            }),
            content_tag,
            // Two people may be called the same; they do not share a photo.
            once_tag: photo.as_ref().map(|_| content_tag),
            photo,
        };
        Ok((person, registration))
    }

    async fn insert(
        &self,
        person: &Person,
        mut registration: Registration,
    ) -> Result<Registered, IntakeError> {
        for _ in 0..DRAWS {
            match self.store.insert(&registration).await? {
                Inserted::New => {
                    return Ok(Registered {
                        registration,
                        replayed: false,
                    });
                }
                // What was sent first decides: staff may have corrected the record since.
                Inserted::SameKey(known)
                    if known
                        .once_tag
                        .unwrap_or(known.content_tag)
                        .matches(&registration.content_tag) =>
                {
                    return Ok(Registered {
                        registration: *known,
                        replayed: true,
                    });
                }
                Inserted::SameContent(known) => {
                    return Ok(Registered {
                        registration: *known,
                        replayed: true,
                    });
                }
                Inserted::SameKey(known) => {
                    return Err(IntakeError::KeyReused(known.reference));
                }
                Inserted::SameDocument => return Err(IntakeError::AlreadyRegistered),
                Inserted::SameReference => {
                    registration.reference = Reference::from_random(random());
                    registration.sealed = person.seal(&self.keyring, &registration.envelope());
                }
            }
        }
        Err(StoreError::Unusable("no free reference was found".into()).into())
    }

    async fn discard(&self, photo: Option<StoredPhoto>) {
        let Some(photo) = photo else { return };
        if let Err(error) = self.photos.remove(photo.key).await {
            tracing::warn!(photo = %photo.key.0, %error, "a photo without a record stays for the sweep");
        }
    }
}
