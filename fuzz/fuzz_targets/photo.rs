//! Feeds `photo::clean` anything: it must not panic, what it accepts must be clean, bounded and stable, and what it
//! costs must be bounded by the bytes.

#![no_main]

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use libfuzzer_sys::fuzz_target;
use padron::domain::photo::{MAX_BYTES, MAX_SIDE, clean, clean_while};

/// Most work for each byte and beside them, in slices of 64 KiB: what is unpacked counts, up to 64 times a byte.
const SLICES: usize = 16 * 1024 * 1024 / 65_536 + 40;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    // Without this the fuzzer would never get past the first checksum.
    testkit::make_checksums_right(&mut bytes);
    let slices = Cell::new(0);
    let cleaned = clean_while(&bytes, || {
        slices.set(slices.get() + 1);
        true
    });
    assert!(slices.get() <= SLICES + bytes.len() * 80 / 65_536);
    assert_time(&bytes);
    let Ok(photo) = cleaned else { return };
    assert!((1..=MAX_SIDE).contains(&photo.width()));
    assert!((1..=MAX_SIDE).contains(&photo.height()));
    assert!(photo.bytes().len() <= MAX_BYTES.min(bytes.len() + 512));
    let again = clean(photo.bytes()).expect("a clean photo is a photo");
    assert!(again == photo, "cleaning twice differs");
});

/// 0.2 µs for each byte and 50 ms, the best of three: the others may have been interrupted.
fn assert_time(bytes: &[u8]) {
    let most = Duration::from_millis(50) + Duration::from_nanos(200) * bytes.len() as u32;
    let is_fast = || {
        let start = Instant::now();
        let _ = clean(bytes);
        start.elapsed() <= most
    };
    assert!(is_fast() || is_fast() || is_fast(), "costs too much");
}
