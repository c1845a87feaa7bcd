//! Opens the tiers of one register: records, photos, keys.
//!
//! Called by `serve` and by the commands that work without a server. The embedded tiers get what
//! they need on the first start: folders, database, key file. Tiers on servers may be unavailable at
//! startup and come later. Everything that is wrong with a setting is found here, before any request.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::{sync::Mutex, task::JoinHandle};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::config::{self, Config};
use crate::{
    app::{
        access::new_token,
        intake::Intake,
        markers::{Markers, MarkersError},
    },
    domain::city::Cities,
    foundation::chart,
    foundation::seal::{KeyFileError, Keyring, write_private},
    photos::{Photos, PhotosError, PhotosUrl},
    store::{self, Admission, Expected, Guard, Recall, Register, Store, StoreError, StoreUrl},
};

/// Startup timeout for a server to say whose keys encrypted what it holds; it may become available later.
const ADMISSION: Duration = Duration::from_secs(1);

/// Timeout of a photo store that is asked again which register was here.
const RECALL: Duration = Duration::from_secs(30);

/// The tiers of one register.
pub struct Tiers {
    /// The catalogue.
    pub cities: Arc<Cities>,
    /// The records.
    pub store: Arc<dyn Store>,
    /// The photos.
    pub photos: Photos,
    /// Encryption keys and keyed hashes.
    pub keyring: Arc<Keyring>,
    /// High-water marks, by which lost records are noticed.
    pub markers: Markers,
    /// Which register it is; `None` while the record store is unavailable.
    pub register: Option<Register>,
}

fn catalogue(config: &Config) -> anyhow::Result<Cities> {
    match &config.cities {
        Some(path) => {
            let cities = Cities::read(path).map_err(anyhow::Error::new);
            let cities = cities.and_then(drawable);
            cities.with_context(|| format!("PADRON_CITIES: {}", path.display()))
        }
        None => Cities::embedded().context("the built-in catalogue"),
    }
}

/// What is here beside the records.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// A marker of this register.
    Register(Uuid),
    /// No marker, and yet photos.
    Photos,
    /// Neither.
    Nothing,
    /// No marker beside the keys, and a photo store that does not answer.
    Unknown,
}

impl Known {
    /// Which register the records must be of.
    fn expected(self) -> Expected {
        match self {
            Self::Register(register) => Expected::This(register),
            // Their marker was removed, and with it what tells whose they are.
            Self::Photos => Expected::Existing,
            Self::Nothing => Expected::Any,
            Self::Unknown => Expected::Unknown,
        }
    }
}

/// Asks the markers, and waits for a photo store on a server up to `limit`; the sweep asks it again before it removes
/// anything.
async fn known_register(
    markers: &Markers,
    photos: &Photos,
    limit: Duration,
) -> anyhow::Result<Known> {
    if let Some(marker) = markers.read_file()? {
        // Only whether the two are of one register.
        let both = tokio::time::timeout(limit, markers.read()).await;
        if let Ok(Err(
            error @ (MarkersError::Differ | MarkersError::Photos(PhotosError::Foreign)),
        )) = both
        {
            return Err(error).context("PADRON_PHOTOS");
        }
        return Ok(Known::Register(marker.register));
    }
    let ask = async {
        if let Some(marker) = photos.marker().await? {
            return Ok(Known::Register(marker.register));
        }
        let first = photos.put_before(Timestamp::MAX).next().await;
        Ok(first.transpose()?.map_or(Known::Nothing, |_| Known::Photos))
    };
    match tokio::time::timeout(limit, ask).await {
        Ok(Err(PhotosError::Foreign)) => Err(PhotosError::Foreign).context("PADRON_PHOTOS"),
        Ok(Ok(known)) => Ok(known),
        Ok(Err(_)) | Err(_) => Ok(Known::Unknown),
    }
}

/// Asks them again for a store without a register, until the photo store has answered. Each time in a task, which
/// outlives a caller that waits for less long than a slow photo store takes.
fn recall(markers: &Markers, photos: &Photos) -> Recall {
    let (markers, photos) = (markers.clone(), photos.clone());
    let asking: Arc<Mutex<Option<JoinHandle<anyhow::Result<Known>>>>> = Arc::default();
    Box::new(move || {
        let (markers, photos, asking) = (markers.clone(), photos.clone(), asking.clone());
        Box::pin(async move {
            let mut asking = asking.lock().await;
            let ask = || async move { known_register(&markers, &photos, RECALL).await };
            let known = asking.get_or_insert_with(|| tokio::spawn(ask())).await;
            *asking = None;
            let known = known.map_err(|stopped| StoreError::Unavailable(stopped.into()))?;
            let known = known.map_err(|error| StoreError::Unusable(format!("{error:#}").into()))?;
            Ok(known.expected())
        })
    })
}

