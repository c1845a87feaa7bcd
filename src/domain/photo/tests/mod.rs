//! What holds for all three formats; `image` is the oracle for pixels and orientation.

mod cost;
mod jpeg;
mod png;
mod samples;
mod sent;
mod webp;

use std::io::Cursor;

use image::{ImageDecoder, ImageFormat, ImageReader, metadata::Orientation};
use proptest::prelude::*;

use self::samples::*;
use super::{
    MAX_BYTES, MAX_ICC, MAX_SIDE, MENDED, MIN_LONG_SIDE, MediaType, Photo, PhotoError,
    clean_of_any_size, clean_while, exif, sniff,
};

/// Most pictures here are smaller than one may send.
fn clean(bytes: &[u8]) -> Result<Photo, PhotoError> {
    clean_of_any_size(bytes, &|| true)
}

fn pixels(bytes: &[u8]) -> image::RgbaImage {
    image::load_from_memory(bytes)
        .expect("decodes")
        .into_rgba8()
}

fn orientation(bytes: &[u8]) -> Orientation {
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .expect("reads");
    reader
        .into_decoder()
        .expect("decodes")
        .orientation()
        .expect("has an orientation")
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// What must hold for any input; the fuzz target asserts the same.
fn assert_invariants(bytes: &[u8]) {
    let Ok(photo) = clean(bytes) else { return };
    assert!((1..=MAX_SIDE).contains(&photo.width()) && (1..=MAX_SIDE).contains(&photo.height()));
    assert!(photo.bytes().len() <= MAX_BYTES.min(bytes.len() + MENDED));
    assert_eq!(sniff(photo.bytes()), Ok(photo.media_type()));
    assert!(clean(photo.bytes()) == Ok(photo), "cleaning twice differs");
}

fn jpeg_of_sides(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = PROGRESSIVE.to_vec();
    let frame = bytes
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC2])
        .expect("progressive");
    bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    bytes
}

/// One picture of each format that carries `tiff` as its EXIF block.
fn with_exif(tiff: &[u8]) -> [Vec<u8>; 3] {
    [
        jpeg_with(
            &encoded(ImageFormat::Jpeg),
            &[segment(0xE1, &[b"Exif\0\0", tiff])],
        ),
        dot(&[chunk(b"eXIf", tiff)], &[]),
        webp_with(&[], &[riff_chunk(b"EXIF", tiff)]),
    ]
}

#[test]
fn pixels_stay_the_same() {
    for picture in pictures()
        .into_iter()
        .chain(planted().into_iter().map(|(bytes, _)| bytes))
    {
        let photo = clean(&picture).expect("a good picture");
        let before = pixels(&picture);
        assert_eq!((photo.width(), photo.height()), before.dimensions());
        assert!(pixels(photo.bytes()) == before, "{photo:?}");
        assert_invariants(&picture);
    }
}

#[test]
fn a_picture_without_metadata_is_left_alone() {
    for picture in pictures() {
        assert!(clean(&picture).expect("a good picture").into_bytes() == picture);
    }
}

#[test]
fn metadata_is_gone() {
    for (bytes, _) in planted() {
        let photo = clean(&bytes).expect("a good picture");
        for needle in [
            SECRET,
            &zlib(SECRET),
            b"JFXX",
            b"adobe.com",
            b"MPF",
            b"XMP",
            b"PK\x03\x04",
        ] {
            assert!(
                !contains(photo.bytes(), needle),
                "{photo:?} {}",
                needle.escape_ascii()
            );
        }
        assert_eq!(orientation(photo.bytes()), Orientation::Rotate90);
    }
}

