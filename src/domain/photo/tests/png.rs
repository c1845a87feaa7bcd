//! PNG: chunks, and as many pixels as declared.

use std::io::Read;

use flate2::{Compress, Compression, FlushCompress, bufread::ZlibDecoder};

use super::*;

#[test]
fn png_colour_chunks_are_kept_once() {
    let chunks = [
        chunk(b"gAMA", &[1; 4]),
        chunk(b"cHRM", &[2; 32]),
        chunk(b"sRGB", &[3]),
        chunk(b"sBIT", &[4]),
        chunk(b"bKGD", &[0, 5]),
        chunk(b"pHYs", &[6; 9]),
        chunk(b"cICP", &[9, 16, 0, 1]),
        chunk(b"tRNS", &[0, 7]),
    ];
    let photo = clean(&dot(&[chunks.clone(), chunks.clone()].concat(), &chunks)).expect("good");
    assert!(photo.into_bytes() == dot(&chunks, &[]));
}

#[test]
fn idat_chunks_are_joined_and_end_with_their_stream() {
    let stream = zlib(&[0, 9]);
    let (head, tail) = stream.split_at(3);
    let split = [
        chunk(b"IDAT", head),
        chunk(b"IDAT", &[tail, SECRET].concat()),
        chunk(b"IDAT", SECRET),
    ];
    let photo = clean(&png([1, 1], [8, 0, 0], &split)).expect("a good picture");
    assert!(photo.into_bytes() == dot(&[], &[]));
}

#[test]
fn an_animated_png_becomes_its_still_image() {
    let bytes = ANIMATED_PNG;
    let photo = clean(bytes).expect("a good picture");
    assert!(contains(bytes, b"acTL") && contains(bytes, b"fdAT"));
    assert!(
        ![&b"acTL"[..], b"fcTL", b"fdAT"]
            .iter()
            .any(|kind| contains(photo.bytes(), kind))
    );
    assert!(pixels(photo.bytes()) == pixels(bytes));
}

#[test]
fn png_pixels_are_counted_as_decoders_count_them() {
    for sides in [[1, 1], [2, 9], [3, 5], [5, 3], [8, 8], [9, 2], [17, 1]] {
        for format in [
            [1, 0, 0],
            [1, 0, 1],
            [4, 0, 1],
            [8, 2, 0],
            [8, 2, 1],
            [16, 4, 1],
            [16, 6, 1],
        ] {
            let blank = |length| png(sides, format, &[chunk(b"IDAT", &zlib(&vec![0; length]))]);
            let exact = (0..4096)
                .find(|length| clean(&blank(*length)) != Err(PhotoError::Truncated))
                .expect("few pixels");
            assert!(clean(&blank(exact)).is_ok());
            let cut = clean(&blank(exact + 1)).expect("shown whole");
            assert_eq!(rows(cut.bytes()).len(), exact);
            assert_eq!(clean(&blank(2 * exact)), Err(PhotoError::Bomb));
            assert!(
                image::load_from_memory(&blank(exact)).is_ok(),
                "{sides:?} {format:?}"
            );
            assert!(
                image::load_from_memory(&blank(exact - 1)).is_err(),
                "{sides:?} {format:?}"
            );
        }
    }
}

