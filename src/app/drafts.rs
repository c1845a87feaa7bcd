//! Drafts: forms of browsers that are not registered yet, so that an error costs nobody the photo again.
//!
//! Called by the handlers of the form. A draft is known by a browser's cookie and a number in its address, together:
//! who has only one of them finds nothing. It is encrypted, lies beside the photos, so that every replica has it, and
//! lives for half an hour. How many may lie there is bounded, in all and for one address; a form that finds no room
//! is answered without a draft. It never registers anybody.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    domain::photo::{Photo, PhotoError},
    domain::registration::{PhotoKey, RawText, Reference, RegistrationForm, StoredPhoto},
    foundation::{
        clock::now,
        seal::{Keyring, Sealed, Tag, TagOf},
    },
    photos::{DraftArea, Photos, PhotosError},
};

/// How long a draft lives, counted from its photo.
pub const LIFETIME: Duration = Duration::from_mins(30);

/// How much later it is removed, because clocks of servers differ.
const LATER: Duration = Duration::from_mins(5);

/// Interval between two looks for expired ones.
const EVERY: Duration = Duration::from_mins(5);

/// What a form takes without its photo, rounded up: every text at its bound.
const FORM_BYTES: u64 = 32 * 1024;

/// Most drafts of this process at once, in all and of one address.
const MOST: (usize, usize) = (20_000, 1_000);

/// Most bytes of them. An office behind one address has a quarter.
const MOST_BYTES: (u64, u64) = (1024 * 1024 * 1024, 256 * 1024 * 1024);

/// Why a draft could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// There are too many, in all or of this address.
    #[error("there is no room for another draft")]
    Full,
    /// The photo store failed.
    #[error(transparent)]
    Photos(#[from] PhotosError),
}

/// Names a draft: a browser's cookie and a number.
#[derive(Clone)]
pub struct DraftKey {
    /// Of the browser; 256 random bits in hexadecimal.
    pub secret: String,
    /// Of the draft.
    pub id: Uuid,
}

/// What a browser has sent and nobody has registered.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Draft {
    /// As typed.
    pub name: String,
    /// As typed.
    pub city: String,
    /// As chosen.
    pub document_type: String,
    /// As typed.
    pub document_number: String,
    /// As typed.
    pub email: String,
    /// The key under which it will be registered.
    pub idempotency_key: String,
    /// The version of the privacy notice that was shown.
    pub notice: String,
    /// Whether the person agreed to it.
    pub consent: bool,
    /// The clean photo, if one came.
    pub photo: Option<DraftPhoto>,
    /// What was wrong with the one that came last.
    pub photo_fault: Option<PhotoError>,
    /// Whether it is shown with what is wrong with it.
    pub checked: bool,
    /// What happened when it was sent, by its slug.
    pub problem: Option<String>,
    /// What it was registered as, or what its idempotency key was used for.
    pub reference: Option<String>,
    /// Once it is registered: a keyed hash of its texts.
    pub sent: Option<String>,
    /// When it is gone.
    pub expires_at: Timestamp,
}

/// The photo of a draft, as [`StoredPhoto`].
#[derive(Clone, Serialize, Deserialize)]
pub struct DraftPhoto {
    key: Uuid,
    media_type: String,
    bytes: u64,
    width: u32,
    height: u32,
    digest: String,
    wrapped_key: String,
}

impl DraftPhoto {
    fn of(stored: &StoredPhoto) -> Self {
        Self {
            key: stored.key.0,
            media_type: stored.media_type.as_str().to_owned(),
            bytes: stored.bytes,
            width: stored.width,
            height: stored.height,
            digest: hex::encode(stored.digest.as_bytes()),
            wrapped_key: hex::encode(stored.wrapped_key.as_bytes()),
        }
    }

    fn stored(&self) -> Option<StoredPhoto> {
        Some(StoredPhoto {
            key: PhotoKey(self.key),
            media_type: self.media_type.parse().ok()?,
            bytes: self.bytes,
            width: self.width,
            height: self.height,
            digest: Tag::from_bytes(&hex::decode(&self.digest).ok()?)?,
            wrapped_key: Sealed::from_bytes(hex::decode(&self.wrapped_key).ok()?),
        })
    }

    /// Its size, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its `Content-Type`.
    #[must_use]
    pub fn media_type(&self) -> &str {
        &self.media_type
    }
}

impl Draft {
    /// The texts of a form; what is not UTF-8 is as if it had been left blank.
    #[must_use]
    pub fn of(form: &RegistrationForm) -> Self {
        let text = |raw: &RawText| match raw {
            Some(Ok(text)) => text.clone(),
            _ => String::new(),
        };
        Self {
            name: text(&form.name),
            city: text(&form.city),
            document_type: text(&form.document_type),
            document_number: text(&form.document_number),
            email: text(&form.email),
            idempotency_key: text(&form.idempotency_key),
            notice: text(&form.notice),
            consent: !text(&form.consent).is_empty(),
            ..Self::default()
        }
    }

