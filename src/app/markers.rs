//! The markers of a register, beside its keys and in its photo store: high-water marks of how many people it has had,
//! by which a loss of records is noticed.
//!
//! Asked at the start, by the sweep, `padron check` and `padron copy`; a server raises them as people register. They
//! never fall by themselves.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{
    domain::marker::{Marker, NotOurs},
    foundation::seal::{Keyring, replace_private},
    photos::{Photos, PhotosError},
    store::{Register, Store, StoreError},
};

/// Polling intervals of the count: for a file of this machine, where a count costs nothing, and for a server, which
/// must scan all.
const EMBEDDED: Duration = Duration::from_secs(5);
const SERVER: Duration = Duration::from_mins(30);

/// Attempts to put a marker that another replica lowers.
const MOST_PUTS: usize = 5;

/// Most counts of a census amid erasures.
const COUNTS: usize = 10;

/// Why the markers do not help.
#[derive(Debug, thiserror::Error)]
pub enum MarkersError {
    /// The file beside the keys cannot be read or written.
    #[error("{path}: {cause}", path = .0.display(), cause = .1)]
    File(PathBuf, #[source] io::Error),
    /// The file beside the keys is not this register's.
    #[error("{}: {NotOurs}", .0.display())]
    NotOurs(PathBuf),
    /// The photo store failed, or is another register's.
    #[error(transparent)]
    Photos(#[from] PhotosError),
    /// The record store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The photo store had a marker and has none any more.
    #[error(
        "the photo store lost the marker of its register, and perhaps the photos; name the right one, or restore it"
    )]
    PhotosLost,
    /// The two, or one of them and the record store, are of different registers.
    #[error("records, keys and photos are not of one register")]
    Differ,
}

/// How many people a record store says that it has had.
#[derive(Clone, Copy, Debug)]
pub struct Census {
    /// As a marker says it.
    pub marker: Marker,
    /// How many there are.
    pub there: u64,
    /// How many were erased.
    erased: u64,
}

impl Census {
    /// Counts; `None` for a store that holds no register yet.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn of(store: &dyn Store) -> Result<Option<Self>, StoreError> {
        let mut counted = None;
        for _ in 0..COUNTS {
            let Some(Register { id, erased, .. }) = store.register().await? else {
                return Ok(None);
            };
            if let Some(census) = counted.filter(|census: &Self| census.erased == erased) {
                return Ok(Some(census));
            }
            // Whoever is erased meanwhile is in neither number: one more look tells whether somebody was.
            let there = store.totals().await?.counts.values().sum();
            counted = Some(Self {
                marker: Marker {
                    register: id,
                    registered: there + erased,
                },
                there,
                erased,
            });
        }
        Err(StoreError::Unavailable(
            "registrations are erased faster than they are counted".into(),
        ))
    }

    /// How many are missing of those that `known` has seen.
    #[must_use]
    pub fn missing(&self, known: Option<Marker>) -> u64 {
        let known = known.map_or(0, |known| known.registered);
        known.saturating_sub(self.marker.registered)
    }
}

/// Both markers of a register.
#[derive(Clone)]
pub struct Markers {
    /// Beside the keys of embedded tiers; a key file that servers share lies where nothing is written.
    file: Option<PathBuf>,
    photos: Photos,
    keyring: Arc<Keyring>,
    /// Whether this process has seen one in the photo store.
    is_in_photos: Arc<AtomicBool>,
}

impl Markers {
    /// The markers in `file` and in the photo store.
    #[must_use]
    pub fn new(file: Option<PathBuf>, photos: Photos, keyring: Arc<Keyring>) -> Self {
        Self {
            file,
            photos,
            keyring,
            is_in_photos: Arc::default(),
        }
    }