#[test]
fn damaged_pngs_are_refused() {
    use PhotoError::{Bomb, Malformed, Truncated};
    let idat = chunk(b"IDAT", &zlib(&[0, 9]));
    let palette = |colours: usize| chunk(b"PLTE", &vec![0; 3 * colours]);
    let bad_crc = |mut chunk: Vec<u8>| {
        *chunk.last_mut().expect("not empty") ^= 1;
        chunk
    };
    let grey = [8, 0, 0];
    for (bytes, error) in [
        (dot(&[chunk(b"CgBI", &[0; 4])], &[]), Malformed),
        (
            png([1, 1], [8, 3, 0], &[bad_crc(palette(1)), idat.clone()]),
            Malformed,
        ),
        (png([1, 1], grey, &[chunk(b"IDAT", b"not zlib")]), Malformed),
        (png([1, 1], grey, &[chunk(b"IDAT", &[])]), Truncated),
        (png([1, 1], grey, &[]), Malformed),
        (
            png([1, 1], grey, &[chunk(b"IDAT", &zlib(&vec![0; 64 << 20]))]),
            Bomb,
        ),
        (
            png([1, 1], [3, 0, 0], std::slice::from_ref(&idat)),
            Malformed,
        ),
        (
            png([1, 1], [8, 1, 0], std::slice::from_ref(&idat)),
            Malformed,
        ),
        (
            png([1, 1], [8, 0, 2], std::slice::from_ref(&idat)),
            Malformed,
        ),
        (
            png([1, 1], [8, 3, 0], std::slice::from_ref(&idat)),
            Malformed,
        ),
        (
            png([1, 1], [8, 3, 0], &[palette(257), idat.clone()]),
            Malformed,
        ),
        (
            png([1, 1], [8, 3, 0], &[palette(1), palette(1), idat.clone()]),
            Malformed,
        ),
    ] {
        assert_eq!(clean(&bytes), Err(error), "{}", bytes.escape_ascii());
    }
    assert!(clean(&png([1, 1], [8, 3, 0], &[palette(256), idat])).is_ok());
}

/// The decompressed rows of a PNG that is right to the last checksum.
fn rows(bytes: &[u8]) -> Vec<u8> {
    let (mut at, mut stream, mut kinds) = (8, Vec::new(), Vec::new());
    while at < bytes.len() {
        let length = u32::from_be_bytes(*bytes[at..].first_chunk().expect("a length")) as usize;
        let (body, crc) = (&bytes[at + 4..at + 8 + length], &bytes[at + 8 + length..]);
        assert_eq!(crc[..4], crc32fast::hash(body).to_be_bytes());
        if body.starts_with(b"IDAT") {
            stream.extend(&body[4..]);
        }
        kinds.push(body[..4].to_vec());
        at += 12 + length;
    }
    assert_eq!(kinds.last(), Some(&b"IEND".to_vec()));
    let mut decoder = ZlibDecoder::new(&stream[..]);
    let mut rows = Vec::new();
    decoder
        .read_to_end(&mut rows)
        .expect("right to the checksum");
    assert_eq!(decoder.total_in(), stream.len() as u64, "nothing behind it");
    rows
}

#[test]
fn a_png_with_whole_rows_is_written_back_right() {
    let sides = [40, 30];
    let whole: Vec<u8> = (0..30_u8)
        .flat_map(|y| std::iter::once(0).chain((0..40).map(move |x| x / 9 * (y / 7))))
        .collect();
    let file = |before: &[Vec<u8>], stream: &[u8]| {
        png(
            sides,
            [8, 0, 0],
            &[before, &[chunk(b"IDAT", stream)]].concat(),
        )
    };
    let stream = zlib(&whole);
    let good = file(&[], &stream);
    let body = &stream[..stream.len() - 4];
    let bad_crc = |kind: &[u8], content: &[u8]| {
        let mut chunk = chunk(kind, content);
        *chunk.last_mut().expect("not empty") ^= 1;
        chunk
    };
    let end = good.len() - 12;
    let mut kinds = vec![
        good[..end].to_vec(),
        good[..end - 2].to_vec(),
        good[..end - 6].to_vec(),
        good[..end - 8].to_vec(),
        [&good[..end], &bad_crc(b"IEND", &[])[..]].concat(),
        [&good[..end], &chunk(b"IEND", SECRET)[..]].concat(),
        [&good[..end], SECRET].concat(),
        [&good[..end], &chunk(b"CgBI", &[0; 4])[..]].concat(),
        [&good[..end], &chunk(b"tEXt", b"")[..], &good[33..]].concat(),
        png(sides, [8, 0, 0], &[bad_crc(b"IDAT", &stream)]),
        file(&[], &[body, b"\0\0\0\0"].concat()),
        file(&[], body),
        file(&[], &stream[..stream.len() - 2]),
        file(&[], &[&stream, SECRET].concat()),
        file(&[chunk(b"PLTE", &[0; 3])], &stream),
        file(&[chunk(b"PLTE", &[0; 4])], &stream),
        file(&[bad_crc(b"gAMA", &[0; 4])], &stream),
        file(
            &[bad_crc(b"iCCP", b"x\0\0"), bad_crc(b"zzzz", SECRET)],
            &stream,
        ),
    ];
    for level in 0..=9 {
        for more in [1, 40, 41, 1000] {
            let rows = [&whole[..], &SECRET.repeat(40)[..more]].concat();
            kinds.push(file(&[], &deflated(&rows, level, FlushCompress::Finish)));
            let unended = deflated(&rows, level, FlushCompress::Sync);
            kinds.push(file(&[], &[&unended[..], b"\x07\xFF\xFF"].concat()));
        }
        kinds.push(file(&[], &deflated(&whole, level, FlushCompress::Sync)));
    }
    for (place, bytes) in kinds.iter().enumerate() {
        let photo = clean(bytes).unwrap_or_else(|error| panic!("{place}: {error}"));
        assert!(rows(photo.bytes()) == whole, "{place}");
        assert!(pixels(photo.bytes()) == pixels(&good), "{place}");
        assert!(!contains(photo.bytes(), SECRET), "{place}");
        assert_invariants(bytes);
    }
}

