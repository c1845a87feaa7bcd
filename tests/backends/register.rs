//! Compatibility of stored formats: a small register as it lies on a disk, kept under `tests/register` for ever. What
//! was once written can be decrypted by every later version, byte for byte.
//!
//! A format may get a successor, never another meaning: then a second register is put beside this one, made by
//! `PADRON_UPDATE=1 cargo test --test backends register`, and the first stays.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use padron::{
    app::{access::Access, intake::Intake, markers::Census},
    domain::{
        city::Cities,
        marker::Marker,
        photo::clean,
        registration::{
            DocumentNumber, Email, IdempotencyKey, NewRegistration, Person, PersonName, Reference,
            Registration,
        },
        totals::Totals,
    },
    foundation::seal::{DataKey, Keyring, Sealed, TagOf},
    photos::{Photos, PhotosUrl},
    store::{Session, Store, StoreUrl, connect},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use crate::support::{claim_of, time};

/// Whose register it is: name, number, e-mail, city, idempotency key, photo.
const PEOPLE: [(&str, &str, &str, &str, &str, &str); 3] = [
    (
        "Ángela Ñáñez",
        "1020304050",
        "angela@example.com",
        "11001",
        "one-key-of-hers",
        "palette.png",
    ),
    ("José", "", "", "05001", "", "lossy.webp"),
    ("李 明", "79204456", "", "11001", "", ""),
];

/// The token of a session.
const TOKEN: &str = "a token that is written here";

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/register")
}

fn photo(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photo");
    fs::read(path.join(name)).unwrap()
}

async fn open(folder: &Path) -> (Arc<Keyring>, Arc<dyn Store>, Photos) {
    let keyring = Arc::new(Keyring::read(&folder.join("keys")).unwrap());
    let url = StoreUrl::Sqlite(folder.join("padron.db"));
    let store = connect(&url).await.unwrap();
    let url = PhotosUrl::File(folder.join("photos"));
    let photos = Photos::connect(
        &url,
        &crate::photos::s3("http://localhost"),
        keyring.clone(),
    );
    (keyring, store, photos.unwrap())
}

/// Every kind of encrypted box, of a fixed content.
fn boxes(keyring: &Keyring) -> [(&'static str, Vec<u8>); 3] {
    let data_key = DataKey::generate();
    [
        (
            "sealed",
            keyring.seal(b"associated", b"content").as_bytes().to_vec(),
        ),
        (
            "wrapped",
            data_key.wrap(keyring, b"associated").as_bytes().to_vec(),
        ),
        ("photo", data_key.seal(b"associated", b"content")),
    ]
}

/// The keyed hash of a fixed content, of every kind.
fn tags(keyring: &Keyring) -> Value {
    let tag = |of| hex::encode(keyring.tag(of, &[b"content", b""]).as_bytes());
    json!({
        "document": tag(TagOf::Document),
        "idempotency_key": tag(TagOf::IdempotencyKey),
        "content": tag(TagOf::Content),
        "photo": tag(TagOf::Photo),
        "session": tag(TagOf::Session),
        "keyring": tag(TagOf::Keyring),
        "marker": tag(TagOf::Marker),
    })
}

async fn make(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder.join("photos")).unwrap();
    let mut begun = Keyring::generate();
    let first = claim_of(&begun);
    let old = begun.seal(b"associated", b"old");
    begun.rotate();
    begun.create(&folder.join("keys")).unwrap();
    let (keyring, store, photos) = open(folder).await;
    for key in keyring.keys() {
        store
            .claim(&padron::store::Claim { key: *key, ..first })
            .await
            .unwrap();
    }
    let tracker = TaskTracker::new();
    let intake = Intake::new(store.clone(), photos.clone(), keyring.clone(), tracker);
    let cities = Cities::embedded().unwrap();
    let mut references = Vec::new();
    let mut digests = serde_json::Map::<String, Value>::new();
    for (number, (name, document, email, city, key, image)) in (0..).zip(PEOPLE) {
        let new = NewRegistration {
            person: Person {
                name: PersonName::parse(name).unwrap(),
                document_number: DocumentNumber::parse(document).ok(),
                email: Email::parse(email).ok(),
                notice: None,
            },
            city: cities.find(city).unwrap().clone(),
            photo: (!image.is_empty()).then(|| clean(&photo(image)).unwrap()),
            idempotency_key: IdempotencyKey::parse(key).ok(),
        };
        let registered = intake.register(new, time(number), ()).await.unwrap();
        let stored = registered.registration;
        references.push(stored.reference.to_string());
        if let Some(photo) = &stored.photo {
            let opened = photos.open(stored.id, photo).await.unwrap();
            digests.insert(name.to_owned(), hex::encode(Sha256::digest(&opened)).into());
        }
    }
    let counted = padron::domain::totals::Counted {
        as_of: time(1_000),
        ..store.totals().await.unwrap()
    };
    let board = Totals::first(&counted);
    assert!(store.save_board(&board).await.unwrap());
    let session = Session {
        tag: keyring.tag(TagOf::Session, &[&[2], TOKEN.as_bytes()]),
        actor: "admin".into(),
        expires_at: time(i64::from(u32::MAX)),
    };
    store.add_session(&session, time(0)).await.unwrap();
    let marker = Census::of(&*store).await.unwrap().unwrap().marker;
    photos.put_marker(&marker).await.unwrap();
    fs::write(folder.join("register"), marker.to_text(&keyring)).unwrap();
    store.close().await;
    let mut boxes: serde_json::Map<String, Value> = boxes(&keyring)
        .into_iter()
        .map(|(kind, bytes)| (kind.to_owned(), hex::encode(bytes).into()))
        .collect();
    boxes.insert("old".into(), hex::encode(old.as_bytes()).into());
    let known = json!({
        "references": references,
        "photos": digests,
        "tags": tags(&keyring),
        "boxes": boxes,
        "board": serde_json::to_string(&board).unwrap(),
        "marker": marker.to_text(&keyring),
    });
    let text = serde_json::to_string_pretty(&known).unwrap() + "\n";
    fs::write(folder.join("known.json"), text).unwrap();
}

