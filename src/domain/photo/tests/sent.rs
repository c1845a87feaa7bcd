//! Files as people send them, made after public bug reports; what Chromium and Firefox show of each decided the answer.

use super::*;

const NOT_TURNED: Option<Orientation> = Some(Orientation::NoTransforms);
const TURNED: Option<Orientation> = Some(Orientation::Rotate90);

/// The orientation of the stored picture, none where it is refused as incomplete.
#[rustfmt::skip]
const ANSWERS: [(&str, Option<Orientation>); 30] = [
    ("04-no-eoi-samsung-panorama-mp4.jpg", NOT_TURNED),
    ("05b-no-eoi-zeros-behind.jpg", NOT_TURNED),
    ("11-two-exif-first1-second6.jpg", NOT_TURNED),
    ("113-riff-size-is-file-size.webp", NOT_TURNED),
    ("13-xmp-then-exif-o3.jpg", Some(Orientation::Rotate180)),
    ("200-exif-no-orientation-then-exif-o6.jpg", NOT_TURNED),
    ("208-exif-no-next-ifd-22-bytes.jpg", TURNED),
    ("220-two-exif-1-6.png", NOT_TURNED),
    ("222-exif-bad-crc.png", NOT_TURNED),
    // Nothing but decoding tells that pixels are missing here: the page shows the photo before it is sent.
    ("233-webp-token-partition-cut.webp", NOT_TURNED),
    ("235-vp8l-cut.webp", NOT_TURNED),
    ("246-plte-in-gray.png", NOT_TURNED),
    ("264-iccp-swapped-byte-behind.png", NOT_TURNED),
    ("34-truncated-with-eoi.jpg", None),
    ("36-tem-marker-in-header.jpg", NOT_TURNED),
    ("37-reserved-ff02-segment.jpg", NOT_TURNED),
    ("38-jpg7-f7-segment.jpg", NOT_TURNED),
    ("62-iccp-bad-crc.png", NOT_TURNED),
    ("63-phys-bad-crc.png", NOT_TURNED),
    ("64-gama-bad-crc.png", NOT_TURNED),
    ("65-text-bad-crc.png", NOT_TURNED),
    ("66-srgb-bad-crc.png", NOT_TURNED),
    ("69-no-iend.png", NOT_TURNED),
    ("70-iend-bad-crc.png", NOT_TURNED),
    ("71-idat-bad-crc.png", NOT_TURNED),
    ("72-adler-wrong.png", NOT_TURNED),
    ("73-adler-missing.png", NOT_TURNED),
    ("74b-extra-1-byte.png", NOT_TURNED),
    // As the specification says; browsers turn it when the chunk stands in front of the pixels.
    ("82-exif-after-idat.png", TURNED),
    ("96-trns-bad-crc-palette.png", NOT_TURNED),
];

fn sent(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/photo/sent/");
    std::fs::read(format!("{folder}{name}")).expect("is there")
}

#[test]
fn photos_as_people_send_them_get_the_right_answer() {
    let jpeg = pixels(&sent("11-two-exif-first1-second6.jpg"));
    let png = pixels(&sent("65-text-bad-crc.png"));
    for (name, turn) in ANSWERS {
        let bytes = sent(name);
        let photo = super::super::clean(&bytes);
        let Some(turn) = turn else {
            assert_eq!(photo, Err(PhotoError::Truncated), "{name}");
            continue;
        };
        let photo = photo.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(orientation(photo.bytes()), turn, "{name}");
        if name.ends_with("jpg") {
            assert!(pixels(photo.bytes()) == jpeg, "{name}");
        } else if name.ends_with("png") && !name.starts_with("246") && !name.starts_with("96") {
            assert!(pixels(photo.bytes()) == png, "{name}");
        }
        assert_invariants(&bytes);
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/photo/sent");
    assert_eq!(
        std::fs::read_dir(folder).expect("is there").count(),
        ANSWERS.len(),
        "each file has an answer"
    );
    let profile = clean(&sent("264-iccp-swapped-byte-behind.png")).expect("good");
    assert!(contains(profile.bytes(), b"iCCP"));
}
