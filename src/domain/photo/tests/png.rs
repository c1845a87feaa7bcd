//! PNG: chunks, and as many pixels as declared.

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
            assert_eq!(clean(&blank(exact + 1)), Err(PhotoError::Bomb));
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
        (dot(&[], &[chunk(b"tEXt", b""), idat.clone()]), Malformed),
        (dot(&[chunk(b"CgBI", &[0; 4])], &[]), Malformed),
        (dot(&[], &[chunk(b"CgBI", &[0; 4])]), Malformed),
        (dot(&[bad_crc(chunk(b"gAMA", &[0; 4]))], &[]), Malformed),
        (dot(&[palette(1)], &[]), Malformed),
        (png([1, 1], grey, &[bad_crc(idat.clone())]), Malformed),
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
