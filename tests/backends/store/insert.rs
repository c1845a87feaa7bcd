//! Inserting: uniqueness under races, idempotent retries, and finding again.

use std::sync::Arc;

use padron::{
    domain::photo::MediaType,
    domain::registration::{Registration, StoredPhoto},
    store::{Inserted, Store},
};

use crate::support::{
    city, document_tag, idempotency_tag, plain, race, reference, registration, time,
};

const CONTENDERS: u32 = 50;

pub(super) async fn one_that_is_free_is_new_and_found_with_every_field(store: Arc<dyn Store>) {
    let with_photo = |number, media_type, bytes| {
        let full = registration(number);
        let photo = full.photo.clone().map(|photo| StoredPhoto {
            media_type,
            bytes,
            width: u32::MAX,
            height: 1,
            ..photo
        });
        Registration { photo, ..full }
    };
    let all = [
        registration(0),
        plain(1),
        with_photo(2, MediaType::Png, u64::from(u32::MAX) + 1),
        with_photo(3, MediaType::WebP, 0),
        Registration {
            document_tag: None,
            ..registration(4)
        },
        Registration {
            idempotency_tag: None,
            ..registration(5)
        },
        Registration {
            city: city("00000"),
            registered_at: time(-2_000_000_000_000),
            ..registration(6)
        },
    ];
    for one in &all {
        assert_eq!(store.insert(one).await.unwrap(), Inserted::New);
    }
    for one in &all {
        assert_eq!(
            store.find(one.reference).await.unwrap().as_ref(),
            Some(one),
            "{}",
            one.reference
        );
    }
}

pub(super) async fn a_race_of_one_idempotency_tag_has_one_winner_that_all_are_told(
    store: Arc<dyn Store>,
) {
    let tag = idempotency_tag("one-key-for-all");
    let (winner, losers) = race_of(&store, |one| Registration {
        idempotency_tag: Some(tag),
        ..one
    })
    .await;
    for lost in losers {
        assert_eq!(lost, Inserted::SameKey(Box::new(winner.clone())));
    }
}

pub(super) async fn a_race_of_one_content_has_one_winner_that_all_are_told(store: Arc<dyn Store>) {
    let (tag, document) = (registration(99).once_tag, document_tag("1.020.304.050"));
    let (winner, losers) = race_of(&store, |one| Registration {
        once_tag: tag,
        document_tag: Some(document),
        ..one
    })
    .await;
    for lost in losers {
        assert_eq!(lost, Inserted::SameContent(Box::new(winner.clone())));
    }
}

pub(super) async fn same_content_is_the_answer_when_its_document_is_taken_too(
    store: Arc<dyn Store>,
) {
    let (first, other) = (registration(1), registration(2));
    store.insert(&first).await.unwrap();
    store.insert(&other).await.unwrap();
    let again = Registration {
        once_tag: first.once_tag,
        document_tag: first.document_tag,
        reference: other.reference,
        ..registration(3)
    };
    let known = Inserted::SameContent(Box::new(first.clone()));
    assert_eq!(store.insert(&again).await.unwrap(), known);
    // The key decides before the content does.
    let reused = Registration {
        idempotency_tag: other.idempotency_tag,
        ..again
    };
    let known = Inserted::SameKey(Box::new(other));
    assert_eq!(store.insert(&reused).await.unwrap(), known);
    // What is erased may be sent again.
    store.erase(first.reference).await.unwrap();
    let anew = Registration {
        once_tag: first.once_tag,
        ..registration(4)
    };
    assert_eq!(store.insert(&anew).await.unwrap(), Inserted::New);
}

pub(super) async fn a_race_of_one_document_tag_has_one_winner(store: Arc<dyn Store>) {
    let tag = document_tag("1.020.304.050");
    let (_, losers) = race_of(&store, |one| Registration {
        document_tag: Some(tag),
        ..one
    })
    .await;
    assert!(losers.iter().all(|lost| *lost == Inserted::SameDocument));
}

pub(super) async fn a_race_of_one_reference_has_one_winner(store: Arc<dyn Store>) {
    let (_, losers) = race_of(&store, |one| Registration {
        reference: reference(CONTENDERS),
        ..one
    })
    .await;
    assert!(losers.iter().all(|lost| *lost == Inserted::SameReference));
}