/// A zlib stream, ended or only flushed.
fn deflated(bytes: &[u8], level: u32, flush: FlushCompress) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * bytes.len() + 1000);
    Compress::new(Compression::new(level), true)
        .compress_vec(bytes, &mut out, flush)
        .expect("compresses");
    out
}

#[test]
fn a_colour_profile_is_mended_rather_than_lost() {
    // The length that a profile begins with, and what nobody has a look at here.
    let profile = [&600_u32.to_be_bytes()[..], &SECRET.repeat(30)[..596]].concat();
    let stream = zlib(&profile);
    let end = stream.len() - 4;
    let with = |stream: &[u8]| dot(&[chunk(b"iCCP", &[b"x\0\0", stream].concat())], &[]);
    for (stream, is_kept) in [
        (stream.clone(), true),
        ([&stream, &b"x"[..]].concat(), true),
        (stream[..end].to_vec(), true),
        (stream[..end + 2].to_vec(), true),
        ([&stream[..end], b"\0\0\0\0"].concat(), true),
        (deflated(&profile, 6, FlushCompress::Sync), true),
        (zlib(&profile[..599])[..20].to_vec(), false),
        ([&zlib(SECRET), &b"x"[..]].concat(), false),
        (b"not zlib".to_vec(), false),
    ] {
        let photo = clean(&with(&stream)).expect("a good picture");
        let at = photo.bytes().windows(4).position(|kind| kind == b"iCCP");
        assert_eq!(at.is_some(), is_kept, "{}", stream.escape_ascii());
        if let Some(at) = at {
            let length = *photo.bytes()[at - 4..].first_chunk().expect("a length");
            let content = &photo.bytes()[at + 4..][..u32::from_be_bytes(length) as usize];
            let mut decoder = ZlibDecoder::new(&content[3..]);
            let mut unpacked = Vec::new();
            decoder.read_to_end(&mut unpacked).expect("right");
            assert!(unpacked == profile);
            assert_eq!(decoder.total_in(), content.len() as u64 - 3);
        }
    }
}

#[test]
fn the_first_good_colour_chunk_of_a_kind_is_kept() {
    let mut bad = chunk(b"gAMA", &[9; 4]);
    bad[8] ^= 1;
    let good = chunk(b"gAMA", &[1; 4]);
    let short = chunk(b"gAMA", &[2; 3]);
    let photo = clean(&dot(&[bad, short, good.clone()], &[])).expect("a good picture");
    assert!(photo.into_bytes() == dot(&[good], &[]));
}
