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
        document_type: None,
        document_number: text("1.020.304-050"),
        email: text(" ana@example.com "),
        idempotency_key: text("0123456789abcdef"),
        notice: None,
        consent: None,
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
        document_type: None,
        document_number: text("12"),
        email: text("ana"),
        idempotency_key: text("short"),
        notice: None,
        consent: None,
        photo: Some(Err(PhotoError::Empty)),
    };
    assert_eq!(
        faults(bad),
        [
            (Field::Name, Fault::Required),
            (Field::City, Fault::Unknown),
            (Field::Photo, Fault::Photo(PhotoError::Empty)),
            (
                Field::DocumentNumber,
                Fault::DocumentNumber(DocumentType::Cc)
            ),
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
    for good in [
        "X",
        "=1+1",
        "Ana\u{301}",
        "_x0041_",
        "محمد",
        "2º de Abril",
        "😀",
    ] {
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

fn normalised(kind: DocumentType, text: &str) -> Result<String, Fault> {
    DocumentNumber::of(kind, text).map(|number| number.normalised())
}

#[test]
fn a_document_number_has_the_bounds_of_its_type() {
    use DocumentType::{Cc, Ce, Other, Passport, Ppt, Ti};
    for (kind, fewest, most) in [
        (Cc, 3, 11),
        (Ti, 6, 11),
        (Ce, 3, 10),
        (Ppt, 3, 15),
        (Passport, 4, 16),
        (Other, 3, 20),
    ] {
        let told = Err(Fault::DocumentNumber(kind));
        assert!(normalised(kind, &"1".repeat(fewest)).is_ok(), "{kind:?}");
        assert!(normalised(kind, &"1".repeat(most)).is_ok(), "{kind:?}");
        assert_eq!(normalised(kind, &"1".repeat(fewest - 1)), told);
        assert_eq!(normalised(kind, &"1".repeat(most + 1)), told);
        for bad in [
            "000",
            "0000000",
            "",
            "١٢٣٤٥٦",
            "+123456",
            "123/456",
            "12345ñ",
        ] {
            assert_eq!(normalised(kind, bad), told, "{bad}");
        }
        assert_eq!(
            normalised(kind, "AB123456").is_ok(),
            kind.has_letters(),
            "{kind:?}"
        );
    }
}

#[test]
fn a_separator_stands_where_a_thousands_separator_can() {
    for good in [
        "1020304050",
        "1.020.304.050",
        "1,020,304,050",
        "1 020 304 050",
        "1'020.304.050",
        "1’020’304’050",
        "1\u{a0}020\u{2009}304\u{202f}050",
        "1–020–304–050",
        "1.020.304-050",
        "01.020.304.050",
        "001020304050",
        "\u{200b}1020304050\u{feff}",
        "1020\u{200e}304050",
        "１０２０３０４０５０",
        "1\u{ad}.020.304.050",
    ] {
        assert_eq!(
            normalised(DocumentType::Cc, good).unwrap(),
            "1020304050",
            "{good:?}"
        );
    }
    for kind in DocumentType::ALL {
        for bad in [
            "79204456.0",
            "79204456.00",
            "79204456.000",
            "79204456,0",
            "7920445.6",
            "1020304.050",
            "10.20.30.40.50",
            "1,020,304.050",
            "1.020.304,050",
            ".102",
            "1020.",
            "1..020",
            "1.020.304.05",
            "79204456-0",
            "79204456 0",
            "1e9",
            "0x12345.",
        ] {
            // A passport may have letters, and then blanks and dashes, but never a point.
            if kind.has_letters() && bad == "1e9" {
                continue;
            }
            assert_eq!(
                normalised(kind, bad),
                Err(Fault::DocumentNumber(kind)),
                "{bad}"
            );
        }
    }
}

#[test]
fn a_number_is_one_under_its_type_however_it_is_written() {
    let number = |kind, text| normalised(kind, text).unwrap();
    assert_eq!(
        number(DocumentType::Cc, "0079204111"),
        number(DocumentType::Cc, "79204111")
    );
    assert_eq!(
        number(DocumentType::Passport, "ab 123-456"),
        number(DocumentType::Passport, "AB123456")
    );
    assert_ne!(
        number(DocumentType::Passport, "0123456"),
        number(DocumentType::Passport, "123456")
    );
    let all: std::collections::HashSet<_> = DocumentType::ALL
        .map(|kind| number(kind, "1020304050"))
        .into();
    assert_eq!(all.len(), 6, "a type's number is not another's");
    let shown = |kind, text| DocumentNumber::of(kind, text).unwrap().as_str().to_owned();
    assert_eq!(shown(DocumentType::Cc, "0012.345"), "0012345");
    assert_eq!(shown(DocumentType::Passport, "ab123456"), "PA AB123456");
}

#[test]
fn a_type_of_document_is_read_as_people_write_it() {
    for kind in DocumentType::ALL {
        for text in [
            kind.as_str().to_owned(),
            kind.as_str().to_lowercase(),
            format!(" {} \u{200b}", kind.as_str()),
        ] {
            assert_eq!(DocumentType::parse(&text), Some(kind), "{text}");
        }
    }
    assert_eq!(DocumentType::parse("C.C."), Some(DocumentType::Cc));
    assert_eq!(DocumentType::parse("NIT"), None);
    let typed = |kind, number| {
        let form = RegistrationForm {
            document_type: text(kind),
            document_number: text(number),
            ..form()
        };
        let new = NewRegistration::parse(form, &Cities::embedded().unwrap())?;
        Ok(new
            .person
            .document_number
            .map(|number| number.as_str().to_owned()))
    };
    let faulty = |errors: Vec<FieldError>| {
        errors
            .into_iter()
            .map(|error| (error.field, error.fault))
            .collect::<Vec<_>>()
    };
    assert_eq!(typed("CE", "123456").unwrap().unwrap(), "CE 123456");
    assert_eq!(typed(" ", "123456").unwrap().unwrap(), "123456");
    assert_eq!(
        typed("CE", " \u{200b}").unwrap(),
        None,
        "a type without a number is none"
    );
    assert_eq!(
        faulty(typed("NIT", "1").unwrap_err()),
        [(Field::DocumentType, Fault::Format)]
    );
    assert_eq!(
        faulty(typed("TI", "AB12").unwrap_err()),
        [(
            Field::DocumentNumber,
            Fault::DocumentNumber(DocumentType::Ti)
        )]
    );
}

#[test]
fn what_a_paste_brings_along_changes_no_field() {
    let cities = Cities::embedded().unwrap();
    let new = NewRegistration::parse(
        RegistrationForm {
            name: text("\u{feff}Ana\u{a0}María \u{200b}Ñáñez\u{200e}"),
            city: text("Mede\u{ad}llín\u{200b}"),
            document_type: text("CC\u{200b}"),
            document_number: text("1’020.304.050\u{200e}"),
            email: text("\u{200b}ana@example.com\u{feff}"),
            idempotency_key: text("“0123456789abcdef”\u{200b}"),
            ..form()
        },
        &cities,
    )
    .unwrap();
    assert_eq!(new.person.name.as_str(), "Ana María Ñáñez");
    assert_eq!(new.city.name, "Medellín");
    assert_eq!(new.person.document_number.unwrap().as_str(), "1020304050");
    assert_eq!(new.person.email.unwrap().as_str(), "ana@example.com");
    assert_eq!(new.idempotency_key.unwrap().as_str(), "0123456789abcdef");
    assert!(Reference::parse("(k7qm–3xpd\u{200b}).").is_some());
}

#[test]
fn what_turns_the_reading_around_is_refused_in_every_field() {
    let turned = |field: &str| text(&format!("{field}\u{202e}"));
    let bad = RegistrationForm {
        name: turned("Ana"),
        city: turned("bogota"),
        document_type: None,
        document_number: turned("1020304050"),
        email: turned("ana@example.com"),
        idempotency_key: turned("0123456789"),
        notice: None,
        consent: None,
        photo: form().photo,
    };
    let fields = [
        Field::Name,
        Field::City,
        Field::DocumentNumber,
        Field::Email,
        Field::IdempotencyKey,
    ];
    assert_eq!(faults(bad), fields.map(|field| (field, Fault::Reordered)));
}

#[test]
fn a_name_that_nobody_sees_is_absent() {
    for unseen in [
        "\u{200b}",
        "\u{3164}",
        "\u{2800}",
        "\u{301}",
        "\u{e0041}",
        "\u{ad}\u{200d}",
    ] {
        assert_eq!(
            PersonName::parse(unseen),
            Err(Fault::Required),
            "{unseen:?}"
        );
    }
    assert_eq!(PersonName::parse("Ana\u{2028}María"), Err(Fault::Control));
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
    let key = |text| IdempotencyKey::parse(text).map(|key| key.as_str().to_owned());
    for (written, meant) in [
        ("\"12345678\"", "12345678"),
        (" \"12345678\" ", "12345678"),
        (r#""1234\"5678\\""#, r#"1234"5678\"#),
        ("1234\"5678", "1234\"5678"),
    ] {
        assert_eq!(key(written).unwrap(), meant, "{written}");
    }
    for bad in [
        "\"12345678",
        "\"1234567\"",
        "\"12345678\"x",
        r#""12345678\""#,
        r#""1234\5678""#,
    ] {
        assert_eq!(key(bad), Err(Fault::Format), "{bad}");
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
    fn what_was_parsed_parses_again_to_itself(text in "[^\\p{Cc}]{1,200}|[0-9., '’\u{200b}-]{0,20}|[A-Za-z0-9 -]{0,20}") {
        if let Ok(name) = PersonName::parse(&text) {
            prop_assert_eq!(PersonName::parse(name.as_str()), Ok(name));
        }
        for kind in DocumentType::ALL {
            if let Ok(number) = DocumentNumber::of(kind, &text) {
                let symbols = number.as_str().rsplit(' ').next().unwrap();
                prop_assert_eq!(DocumentNumber::of(kind, symbols), Ok(number.clone()));
                let seen = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_uppercase();
                prop_assert_eq!(seen(symbols), seen(&text), "never another number");
            }
        }
    }

    #[test]
    fn a_number_is_never_another(number in 100_u64..99_999_999_999, zeros in 0_usize..4, group in "[., '’]?") {
        let digits = number.to_string();
        let mut grouped = String::new();
        for (index, digit) in digits.char_indices() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                grouped.push_str(&group);
            }
            grouped.push(digit);
        }
        let parsed = normalised(DocumentType::Cc, &format!("{}{grouped}", "0".repeat(zeros)));
        prop_assert_eq!(parsed, Ok(digits));
    }

    #[test]
    fn no_text_panics(text: String) {
        let _ = (PersonName::parse(&text), DocumentType::parse(&text), Email::parse(&text));
        let _ = (IdempotencyKey::parse(&text), Reference::parse(&text));
        let _ = DocumentType::ALL.map(|kind| DocumentNumber::of(kind, &text));
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
