//! What handlers share, built once from the configuration.

use std::{fs, io, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use moka::future::Cache;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use crate::{
    app::board::Board,
    domain::city::Cities,
    server::config::Config,
    app::intake::Intake,
    photos::Photos,
    foundation::seal::{Keyring, Tag, TagOf, random, write_private},
    server::shutdown::Shutdown,
    store::{Session, Store, StoreError},
    server::tiers::{Tiers, admin_token_path, is_embedded},
};

/// Reports that may stream at once; each holds a snapshot of the store and a few MiB.
const REPORTS: usize = 4;

/// How long an answer to "are the tiers there" is good.
const READINESS: Duration = Duration::from_secs(2);

/// How long the sign-in link of the first start is good.
const SIGN_IN_CODE_HOURS: i64 = 24;

/// Who signs in with the link of the first start or with the admin token.
pub const ADMIN: &str = "admin";

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
    /// Bytes that uploads may take at once.
    pub upload_memory: usize,
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
        let upload_memory = usize::try_from(config.upload_memory)? * 1024 * 1024;
        Ok(Arc::new(Self {
            board: Board::new(store.clone(), cities.clone(), config.time_zone.clone()),
            intake,
            cities,
            store,
            photos,
            keyring,
            admin,
            instance: config.instance().into(),
            public_url: config.public_url().into(),
            time_zone: config.time_zone.clone(),
            upload_budget: Arc::new(Semaphore::new(upload_memory)),
            upload_memory,
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

fn admin_token(config: &Config) -> anyhow::Result<SecretString> {
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
        Ok(token) => crate::server::config::admin_token(&token)
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
