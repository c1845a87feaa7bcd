//! People who register: no two alike, each with a photo of their own.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};
use reqwest::multipart::{Form, Part};

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
    pub(crate) photo: Vec<u8>,
}

impl Human {
    /// The `number`th person.
    pub(crate) fn new(number: u32) -> Self {
        let [a, b, c, d] = number.to_be_bytes();
        let mut picture = RgbImage::new(8, 8);
        for (x, y, pixel) in picture.enumerate_pixels_mut() {
            let place = u8::try_from(x * 8 + y).unwrap();
            *pixel = Rgb([a ^ place, b.wrapping_add(c), d.wrapping_mul(place)]);
        }
        // The last pixel alone tells any two apart.
        picture.put_pixel(7, 7, Rgb([b, c, d]));
        let mut photo = Cursor::new(Vec::new());
        picture.write_to(&mut photo, ImageFormat::Png).unwrap();
        Self {
            name: format!("Ángela Ñáñez {number}"),
            city: CITIES[number as usize % CITIES.len()],
            document: (1_000_000_000 + u64::from(number)).to_string(),
            key: format!("stack-{number:08}"),
            photo: photo.into_inner(),
        }
    }

    /// The form that they send.
    pub(crate) fn form(&self) -> Form {
        let photo = Part::bytes(self.photo.clone()).file_name("card.png");
        Form::new()
            .text("name", self.name.clone())
            .text("city", self.city)
            .text("document_number", self.document.clone())
            .part("photo", photo)
    }

    /// What staff see of the photo.
    pub(crate) fn clean_photo(&self) -> Vec<u8> {
        padron::photo::clean(&self.photo).unwrap().bytes().to_vec()
    }
}
