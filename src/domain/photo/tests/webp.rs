//! WebP: the simple and the extended layout.

use super::*;

#[test]
fn damaged_webps_are_refused() {
    use PhotoError::{Animated, Malformed, Truncated};
    let lossy = LOSSY;
    let patched = |at: usize, byte| {
        let mut bytes = lossy.to_vec();
        bytes[at] = byte;
        bytes
    };
    let picture = encoded(ImageFormat::WebP)[12..].to_vec();
    for (bytes, error) in [
        (riff(&[]), Truncated),
        (riff(&[riff_chunk(b"JUNK", b"")]), Malformed),
        (riff(&[vp8x(0, 37, 23)]), Malformed),
        (riff(&[riff_chunk(b"VP8X", &[0; 11])]), Malformed),
        (webp_with(&[], std::slice::from_ref(&picture)), Malformed),
        (webp_with(&[riff_chunk(b"ANIM", &[0; 6])], &[]), Animated),
        (riff(&[vp8x(0x02, 37, 23), picture]), Animated),
        (
            riff(&[riff_chunk(b"VP8L", &[0x2F, 0, 0, 0, 0x20])]),
            Malformed,
        ),
        (riff(&[riff_chunk(b"VP8L", &[0x2E, 0, 0, 0, 0])]), Malformed),
        (patched(20, lossy[20] | 1), Malformed),
        (patched(20, lossy[20] | 8), Malformed),
        (patched(22, 0xFF), Truncated),
        (patched(23, 0), Malformed),
    ] {
        assert_eq!(clean(&bytes), Err(error), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_missing_last_padding_byte_is_added() {
    let mut bytes = riff(&[riff_chunk(b"VP8L", &[0x2F, 0, 0, 0, 0])]);
    let whole = bytes.clone();
    bytes.pop();
    bytes[4] -= 1;
    assert!(clean(&bytes).expect("a good picture").into_bytes() == whole);
}

#[test]
fn a_size_that_counts_too_much_is_put_right() {
    for picture in [encoded(ImageFormat::WebP), LOSSY.to_vec(), ALPHA.to_vec()] {
        for more in [1, 2, 8, 1000] {
            let mut bytes = picture.clone();
            let size = u32::from_le_bytes(*bytes[4..].first_chunk().expect("a size")) + more;
            bytes[4..8].copy_from_slice(&size.to_le_bytes());
            assert!(
                clean(&bytes).expect("whole").into_bytes() == picture,
                "{more}"
            );
            bytes.truncate(picture.len() - 2);
            assert_eq!(clean(&bytes), Err(PhotoError::Truncated), "{more}");
        }
    }
}
