//! Sessions and sign-in codes. A session stops being good at the very time that it names.

use std::sync::Arc;

use padron::{
    foundation::seal::TagOf,
    store::{Session, Store},
};

use crate::support::{KEYRING, race, time};

fn session(token: &str, expires_at: i64) -> Session {
    Session {
        tag: KEYRING.tag(TagOf::Session, &[token.as_bytes()]),
        actor: format!("José ({token})"),
        expires_at: time(expires_at),
    }
}

pub(super) async fn one_that_was_added_is_found_by_its_tag_until_it_expires(store: Arc<dyn Store>) {
    let (one, other) = (session("one", 1_000), session("other", 2_000));
    assert_eq!(store.session(&one.tag, time(0)).await.unwrap(), None);
    store.add_session(&one, time(0)).await.unwrap();
    store.add_session(&other, time(0)).await.unwrap();
    for (now, expected) in [
        (0, Some(&one)),
        (999, Some(&one)),
        (1_000, None),
        (5_000, None),
    ] {
        let found = store.session(&one.tag, time(now)).await.unwrap();
        assert_eq!(found.as_ref(), expected, "at {now}");
    }
    let found = store.session(&other.tag, time(1_999)).await.unwrap();
    assert_eq!(found, Some(other));
    let stranger = session("stranger", 0).tag;
    assert_eq!(store.session(&stranger, time(0)).await.unwrap(), None);
}

pub(super) async fn adding_one_keeps_those_that_are_good(store: Arc<dyn Store>) {
    let (short, long) = (session("short", 1_000), session("long", 3_000));
    store.add_session(&short, time(0)).await.unwrap();
    store.add_session(&long, time(0)).await.unwrap();
    let next = session("next", 4_000);
    store.add_session(&next, time(2_000)).await.unwrap();
    let now = time(2_000);
    assert_eq!(store.session(&short.tag, now).await.unwrap(), None);
    assert_eq!(store.session(&long.tag, now).await.unwrap(), Some(long));
    assert_eq!(store.session(&next.tag, now).await.unwrap(), Some(next));
}

pub(super) async fn one_ends_once(store: Arc<dyn Store>) {
    let (one, other) = (session("one", 1_000), session("other", 1_000));
    store.add_session(&one, time(0)).await.unwrap();
    store.add_session(&other, time(0)).await.unwrap();
    let ended = store.end_session(&one.tag, time(999)).await.unwrap();
    assert_eq!(ended.as_ref(), Some(&one));
    assert_eq!(store.end_session(&one.tag, time(0)).await.unwrap(), None);
    assert_eq!(store.session(&one.tag, time(0)).await.unwrap(), None);
    let left = store.session(&other.tag, time(0)).await.unwrap();
    assert_eq!(left, Some(other));
}

pub(super) async fn an_expired_one_cannot_be_ended(store: Arc<dyn Store>) {
    let one = session("one", 1_000);
    store.add_session(&one, time(0)).await.unwrap();
    for late in [1_000, 1_001] {
        assert_eq!(store.end_session(&one.tag, time(late)).await.unwrap(), None);
    }
}

pub(super) async fn a_race_of_ends_has_one_winner(store: Arc<dyn Store>) {
    let one = session("one", 1_000);
    store.add_session(&one, time(0)).await.unwrap();
    let answers = race((0..20).map(|_| {
        let (store, tag) = (store.clone(), one.tag);
        async move { store.end_session(&tag, time(0)).await.unwrap() }
    }))
    .await;
    let ended: Vec<_> = answers.into_iter().flatten().collect();
    assert_eq!(ended, [one]);
}
