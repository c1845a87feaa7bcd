//! Authentication of staff: the admin token, sign-in codes and sessions.
//!
//! Called by the handlers of staff. Tokens are known by keyed hashes only, the admin token's compared in constant
//! time; sessions are records in the store, so that every replica knows them and a sign-out revokes them everywhere.

use std::sync::Arc;

use jiff::{Timestamp, ToSpan as _};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    foundation::{
        paste::plain,
        seal::{Keyring, Tag, TagOf, random},
        telemetry::AUDIT,
    },
    store::{Session, Sessions, StoreError},
};

/// Lifetime of a sign-in code, which the link of the first start holds.
const CODE_HOURS: i64 = 24;

/// Lifetime of a session.
const SESSION_HOURS: i64 = 12;

/// The actor who signs in with the link of the first start or with the admin token, as audit lines name it.
const ADMIN: &str = "admin";

/// What a token authorises; one kind is never taken for another (domain separation). The numbers are part of stored
/// hashes.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum TokenKind {
    /// Everything that staff may do, until it is changed.
    Admin = 0,
    /// Signing in once, with a sign-in code.
    Code = 1,
    /// A signed-in browser.
    Session = 2,
}

/// Authenticates staff.
pub struct Access {
    store: Arc<dyn Sessions>,
    keyring: Arc<Keyring>,
    admin: Tag,
}

impl Access {
    /// Lets in whoever has `admin_token`, or a session in `store`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Sessions>,
        keyring: Arc<Keyring>,
        admin_token: &SecretString,
    ) -> Self {
        let admin = tag_of(&keyring, TokenKind::Admin, admin_token.expose_secret());
        Self {
            store,
            keyring,
            admin,
        }
    }

    /// The actor who has the admin token, by its name in the audit log.
    #[must_use]
    pub fn by_token(&self, token: &str) -> Option<String> {
        let Ok(token) = plain(token) else { return None };
        let right = tag_of(&self.keyring, TokenKind::Admin, &token).matches(&self.admin);
        right.then(|| ADMIN.to_owned())
    }

    /// The actor who is signed in with the token of this session, unless it has expired.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn by_session(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let tag = tag_of(&self.keyring, TokenKind::Session, token);
        let session = self.store.session(&tag, now).await?;
        Ok(session.map(|session| session.actor))
    }

    /// Exchanges the admin token or an unused sign-in code for the token of a new session.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn sign_in(&self, typed: &str, now: Timestamp) -> Result<Option<String>, StoreError> {
        let typed = plain(typed).unwrap_or_default();
        let code = tag_of(&self.keyring, TokenKind::Code, &typed);
        if self.by_token(&typed).is_none() && self.store.end_session(&code, now).await?.is_none() {
            tracing::warn!(target: AUDIT, "sign-in refused");
            return Ok(None);
        }
        let session = self
            .add(TokenKind::Session, now + SESSION_HOURS.hours(), now)
            .await?;
        tracing::info!(target: AUDIT, actor = ADMIN, "signed in");
        Ok(Some(session))
    }

    /// Revokes the session of this token, on every replica.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn sign_out(&self, token: &str, now: Timestamp) -> Result<(), StoreError> {
        let tag = tag_of(&self.keyring, TokenKind::Session, token);
        if let Some(ended) = self.store.end_session(&tag, now).await? {
            tracing::info!(target: AUDIT, actor = ended.actor, "signed out");
        }
        Ok(())
    }

    /// Creates a single-use sign-in code that expires after a day.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn sign_in_code(&self, now: Timestamp) -> Result<String, StoreError> {
        self.add(TokenKind::Code, now + CODE_HOURS.hours(), now)
            .await
    }

    async fn add(
        &self,
        kind: TokenKind,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<String, StoreError> {
        let token = new_token();
        let session = Session {
            tag: tag_of(&self.keyring, kind, &token),
            actor: ADMIN.to_owned(),
            expires_at,
        };
        self.store.add_session(&session, now).await?;
        Ok(token)
    }
}

/// The keyed hash under which a token is known.
fn tag_of(keyring: &Keyring, kind: TokenKind, token: &str) -> Tag {
    keyring.tag(TagOf::Session, &[&[kind as u8], token.as_bytes()])
}

/// 256 random bits in hexadecimal.
#[must_use]
pub fn new_token() -> String {
    hex::encode(random::<32>())
}
