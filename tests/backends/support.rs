//! What the cases are made of: registrations that differ, races, snapshots read to their end.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use futures::{StreamExt as _, future::join_all};
use padron::{
    domain::city::CityCode,
    domain::registration::{Reference, Registration},
    foundation::seal::{Keyring, Tag},
    store::{Admission, BLOCK_ROWS, Claim, Expected, Inserted, Row, Scope, Snapshot, Store},
};
pub(crate) use testkit::{photo_key, time};
use tokio::sync::Barrier;
use uuid::Uuid;

/// A claim of these keys for a register that is begun with it.
pub(crate) fn claim_of(keyring: &Keyring) -> Claim {
    Claim {
        id: Uuid::new_v4(),
        keyring: keyring.fingerprint(),
        key: *keyring.keys().last().unwrap(),
    }
}

/// What a store of these keys must be, whichever register it holds.
pub(crate) fn admission_of(keyring: &Keyring) -> Admission {
    Admission {
        keyring: keyring.fingerprint(),
        keys: keyring.keys().to_vec(),
        register: Expected::Any,
    }
}

/// The timeout of a case, far beyond what the slowest takes; a case that is not done by then hangs.
const HANGS: Duration = Duration::from_mins(1);

/// Concurrent inserts where a case needs many rows.
const AT_ONCE: usize = 64;

/// The keyring of all records here. Nothing that a case expects depends on its keys.
pub(crate) static KEYRING: LazyLock<Keyring> = LazyLock::new(Keyring::generate);

/// Awaits `case` with a timeout.
pub(crate) async fn or_hangs<T>(case: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(HANGS, case).await;
    ended.expect("the case hangs")
}

pub(crate) fn city(code: &str) -> CityCode {
    code.parse().unwrap()
}

/// The `number`th reference; no two numbers share one.
pub(crate) fn reference(number: u32) -> Reference {
    let mut random = [0; 16];
    for (place, pair) in (0..).zip(random.chunks_exact_mut(2)) {
        // A pair below 30 is its own symbol.
        pair[0] = u8::try_from(number / 30_u32.saturating_pow(place) % 30).unwrap();
    }
    Reference::from_random(random)
}

pub(crate) fn document_tag(number: &str) -> Tag {
    testkit::document_tag(&KEYRING, number)
}

pub(crate) fn idempotency_tag(key: &str) -> Tag {
    testkit::idempotency_tag(&KEYRING, key)
}

/// The `number`th person of a city, with everything that a registration may have. Any two differ in
/// whatever is unique; a case says in a struct update what they share.
pub(crate) fn registration(number: u32) -> Registration {
    testkit::registration(&KEYRING, number, reference(number), city("11001"))
}

/// One with nothing that must be unique but id and reference.
pub(crate) fn plain(number: u32) -> Registration {
    Registration {
        document_tag: None,
        idempotency_tag: None,
        once_tag: None,
        photo: None,
        ..registration(number)
    }
}

/// What a report shows of a registration.
pub(crate) fn row(of: &Registration) -> Row {
    Row {
        envelope: of.envelope(),
        sealed: of.sealed.clone(),
    }
}

/// Stores them, in about the order given.
pub(crate) async fn insert_all(store: &dyn Store, registrations: &[Registration]) {
    futures::stream::iter(registrations)
        .map(|registration| store.insert(registration))
        .buffer_unordered(AT_ONCE)
        .for_each(async |inserted| assert_eq!(inserted.unwrap(), Inserted::New))
        .await;
}

/// Spawns `contenders`, releases all at a barrier, and returns their answers in order.
pub(crate) async fn race<T, F>(contenders: impl IntoIterator<Item = F>) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let contenders: Vec<_> = contenders.into_iter().collect();
    let start = Arc::new(Barrier::new(contenders.len()));
    let running = contenders.into_iter().map(|contender| {
        let start = start.clone();
        tokio::spawn(async move {
            start.wait().await;
            contender.await
        })
    });
    // All are spawned before the first is awaited, or the barrier would never fall.
    let running: Vec<_> = running.collect();
    let answers = join_all(running).await;
    answers.into_iter().map(Result::unwrap).collect()
}

/// One city, whole.
pub(crate) fn of_city(city: CityCode) -> Scope {
    Scope {
        city: Some(city),
        ..Scope::default()
    }
}

/// Reads a snapshot to its end, and checks what holds of every snapshot: blocks of 1 to
/// [`BLOCK_ROWS`] rows, in order of (city, id), as many of each city as are counted.
pub(crate) async fn read(snapshot: Snapshot) -> Vec<Row> {
    let rows = read_in_any_order(snapshot).await;
    let key = |row: &Row| (row.envelope.city, row.envelope.id);
    assert!(rows.is_sorted_by(|one, next| key(one) < key(next)));
    rows
}

/// The same of a snapshot whose cities are in another order.
pub(crate) async fn read_in_any_order(mut snapshot: Snapshot) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    while let Some(block) = snapshot.blocks.recv().await {
        let block = block.unwrap();
        assert!((1..=BLOCK_ROWS).contains(&block.len()), "{}", block.len());
        rows.extend(block);
    }
    assert_eq!(snapshot.counts, counts(&rows));
    rows
}

/// Rows per city.
pub(crate) fn counts(rows: &[Row]) -> BTreeMap<CityCode, u64> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row.envelope.city).or_default() += 1;
    }
    counts
}
