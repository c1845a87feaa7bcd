//! People who register: no two alike, each with a photo of their own.

use std::io::Cursor;

use bytes::Bytes;
use fastrand::Rng;
use image::{ImageFormat, RgbImage};
use reqwest::multipart::{Form, Part};

/// Pixels of a side of a photo, and of every tenth: an upload that goes out in many pieces.
const SIDE: u32 = 8;
const LARGE_SIDE: u32 = 256;

/// Cities that people are from.
const CITIES: [&str; 5] = ["11001", "05001", "76001", "08001", "13001"];

/// One person.
#[derive(Clone, Debug)]
pub(crate) struct Human {
    pub(crate) name: String,
    pub(crate) city: &'static str,
    pub(crate) document: String,
    pub(crate) key: String,
    /// A PNG that no other person has.
    pub(crate) photo: Bytes,
}

impl Human {
    /// The `number`th person.
    pub(crate) fn new(number: u32) -> Self {
        let side = if number % 10 == 2 { LARGE_SIDE } else { SIDE };
        Self {
            name: format!("Ángela Ñáñez {number}"),
            city: CITIES[number as usize % CITIES.len()],
            document: (1_000_000_000 + u64::from(number)).to_string(),
            key: format!("stack-{number:08}"),
            photo: photo(side, number.into()),
        }
    }

    /// The form that they send.
    pub(crate) fn form(&self) -> Form {
        let photo = Part::bytes(self.photo.to_vec()).file_name("card.png");
        Form::new()
            .text("name", self.name.clone())
            .text("city", self.city)
            .text("document_number", self.document.clone())
            .part("photo", photo)
    }

    /// What staff see of the photo.
    pub(crate) fn clean_photo(&self) -> Vec<u8> {
        padron::domain::photo::clean(&self.photo)
            .unwrap()
            .bytes()
            .to_vec()
    }
}

/// A square of noise, which takes three bytes for each pixel.
pub(crate) fn photo(side: u32, seed: u64) -> Bytes {
    let mut picture = RgbImage::new(side, side);
    Rng::with_seed(seed).fill(&mut picture);
    let mut photo = Cursor::new(Vec::new());
    picture.write_to(&mut photo, ImageFormat::Png).unwrap();
    photo.into_inner().into()
}
