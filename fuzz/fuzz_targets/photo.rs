//! Feeds `photo::clean` anything: it must not panic, and what it accepts must be clean, bounded and stable.

#![no_main]

use libfuzzer_sys::fuzz_target;
use padron::domain::photo::{MAX_BYTES, MAX_SIDE, clean};

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    // Without this the fuzzer would never get past the first checksum.
    testkit::make_checksums_right(&mut bytes);
    let Ok(photo) = clean(&bytes) else { return };
    assert!((1..=MAX_SIDE).contains(&photo.width()));
    assert!((1..=MAX_SIDE).contains(&photo.height()));
    assert!(photo.bytes().len() <= MAX_BYTES.min(bytes.len() + 1));
    let again = clean(photo.bytes()).expect("a clean photo is a photo");
    assert!(again == photo, "cleaning twice differs");
});