#[test]
fn only_a_turning_orientation_is_kept_of_exif() {
    for big_endian in [false, true] {
        for value in 0..=9_u16 {
            let expected = u8::try_from(value).ok().and_then(Orientation::from_exif);
            for bytes in with_exif(&full_exif(big_endian, value)) {
                let photo = clean(&bytes).expect("a good picture");
                assert_eq!(
                    orientation(photo.bytes()),
                    expected.unwrap_or(Orientation::NoTransforms)
                );
                let kept = contains(photo.bytes(), b"MM\0*");
                assert_eq!(kept, (2..=8).contains(&value), "{photo:?} {value}");
                if photo.media_type() == MediaType::WebP {
                    assert_eq!(photo.bytes()[20] & 0x08 != 0, kept, "flag of {value}");
                }
                assert!(!contains(photo.bytes(), SECRET));
            }
        }
    }
}

#[test]
fn broken_exif_is_dropped() {
    let whole = full_exif(true, 6);
    let short = &exif::tiff(6)[..21];
    let far = [b"MM\0*\xFF\xFF\xFF\xFF", &whole[8..]].concat();
    for tiff in (0..whole.len())
        .map(|cut| &whole[..cut])
        .chain([&far, short])
    {
        for bytes in with_exif(tiff) {
            clean(&bytes).expect("the picture is good");
            assert_invariants(&bytes);
        }
    }
    assert_eq!(exif::orientation(&far), None);
    assert_eq!(exif::orientation(short), None);
}

#[test]
fn colour_profiles_are_kept_up_to_their_bound() {
    let jpeg = encoded(ImageFormat::Jpeg);
    let block = segment(0xE2, &[ICC, &vec![7; 65_000]]);
    for (blocks, kept) in [(1, true), (16, true), (17, false)] {
        let photo = clean(&jpeg_with(&jpeg, &vec![block.clone(); blocks])).expect("a good picture");
        assert_eq!(contains(photo.bytes(), ICC), kept, "{blocks} blocks");
    }
    for (length, kept) in [(MAX_ICC, true), (MAX_ICC + 1, false)] {
        let webp = webp_with(&[riff_chunk(b"ICCP", &vec![7; length])], &[]);
        let photo = clean(&webp).expect("a good picture");
        assert_eq!(contains(photo.bytes(), b"ICCP"), kept, "{length} bytes");
        assert_eq!(photo.bytes()[20], if kept { 0b11_0000 } else { 0b01_0000 });
    }
    let profile = |length| chunk(b"iCCP", &[b"x\0\0", &zlib(&vec![7; length])[..]].concat());
    let photo = clean(&dot(&[profile(MAX_ICC)], &[])).expect("a good picture");
    assert!(contains(photo.bytes(), b"iCCP"));
    assert_eq!(
        clean(&dot(&[profile(MAX_ICC + 1)], &[])),
        Err(PhotoError::Bomb)
    );
}

#[test]
fn sides_are_bounded_by_the_header() {
    use PhotoError::{Malformed, TooManyPixels};
    assert!(clean(&jpeg_of_sides(8000, 8000)).is_ok());
    assert_eq!(clean(&jpeg_of_sides(8001, 1)), Err(TooManyPixels));
    assert_eq!(clean(&jpeg_of_sides(1, 8001)), Err(TooManyPixels));
    assert_eq!(clean(&jpeg_of_sides(60_000, 60_000)), Err(TooManyPixels));
    assert_eq!(clean(&jpeg_of_sides(60_000, 0)), Err(Malformed));

    let row = [chunk(b"IDAT", &zlib(&[0; 8001]))];
    assert!(clean(&png([8000, 1], [8, 0, 0], &row)).is_ok());
    for sides in [[8001, 1], [1, 8001], [60_000, 60_000], [u32::MAX, u32::MAX]] {
        assert_eq!(clean(&png(sides, [8, 0, 0], &row)), Err(TooManyPixels));
    }
    assert_eq!(clean(&png([0, 1], [8, 0, 0], &row)), Err(Malformed));

    let lossless = |width: u32, height: u32| {
        let bits = (width - 1) | (height - 1) << 14;
        riff_chunk(
            b"VP8L",
            &[&[0x2F], &bits.to_le_bytes()[..], &[0; 8]].concat(),
        )
    };
    let lossy = |width: u16, height: u16| {
        let [width, height] = [width, height].map(u16::to_le_bytes);
        riff_chunk(
            b"VP8 ",
            &[&[0x10, 0, 0, 0x9D, 1, 0x2A], &width[..], &height].concat(),
        )
    };
    assert!(clean(&riff(&[lossless(8000, 8000)])).is_ok());
    assert!(clean(&riff(&[lossy(8000, 8000)])).is_ok());
    for bytes in [
        riff(&[lossless(8001, 1)]),
        riff(&[lossless(1, 16_384)]),
        riff(&[lossy(8001, 1)]),
        riff(&[lossy(1, 16_383)]),
        riff(&[vp8x(0, 60_000, 60_000), lossless(1, 1)]),
    ] {
        assert_eq!(clean(&bytes), Err(TooManyPixels));
    }
    assert_eq!(clean(&riff(&[lossy(0, 5)])), Err(Malformed));
    assert_eq!(
        clean(&riff(&[vp8x(0, 9, 9), lossless(9, 8)])),
        Err(Malformed)
    );
}