    /// Where the one beside the keys is.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The one beside the keys.
    ///
    /// # Errors
    /// When it cannot be read, or is not this register's.
    pub fn read_file(&self) -> Result<Option<Marker>, MarkersError> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        match fs::read(file) {
            Ok(text) => Marker::parse(&text, &self.keyring)
                .map(Some)
                .map_err(|NotOurs| MarkersError::NotOurs(file.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(MarkersError::File(file.clone(), error)),
        }
    }

    /// What both have seen.
    ///
    /// # Errors
    /// When one cannot be read, or they are not of one register.
    pub async fn read(&self) -> Result<Option<Marker>, MarkersError> {
        Self::joined(self.read_file()?, self.photos.marker().await?)
    }

    fn joined(one: Option<Marker>, other: Option<Marker>) -> Result<Option<Marker>, MarkersError> {
        match (one, other) {
            (Some(one), Some(other)) if one.register != other.register => Err(MarkersError::Differ),
            (Some(one), Some(other)) => Ok(Some(Marker {
                registered: one.registered.max(other.registered),
                ..one
            })),
            (one, other) => Ok(one.or(other)),
        }
    }

    /// Counts, raises both markers where the count is higher, and returns how many are missing.
    ///
    /// # Errors
    /// When a tier does not answer, or they are not of one register; nothing is raised then.
    pub async fn raise(&self, store: &dyn Store) -> Result<u64, MarkersError> {
        let Some(census) = Census::of(store).await? else {
            return Ok(0);
        };
        let (file, photos) = (self.read_file()?, self.photos.marker().await?);
        let known = Self::joined(file, photos)?;
        let now = census.marker;
        if known.is_some_and(|known| known.register != now.register) {
            return Err(MarkersError::Differ);
        }
        let is_lower =
            |known: Option<Marker>| known.is_none_or(|known| known.registered < now.registered);
        // The file may lie where nothing can be written: then the photo store's has to do.
        let written = if is_lower(file) {
            self.write_file(&now)
        } else {
            Ok(())
        };
        match photos {
            Some(_) => self.is_in_photos.store(true, Ordering::Relaxed),
            None if self.is_in_photos.load(Ordering::Relaxed) => {
                return Err(MarkersError::PhotosLost);
            }
            None => {}
        }
        if is_lower(photos) {
            self.put_marker(&now).await?;
        }
        written?;
        Ok(census.missing(known))
    }

    /// Puts the photo store's, until it is as high: another replica may have put a lower one over it.
    async fn put_marker(&self, now: &Marker) -> Result<(), MarkersError> {
        for _ in 0..MOST_PUTS {
            self.photos.put_marker(now).await?;
            self.is_in_photos.store(true, Ordering::Relaxed);
            let found = self.photos.marker().await?;
            if found.is_some_and(|found| found.registered >= now.registered) {
                break;
            }
        }
        Ok(())
    }

    /// Sets both to what `store` has, even below what they have seen: it is a whole copy.
    ///
    /// # Errors
    /// When a tier does not answer.
    pub async fn set(&self, store: &dyn Store) -> Result<(), MarkersError> {
        if let Some(census) = Census::of(store).await? {
            self.write_file(&census.marker)?;
            self.photos.put_marker(&census.marker).await?;
        }
        Ok(())
    }

    fn write_file(&self, marker: &Marker) -> Result<(), MarkersError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let text = marker.to_text(&self.keyring);
        replace_private(file, text.as_bytes())
            .map_err(|error| MarkersError::File(file.clone(), error))
    }

    /// Raises them periodically until `stop`, and logs once what is missing.
    pub async fn follow(&self, store: &dyn Store, stop: CancellationToken) {
        let pause = if self.file.is_some() {
            EMBEDDED
        } else {
            SERVER
        };
        let mut told = String::new();
        loop {
            let found = match self.raise(store).await {
                Ok(0) => String::new(),
                Ok(missing) => format!(
                    "{missing} registrations are missing of those that were here; restore the newest backup"
                ),
                Err(error) => error.to_string(),
            };
            if !found.is_empty() && found != told {
                tracing::error!(
                    found,
                    "the markers of the register cannot be kept, or tell of more people than there are"
                );
            }
            told = found;
            let pause = tokio::time::sleep(pause);
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }
}
