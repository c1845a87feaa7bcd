//! Photos to send.

use std::io::Cursor;

use bytes::Bytes;
use fastrand::Rng;
use image::{ImageFormat, RgbImage};
use padron::domain::photo::MIN_LONG_SIDE;

/// A photo of an ID card, 34 KB, with texts planted in its EXIF, comment and GPS and behind its end.
pub const CARD: &[u8] = include_bytes!("../../fixtures/card.jpg");

/// Bytes of a PNG before its second chunk.
const FIRST: usize = 33;

/// A comment as a chunk of a PNG, its checksum left out.
const COMMENT: &[u8] = b"\0\0\0\x11tEXtComment\0a comment\0\0\0\0";

/// A PNG of noise, three bytes for each pixel of a square, with a comment that cleaning takes out. A small one is as
/// wide as a photo must be, and not as high.
pub fn noise(side: u32, seed: u64) -> Bytes {
    let width = side.max(MIN_LONG_SIDE);
    let mut picture = RgbImage::new(width, (side * side).div_ceil(width));
    Rng::with_seed(seed).fill(&mut picture);
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png).unwrap();
    let (first, rest) = png.get_ref().split_at(FIRST);
    let mut png = [first, COMMENT, rest].concat();
    make_checksums_right(&mut png);
    png.into()
}

/// Makes the checksums of a PNG right again, so that a mutation gets past them; leaves anything else alone.
pub fn make_checksums_right(bytes: &mut [u8]) {
    let mut at = 8;
    while bytes.starts_with(b"\x89PNG")
        && let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk())
    {
        let end = at + 8 + u32::from_be_bytes(*length) as usize;
        if end + 4 > bytes.len() {
            break;
        }
        let crc = crc32fast::hash(&bytes[at + 4..end]);
        bytes[end..end + 4].copy_from_slice(&crc.to_be_bytes());
        at = end + 4;
    }
}
