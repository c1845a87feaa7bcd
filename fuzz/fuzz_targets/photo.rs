//! Feeds `photo::clean` anything: it must not panic, and what it accepts must be clean, bounded and stable.

#![no_main]

use libfuzzer_sys::fuzz_target;
use padron::domain::photo::{MAX_BYTES, MAX_SIDE, clean};

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    reseal_png(&mut bytes);
    let Ok(photo) = clean(&bytes) else { return };
    assert!((1..=MAX_SIDE).contains(&photo.width()));
    assert!((1..=MAX_SIDE).contains(&photo.height()));
    assert!(photo.bytes().len() <= MAX_BYTES.min(bytes.len() + 1));
    let again = clean(photo.bytes()).expect("a clean photo is a photo");
    assert!(again == photo, "cleaning twice differs");
});

/// Makes the checksums right: without this the fuzzer would never get past the first one.
fn reseal_png(bytes: &mut [u8]) {
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
