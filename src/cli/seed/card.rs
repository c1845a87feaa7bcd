//! Made-up ID cards: small JPEGs that look like one from afar, no two alike.

use image::{ImageError, Rgb, RgbImage, codecs::jpeg::JpegEncoder};

const WIDTH: u32 = 320;
const HEIGHT: u32 = 200;
const QUALITY: u8 = 70;

/// A card whose colours and lines come from `random`.
pub(super) fn draw(random: [u8; 16]) -> Result<Vec<u8>, ImageError> {
    let [hue, skin, shirt, lines @ ..] = random;
    let mut card = RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let shade = u8::try_from((x + y) / 8 % 40).unwrap_or_default();
        Rgb([200 + shade, 215 + hue % 40, 235])
    });
    fill(&mut card, [0, 0, WIDTH, 28], Rgb([40, 60 + hue % 80, 120]));
    fill(&mut card, [20, 44, 90, 130], Rgb([245, 245, 245]));
    fill(
        &mut card,
        [45, 62, 40, 50],
        Rgb([150 + skin % 90, 110 + skin % 80, 90 + skin % 60]),
    );
    fill(&mut card, [32, 118, 66, 56], Rgb([shirt, 90, 255 - shirt]));
    for (y, length) in (50..).step_by(11).zip(lines) {
        fill(
            &mut card,
            [130, y, 60 + u32::from(length) / 2, 5],
            Rgb([60, 60, 70]),
        );
    }
    let mut jpeg = Vec::new();
    card.write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, QUALITY))?;
    Ok(jpeg)
}

fn fill(card: &mut RgbImage, [left, top, width, height]: [u32; 4], colour: Rgb<u8>) {
    for y in top..(top + height).min(HEIGHT) {
        for x in left..(left + width).min(WIDTH) {
            card.put_pixel(x, y, colour);
        }
    }
}
