//! What handlers and commands share, built once from the configuration.
//!
//! Opening it makes, on the first start of the embedded tiers, what they need: folders, database, key
//! file, admin token. Everything that is wrong with a setting is found here, before any request.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use moka::future::Cache;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::{
    board::Board,
    city::Cities,
    config::Config,
    intake::Intake,
    photos::{Photos, PhotosUrl},
    seal::{KeyFileError, Keyring, Tag, TagOf, random, write_private},
    shutdown::Shutdown,
    store::{self, Session, Store, StoreError, StoreUrl},
};

/// Reports that may stream at once; each holds a snapshot of the store and a few MiB.
const REPORTS: usize = 4;

/// How long an answer to "are the tiers there" is good.
const READINESS: Duration = Duration::from_secs(2);

/// How long the sign-in link of the first start is good.
const SIGN_IN_CODE_HOURS: i64 = 24;

/// Who signs in with the link of the first start or with the admin token.
pub const ADMIN: &str = "admin";

/// The tiers of one register, and the way in: what commands work with.
pub struct Tiers {
    /// The catalogue.
    pub cities: Arc<Cities>,
    /// The records.
    pub store: Arc<dyn Store>,
    /// The photos.
    pub photos: Photos,
    /// The way in.
    pub intake: Intake,
    /// Keys and tags.
    pub keyring: Arc<Keyring>,
}

impl Tiers {
    /// Opens the tiers that `config` names; `tracker` is told of registrations under way.
    ///
    /// # Errors
    /// One sentence that names the setting or file, and what to do.
    pub async fn open(config: &Config, tracker: &TaskTracker) -> anyhow::Result<Self> {
        let cities = match &config.cities {
            Some(path) => {
                Cities::read(path).with_context(|| format!("PADRON_CITIES: {}", path.display()))?
            }
            None => Cities::embedded().context("the built-in catalogue")?,
        };
        make_folders(config)?;
        let store = store::connect(&config.store).await.map_err(|error| {
            let (StoreError::Unavailable(cause)
            | StoreError::Uncertain(cause)
            | StoreError::Corrupt(cause)) = error;
            anyhow::anyhow!("PADRON_STORE: the record store cannot be opened: {cause}; name another file or mend this one")
        })?;
        let keyring = Arc::new(open_keyring(config, &*store).await?);
        let photos = Photos::connect(&config.photos, keyring.clone())
            .context("PADRON_PHOTOS: the photo store cannot be opened")?;
        Ok(Self {
            cities: Arc::new(cities),
            intake: Intake::new(
                store.clone(),
                photos.clone(),
                keyring.clone(),
                tracker.clone(),
            ),
            store,
            photos,
            keyring,
        })
    }
}

/// The shared parts of one server.
pub struct App {
    /// The catalogue.
    pub cities: Arc<Cities>,
    /// The records.
    pub store: Arc<dyn Store>,
    /// The photos.
    pub photos: Photos,
    /// Totals and charts.
    pub board: Arc<Board>,
    /// The way in.
    pub intake: Intake,
    /// Keys and tags.
    pub keyring: Arc<Keyring>,
    /// Fingerprint of the admin token.
    pub admin: Tag,
    /// Name of this replica.
    pub instance: Arc<str>,
    /// What people type to reach the form, without a slash at its end.
    pub public_url: Arc<str>,
    /// Zone of the times in reports and charts.
    pub time_zone: TimeZone,
    /// Bytes that uploads under way may still take.
    pub upload_budget: Arc<Semaphore>,
    /// Reports that may still begin.
    pub reports: Arc<Semaphore>,
    /// Whether both tiers answered, so that probes do not become load.
    pub readiness: Cache<(), bool>,
    /// The end of the process.
    pub shutdown: Shutdown,
}

impl App {
    /// Opens the tiers that `config` names, and what a server needs besides.
    ///
    /// # Errors
    /// One sentence that names the setting or file, and what to do.
    pub async fn open(config: &Config, shutdown: &Shutdown) -> anyhow::Result<Arc<Self>> {
        let tiers = Tiers::open(config, &shutdown.tracker).await?;
        Self::new(config, tiers, shutdown)
    }

