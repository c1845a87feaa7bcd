//! `padron keys`: creating the key file and rotating the encryption keys, without a server.

use anyhow::Context as _;
use clap::Subcommand;

use super::ACTOR;
use crate::{
    foundation::{seal::Keyring, telemetry::AUDIT},
    server::config::Config,
};

#[derive(Subcommand)]
pub(super) enum Keys {
    /// Make the key file, for a register on MongoDB; every replica gets the same
    Create,
    /// Add a key that seals from now on; older ones still open. Restart every replica afterwards
    Rotate,
}

impl Keys {
    pub(super) fn run(&self, config: &Config) -> anyhow::Result<()> {
        let path = &config.keys_file;
        let name = || format!("PADRON_KEYS_FILE: {}", path.display());
        match self {
            Self::Create => {
                Keyring::generate().create(path).with_context(name)?;
                tracing::info!(target: AUDIT, actor = ACTOR, "key file made");
                println!("{} is made; keep a copy elsewhere", path.display());
            }
            Self::Rotate => {
                let mut keyring = Keyring::read(path).with_context(name)?;
                let id = keyring.rotate();
                keyring.replace(path).with_context(name)?;
                tracing::info!(target: AUDIT, actor = ACTOR, key = %id, "keys rotated");
                println!(
                    "key {id} seals from the next start on; back up {}",
                    path.display()
                );
            }
        }
        Ok(())
    }
}
