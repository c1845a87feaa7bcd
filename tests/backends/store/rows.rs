//! Reading a snapshot for a report: order, counts, and one moment of the store.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use padron::{
    domain::{
        city::{Cities, CityCode, CityOrder},
        registration::{Period, Registration},
    },
    foundation::lang::Lang,
    store::{BLOCK_ROWS, Row, Scope, Store},
};
use uuid::Uuid;

use crate::support::{
    city, insert_all, of_city, plain, race, read, read_in_any_order, registration, row,
};

/// Not in order, so that the order of the rows is nobody's but the store's.
const CITIES: [&str; 7] = [
    "76001", "05001", "97889", "11001", "00001", "99999", "08001",
];

/// More rows than the bounded channel of a reader holds.
const MANY: u32 = 5_000;

/// People of several cities, each city's in no order of id.
fn people(count: u32) -> Vec<Registration> {
    let numbers = (0..count).rev();
    let cities = CITIES.iter().cycle();
    numbers
        .zip(cities)
        .map(|(number, code)| {
            let one = if number % 3 == 0 { plain } else { registration };
            Registration {
                city: city(code),
                ..one(number)
            }
        })
        .collect()
}

/// As a report must show them.
fn sorted(registrations: &[Registration]) -> Vec<Row> {
    let mut rows: Vec<_> = registrations.iter().map(row).collect();
    rows.sort_by_key(|row| (row.envelope.city, row.envelope.id));
    rows
}

pub(super) async fn an_empty_store_has_no_rows(store: Arc<dyn Store>) {
    assert_eq!(read(store.rows(&Scope::default()).await.unwrap()).await, []);
}

pub(super) async fn thousands_come_whole_in_order_of_city_and_id(store: Arc<dyn Store>) {
    let people = people(MANY);
    insert_all(&*store, &people).await;
    let rows = read(store.rows(&Scope::default()).await.unwrap()).await;
    // Thousands of differing rows would not help anybody who reads the failure.
    assert_eq!(rows.len(), people.len());
    for (read, inserted) in rows.iter().zip(&sorted(&people)) {
        assert_eq!(read, inserted);
    }
}

pub(super) async fn one_city_is_counted_and_read_alone(store: Arc<dyn Store>) {
    // A city whose rows fill its blocks exactly, beside others.
    let one = city("05001");
    let mut people = people(700);
    people.extend(
        (1_000..)
            .map(plain)
            .take(2 * BLOCK_ROWS - 100)
            .map(|plain| Registration { city: one, ..plain }),
    );
    insert_all(&*store, &people).await;
    people.retain(|person| person.city == one);
    assert_eq!(people.len(), 2 * BLOCK_ROWS);
    let snapshot = store.rows(&of_city(one)).await.unwrap();
    assert_eq!(snapshot.counts, [(one, people.len() as u64)].into());
    assert!(read(snapshot).await == sorted(&people));
}

/// As a catalogue has them, which has no other cities than these and lacks `99999`.
fn alphabetical() -> CityOrder {
    let catalogue = "code,municipality,department,aliases\n\
        76001,Cali,Valle,\n05001,Medellín,Antioquia,\n97889,Yavaraté,Vaupés,\n11001,Bogotá,Bogotá,\n\
        00001,Ñemerá,Otro,\n08001,Barranquilla,Atlántico,\n";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), catalogue).unwrap();
    let cities = Cities::read(file.path()).unwrap();
    cities.alphabetical(Lang::Es).clone()
}

pub(super) async fn cities_come_in_the_order_that_is_asked_for(store: Arc<dyn Store>) {
    let people = people(1_500);
    insert_all(&*store, &people).await;
    let scope = Scope {
        order: alphabetical(),
        ..Scope::default()
    };
    let rows = read_in_any_order(store.rows(&scope).await.unwrap()).await;
    let codes = [
        "08001", "11001", "76001", "05001", "00001", "97889", "99999",
    ];
    let place = |code: CityCode| codes.iter().position(|&other| city(other) == code);
    let mut expected = sorted(&people);
    expected.sort_by_key(|row| place(row.envelope.city));
    assert!(rows == expected);
}

/// One who registered at this millisecond, in any of the cities.
fn at(millis: u64, number: u32) -> Registration {
    let random = u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15) & ((1 << 62) - 1);
    let id = u128::from(millis) << 80 | 7 << 76 | 2 << 62 | random;
    Registration {
        id: Uuid::from_u128(id),
        city: city(CITIES[number as usize % CITIES.len()]),
        registered_at: Timestamp::from_millisecond(millis.cast_signed()).unwrap(),
        ..plain(number)
    }
}

