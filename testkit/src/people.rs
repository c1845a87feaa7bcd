//! People who register: no two alike, each with a photo of their own.

use std::env;

use bytes::Bytes;
use fastrand::Rng;
use padron::domain::registration::{DocumentNumber, Email, Person, PersonName};
use reqwest::{
    Client, RequestBuilder,
    multipart::{Form, Part},
};

use crate::photos::noise;

const GIVEN_NAMES: &str = include_str!("../../fixtures/given-names.txt");
const SURNAMES: &str = include_str!("../../fixtures/surnames.txt");

/// Pixels of a side of a photo, and of every tenth: an upload that goes out in many chunks.
const SIDE: u32 = 8;
const LARGE_SIDE: u32 = 256;

/// Cities that people are from, whose names differ, so that each has a tab of its own.
const CITIES: [(&str, &str); 5] = [
    ("11001", "Bogotá, D.C."),
    ("05001", "Medellín"),
    ("76001", "Cali"),
    ("08001", "Barranquilla"),
    ("13001", "Cartagena de Indias"),
];

/// Random numbers, seeded by `PADRON_TEST_SEED`, or anew; the seed is printed, and shown when the test fails.
pub fn random() -> Rng {
    let given = env::var("PADRON_TEST_SEED").ok();
    let seed = given.map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("PADRON_TEST_SEED={seed}");
    Rng::with_seed(seed)
}

/// One person, and what they send.
#[derive(Clone, Debug)]
pub struct Human {
    /// As typed.
    pub name: String,
    /// The code of the city.
    pub city: &'static str,
    /// The document's number, which no other person has.
    pub document: String,
    /// The idempotency key of the one request.
    pub key: String,
    /// A photo that no other person has.
    pub photo: Bytes,
}

impl Human {
    /// The `number`th person.
    pub fn new(number: u32) -> Self {
        let side = if number % 10 == 2 { LARGE_SIDE } else { SIDE };
        Self {
            name: name(number),
            city: CITIES[number as usize % CITIES.len()].0,
            document: document(number),
            key: format!("key-{number:08}"),
            photo: noise(side, number.into()),
        }
    }

    /// What the city is called.
    pub fn city_name(&self) -> &'static str {
        let mut cities = CITIES.into_iter();
        cities.find(|(code, _)| *code == self.city).unwrap().1
    }

    /// The form that they send.
    pub fn form(&self) -> Form {
        let photo = Part::bytes(self.photo.to_vec()).file_name("card.png");
        Form::new()
            .text("name", self.name.clone())
            .text("city", self.city)
            .text("document_number", self.document.clone())
            .part("photo", photo)
    }

    /// The same request each time, idempotent, as a client that retries sends it; `server` is an address such as
    /// `http://localhost:4000`.
    pub fn post(&self, client: &Client, server: &str) -> RequestBuilder {
        let request = client.post(format!("{server}/registrations"));
        request
            .header("Idempotency-Key", &self.key)
            .multipart(self.form())
    }

    /// What staff see of the photo.
    pub fn clean_photo(&self) -> Vec<u8> {
        let photo = padron::domain::photo::clean(&self.photo);
        photo.unwrap().into_bytes()
    }
}

/// The plaintext of the `number`th person's record; every fourth has an address.
pub(crate) fn person(number: u32) -> Person {
    let email = number.is_multiple_of(4);
    let email = email.then(|| Email::parse(&format!("persona{number}@example.com")).unwrap());
    Person {
        name: PersonName::parse(&name(number)).unwrap(),
        document_number: Some(DocumentNumber::parse(&document(number)).unwrap()),
        email,
        notice: None,
    }
}

fn name(number: u32) -> String {
    let mut random = Rng::with_seed(number.into());
    let mut pick = |names: &'static str| {
        let count = names.lines().count();
        names.lines().nth(random.usize(..count)).unwrap()
    };
    format!(
        "{} {} {}",
        pick(GIVEN_NAMES),
        pick(SURNAMES),
        pick(SURNAMES)
    )
}

/// Eleven digits, all different, and in no order that would compress well: the factor is odd and no multiple of 5.
pub(crate) fn document(number: u32) -> String {
    let document = u64::from(number) * 7_919_191_917 % 10_000_000_000;
    format!("1{document:010}")
}

#[test]
fn no_two_people_are_alike_and_no_photo_is_clean() {
    use std::collections::BTreeSet;

    let people: Vec<_> = (0..1_000).map(Human::new).collect();
    let different =
        |of: fn(&Human) -> Vec<u8>| people.iter().map(of).collect::<BTreeSet<_>>().len();
    assert_eq!(
        different(|human| human.document.clone().into()),
        people.len()
    );
    assert_eq!(different(|human| human.key.clone().into()), people.len());
    assert_eq!(different(Human::clean_photo), people.len());
    assert!(
        people
            .iter()
            .all(|human| human.clean_photo().len() < human.photo.len())
    );
}