    /// A server over these tiers; tests put faulty ones here.
    ///
    /// # Errors
    /// When there is no admin token and none can be made.
    pub fn new(config: &Config, tiers: Tiers, shutdown: &Shutdown) -> anyhow::Result<Arc<Self>> {
        let Tiers {
            cities,
            store,
            photos,
            intake,
            keyring,
        } = tiers;
        let admin = admin_token(config)?;
        let admin = tag_of_token(&keyring, TokenKind::Admin, admin.expose_secret());
        let upload_budget = usize::try_from(config.upload_memory)? * 1024 * 1024;
        Ok(Arc::new(Self {
            board: Board::new(store.clone(), cities.clone(), config.time_zone.clone()),
            intake,
            cities,
            store,
            photos,
            keyring,
            admin,
            instance: config.instance.clone().unwrap_or_else(host_name).into(),
            public_url: config.public_url().into(),
            time_zone: config.time_zone.clone(),
            upload_budget: Arc::new(Semaphore::new(upload_budget)),
            reports: Arc::new(Semaphore::new(REPORTS)),
            readiness: Cache::builder().time_to_live(READINESS).build(),
            shutdown: shutdown.clone(),
        }))
    }

    /// Makes a sign-in code that is good once, for a day.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn sign_in_code(&self, now: Timestamp) -> Result<String, StoreError> {
        let expires_at = now + SIGN_IN_CODE_HOURS.hours();
        self.new_token(TokenKind::Code, expires_at, now).await
    }

    /// Makes a token of `kind` for the admin and adds it to the sessions.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn new_token(
        &self,
        kind: TokenKind,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<String, StoreError> {
        let token = new_token();
        let session = Session {
            tag: tag_of_token(&self.keyring, kind, &token),
            actor: ADMIN.to_owned(),
            expires_at,
        };
        self.store.add_session(&session, now).await?;
        Ok(token)
    }
}

/// What a token is good for; one kind is never taken for another.
#[derive(Clone, Copy, Debug)]
pub enum TokenKind {
    /// Everything that staff may do, until it is changed.
    Admin,
    /// Signing in once.
    Code,
    /// A signed-in browser.
    Session,
}

/// The fingerprint under which a token is known.
#[must_use]
pub fn tag_of_token(keyring: &Keyring, kind: TokenKind, token: &str) -> Tag {
    keyring.tag(TagOf::Session, &[&[kind as u8], token.as_bytes()])
}

/// 256 random bits in hexadecimal.
fn new_token() -> String {
    hex::encode(random::<32>())
}

/// The folder of the embedded tiers' own files.
#[must_use]
pub fn admin_token_path(config: &Config) -> PathBuf {
    config.keys_file.with_file_name("admin-token")
}

fn make_folders(config: &Config) -> anyhow::Result<()> {
    let StoreUrl::Sqlite(database) = &config.store;
    let PhotosUrl::File(photos) = &config.photos;
    // A key file that is there may lie where nothing can be written, such as a mounted secret.
    let made = config.keys_file.exists()
        && (config.admin_token.is_some() || admin_token_path(config).exists());
    let to_make = config.keys_file.parent().filter(|_| !made);
    for (variable, folder) in [
        ("PADRON_STORE", database.parent()),
        ("PADRON_PHOTOS", Some(photos.as_path())),
        ("PADRON_KEYS_FILE", to_make),
    ] {
        let Some(folder) = folder else { continue };
        let folder = if folder == Path::new("") {
            Path::new(".")
        } else {
            folder
        };
        fs::create_dir_all(folder)
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

/// Finds out whether files can be made in `folder`.
fn tempfile_in(folder: &Path) -> io::Result<()> {
    let probe = folder.join(format!(".padron-{}", std::process::id()));
    fs::write(&probe, [])?;
    fs::remove_file(probe)
}

/// The key file, made for a store that has none; refused when the store was sealed with another.
async fn open_keyring(config: &Config, store: &dyn Store) -> anyhow::Result<Keyring> {
    let path = &config.keys_file;
    let shown = path.display();
    let (keyring, made) = match Keyring::read(path) {
        Ok(keyring) => (keyring, false),
        Err(KeyFileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            let keyring = Keyring::generate();
            keyring
                .create(path)
                .with_context(|| format!("PADRON_KEYS_FILE: {shown} cannot be made"))?;
            (keyring, true)
        }
        Err(error) => bail!("PADRON_KEYS_FILE: {shown}: {error}"),
    };
    let fingerprint = keyring.fingerprint();
    if store.claim(&fingerprint).await?.matches(&fingerprint) {
        return Ok(keyring);
    }
    if made {
        fs::remove_file(path)?;
        bail!(
            "PADRON_KEYS_FILE: {shown} is missing, and the record store was sealed with it; restore it from its backup"
        );
    }
    bail!(
        "PADRON_KEYS_FILE: {shown} is not the key file that the record store was sealed with; name the right one"
    );
}

fn admin_token(config: &Config) -> anyhow::Result<SecretString> {
    if let Some(token) = &config.admin_token {
        return Ok(token.clone());
    }
    let path = admin_token_path(config);
    let shown = path.display();
    match fs::read_to_string(&path) {
        Ok(token) => crate::config::admin_token(&token)
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

fn host_name() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}
