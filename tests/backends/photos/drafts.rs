//! The area of the drafts: forms and photos apart from those of the register, gone by their age.

use jiff::Timestamp;
use padron::{
    foundation::seal::{Tag, TagOf},
    photos::DraftArea,
};
use uuid::Uuid;

use super::{Tier, small};

const OWNER: Uuid = Uuid::from_u128(7);

fn name(tier: &Tier, number: u8) -> Tag {
    tier.keyring.tag(TagOf::Draft, &[&[number]])
}

pub(super) async fn a_form_is_found_as_it_was_written_last(tier: Tier) {
    let area = DraftArea::beside(&tier.photos);
    let (one, other) = (name(&tier, 1), name(&tier, 2));
    assert_eq!(area.form(&one).await.unwrap(), None);
    let [first, second] = [b"first", b"later"].map(|text| tier.keyring.seal(b"form", text));
    area.put_form(&one, &first).await.unwrap();
    assert_eq!(area.form(&one).await.unwrap(), Some(first));
    area.put_form(&one, &second).await.unwrap();
    assert_eq!(area.form(&one).await.unwrap(), Some(second));
    assert_eq!(area.form(&other).await.unwrap(), None);
}

pub(super) async fn a_photo_of_a_draft_is_none_of_the_register(tier: Tier) {
    let area = DraftArea::beside(&tier.photos);
    let stored = area.put_photo(OWNER, small()).await.unwrap();
    let opened = area.photo(OWNER, &stored).await.unwrap();
    assert!(opened == small().bytes());
    assert!(tier.photos.open(OWNER, &stored).await.is_err());
    assert!(
        tier.before(Timestamp::MAX).await.is_empty(),
        "no sweep sees it"
    );
    area.remove_photo(&stored).await.unwrap();
    area.remove_photo(&stored).await.unwrap();
    assert!(area.photo(OWNER, &stored).await.is_err());
    assert!(tier.paths().await.is_empty());
}

pub(super) async fn what_is_old_goes_and_the_register_stays(tier: Tier) {
    let area = DraftArea::beside(&tier.photos);
    assert_eq!(area.remove_before(Timestamp::MAX).await.unwrap(), 0);
    let kept = tier.put(OWNER).await;
    let form = tier.keyring.seal(b"form", b"form");
    area.put_form(&name(&tier, 1), &form).await.unwrap();
    let stored = area.put_photo(OWNER, small()).await.unwrap();
    assert_eq!(area.remove_before(Timestamp::MIN).await.unwrap(), 0);
    assert!(area.photo(OWNER, &stored).await.is_ok());
    let end = tier.put_at(kept.key).await + jiff::Span::new().hours(1);
    assert_eq!(area.remove_before(end).await.unwrap(), 2);
    assert_eq!(area.form(&name(&tier, 1)).await.unwrap(), None);
    assert!(area.photo(OWNER, &stored).await.is_err());
    assert!(tier.photos.open(OWNER, &kept).await.is_ok());
}