/// Fails when the marker has seen registrations and the store has none: an empty database in the place of a lost one.
async fn is_not_lost(
    store: &dyn Store,
    markers: &Markers,
    register: &Register,
) -> anyhow::Result<()> {
    let Some(known) = markers.read_file()? else {
        return Ok(());
    };
    let there: u64 = store.totals().await?.counts.values().sum();
    let missing = known.registered.saturating_sub(there + register.erased);
    if missing > 0 && there == 0 {
        bail!(
            "PADRON_STORE: it is empty, but {missing} registrations were here; restore them from their backup"
        );
    }
    Ok(())
}

impl Tiers {
    /// Opens the tiers that `config` names.
    ///
    /// # Errors
    /// One sentence that names the setting or file, and what to do.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        Self::open_as(config, None).await
    }

    /// Opens them to copy `register` there, so that its records may not be there yet.
    ///
    /// # Errors
    /// As [`Tiers::open`], or when another register is there.
    pub async fn open_to_copy(config: &Config, register: Uuid) -> anyhow::Result<Self> {
        Self::open_as(config, Some(register)).await
    }

    async fn open_as(config: &Config, copy_of: Option<Uuid>) -> anyhow::Result<Self> {
        let cities = catalogue(config)?;
        if config.s3.access_key.is_some() != config.s3.secret_key.is_some() {
            bail!(
                "PADRON_S3_ACCESS_KEY, PADRON_S3_SECRET_KEY: one is missing; set both or neither"
            );
        }
        make_folders(config)?;
        let (keyring, to_make) = read_keyring(config)?;
        let photos = Photos::connect(&config.photos, &config.s3, keyring.clone())
            .context("PADRON_PHOTOS: the photo store cannot be opened")?;
        let file = is_embedded(config).then(|| marker_path(config));
        let markers = Markers::new(file, photos.clone(), keyring.clone());
        let known = known_register(&markers, &photos, ADMISSION).await;
        // Before the database is opened, which would create it.
        if let StoreUrl::Sqlite(database) = &config.store
            && copy_of.is_none()
            && !database.exists()
            && !matches!(known, Ok(Known::Nothing | Known::Unknown))
        {
            bail!(
                "PADRON_STORE: {} is missing, but keys or photos of a register are here; restore it from its backup, or move the photos and {} away to begin a new register",
                database.display(),
                marker_path(config).display()
            );
        }
        let store = store::connect(&config.store).await.map_err(|error| {
            anyhow::anyhow!("PADRON_STORE: {error}; name another store or mend this one")
        })?;
        if is_embedded(config) {
            let register = store.register().await.context("PADRON_STORE")?;
            if to_make
                && (register.is_some() || !matches!(known, Ok(Known::Nothing | Known::Unknown)))
            {
                return Err(missing_keys(config));
            }
            // Before the markers, which would only say that they are not of these keys.
            if register.is_some_and(|register| !register.keyring.matches(&keyring.fingerprint())) {
                return Err(foreign_keys(config));
            }
        }
        let known = known?;
        if to_make {
            let path = &config.keys_file;
            keyring
                .create(path)
                .with_context(|| format!("PADRON_KEYS_FILE: {} cannot be made", path.display()))?;
        }
        let expected = match (copy_of, known) {
            (Some(register), Known::Register(known)) if register != known => {
                bail!("keys or photos here are another register's than the one to copy")
            }
            (Some(register), _) => Expected::CopyOf(register),
            (None, known) => known.expected(),
        };
        let guard = Guard::new(
            store.clone(),
            Admission {
                keyring: keyring.fingerprint(),
                keys: keyring.keys().to_vec(),
                register: expected,
            },
        )
        .recalling(recall(&markers, &photos));
        let admitted = if is_embedded(config) && expected != Expected::Unknown {
            guard.admit().await.map(Some)
        } else {
            // Unavailable at startup is no failure: the guard retries, and lets nothing through before.
            match tokio::time::timeout(ADMISSION, guard.admit()).await {
                Ok(Err(StoreError::Unavailable(_) | StoreError::Uncertain(_))) | Err(_) => Ok(None),
                Ok(answer) => answer.map(Some),
            }
        };
        let register = match admitted {
            Ok(register) => register,
            Err(StoreError::ForeignKeys) => return Err(foreign_keys(config)),
            Err(error) => return Err(error).context("PADRON_STORE"),
        };
        if let Some(register) = &register
            && copy_of.is_none()
            && is_embedded(config)
        {
            is_not_lost(&guard, &markers, register).await?;
        }
        Ok(Self {
            cities: Arc::new(cities),
            store: Arc::new(guard),
            photos,
            keyring,
            markers,
            register,
        })
    }

    /// The intake; `tracker` follows the registrations in flight, so that the graceful shutdown waits for them.
    #[must_use]
    pub fn intake(&self, tracker: &TaskTracker) -> Intake {
        Intake::new(
            self.store.clone(),
            self.photos.clone(),
            self.keyring.clone(),
            tracker.clone(),
        )
    }
}

/// Whether the records are in an embedded database: key file and admin token are generated for such a register only.
#[must_use]
pub fn is_embedded(config: &Config) -> bool {
    matches!(config.store, StoreUrl::Sqlite(_))
}

/// Where the first start keeps the admin token that it makes.
#[must_use]
pub fn admin_token_path(config: &Config) -> PathBuf {
    config.keys_file.with_file_name("admin-token")
}

