//! JPEG: markers, scans and what a frame header may say.

use super::*;

#[test]
fn damaged_jpegs_are_refused() {
    use PhotoError::{Bomb, Malformed, Unsupported};
    let picture = PROGRESSIVE;
    let at = |marker| {
        picture
            .windows(2)
            .position(|pair| pair == [0xFF, marker])
            .expect("has one")
    };
    let patched = |marker, offset: usize, byte| {
        let mut bytes = picture.to_vec();
        bytes[at(marker) + offset] = byte;
        bytes
    };
    let (frame, scan) = (at(0xC2), at(0xDA));
    let with_scans = |scans: usize| {
        let scan = segment(0xDA, &[&[1, 1, 0, 0, 63, 0]]);
        [
            &picture[..scan_start(picture)],
            &scan.repeat(scans),
            &[0xFF, 0xD9],
        ]
        .concat()
    };
    assert!(clean(&with_scans(256)).is_ok());
    for (bytes, error) in [
        (with_scans(257), Bomb),
        (with_scans(0), Malformed),
        (patched(0xC2, 1, 0xC3), Unsupported),
        (patched(0xC2, 1, 0xC9), Unsupported),
        (patched(0xC2, 4, 12), Unsupported),
        (patched(0xC2, 9, 4), Malformed),
        (patched(0xDA, 4, 5), Malformed),
        (patched(0xDA, 1, 0xD8), Malformed),
        (patched(0xDB, 3, 1), Malformed),
        (
            jpeg_with(picture, &[picture[frame..frame + 19].to_vec()]),
            Malformed,
        ),
        (
            [&picture[..frame], &picture[frame + 19..]].concat(),
            Malformed,
        ),
        ([&picture[..scan], picture].concat(), Malformed),
    ] {
        assert_eq!(clean(&bytes), Err(error));
    }
}

/// Where the first scan header of a JPEG begins.
fn scan_start(picture: &[u8]) -> usize {
    picture
        .windows(2)
        .position(|pair| pair == [0xFF, 0xDA])
        .expect("has a scan")
}

#[test]
fn fill_bytes_and_stray_bytes_between_jpeg_segments_are_dropped() {
    let picture = encoded(ImageFormat::Jpeg);
    let end = picture.len() - 2;
    let filled = [
        &picture[..2],
        b"\xFF\xD3\0\xFF\0\xFF\xFF\xFF",
        &picture[2..end],
        b"\xFF\xFF\xFF\xD9",
    ];
    assert!(
        clean(&filled.concat())
            .expect("a good picture")
            .into_bytes()
            == picture
    );
}

#[test]
fn stuffing_and_restarts_behind_fill_bytes_stay_in_their_scan() {
    let picture = PROGRESSIVE;
    let end = picture.len() - 2;
    let bytes = [&picture[..end], b"\xFF\xFF\0\xFF\xFF\xD7x", &picture[end..]].concat();
    assert!(clean(&bytes).expect("a good picture").into_bytes() == bytes);
}

#[test]
fn segments_between_scans_are_dropped() {
    let picture = PROGRESSIVE;
    let first = scan_start(picture);
    let second = first + 2 + scan_start(&picture[first + 2..]);
    for (marker, payload) in [
        (0xDC, &b"\0\x1B"[..]),
        (0xFE, SECRET),
        (0xE2, ICC),
        (0xEE, b"Adobe\0\x64\0\0\0\0\x01"),
    ] {
        let planted = segment(marker, &[payload]);
        let bytes = [&picture[..second], &planted, &picture[second..]].concat();
        assert!(clean(&bytes).expect("a good picture").bytes() == picture);
    }
}

#[test]
fn a_sequential_picture_ends_with_its_pixels() {
    for picture in [encoded(ImageFormat::Jpeg), RESTART.to_vec(), CMYK.to_vec()] {
        let end = picture.len() - 2;
        for behind in [
            &b""[..],
            &[0; 500],
            b"\0\0\x01\0ftypmp42\xFF\xE1\xFF\xFFx",
            b"\xFF",
            b"\xFF\x01\xFF\xD9",
            b"\xFF\xC4\0\x05abc",
            &[SECRET, b"\xFF\xD9"].concat(),
            &picture,
        ] {
            let bytes = [&picture[..end], behind].concat();
            let photo = clean(&bytes).expect("whole");
            assert!(photo.into_bytes() == picture, "{}", behind.escape_ascii());
        }
    }
}

#[test]
fn a_progressive_picture_ends_once_every_bit_had_its_scan() {
    let picture = PROGRESSIVE;
    let end = picture.len() - 2;
    for behind in [&b""[..], b"\xFF", b"\xFF\xE1\xFF\xFFx"] {
        let bytes = [&picture[..end], behind].concat();
        let photo = clean(&bytes).expect("whole");
        assert!(photo.into_bytes() == picture, "{}", behind.escape_ascii());
    }
    // Without its last scan, or without the last that has a colour, it is shown blurred.
    let mut scans = vec![];
    let mut at = 0;
    while let Some(found) = picture[at..]
        .windows(2)
        .position(|pair| pair == [0xFF, 0xDA])
    {
        at += found + 2;
        scans.push(at - 2);
    }
    for scan in &scans[1..] {
        assert_eq!(
            clean(&picture[..*scan]),
            Err(PhotoError::Truncated),
            "{scan}"
        );
    }
}

#[test]
fn a_sequential_picture_that_stops_early_is_incomplete_whatever_its_end() {
    for picture in [encoded(ImageFormat::Jpeg), RESTART.to_vec(), CMYK.to_vec()] {
        let (start, end) = (scan_start(&picture) + 14, picture.len() - 2);
        for cut in start..end - (end - start) / 4 {
            let bytes = [&picture[..cut], b"\xFF\xD9"].concat();
            assert_eq!(clean(&bytes), Err(PhotoError::Truncated), "{cut} of {end}");
        }
        // As browsers do: what the last unit lacks is read as zeros.
        assert!(clean(&[&picture[..end - 1], b"\xFF\xD9"].concat()).is_ok());
    }
}

#[test]
fn markers_that_decoders_skip_are_dropped() {
    let picture = encoded(ImageFormat::Jpeg);
    for planted in [
        &b"\xFF\x01"[..],
        b"\xFF\x01\xFF\x01",
        b"\xFF\xD0",
        b"\xFF\x02\0\x05abc",
        b"\xFF\xF7\0\x03a",
        b"\xFF\xE5\0\0",
        b"\xFF\xFE\0\x01",
    ] {
        let photo = clean(&jpeg_with(&picture, &[planted.to_vec()])).expect("a good picture");
        assert!(photo.into_bytes() == picture, "{}", planted.escape_ascii());
    }
}

#[test]
fn damage_inside_the_pixels_is_left_to_viewers() {
    let picture = RESTART;
    let first = picture
        .windows(2)
        .position(|pair| pair == [0xFF, 0xD0])
        .expect("has restarts");
    let mut bytes = picture.to_vec();
    bytes[first + 1] = 0xD3;
    assert!(clean(&bytes).expect("shown by all").into_bytes() == bytes);
}
