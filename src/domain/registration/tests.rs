use proptest::prelude::*;

use super::{reference::SYMBOLS, *};
use crate::foundation::seal::random;

#[expect(
    clippy::unnecessary_wraps,
    reason = "it is what a field of the form holds"
)]
fn text(text: &str) -> RawText {
    Some(Ok(text.to_owned()))
}

fn photo() -> Photo {
    crate::domain::photo::clean(include_bytes!("../../../fixtures/card.jpg")).unwrap()
}

fn form() -> RegistrationForm {
    RegistrationForm {
        name: text("  Ana María Ñáñez  "),
        city: text("bogota"),
        document_number: text("1.020.304-050"),
        email: text(" ana@example.com "),
        idempotency_key: text("0123456789abcdef"),
        photo: Some(Ok(photo())),
    }
}

fn faults(form: RegistrationForm) -> Vec<(Field, Fault)> {
    NewRegistration::parse(form, &Cities::embedded().unwrap())
        .unwrap_err()
        .into_iter()
        .map(|error| (error.field, error.fault))
        .collect()
}

#[test]
fn a_whole_form_parses() {
    let new = NewRegistration::parse(form(), &Cities::embedded().unwrap()).unwrap();
    assert_eq!(new.person.name.as_str(), "Ana María Ñáñez");
    assert_eq!(new.person.document_number.unwrap().as_str(), "1020304050");
    assert_eq!(new.person.email.unwrap().as_str(), "ana@example.com");
    assert_eq!(new.city.code.as_str(), "11001");
}

#[test]
fn every_fault_is_told_at_once_in_the_order_of_the_form() {
    let bad = RegistrationForm {
        name: text(" "),
        city: text("nowhere at all"),
        document_number: text("12"),
        email: text("ana"),
        idempotency_key: text("short"),
        photo: Some(Err(PhotoError::Empty)),
    };
    assert_eq!(
        faults(bad),
        [
            (Field::Name, Fault::Required),
            (Field::City, Fault::Unknown),
            (Field::Photo, Fault::Photo(PhotoError::Empty)),
            (Field::DocumentNumber, Fault::Format),
            (Field::Email, Fault::Format),
            (Field::IdempotencyKey, Fault::Format),
        ]
    );
    assert_eq!(
        faults(RegistrationForm::default()),
        [
            (Field::Name, Fault::Required),
            (Field::City, Fault::Required),
            (Field::Photo, Fault::Required),
        ]
    );
}

#[test]
fn blank_optional_fields_are_absent() {
    let blank = RegistrationForm {
        document_number: text(" "),
        email: text(""),
        idempotency_key: text(""),
        ..form()
    };
    let new = NewRegistration::parse(blank, &Cities::embedded().unwrap()).unwrap();
    assert!(new.person.document_number.is_none() && new.person.email.is_none());
    assert!(new.idempotency_key.is_none());
}

#[test]
fn text_that_is_not_text_is_told() {
    let bad = RegistrationForm {
        name: Some(Err(Fault::NotUtf8)),
        ..form()
    };
    assert_eq!(faults(bad), [(Field::Name, Fault::NotUtf8)]);
}

#[test]
fn a_name_has_its_bounds() {
    for good in ["X", "=1+1", "_x0041_", "محمد", "2º de Abril", "😀"] {
        assert_eq!(PersonName::parse(good).unwrap().as_str(), good);
    }
    assert!(PersonName::parse(&"ñ".repeat(MAX_NAME_CHARS)).is_ok());
    assert_eq!(
        PersonName::parse(&"ñ".repeat(MAX_NAME_CHARS + 1)),
        Err(Fault::TooLong)
    );
    assert_eq!(PersonName::parse("Ana\u{7}María"), Err(Fault::Control));
    assert_eq!(PersonName::parse("\u{a0} "), Err(Fault::Required));
}

#[test]
fn a_document_number_has_its_bounds() {
    for good in ["123", "12 345 678 901", "1,020,304"] {
        assert!(DocumentNumber::parse(good).is_ok(), "{good}");
    }
    for bad in ["12", "123456789012", "12a4", "١٢٣٤", "+1234"] {
        assert_eq!(DocumentNumber::parse(bad), Err(Fault::Format), "{bad}");
    }
}

#[test]
fn an_email_has_its_bounds() {
    assert!(Email::parse("ana.maria+vacuna@correo.example.co").is_ok());
    let longest = format!("{}@{}.co", "a".repeat(60), "b.".repeat(95) + "b");
    assert_eq!(longest.len(), MAX_EMAIL_BYTES + 1);
    assert_eq!(Email::parse(&longest), Err(Fault::TooLong));
    for bad in [
        "ana",
        "ana@",
        "ana@localhost",
        "Ana <ana@example.com>",
        "a@b.co\r\nBcc: c@d.co",
    ] {
        assert_eq!(Email::parse(bad), Err(Fault::Format), "{bad}");
    }
}

#[test]
fn an_idempotency_key_has_its_bounds() {
    for good in ["12345678".to_owned(), "k".repeat(128)] {
        assert!(IdempotencyKey::parse(&good).is_ok());
    }
    for bad in [
        "1234567".to_owned(),
        "k".repeat(129),
        "with blank".to_owned(),
        "ñañañaña".to_owned(),
    ] {
        assert_eq!(IdempotencyKey::parse(&bad), Err(Fault::Format));
    }
}

#[test]
fn nothing_personal_is_printed() {
    let new = NewRegistration::parse(form(), &Cities::embedded().unwrap()).unwrap();
    let printed = format!("{new:?}");
    for secret in ["Ana", "1020304050", "example.com", "0123456789abcdef"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

proptest! {
    #[test]
    fn a_reference_reads_back_however_it_is_written(random: [u8; 16], lower: bool, dash: bool) {
        let reference = Reference::from_random(random);
        let mut text = reference.to_string();
        if lower {
            text = text.to_lowercase();
        }
        if !dash {
            text = text.replace('-', " ");
        }
        prop_assert_eq!(Reference::parse(&text), Some(reference));
    }

    #[test]
    fn a_name_keeps_every_character(name in "[^\\p{Cc}]{1,200}") {
        match PersonName::parse(&name) {
            Ok(parsed) => prop_assert_eq!(parsed.as_str(), name.trim()),
            Err(fault) => prop_assert!(name.trim().is_empty() && fault == Fault::Required),
        }
    }

    #[test]
    fn no_text_panics(text: String) {
        let _ = (PersonName::parse(&text), DocumentNumber::parse(&text), Email::parse(&text));
        let _ = (IdempotencyKey::parse(&text), Reference::parse(&text));
    }
}

#[test]
fn references_use_every_symbol_and_differ() {
    let references: std::collections::HashSet<_> = (0..2000)
        .map(|_| Reference::from_random(random()))
        .collect();
    assert_eq!(references.len(), 2000);
    let symbols: std::collections::HashSet<_> = references
        .iter()
        .flat_map(|reference| reference.0)
        .collect();
    assert_eq!(symbols.len(), SYMBOLS.len());
}
