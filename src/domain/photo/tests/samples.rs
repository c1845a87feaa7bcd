//! Pictures made by real encoders (the `image` crate here, Pillow in `fixtures/photo`) and by hand.

use std::io::{Cursor, Write};

use flate2::{Compression, write::ZlibEncoder};
use image::{DynamicImage, ImageFormat, RgbImage};

pub(super) const SECRET: &[u8] = b"GPS 4.6097,-74.0817 SECRET";
pub(super) const ICC: &[u8] = b"ICC_PROFILE\0\x01\x01profile";
pub(super) const PROGRESSIVE: &[u8] = include_bytes!("../../../../fixtures/photo/progressive.jpg");
pub(super) const RESTART: &[u8] = include_bytes!("../../../../fixtures/photo/restart.jpg");
pub(super) const CMYK: &[u8] = include_bytes!("../../../../fixtures/photo/cmyk.jpg");
pub(super) const PALETTE: &[u8] = include_bytes!("../../../../fixtures/photo/palette.png");
pub(super) const ANIMATED_PNG: &[u8] = include_bytes!("../../../../fixtures/photo/animated.png");
pub(super) const LOSSY: &[u8] = include_bytes!("../../../../fixtures/photo/lossy.webp");
pub(super) const ALPHA: &[u8] = include_bytes!("../../../../fixtures/photo/alpha.webp");
pub(super) const ANIMATED_WEBP: &[u8] = include_bytes!("../../../../fixtures/photo/animated.webp");

pub(super) fn encoded(format: ImageFormat) -> Vec<u8> {
    let paint =
        |x: u32, y: u32| image::Rgb([x * 5, y * 7, x * y].map(|value| value.to_le_bytes()[0]));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(RgbImage::from_fn(37, 23, paint))
        .write_to(&mut bytes, format)
        .expect("encodes");
    bytes.into_inner()
}

/// Still pictures without metadata, one of every kind.
pub(super) fn pictures() -> Vec<Vec<u8>> {
    let mut pictures = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP]
        .map(encoded)
        .to_vec();
    pictures.extend([PROGRESSIVE, RESTART, CMYK, PALETTE, LOSSY, ALPHA].map(<[u8]>::to_vec));
    pictures
}

/// A TIFF file with text, an orientation and a GPS directory.
pub(super) fn full_exif(big_endian: bool, orientation: u16) -> Vec<u8> {
    let short = |n: u16| {
        if big_endian {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    };
    let long = |n: u32| {
        if big_endian {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    };
    let mut tiff = if big_endian { b"MM\0*" } else { b"II*\0" }.to_vec();
    tiff.extend(long(8));
    tiff.extend(short(3));
    let text_len = u32::try_from(SECRET.len()).expect("short");
    for (tag, kind, count, value) in [
        (0x010E, 2, text_len, long(50)),
        (
            0x0112,
            3,
            1,
            [short(orientation), [0, 0]]
                .concat()
                .try_into()
                .expect("four bytes"),
        ),
        (0x8825, 4, 1, long(50)),
    ] {
        tiff.extend([short(tag), short(kind)].concat());
        tiff.extend(long(count));
        tiff.extend(value);
    }
    tiff.extend(long(0));
    tiff.extend(SECRET);
    tiff
}

pub(super) fn segment(marker: u8, parts: &[&[u8]]) -> Vec<u8> {
    let payload = parts.concat();
    let length = u16::try_from(payload.len() + 2)
        .expect("fits")
        .to_be_bytes();
    [&[0xFF, marker], &length[..], &payload].concat()
}

/// `picture` with `segments` behind its SOI.
pub(super) fn jpeg_with(picture: &[u8], segments: &[Vec<u8>]) -> Vec<u8> {
    [&picture[..2], &segments.concat(), &picture[2..]].concat()
}

pub(super) fn chunk(kind: &[u8], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("fits").to_be_bytes();
    let crc = crc32fast::hash(&[kind, content].concat()).to_be_bytes();
    [&length, kind, content, &crc].concat()
}

pub(super) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("writes to memory");
    encoder.finish().expect("writes to memory")
}

/// A PNG of these sides, bit depth, colour type and interlacing.
pub(super) fn png(
    sides: [u32; 2],
    [depth, colour, interlace]: [u8; 3],
    chunks: &[Vec<u8>],
) -> Vec<u8> {
    let [width, height] = sides.map(u32::to_be_bytes);
    let header = [&width, &height, &[depth, colour, 0, 0, interlace][..]].concat();
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.extend(chunk(b"IHDR", &header));
    bytes.extend(chunks.concat());
    bytes.extend(chunk(b"IEND", &[]));
    bytes
}

/// A PNG of one grey pixel with `chunks` around it.
pub(super) fn dot(before: &[Vec<u8>], after: &[Vec<u8>]) -> Vec<u8> {
    let pixel = [chunk(b"IDAT", &zlib(&[0, 9]))];
    png([1, 1], [8, 0, 0], &[before, &pixel, after].concat())
}

pub(super) fn riff_chunk(kind: &[u8], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len()).expect("fits").to_le_bytes();
    let padding = &[0][..content.len() % 2];
    [kind, &size, content, padding].concat()
}

