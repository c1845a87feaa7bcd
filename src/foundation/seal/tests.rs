//! Encryption and decryption of boxes, keyed hashes, and the key file.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn a_box_opens_for_its_owner_only() {
    let keyring = Keyring::generate();
    let sealed = keyring.seal(b"owner", b"content");
    assert_eq!(keyring.open(b"owner", &sealed).unwrap(), b"content");
    assert!(matches!(
        keyring.open(b"other", &sealed),
        Err(OpenError::Damaged)
    ));
    for index in 0..sealed.as_bytes().len() {
        let mut bytes = sealed.as_bytes().to_vec();
        bytes[index] ^= 1;
        assert!(keyring.open(b"owner", &Sealed(bytes)).is_err());
    }
    for length in 0..sealed.as_bytes().len() {
        let cut = Sealed(sealed.as_bytes()[..length].to_vec());
        assert!(keyring.open(b"owner", &cut).is_err());
    }
}

#[test]
fn old_boxes_open_after_a_rotation_and_tags_stay() {
    let mut keyring = Keyring::generate();
    let sealed = keyring.seal(b"a", b"old");
    let tag = keyring.tag(TagOf::Document, &[b"1020"]);
    let id = keyring.rotate();
    assert_eq!(keyring.open(b"a", &sealed).unwrap(), b"old");
    assert!(keyring.tag(TagOf::Document, &[b"1020"]).matches(&tag));
    assert_eq!(keyring.seal(b"a", b"new").key(), Some(id));
}

#[test]
fn a_missing_key_is_named() {
    let sealed = Keyring::generate().seal(b"", b"x");
    let error = Keyring::generate().open(b"", &sealed).unwrap_err();
    let id = sealed.key().unwrap();
    assert_eq!(
        error.to_string(),
        format!("sealed with key {id}, which the key file does not hold")
    );
}

#[test]
fn a_format_that_is_not_known_is_named() {
    let keyring = Keyring::generate();
    let mut bytes = keyring.seal(b"", b"x").as_bytes().to_vec();
    bytes[0] = 2;
    let newer = Sealed(bytes);
    assert_eq!(newer.key(), None);
    assert!(matches!(
        keyring.open(b"", &newer),
        Err(OpenError::Format(2))
    ));
    let mut photo = DataKey::generate().seal(b"", b"x");
    photo[0] = 2;
    let opened = DataKey::generate().open(b"", &photo);
    assert!(matches!(opened, Err(OpenError::Format(2))));
}

#[test]
fn tags_differ_by_kind_key_and_split() {
    let (one, other) = (Keyring::generate(), Keyring::generate());
    let tag = one.tag(TagOf::Document, &[b"ab", b"c"]);
    assert!(!tag.matches(&one.tag(TagOf::Content, &[b"ab", b"c"])));
    assert!(!tag.matches(&one.tag(TagOf::Document, &[b"a", b"bc"])));
    assert!(!tag.matches(&other.tag(TagOf::Document, &[b"ab", b"c"])));
}

#[test]
fn the_key_file_survives_the_round_trip_and_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let mut keyring = Keyring::generate();
    keyring.create(&path).unwrap();
    assert!(keyring.create(&path).is_err(), "never overwrites");
    let sealed = keyring.seal(b"", b"x");
    keyring.rotate();
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    // Replicas of another user may read it.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    keyring.replace(&path).unwrap();
    assert_eq!(mode(), 0o640);
    let read = Keyring::read(&path).unwrap();
    assert_eq!(read.order, keyring.order);
    assert_eq!(read.open(b"", &sealed).unwrap(), b"x");
    assert!(read.fingerprint().matches(&keyring.fingerprint()));
}

#[test]
fn a_damaged_key_file_names_the_line() {
    let text = Keyring::generate().to_text();
    let lines: Vec<&str> = text.lines().collect();
    let error = |lines: &[&str]| Keyring::parse(&lines.join("\n")).unwrap_err().to_string();
    assert!(error(&[lines[3], &lines[4].replace("key", "kex")]).starts_with("line 2 is damaged"));
    assert!(error(&[lines[3], &lines[4][..lines[4].len() - 1]]).starts_with("line 2"));
    assert!(error(&[lines[3], lines[4], lines[4]]).starts_with("line 3"));
    assert!(error(&[lines[3]]).starts_with("holds no key line"));
    assert!(error(&[lines[4]]).starts_with("holds no tag line"));
    let mut changed = lines[4].to_owned();
    let last = changed.pop().and_then(|_| changed.pop()).unwrap();
    changed.push(if last == 'A' { 'B' } else { 'A' });
    changed.push('=');
    assert!(error(&[lines[3], &changed]).starts_with("line 2"));
}

#[test]
fn a_key_file_that_is_replaced_keeps_its_mode_and_owner() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let mut keyring = Keyring::generate();
    keyring.create(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
    // Only root may give a file away; for others the owner is their own before and after.
    let _ = chown(&path, Some(65532), Some(65532));
    let before = std::fs::metadata(&path).unwrap();
    keyring.rotate();
    keyring.replace(&path).unwrap();
    let after = std::fs::metadata(&path).unwrap();
    assert_eq!(after.mode() & 0o777, 0o444);
    assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
    assert_eq!(Keyring::read(&path).unwrap().to_text(), keyring.to_text());
}

#[test]
fn a_box_is_made_in_one_buffer_that_never_grows() {
    let content = vec![7; 1 << 20];
    let sealed = DataKey::generate().seal(b"a", &content);
    assert_eq!(
        sealed.len(),
        1 + NONCE_LENGTH + content.len() + AUTHENTICATION_LENGTH
    );
    assert_eq!(sealed.capacity(), sealed.len());
}