pub(super) async fn a_period_is_counted_and_read_alone(store: Arc<dyn Store>) {
    const FIRST: u64 = 1_764_000_000_000;
    let people: Vec<_> = (0..2_000)
        .map(|number| at(FIRST + u64::from(number / 2), number))
        .collect();
    insert_all(&*store, &people).await;
    let time = |millis: u64| Some(Timestamp::from_millisecond(millis.cast_signed()).unwrap());
    let within = |one: &Registration, period: &Period| {
        period.since.is_none_or(|since| since <= one.registered_at)
            && period.until.is_none_or(|until| one.registered_at < until)
    };
    for (since, until, found) in [
        (None, None, 2_000),
        (time(FIRST), None, 2_000),
        (time(FIRST + 10), None, 1_980),
        (None, time(FIRST + 10), 20),
        (time(FIRST + 10), time(FIRST + 11), 2),
        (time(FIRST + 100), time(FIRST + 900), 1_600),
        (time(FIRST + 1_000), None, 0),
        (None, time(FIRST), 0),
        (Some(Timestamp::UNIX_EPOCH), Some(Timestamp::MAX), 2_000),
        // What begins within a millisecond begins with the next.
        (
            Some(time(FIRST).unwrap() + SignedDuration::from_nanos(1)),
            None,
            1_998,
        ),
    ] {
        let period = Period { since, until };
        for code in [None, Some(city("11001"))] {
            let scope = Scope {
                city: code,
                period,
                ..Scope::default()
            };
            let mut expected = people.clone();
            expected.retain(|one| within(one, &period) && code.is_none_or(|code| one.city == code));
            if code.is_none() {
                assert_eq!(expected.len(), found, "{period:?}");
            }
            // The counts are those of the rows, and hold no city without any.
            let rows = read(store.rows(&scope).await.unwrap()).await;
            assert!(rows == sorted(&expected), "{period:?}, {code:?}");
        }
    }
}

pub(super) async fn an_unknown_city_is_empty(store: Arc<dyn Store>) {
    store.insert(&registration(1)).await.unwrap();
    let snapshot = store.rows(&of_city(city("12345"))).await.unwrap();
    assert_eq!(snapshot.counts, BTreeMap::new());
    assert_eq!(read(snapshot).await, []);
}

pub(super) async fn what_is_written_later_is_in_neither_counts_nor_rows(store: Arc<dyn Store>) {
    let people = people(MANY);
    insert_all(&*store, &people).await;
    let mut whole = store.rows(&Scope::default()).await.unwrap();
    let one = store.rows(&of_city(people[0].city)).await.unwrap();
    let begun = whole.blocks.recv().await.unwrap().unwrap();

    // Before, between and behind what has been read, in known cities and in a new one.
    let late: Vec<_> = ["00000", "00001", "11001", "76001", "99999"]
        .into_iter()
        .zip(MANY..)
        .map(|(code, number)| Registration {
            city: city(code),
            ..registration(number)
        })
        .collect();
    insert_all(&*store, &late).await;

    let mut rest = Vec::new();
    while let Some(block) = whole.blocks.recv().await {
        rest.extend(block.unwrap());
    }
    let rows = [begun, rest].concat();
    assert_eq!(whole.counts, crate::support::counts(&rows));
    assert!(rows == sorted(&people), "a late row came in, or one went");

    let mut of_one = people.clone();
    of_one.retain(|person| person.city == people[0].city);
    assert!(read(one).await == sorted(&of_one));

    let now = read(store.rows(&Scope::default()).await.unwrap()).await;
    assert!(now == sorted(&[people, late].concat()), "the next sees all");
}

pub(super) async fn counts_and_rows_agree_amid_writes(store: Arc<dyn Store>) {
    const WRITES: u32 = 500;
    // One writes, each row a commit of its own; the others read until they have seen all.
    race((0..5).map(|who| {
        let store = store.clone();
        async move {
            if who == 0 {
                for number in 0..WRITES {
                    store.insert(&registration(number)).await.unwrap();
                }
                return;
            }
            let mut seen = 0;
            while seen < WRITES as usize {
                // `read` compares the two.
                let rows = read(store.rows(&Scope::default()).await.unwrap()).await;
                assert!(rows.len() >= seen, "a row went");
                seen = rows.len();
            }
        }
    }))
    .await;
}

pub(super) async fn a_reader_that_leaves_early_does_no_harm(store: Arc<dyn Store>) {
    // More than one block.
    let people = people(u32::try_from(2 * BLOCK_ROWS).unwrap());
    insert_all(&*store, &people).await;
    // More than a connection pool, or a pool of cursors, would hold: none leaks.
    for _ in 0..40 {
        drop(store.rows(&Scope::default()).await.unwrap());
        let mut snapshot = store.rows(&Scope::default()).await.unwrap();
        snapshot.blocks.recv().await.unwrap().unwrap();
    }
    store.ping().await.unwrap();
    insert_all(&*store, &[registration(MANY)]).await;
    let rows = read(store.rows(&Scope::default()).await.unwrap()).await;
    assert_eq!(rows.len(), people.len() + 1);
}

pub(super) async fn few_blocks_wait_for_a_slow_reader(store: Arc<dyn Store>) {
    let snapshot = store.rows(&Scope::default()).await.unwrap();
    let ahead = snapshot.blocks.max_capacity();
    assert!(ahead <= 8, "{ahead} blocks of {BLOCK_ROWS} rows may wait");
}
