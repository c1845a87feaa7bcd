//! The key file: a line for each key, with a checksum, readable by its owner only.
//!
//! Written atomically: a crash leaves the old file, the new one, or none, and never half of one.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown},
    path::Path,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use super::{KeyId, Keyring, Secret, random};

const HEADER: &str = "\
# padron keys. Keep a copy of this file away from the database and the photos: without it no name
# and no photo can be read, and whoever has it can read them all.
# `tag` compares, the last `key` seals, every `key` opens. `padron keys rotate` adds one.
";

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line is damaged.
    #[error("line {0} is damaged; restore the file from its backup")]
    Line(usize),
    /// There is no `tag` or no `key` line.
    #[error("holds no {0} line; restore the file from its backup")]
    Missing(&'static str),
}

impl Keyring {
    /// Reads the key file.
    ///
    /// # Errors
    /// When it cannot be read or a line of it is damaged.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        Self::parse(&Zeroizing::new(fs::read_to_string(path)?))
    }

    pub(super) fn parse(text: &str) -> Result<Self, KeyFileError> {
        let mut keyring = Self {
            tag: Zeroizing::default(),
            keys: BTreeMap::new(),
            order: Vec::new(),
        };
        let mut has_tag = false;
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (kind, id, secret) = parse_line(line).ok_or(KeyFileError::Line(number))?;
            match kind {
                "tag" if !has_tag => {
                    keyring.tag = secret;
                    has_tag = true;
                }
                "key" if !keyring.keys.contains_key(&id) => {
                    keyring.push(secret);
                }
                _ => return Err(KeyFileError::Line(number)),
            }
        }
        if !has_tag {
            return Err(KeyFileError::Missing("tag"));
        }
        if keyring.order.is_empty() {
            return Err(KeyFileError::Missing("key"));
        }
        Ok(keyring)
    }

    pub(super) fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::from(HEADER));
        let keys = self.order.iter().map(|id| ("key", &self.keys[id].0));
        for (kind, secret) in std::iter::once(("tag", &self.tag)).chain(keys) {
            let encoded = Zeroizing::new(BASE64_STANDARD.encode(secret));
            let _ = writeln!(text, "{kind} {} {}", KeyId::of(secret), *encoded);
        }
        text
    }

    /// Writes a new key file, readable by its owner only, and syncs it to disk (`fsync`) before returning.
    ///
    /// # Errors
    /// When there is a file of that name, or it cannot be written.
    pub fn create(&self, path: &Path) -> io::Result<()> {
        write_private(path, self.to_text().as_bytes())
    }

    /// Replaces the key file atomically: a crash leaves the old one or the new one. Mode and owner stay what they
    /// were, because a file that replicas share is read by other accounts.
    ///
    /// # Errors
    /// When it cannot be written, or not be given to its owner; the old one is then untouched.
    pub fn replace(&self, path: &Path) -> io::Result<()> {
        replace_private(path, self.to_text().as_bytes())
    }
}

/// Writes a file atomically (temporary file, `fsync`, rename): a crash leaves the old one or the new one, durably. One
/// that was there keeps its mode and owner, because servers may share it; a new one is readable by its owner only.
///
/// # Errors
/// When it cannot be written, or not be given to the owner of the old one.
pub fn replace_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let next = path.with_extension("next");
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_private(&next, content)?;
    match fs::metadata(path) {
        Ok(old) => {
            let new = fs::metadata(&next)?;
            if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
                chown(&next, Some(old.uid()), Some(old.gid()))?;
            }
            fs::set_permissions(&next, old.permissions())?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::rename(&next, path)?;
    sync_folder(path)
}

fn parse_line(line: &str) -> Option<(&str, KeyId, Secret)> {
    let mut words = line.split_ascii_whitespace();
    let (kind, id, encoded) = (words.next()?, words.next()?, words.next()?);
    let decoded = Zeroizing::new(BASE64_STANDARD.decode(encoded).ok()?);
    let secret = Zeroizing::new(<[u8; 32]>::try_from(decoded.as_slice()).ok()?);
    let named = KeyId::of(&secret);
    (words.next().is_none() && named.to_string() == id).then_some((kind, named, secret))
}

/// Writes a new file that only its owner may read, and syncs it to disk (`fsync`).
///
/// # Errors
/// When there is a file of that name, or it cannot be written.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    // A temporary file until it is whole: a start that is killed here must not leave half a file.
    let unfinished = path.with_extension(hex::encode(random::<4>()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    let linked = fs::hard_link(&unfinished, path);
    fs::remove_file(&unfinished)?;
    linked?;
    sync_folder(path)
}

/// Syncs the folder: a new name is durable only once its directory entry is.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder != Path::new("") => fs::File::open(folder)?.sync_all(),
        _ => fs::File::open(".")?.sync_all(),
    }
}
