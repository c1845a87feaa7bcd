//! `padron keys`: the key file without a server.

use anyhow::Context as _;
use clap::Subcommand;

use crate::{config::Config, seal::Keyring};

#[derive(Subcommand)]
pub(super) enum Keys {
    /// Add a key that seals from now on; older ones still open. Restart every replica afterwards
    Rotate,
}

impl Keys {
    pub(super) fn run(&self, config: &Config) -> anyhow::Result<()> {
        let Self::Rotate = self;
        let path = &config.keys_file;
        let name = || format!("PADRON_KEYS_FILE: {}", path.display());
        let mut keyring = Keyring::read(path).with_context(name)?;
        let id = keyring.rotate();
        keyring.replace(path).with_context(name)?;
        println!(
            "key {id} seals from the next start on; back up {}",
            path.display()
        );
        Ok(())
    }
}