#[test]
fn length_is_bounded() {
    for picture in pictures() {
        let mut bytes = [picture.clone(), vec![b'x'; MAX_BYTES - picture.len()]].concat();
        assert!(clean(&bytes).expect("at the bound").into_bytes() == picture);
        bytes.push(b'x');
        assert_eq!(clean(&bytes), Err(PhotoError::TooLarge));
    }
}

/// Where the pixels of a clean picture end, at the earliest.
fn pixels_end(bytes: &[u8]) -> usize {
    let find = |needle: &[u8]| {
        bytes
            .windows(needle.len())
            .position(|window| window == needle)
    };
    match sniff(bytes).expect("a picture") {
        // The last scan brings the last bit of what is there already.
        MediaType::Jpeg if is_progressive(bytes) => {
            let last = bytes.windows(2).rposition(|pair| pair == [0xFF, 0xDA]);
            last.expect("has scans") + 10
        }
        MediaType::Jpeg => bytes.len() - 2,
        // The end of the stream, its checksum, that of the chunk, IEND.
        MediaType::Png => bytes.len() - 12 - 4 - 4 - 3,
        MediaType::WebP => {
            let image = find(b"VP8L")
                .or_else(|| find(b"VP8 "))
                .expect("has an image");
            let size = bytes[image + 4..].first_chunk().expect("has a size");
            image + 8 + u32::from_le_bytes(*size) as usize
        }
    }
}

fn is_progressive(bytes: &[u8]) -> bool {
    sniff(bytes) == Ok(MediaType::Jpeg) && bytes.windows(2).any(|pair| pair == [0xFF, 0xC2])
}

/// The mean difference of two pictures of the same size, of 255.
fn difference(some: &[u8], other: &[u8]) -> f64 {
    let pairs = some.iter().zip(other);
    let sum: u32 = pairs.map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    f64::from(sum) / f64::from(u32::try_from(some.len()).expect("small"))
}

#[test]
fn a_cut_picture_is_refused_or_lacks_nothing() {
    let whole = pictures()
        .into_iter()
        .map(|bytes| (bytes.clone(), bytes.len()));
    for (bytes, end) in planted().into_iter().chain(whole) {
        let photo = clean(&bytes).expect("a good picture");
        let needed = pixels_end(photo.bytes());
        // What was dropped stood in front of the pixels, or behind them as well.
        for cut in 0..bytes.len() {
            let is_whole = clean(&bytes[..cut]);
            if cut < needed {
                assert!(is_whole.is_err(), "{cut} of {end}");
            } else if cut >= end {
                assert!(is_whole.as_ref() == Ok(&photo), "{cut} of {end}");
            } else if let Ok(other) = is_whole {
                if is_progressive(&bytes) {
                    let difference = difference(&pixels(other.bytes()), &pixels(&bytes));
                    assert!(difference < 16.0, "{cut} of {end}: {difference}");
                    continue;
                }
                assert!(pixels(other.bytes()) == pixels(&bytes), "{cut} of {end}");
            }
        }
    }
    assert_eq!(clean(&LOSSY[..LOSSY.len() - 2]), Err(PhotoError::Truncated));
}