    /// The form that it is, with this photo.
    #[must_use]
    pub fn form(&self, photo: Option<Result<Photo, PhotoError>>) -> RegistrationForm {
        let text = |text: &str| (!text.is_empty()).then(|| Ok(text.to_owned()));
        RegistrationForm {
            name: text(&self.name),
            city: text(&self.city),
            document_type: text(&self.document_type),
            document_number: text(&self.document_number),
            email: text(&self.email),
            idempotency_key: text(&self.idempotency_key),
            notice: text(&self.notice),
            consent: self.consent.then(|| Ok("yes".to_owned())),
            photo,
        }
    }

    /// Whether nobody typed or chose anything.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        let texts = [&self.name, &self.city, &self.document_number, &self.email];
        texts.iter().all(|text| text.trim().is_empty()) && self.photo.is_none() && !self.consent
    }

    /// The reference that it was registered as.
    #[must_use]
    pub fn sent_as(&self) -> Option<Reference> {
        self.sent.as_ref()?;
        Reference::parse(self.reference.as_deref()?)
    }
}

/// The drafts.
pub struct Drafts {
    area: DraftArea,
    keyring: Arc<Keyring>,
    table: Mutex<HashMap<Tag, Kept>>,
}

/// What a draft takes.
struct Kept {
    from: Option<IpAddr>,
    bytes: u64,
    until: Timestamp,
}

impl Drafts {
    /// Drafts beside `photos`.
    #[must_use]
    pub fn new(photos: &Photos, keyring: Arc<Keyring>) -> Self {
        Self {
            area: DraftArea::beside(photos),
            keyring,
            table: Mutex::default(),
        }
    }

    /// The draft of this key, unless it has expired at `now`.
    ///
    /// # Errors
    /// When the photo store does not answer.
    pub async fn open(&self, key: &DraftKey, now: Timestamp) -> Result<Option<Draft>, DraftError> {
        let name = self.name(key);
        let Some(sealed) = self.area.form(&name).await? else {
            return Ok(None);
        };
        let opened = self.keyring.open(&associated(&name), &sealed).ok();
        let draft = opened.and_then(|opened| serde_json::from_slice::<Draft>(&opened).ok());
        Ok(draft.filter(|draft| draft.expires_at > now))
    }