/// Races 50 concurrent inserts of registrations that `share` makes alike; checks that one was new and is all there is,
/// and returns it and what the others were told.
async fn race_of(
    store: &Arc<dyn Store>,
    share: impl Fn(Registration) -> Registration,
) -> (Registration, Vec<Inserted>) {
    let contenders: Vec<_> = (0..CONTENDERS).map(registration).map(share).collect();
    let answers = race(contenders.iter().map(|contender| {
        let (store, contender) = (store.clone(), contender.clone());
        async move { store.insert(&contender).await.unwrap() }
    }))
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = contenders
        .into_iter()
        .zip(answers)
        .partition(|(_, answer)| *answer == Inserted::New);
    let [(winner, _)] = won.as_slice() else {
        panic!("{} of {CONTENDERS} won", won.len());
    };
    assert_eq!(
        store.totals().await.unwrap().counts,
        [(winner.city, 1)].into()
    );
    assert_eq!(
        store.find(winner.reference).await.unwrap().as_ref(),
        Some(winner)
    );
    let lost = lost.into_iter().map(|(_, answer)| answer).collect();
    (winner.clone(), lost)
}

pub(super) async fn same_key_is_the_answer_when_another_tag_is_taken_too(store: Arc<dyn Store>) {
    let (first, other) = (registration(1), registration(2));
    store.insert(&first).await.unwrap();
    store.insert(&other).await.unwrap();
    let taken = |document_of: &Registration, reference_of: &Registration| Registration {
        idempotency_tag: first.idempotency_tag,
        document_tag: document_of.document_tag,
        reference: reference_of.reference,
        ..registration(3)
    };
    let free = registration(3);
    for (what, doubled) in [
        ("its document", taken(&first, &free)),
        ("another's document", taken(&other, &free)),
        ("its reference", taken(&free, &first)),
        ("another's reference", taken(&free, &other)),
        ("all, of both", taken(&other, &first)),
    ] {
        assert_eq!(
            store.insert(&doubled).await.unwrap(),
            Inserted::SameKey(Box::new(first.clone())),
            "{what}"
        );
    }
}

pub(super) async fn a_conflict_stores_nothing(store: Arc<dyn Store>) {
    let first = registration(1);
    store.insert(&first).await.unwrap();
    let refused = Registration {
        document_tag: first.document_tag,
        city: city("05001"),
        ..registration(2)
    };
    assert_eq!(
        store.insert(&refused).await.unwrap(),
        Inserted::SameDocument
    );
    assert_eq!(store.find(refused.reference).await.unwrap(), None);
    assert_eq!(
        store.totals().await.unwrap().counts,
        [(first.city, 1)].into()
    );
    let key = refused.photo.as_ref().unwrap().key;
    assert_eq!(store.unnamed(&[key]).await.unwrap(), [key]);
    // Nor are its own tags taken now.
    let free = Registration {
        document_tag: Some(document_tag("777")),
        ..refused
    };
    assert_eq!(store.insert(&free).await.unwrap(), Inserted::New);
}

pub(super) async fn the_same_record_again_is_new_and_stored_once(store: Arc<dyn Store>) {
    let all = [
        registration(1),
        plain(2),
        Registration {
            idempotency_tag: None,
            ..registration(3)
        },
        Registration {
            document_tag: None,
            ..registration(4)
        },
    ];
    for round in 0..3 {
        for one in &all {
            assert_eq!(
                store.insert(one).await.unwrap(),
                Inserted::New,
                "round {round}"
            );
        }
        assert_eq!(
            store.totals().await.unwrap().counts,
            [(all[0].city, 4)].into()
        );
    }
}

pub(super) async fn a_race_of_one_record_with_itself_is_new_for_all(store: Arc<dyn Store>) {
    let one = registration(1);
    let answers = race((0..CONTENDERS).map(|_| {
        let (store, one) = (store.clone(), one.clone());
        async move { store.insert(&one).await.unwrap() }
    }))
    .await;
    assert!(answers.iter().all(|answer| *answer == Inserted::New));
    assert_eq!(store.totals().await.unwrap().counts, [(one.city, 1)].into());
}

pub(super) async fn records_without_tags_never_conflict(store: Arc<dyn Store>) {
    for number in 0..10 {
        assert_eq!(store.insert(&plain(number)).await.unwrap(), Inserted::New);
    }
    assert_eq!(
        store.totals().await.unwrap().counts,
        [(plain(0).city, 10)].into()
    );
}

pub(super) async fn an_unknown_reference_finds_nothing(store: Arc<dyn Store>) {
    assert_eq!(store.find(reference(1)).await.unwrap(), None);
    store.insert(&registration(1)).await.unwrap();
    assert_eq!(store.find(reference(2)).await.unwrap(), None);
}