pub(super) fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    riff_chunk(b"RIFF", &[b"WEBP", &chunks.concat()[..]].concat())
}

pub(super) fn vp8x(flags: u8, width: u32, height: u32) -> Vec<u8> {
    let [width, height] = [width, height].map(|side| (side - 1).to_le_bytes());
    riff_chunk(
        b"VP8X",
        &[&[flags, 0, 0, 0], &width[..3], &height[..3]].concat(),
    )
}

/// The 37 × 23 lossless picture in the extended layout, all flags but animation set.
pub(super) fn webp_with(before: &[Vec<u8>], after: &[Vec<u8>]) -> Vec<u8> {
    let bitstream = [encoded(ImageFormat::WebP)[12..].to_vec()];
    riff(&[&[vp8x(0b11_1100, 37, 23)], before, &bitstream, after].concat())
}

/// Pictures full of metadata, each followed by a ZIP file, and the length without it.
pub(super) fn planted() -> Vec<(Vec<u8>, usize)> {
    let tiff = full_exif(false, 6);
    let jfif = [b"JFIF\0\x01\x02\x01\0\x48\0\x48\x01\x01", SECRET].concat();
    let compressed = [b"Comment\0\0", &zlib(SECRET)[..]].concat();
    let chunks = [
        chunk(b"tEXt", &[b"Comment\0", SECRET].concat()),
        chunk(b"zTXt", &compressed),
        chunk(b"iTXt", &[b"XML:com.adobe.xmp\0\0\0\0\0", SECRET].concat()),
        chunk(b"eXIf", &tiff),
        chunk(b"gAMA", SECRET),
        chunk(b"tRNS", SECRET),
        chunk(b"iCCP", &[&compressed, SECRET].concat()),
        chunk(b"prVt", SECRET),
    ];
    let jpeg = jpeg_with(
        &encoded(ImageFormat::Jpeg),
        &[
            segment(0xE1, &[b"Exif\0\0", &tiff]),
            segment(0xE0, &[&jfif]),
            segment(0xE0, &[b"JFXX\0\x10", SECRET]),
            segment(0xE1, &[b"http://ns.adobe.com/xap/1.0/\0", SECRET]),
            segment(0xE2, &[b"MPF\0", SECRET]),
            segment(0xED, &[b"Photoshop 3.0\x008BIM\x04\x04", SECRET]),
            segment(0xEE, &[b"Adobe\0\x64\0\0\0\0\x01", SECRET]),
            segment(0xEE, &[SECRET]),
            segment(0xEF, &[SECRET]),
            segment(0xFE, &[SECRET]),
            SECRET.to_vec(),
        ],
    );
    let webp = [
        riff_chunk(b"EXIF", &tiff),
        riff_chunk(b"XMP ", SECRET),
        riff_chunk(b"prVt", SECRET),
        riff_chunk(b"ALPH", SECRET),
    ];
    [jpeg, dot(&chunks, &chunks), webp_with(&webp, &webp)]
        .into_iter()
        .map(|picture| {
            (
                [&picture, &b"PK\x03\x04"[..], SECRET].concat(),
                picture.len(),
            )
        })
        .collect()
}