#[test]
fn a_photo_too_small_to_read_is_refused() {
    for (sides, is_taken) in [
        ([MIN_LONG_SIDE, 1], true),
        ([1, MIN_LONG_SIDE], true),
        ([MIN_LONG_SIDE - 1; 2], false),
    ] {
        let [width, height] = sides.map(|side| side as usize);
        let rows = [chunk(b"IDAT", &zlib(&vec![0; (1 + width) * height]))];
        let photo = super::clean(&png(sides, [8, 0, 0], &rows));
        assert_eq!(photo.is_ok(), is_taken, "{sides:?}");
        assert!(is_taken || photo == Err(PhotoError::TooFewPixels));
    }
}

#[test]
fn cleaning_ends_when_nobody_waits() {
    // Some end before there is anything to cancel.
    let long: Vec<_> = cost::costly(1 << 20)
        .into_iter()
        .filter(|bytes| cost::cost(bytes).0 > 2)
        .collect();
    assert!(long.len() > 20, "{}", long.len());
    for bytes in long {
        let asked = std::cell::Cell::new(0);
        let is_wanted = || {
            asked.set(asked.get() + 1);
            asked.get() < 2
        };
        assert_eq!(clean_while(&bytes, is_wanted), Err(PhotoError::Cancelled));
        assert_eq!(asked.get(), 2, "nothing is done behind the no");
    }
}

#[test]
fn other_formats_are_refused() {
    use PhotoError::{Animated, Empty, Heic, Unsupported};
    for (bytes, error) in [
        (&b""[..], Empty),
        (b"hello", Unsupported),
        (b"GIF89a\x01\0\x01\0", Unsupported),
        (b"RIFF\x04\0\0\0WAVE", Unsupported),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", Heic),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", Heic),
        (b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", Unsupported),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", Unsupported),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", Unsupported),
        (ANIMATED_WEBP, Animated),
    ] {
        assert_eq!(clean(bytes), Err(error), "{}", bytes.escape_ascii());
    }
}

#[test]
fn media_types_read_what_they_write() {
    for media_type in [MediaType::Jpeg, MediaType::Png, MediaType::WebP] {
        assert_eq!(media_type.as_str().parse(), Ok(media_type));
    }
    assert_eq!(
        "image/gif".parse::<MediaType>(),
        Err(PhotoError::Unsupported)
    );
}

#[test]
fn nothing_of_the_picture_is_printed() {
    let photo = clean(&encoded(ImageFormat::Png)).expect("a good picture");
    assert_eq!(
        format!("{photo:?}"),
        "Photo { media_type: Png, width: 37, height: 23, .. }"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_survived(
        magic in prop::sample::select(vec![&b""[..], b"\xFF\xD8\xFF", b"\x89PNG\r\n\x1a\n", b"RIFF\x80\0\0\0WEBPVP8X"]),
        noise in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        assert_invariants(&[magic, &noise].concat());
    }

    #[test]
    fn any_mutation_is_survived(
        picture in prop::sample::select([pictures(), planted().into_iter().map(|(bytes, _)| bytes).collect()].concat()),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        moved in any::<Option<[prop::sample::Index; 3]>>(),
    ) {
        let mut bytes = picture;
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(places) = moved {
            let mut places = places.map(|place| place.index(bytes.len()));
            places.sort_unstable();
            bytes[places[0]..].rotate_left(places[1] - places[0]);
            bytes.truncate(bytes.len().max(1) - (places[2] % 3));
        }
        testkit::make_checksums_right(&mut bytes);
        assert_invariants(&bytes);
    }
}