/// A copy, because a database that is opened is written to.
fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copied(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

async fn register() -> (TempDir, Value) {
    if std::env::var_os("PADRON_UPDATE").is_some() {
        make(&here()).await;
    }
    let folder = tempfile::tempdir().unwrap();
    copied(&here(), folder.path());
    let known = fs::read_to_string(folder.path().join("known.json")).unwrap();
    (folder, serde_json::from_str(&known).unwrap())
}

async fn is_as_it_was_registered(
    (keyring, photos): (&Keyring, &Photos),
    found: &Registration,
    digest_of_photo: &str,
    number: i64,
    (name, document, email, city, key, image): (&str, &str, &str, &str, &str, &str),
) {
    let person = Person::open(keyring, &found.envelope(), &found.sealed).unwrap();
    assert_eq!(person.name.as_str(), name);
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    assert_eq!(
        text(person.document_number.as_ref().map(DocumentNumber::as_str)),
        document
    );
    assert_eq!(text(person.email.as_ref().map(Email::as_str)), email);
    assert_eq!(found.city.as_str(), city);
    assert_eq!(found.registered_at, time(number));
    assert_eq!(found.document_tag, person.document_tag(keyring));
    let key = IdempotencyKey::parse(key).ok();
    let key = key.map(|key| keyring.tag(TagOf::IdempotencyKey, &[key.as_str().as_bytes()]));
    assert_eq!(found.idempotency_tag, key);
    let digest = found.photo.as_ref().map(|photo| &photo.digest);
    assert_eq!(
        found.content_tag,
        person.content_tag(keyring, found.city, digest)
    );
    assert_eq!(found.photo.is_some(), !image.is_empty());
    if let Some(stored) = &found.photo {
        let opened = photos.open(found.id, stored).await.unwrap();
        assert_eq!(hex::encode(Sha256::digest(&opened)), digest_of_photo);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_register_of_long_ago_opens_as_it_was_written() {
    let (folder, known) = register().await;
    let (keyring, store, photos) = open(folder.path()).await;
    assert_eq!(tags(&keyring), known["tags"]);

    let bytes = |kind: &str| hex::decode(known["boxes"][kind].as_str().unwrap()).unwrap();
    let sealed = |kind| Sealed::from_bytes(bytes(kind));
    assert_eq!(
        keyring.open(b"associated", &sealed("sealed")).unwrap(),
        b"content"
    );
    assert_eq!(keyring.open(b"associated", &sealed("old")).unwrap(), b"old");
    let data_key = DataKey::unwrap(&keyring, b"associated", &sealed("wrapped")).unwrap();
    assert_eq!(
        data_key.open(b"associated", &bytes("photo")).unwrap(),
        b"content"
    );

    let mut people = PEOPLE.iter().zip(known["references"].as_array().unwrap());
    for number in 0..3 {
        let (person, reference) = people.next().unwrap();
        let reference = Reference::parse(reference.as_str().unwrap()).unwrap();
        let found = store.find(reference).await.unwrap().unwrap();
        let photo = known["photos"][person.0].as_str().unwrap_or_default();
        is_as_it_was_registered((&keyring, &photos), &found, photo, number, *person).await;
    }

    let board = store.board(0).await.unwrap().unwrap();
    assert_eq!(board.total(), 3);
    assert_eq!(
        (board.version, board.sequence, board.as_of),
        (1, 3, time(1_000))
    );
    assert_eq!(
        serde_json::to_string(&board).unwrap(),
        known["board"].as_str().unwrap()
    );

    let own = known["marker"].as_str().unwrap();
    let marker = Marker::parse(own.as_bytes(), &keyring).unwrap();
    assert_eq!(marker.to_text(&keyring), own);
    assert_eq!(photos.marker().await.unwrap(), Some(marker));
    let register = store.register().await.unwrap().unwrap();
    assert_eq!((marker.register, marker.registered), (register.id, 3));
    assert!(register.keyring.matches(&keyring.fingerprint()));
    assert_eq!(register.keys.len(), 2);
    assert!(register.keys.iter().all(|key| keyring.keys().contains(key)));

    let token = "an admin token of 32 characters!".to_owned().into();
    let access = Access::new(store.clone(), keyring.clone(), &token);
    let signed_in = access
        .by_session(TOKEN, Timestamp::UNIX_EPOCH)
        .await
        .unwrap();
    assert_eq!(signed_in.as_deref(), Some("admin"));
}