    /// Keeps a draft, in place of the one of the same key, with a new `photo` or the one that it has. The client's
    /// address is `from`.
    ///
    /// # Errors
    /// [`DraftError::Full`], or when the photo store does not answer; nothing changes then, but that a photo may lie
    /// there until it is swept.
    pub async fn keep(
        &self,
        key: &DraftKey,
        mut draft: Draft,
        photo: Option<Photo>,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Draft, DraftError> {
        let name = self.name(key);
        // The clock of a draft is its photo's.
        if photo.is_some() || draft.photo.is_none() || draft.expires_at < now {
            draft.expires_at = now + LIFETIME;
        }
        let known = draft.photo.as_ref().map_or(0, DraftPhoto::bytes);
        let bytes = photo
            .as_ref()
            .map_or(known, |photo| photo.bytes().len() as u64);
        let kept = Kept {
            from,
            bytes: FORM_BYTES + bytes,
            until: draft.expires_at,
        };
        if !self.reserve(name, kept, now) {
            return Err(DraftError::Full);
        }
        let mut replaced = None;
        if let Some(photo) = photo {
            let stored = self.area.put_photo(key.id, photo).await?;
            replaced = draft.photo.replace(DraftPhoto::of(&stored));
            draft.photo_fault = None;
        }
        self.put(&name, &draft).await?;
        if let Some(replaced) = replaced {
            self.remove(&replaced).await;
        }
        Ok(draft)
    }

    /// Takes room for a draft whose photo has so many bytes, if there is any.
    #[must_use]
    pub fn has_room(
        &self,
        key: &DraftKey,
        photo: u64,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> bool {
        let kept = Kept {
            from,
            bytes: FORM_BYTES + photo,
            until: now + LIFETIME,
        };
        self.reserve(self.name(key), kept, now)
    }

    /// Remembers that a draft was registered, and forgets who it was and the photo.
    ///
    /// # Errors
    /// When the photo store does not answer.
    pub async fn sent(
        &self,
        key: &DraftKey,
        draft: &Draft,
        reference: Reference,
    ) -> Result<(), DraftError> {
        let name = self.name(key);
        let sent = Draft {
            reference: Some(reference.to_string()),
            sent: Some(self.texts(draft)),
            expires_at: draft.expires_at,
            ..Draft::default()
        };
        self.put(&name, &sent).await?;
        self.table().remove(&name);
        if let Some(photo) = &draft.photo {
            self.remove(photo).await;
        }
        Ok(())
    }

    /// Whether what was registered of the draft `sent` is what `draft` says, but for the photo.
    #[must_use]
    pub fn is_sent(&self, sent: &Draft, draft: &Draft) -> bool {
        sent.sent.as_ref() == Some(&self.texts(draft))
    }

    /// Fetches the photo of a draft; `None` when it is gone.
    ///
    /// # Errors
    /// When the photo store does not answer.
    pub async fn photo(
        &self,
        key: &DraftKey,
        photo: &DraftPhoto,
    ) -> Result<Option<Vec<u8>>, DraftError> {
        let Some(stored) = photo.stored() else {
            return Ok(None);
        };
        match self.area.photo(key.id, &stored).await {
            Ok(photo) => Ok(Some(photo)),
            Err(PhotosError::Missing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what has expired at `now`, of every replica, and returns how many objects.
    ///
    /// # Errors
    /// When the photo store does not answer.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, DraftError> {
        self.table().retain(|_, kept| kept.until > now);
        Ok(self.area.remove_before(now - LIFETIME - LATER).await?)
    }

    /// Sweeps every few minutes, until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(EVERY))
            .await
            .is_some()
        {
            match stop.run_until_cancelled(self.sweep(now())).await {
                None => return,
                Some(Ok(removed)) => tracing::debug!(removed, "drafts swept"),
                Some(Err(error)) => tracing::warn!(%error, "the sweep of the drafts ended early"),
            }
        }
    }

    async fn put(&self, name: &Tag, draft: &Draft) -> Result<(), DraftError> {
        let text = serde_json::to_vec(draft).unwrap_or_default();
        let sealed = self.keyring.seal(&associated(name), &text);
        Ok(self.area.put_form(name, &sealed).await?)
    }

    async fn remove(&self, photo: &DraftPhoto) {
        let Some(stored) = photo.stored() else { return };
        if let Err(error) = self.area.remove_photo(&stored).await {
            tracing::warn!(photo = %stored.key.0, %error, "the photo of a draft stays for the sweep");
        }
    }

    /// Takes room for a draft, in place of what it took before.
    fn reserve(&self, name: Tag, new: Kept, now: Timestamp) -> bool {
        let mut table = self.table();
        let fits = |table: &HashMap<Tag, Kept>| {
            let (mut all, mut own) = ((1, new.bytes), (1, new.bytes));
            for (_, kept) in table.iter().filter(|(other, _)| **other != name) {
                all = (all.0 + 1, all.1 + kept.bytes);
                if new.from.is_some() && kept.from == new.from {
                    own = (own.0 + 1, own.1 + kept.bytes);
                }
            }
            all.0 <= MOST.0 && own.0 <= MOST.1 && all.1 <= MOST_BYTES.0 && own.1 <= MOST_BYTES.1
        };
        if !fits(&table) {
            table.retain(|_, kept| kept.until > now);
            if !fits(&table) {
                return false;
            }
        }
        table.insert(name, new);
        true
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<Tag, Kept>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, key: &DraftKey) -> Tag {
        let parts = [b"name".as_slice(), key.secret.as_bytes(), key.id.as_bytes()];
        self.keyring.tag(TagOf::Draft, &parts)
    }

    fn texts(&self, draft: &Draft) -> String {
        let texts = [
            "texts",
            draft.name.trim(),
            draft.city.trim(),
            &draft.document_type,
            draft.document_number.trim(),
            draft.email.trim(),
        ];
        let tag = self.keyring.tag(TagOf::Draft, &texts.map(str::as_bytes));
        hex::encode(tag.as_bytes())
    }
}

/// Associated data (AAD): a form that is moved to another name does not decrypt.
fn associated(name: &Tag) -> Vec<u8> {
    [b"draft".as_slice(), name.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn drafts() -> Drafts {
        let keyring = Arc::new(Keyring::generate());
        let photos = Photos::new(Arc::new(InMemory::new()), keyring.clone());
        Drafts::new(&photos, keyring)
    }

    fn kept(last: u8, bytes: u64, until: Timestamp) -> Kept {
        let from = Some(IpAddr::from([192, 0, 2, last]));
        Kept { from, bytes, until }
    }

    fn name(drafts: &Drafts, number: u128) -> Tag {
        let id = Uuid::from_u128(number);
        let secret = String::new();
        drafts.name(&DraftKey { secret, id })
    }

    #[test]
    fn one_address_has_a_quarter_of_the_room_and_what_expires_makes_room() {
        let drafts = drafts();
        let (start, end) = (now(), now() + LIFETIME);
        let half = MOST_BYTES.1 / 2;
        let reserve =
            |number, last, at| drafts.reserve(name(&drafts, number), kept(last, half, end), at);
        assert!(reserve(1, 1, start) && reserve(2, 1, start));
        assert!(!reserve(3, 1, start), "a third one of the same address");
        assert!(reserve(2, 1, start), "itself again");
        for number in 10..16 {
            let last = u8::try_from(number).unwrap() / 2;
            assert!(reserve(number, last, start), "{number}");
        }
        assert!(!reserve(20, 99, start), "the room is full");
        assert!(reserve(20, 99, end), "they have expired");
    }

    #[test]
    fn the_number_of_drafts_is_bounded_too() {
        let drafts = drafts();
        let (start, end) = (now(), now() + LIFETIME);
        for number in 0..MOST.1 as u128 {
            assert!(drafts.reserve(name(&drafts, number), kept(1, 0, end), start));
        }
        assert!(!drafts.reserve(name(&drafts, 5_000), kept(1, 0, end), start));
        assert!(drafts.reserve(name(&drafts, 5_000), kept(2, 0, end), start));
    }
}