/// The admin token of the settings, or the one that the first start made.
///
/// # Errors
/// One sentence, when there is none and none can be made.
pub(super) fn admin_token(config: &Config) -> anyhow::Result<SecretString> {
    if let Some(token) = &config.admin_token {
        return Ok(token.clone());
    }
    if !is_embedded(config) {
        bail!(
            "PADRON_ADMIN_TOKEN: is missing; make one with `openssl rand -hex 32` and give every replica the same"
        );
    }
    let path = admin_token_path(config);
    let shown = path.display();
    match fs::read_to_string(&path) {
        Ok(token) => config::admin_token(&token)
            .map_err(|fault| anyhow::anyhow!("{shown}: the admin token {fault}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let token = new_token();
            write_private(&path, format!("{token}\n").as_bytes()).with_context(|| {
                format!(
                    "{shown} cannot be made; set PADRON_ADMIN_TOKEN or mend the folder's rights"
                )
            })?;
            Ok(token.into())
        }
        Err(error) => {
            bail!("{shown} cannot be read ({error}); set PADRON_ADMIN_TOKEN or mend its rights")
        }
    }
}

/// A catalogue of which the chart can draw every name.
fn drawable(cities: Cities) -> anyhow::Result<Cities> {
    for city in cities.iter() {
        let name = city.full_name();
        if let Some(letter) = chart::undrawable(&name) {
            let name = name.replace(char::is_control, " ");
            bail!(
                "city {} ({name}): the chart has no letter U+{:04X}; write the name in Latin, Greek or Cyrillic letters",
                city.code,
                u32::from(letter)
            );
        }
    }
    Ok(cities)
}

fn make_folders(config: &Config) -> anyhow::Result<()> {
    let database = match &config.store {
        StoreUrl::Sqlite(database) => database.parent(),
        StoreUrl::Mongo(_) => None,
    };
    let photos = match &config.photos {
        PhotosUrl::File(folder) => Some(folder.as_path()),
        PhotosUrl::S3 { .. } => None,
    };
    // A key file that is there may lie where nothing can be written, such as a mounted secret.
    let made = config.keys_file.exists()
        && (config.admin_token.is_some() || admin_token_path(config).exists());
    let to_make = config
        .keys_file
        .parent()
        .filter(|_| is_embedded(config) && !made);
    for (variable, folder) in [
        ("PADRON_STORE", database),
        ("PADRON_PHOTOS", photos),
        ("PADRON_KEYS_FILE", to_make),
    ] {
        let Some(folder) = folder else { continue };
        let folder = if folder == Path::new("") {
            Path::new(".")
        } else {
            folder
        };
        make_private_folder(folder)
            .and_then(|()| tempfile_in(folder))
            .map_err(|error| {
                anyhow::anyhow!(
                    "{variable}: folder {} cannot be written ({error}); choose another or mend its rights",
                    folder.display()
                )
            })?;
    }
    Ok(())
}

/// Creates a folder for its owner only, and missing parents; their directory entries are durable (fsync) on return.
fn make_private_folder(folder: &Path) -> io::Result<()> {
    let absent = folder.ancestors().take_while(|folder| !folder.exists());
    let made: Vec<_> = absent.filter_map(Path::parent).collect();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    for parent in made {
        let parent = if parent == Path::new("") {
            Path::new(".")
        } else {
            parent
        };
        fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Probes whether files can be created in `folder`.
fn tempfile_in(folder: &Path) -> io::Result<()> {
    let probe = folder.join(format!(".padron-{}", std::process::id()));
    fs::write(&probe, [])?;
    fs::remove_file(probe)
}

/// Where embedded tiers keep the marker of their register.
#[must_use]
pub fn marker_path(config: &Config) -> PathBuf {
    config.keys_file.with_file_name("register")
}

/// The keys of the key file; or new ones, and `true` because their file is still to be written.
fn read_keyring(config: &Config) -> anyhow::Result<(Arc<Keyring>, bool)> {
    let path = &config.keys_file;
    let shown = path.display();
    match Keyring::read(path) {
        Ok(keyring) => Ok((Arc::new(keyring), false)),
        Err(KeyFileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            if !is_embedded(config) {
                bail!(
                    "PADRON_KEYS_FILE: {shown} is missing; make it once with `padron keys create` and give every replica the same"
                );
            }
            if marker_path(config).exists() {
                return Err(missing_keys(config));
            }
            Ok((Arc::new(Keyring::generate()), true))
        }
        Err(error) => bail!("PADRON_KEYS_FILE: {shown}: {error}"),
    }
}

fn missing_keys(config: &Config) -> anyhow::Error {
    anyhow::anyhow!(
        "PADRON_KEYS_FILE: {} is missing, and the record store was sealed with it; restore it from its backup",
        config.keys_file.display()
    )
}

fn foreign_keys(config: &Config) -> anyhow::Error {
    anyhow::anyhow!(
        "PADRON_KEYS_FILE: {} is not the key file that the record store was sealed with; name the right one",
        config.keys_file.display()
    )
}
