//! Opens the tiers of one register: records, photos, keys.
//!
//! Called by `serve` and by the commands that work without a server. The embedded tiers get what
//! they need on the first start: folders, database, key file. Tiers on servers may be away and come
//! later. Everything that is wrong with a setting is found here, before any request.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use secrecy::SecretString;
use tokio_util::task::TaskTracker;

use super::config::{self, Config};
use crate::{
    app::{access::new_token, intake::Intake},
    domain::city::Cities,
    foundation::chart,
    foundation::seal::{KeyFileError, Keyring, write_private},
    photos::{Photos, PhotosUrl},
    store::{self, Guard, Store, StoreError, StoreUrl},
};

/// How long a record store on a server may take to say whose keys it was sealed with; it may come later.
const ADMISSION: Duration = Duration::from_secs(1);

/// The tiers of one register.
pub struct Tiers {
    /// The catalogue.
    pub cities: Arc<Cities>,
    /// The records.
    pub store: Arc<dyn Store>,
    /// The photos.
    pub photos: Photos,
    /// Keys and tags.
    pub keyring: Arc<Keyring>,
}

impl Tiers {
    /// Opens the tiers that `config` names.
    ///
    /// # Errors
    /// One sentence that names the setting or file, and what to do.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let cities = match &config.cities {
            Some(path) => {
                let cities = Cities::read(path).map_err(anyhow::Error::new);
                let cities = cities.and_then(drawable);
                cities.with_context(|| format!("PADRON_CITIES: {}", path.display()))?
            }
            None => Cities::embedded().context("the built-in catalogue")?,
        };
        if config.s3.access_key.is_some() != config.s3.secret_key.is_some() {
            bail!(
                "PADRON_S3_ACCESS_KEY, PADRON_S3_SECRET_KEY: one is missing; set both or neither"
            );
        }
        make_folders(config)?;
        let store = store::connect(&config.store).await.map_err(|error| {
            anyhow::anyhow!("PADRON_STORE: {error}; name another store or mend this one")
        })?;
        let (keyring, made) = open_keyring(config)?;
        let guard = Guard::new(store, keyring.fingerprint());
        let admitted = if is_embedded(config) {
            guard.admit().await
        } else {
            // It may come later: the guard asks again, and lets nothing through before.
            match tokio::time::timeout(ADMISSION, guard.admit()).await {
                Ok(Err(StoreError::Unavailable(_) | StoreError::Uncertain(_))) | Err(_) => Ok(()),
                Ok(answer) => answer,
            }
        };
        match admitted {
            Ok(()) => {}
            Err(StoreError::ForeignKeys) => return Err(foreign_keys(config, made)),
            Err(error) => return Err(error).context("PADRON_STORE"),
        }
        let (store, keyring) = (Arc::new(guard), Arc::new(keyring));
        let photos = Photos::connect(&config.photos, &config.s3, keyring.clone())
            .context("PADRON_PHOTOS: the photo store cannot be opened")?;
        Ok(Self {
            cities: Arc::new(cities),
            store,
            photos,
            keyring,
        })
    }

    /// The way in; `tracker` is told of registrations under way.
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

/// Records in a file of this machine's: what padron makes for itself, it makes for these only.
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

/// The key file, and whether it was made just now.
fn open_keyring(config: &Config) -> anyhow::Result<(Keyring, bool)> {
    let path = &config.keys_file;
    let shown = path.display();
    match Keyring::read(path) {
        Ok(keyring) => Ok((keyring, false)),
        Err(KeyFileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            if !is_embedded(config) {
                bail!(
                    "PADRON_KEYS_FILE: {shown} is missing; make it once with `padron keys create` and give every replica the same"
                );
            }
            let keyring = Keyring::generate();
            keyring
                .create(path)
                .with_context(|| format!("PADRON_KEYS_FILE: {shown} cannot be made"))?;
            Ok((keyring, true))
        }
        Err(error) => bail!("PADRON_KEYS_FILE: {shown}: {error}"),
    }
}

fn foreign_keys(config: &Config, made: bool) -> anyhow::Error {
    let path = &config.keys_file;
    let shown = path.display();
    if !made {
        return anyhow::anyhow!(
            "PADRON_KEYS_FILE: {shown} is not the key file that the record store was sealed with; name the right one"
        );
    }
    let missing = anyhow::anyhow!(
        "PADRON_KEYS_FILE: {shown} is missing, and the record store was sealed with it; restore it from its backup"
    );
    match fs::remove_file(path) {
        Ok(()) => missing,
        Err(error) => missing.context(format!("{shown} was made and cannot be removed: {error}")),
    }
}
