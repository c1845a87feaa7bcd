//! Made-up people: each with a name, a number, a key and a photo of their own, from one seed.

use std::{collections::BTreeSet, io::Cursor};

use image::{ImageFormat, Rgb, RgbImage};
use reqwest::{
    RequestBuilder,
    multipart::{Form, Part},
};

use crate::server::Server;

/// Cities of different names, so that each has a tab of its own.
const CITIES: [(&str, &str); 3] = [
    ("05001", "Medellín"),
    ("08001", "Barranquilla"),
    ("76001", "Cali"),
];

/// Pixels of a side of a photo.
const SIDE: u32 = 24;

/// A small generator of numbers (`SplitMix64`), so that a seed that was printed repeats a run.
pub(crate) struct Random(u64);

impl Random {
    /// Seeded by `PADRON_TEST_SEED`, or anew; the seed is printed, and shown when the test fails.
    pub(crate) fn new() -> Self {
        let given = std::env::var("PADRON_TEST_SEED").ok();
        let seed = given.map_or_else(
            || uuid::Uuid::new_v4().as_u64_pair().1,
            |seed| seed.parse().unwrap(),
        );
        println!("PADRON_TEST_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Somebody, and what is expected to be kept of them.
pub(crate) struct Someone {
    pub(crate) name: String,
    pub(crate) document_number: String,
    pub(crate) city_code: &'static str,
    pub(crate) city_name: &'static str,
    key: String,
    sent_photo: Vec<u8>,
    /// What staff must see: the photo without its comment.
    pub(crate) clean_photo: Vec<u8>,
}

impl Someone {
    pub(crate) fn new(number: u64, random: &mut Random) -> Self {
        let (city_code, city_name) = CITIES[usize::try_from(random.below(3)).unwrap()];
        let sent_photo = photo(random);
        let clean_photo = padron::domain::photo::clean(&sent_photo)
            .unwrap()
            .into_bytes();
        assert_ne!(clean_photo, sent_photo, "the comment is cleaned away");
        Self {
            name: format!("Ñusta Pérez {number}"),
            document_number: (10_000_000 + number).to_string(),
            city_code,
            city_name,
            key: format!("key-{number}-{:016x}", random.next()),
            sent_photo,
            clean_photo,
        }
    }

    /// The same request each time, as a client that retries sends it.
    pub(crate) fn post(&self, server: &Server) -> RequestBuilder {
        let photo = Part::bytes(self.sent_photo.clone()).file_name("card.jpg");
        let form = Form::new()
            .text("name", self.name.clone())
            .text("city", self.city_code)
            .text("document_number", self.document_number.clone())
            .part("photo", photo);
        let request = server.client.post(server.url("/registrations"));
        request.header("Idempotency-Key", &self.key).multipart(form)
    }
}

/// The reference that an acknowledgement gives; `None` when the connection broke before it was whole.
/// Any other answer is none that these people may get.
pub(crate) async fn acknowledged(request: RequestBuilder) -> Option<Acknowledged> {
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    let replayed = answer.headers().contains_key("idempotent-replayed");
    let body = answer.bytes().await.ok()?;
    let text = String::from_utf8_lossy(&body);
    assert!(
        matches!((status, replayed), (201, false) | (200, true)),
        "{status} {text}"
    );
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    Some(Acknowledged {
        reference: body["reference"].as_str().unwrap().to_owned(),
        replayed,
    })
}

/// What the server has promised to keep.
pub(crate) struct Acknowledged {
    pub(crate) reference: String,
    pub(crate) replayed: bool,
}

/// A small JPEG of noise, which no two people share, with a comment in it.
fn photo(random: &mut Random) -> Vec<u8> {
    let picture = RgbImage::from_fn(SIDE, SIDE, |_, _| {
        let [red, green, blue, ..] = random.next().to_le_bytes();
        Rgb([red, green, blue])
    });
    let mut jpeg = Cursor::new(Vec::new());
    picture.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    let jpeg = jpeg.into_inner();
    let (start, rest) = jpeg.split_at(2);
    let comment = b"\xff\xfe\x00\x0ea comment in";
    [start, comment, rest].concat()
}

/// Whether every photo differs: otherwise one that was mixed up would not be noticed.
pub(crate) fn all_differ<'a>(people: impl Iterator<Item = &'a Someone>) -> bool {
    let mut seen = BTreeSet::new();
    people
        .map(|someone| &someone.clean_photo)
        .all(|photo| seen.insert(photo))
}
