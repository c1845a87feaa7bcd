//! Denial of service by upload: work and memory are linear in the bytes, whatever they are.

use allocation_counter::measure;

use super::super::SLICE;
use super::*;

/// A picture of 320 × 1 grey pixels with this stream.
fn strip(before: &[Vec<u8>], stream: &[u8]) -> Vec<u8> {
    png(
        [320, 1],
        [8, 0, 0],
        &[before, &[chunk(b"IDAT", stream)]].concat(),
    )
}

/// `unit` over and over, `length` bytes at most.
fn filled(unit: &[u8], length: usize) -> Vec<u8> {
    unit.repeat(length / unit.len())
}

/// The bits of `unit`, `times` a multiple of eight times.
fn bits(unit: &str, times: usize) -> Vec<u8> {
    let byte = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | (bit & 1));
    let eight: Vec<u8> = unit.repeat(8).bytes().collect();
    eight
        .chunks(8)
        .map(byte)
        .collect::<Vec<u8>>()
        .repeat(times / 8)
}

/// An empty block with tables of its own in 90 bits, all but no use.
fn tables() -> String {
    let order = (0..18).map(|place| {
        if place == 2 || place == 17 {
            "100"
        } else {
            "000"
        }
    });
    let head = ["0", "01", "00000", "00000", "0111"].concat();
    // 256 lengths of zero, one for the end of the block, one for a distance; the end.
    let lengths = ["1", "1111111", "1", "1101011", "0", "0"].concat();
    [head, order.collect(), lengths, "0".to_owned()].concat()
}

/// A picture whose every unit asks for more zeros behind its end than any other: ten blocks of 64 values, each of
/// 16 bits behind a code of 16.
fn much_padded() -> Vec<u8> {
    let codes = [&[0; 15][..], &[1, 0x0F]].concat();
    let tables = [&[0x00], &codes[..], &[0x10], &codes].concat();
    let frame = [8, 0, 100, 1, 64, 3, 1, 0x42, 0, 2, 0x11, 0, 3, 0x11, 0];
    [
        b"\xFF\xD8",
        &segment(0xDB, &[&[0; 1], &[1; 64]])[..],
        &segment(0xC0, &[&frame]),
        &segment(0xC4, &[&tables]),
        &segment(0xDA, &[&[3, 1, 0, 2, 0, 3, 0, 0, 63, 0]]),
        b"\xFF\xD9",
    ]
    .concat()
}

/// Pictures of about `length` bytes, in which a kind of thing is as often as it can be.
pub(super) fn costly(length: usize) -> Vec<Vec<u8>> {
    let row = zlib(&[0; 321]);
    let letters =
        |place: usize, shift: usize| b'a' + u8::try_from(place >> shift & 15).expect("few");
    let kinds: Vec<Vec<u8>> = (0..length / 12)
        .map(|place| {
            let [a, b, c, d] = [0, 4, 8, 12].map(|shift| letters(place, shift));
            chunk(&[a, b, c - 32, d], b"")
        })
        .collect();
    let many = |unit: Vec<u8>| vec![unit.clone(); length / unit.len()];
    let broken = |kind: &[u8], content: &[u8]| {
        let mut chunk = chunk(kind, content);
        *chunk.last_mut().expect("not empty") ^= 1;
        many(chunk)
    };
    let profile = [b"x\0\0", &zlib(&vec![0; MAX_ICC])[..]].concat();
    let stream = |unit: &[u8]| [&[0x78, 1], &filled(unit, length)[..], &row[2..]].concat();
    let bytewise: Vec<Vec<u8>> = row.iter().map(|byte| chunk(b"IDAT", &[*byte])).collect();
    let empty_idat = many(chunk(b"IDAT", b""));
    let mut all = vec![
        strip(&kinds, &row),
        strip(&broken(b"gAMA", &[1; 4]), &row),
        strip(&many(chunk(b"gAMA", b"")), &row),
        strip(&many(chunk(b"PLTE", &[1; 3])), &row),
        strip(&broken(b"eXIf", &[1; 8]), &row),
        strip(&many(chunk(b"iCCP", &profile)), &row),
        strip(&broken(b"iCCP", &profile), &row),
        png([320, 1], [8, 0, 0], &[empty_idat, bytewise].concat()),
        strip(&[], &stream(b"\0\0\0\xFF\xFF")),
        strip(
            &[],
            &[
                &[0x78, 1],
                &bits("0100000000", 8 * (length / 10))[..],
                &row[2..],
            ]
            .concat(),
        ),
        strip(
            &[],
            &[&[0x78, 1], &bits(&tables(), 800)[..], &row[2..]].concat(),
        ),
    ];
    // Wrong checksums: the stream is repaired.
    for place in 8..all.len() {
        let mut bytes = all[place].clone();
        let at = bytes.len() - 12 - 4 - 1;
        bytes[at] ^= 1;
        all.push(bytes);
    }
    let picture = encoded(ImageFormat::Jpeg);
    let exif = segment(0xE1, &[b"Exif\0\0"]);
    for unit in [
        &b"\xFF\xFE\0\x02"[..],
        b"\xFF\xE5\0\0",
        b"\xFF\x01",
        b"\xFF\xD0",
        b"\xFF\xFF\0",
        b"\xFF",
        b"\xFF\xDD\0\x04\0\0",
        &exif,
        &segment(0xC4, &[&[0x33], &[0; 16]]),
    ] {
        all.push(jpeg_with(&picture, &[filled(unit, length), vec![0]]));
    }
    let much_padded = much_padded();
    for (picture, unit) in [
        (PROGRESSIVE, &b"\xFF\0"[..]),
        (PROGRESSIVE, b"\xFF\xFF\0"),
        (PROGRESSIVE, b"\0"),
        (RESTART, b"\xFF\0"),
        (RESTART, b"\xFF"),
        (&much_padded, b"\xFF"),
    ] {
        let (head, end) = picture.split_at(picture.len() - 2);
        all.push([head, &filled(unit, length), end].concat());
        all.push([head, &filled(unit, length)].concat());
    }
    for kind in [b"JUNK", b"EXIF", b"ALPH", b"ICCP"] {
        let chunks = many(riff_chunk(kind, b""));
        all.push(webp_with(&chunks, &[]));
        all.push(webp_with(&[], &chunks));
    }
    all
}

/// Slices of work, and allocations and bytes of memory, that cleaning takes.
pub(super) fn cost(bytes: &[u8]) -> (usize, u64, u64) {
    let slices = std::cell::Cell::new(0);
    let memory = measure(|| {
        let _ = clean_of_any_size(bytes, &|| {
            slices.set(slices.get() + 1);
            true
        });
    });
    (slices.get(), memory.count_total, memory.bytes_max)
}

#[test]
fn work_and_memory_grow_with_the_bytes_alone() {
    const LENGTH: usize = 500_000;
    let (short, long) = (costly(LENGTH), costly(2 * LENGTH));
    for (place, (short, long)) in short.iter().zip(&long).enumerate() {
        let (work, pieces, _) = cost(short);
        let (twice_the_work, same_pieces, memory) = cost(long);
        // Beside the bytes, a profile is decompressed once.
        let most = (8 * long.len() + 2 * MAX_ICC) / SLICE;
        assert!(
            twice_the_work <= most,
            "{place}: {twice_the_work} of {most}"
        );
        assert!(
            twice_the_work <= 2 * work + 10,
            "{place}: {work}, {twice_the_work}"
        );
        // Buffers that depend on the bytes would be an allocation for each, or one that grows.
        assert_eq!(pieces, same_pieces, "{place}");
        assert!(
            memory <= 3 * long.len() as u64 + 200_000,
            "{place}: {memory}"
        );
    }
}

#[test]
fn pixels_are_not_unpacked_where_that_costs_more_than_their_bytes() {
    let rows = vec![0; 1500 * (1 + 3000 * 8)];
    let stream = zlib(&rows);
    let picture = |stream: &[u8]| png([3000, 1500], [16, 6, 0], &[chunk(b"IDAT", stream)]);
    let bytes = picture(&stream);
    let (work, _, _) = cost(&bytes);
    assert!(work <= 8 * bytes.len() / SLICE, "{work}");
    assert!(clean(&bytes).expect("whole").into_bytes() == bytes);
    for (stream, error) in [
        (zlib(&rows[1..]), PhotoError::Truncated),
        (zlib(&[&rows[..], &[0]].concat()), PhotoError::Bomb),
    ] {
        assert_eq!(clean(&picture(&stream)), Err(error));
    }
}

#[test]
fn too_many_tables_are_a_bomb() {
    let row = zlib(&[0; 321]);
    let stream = |times| [&[0x78, 1], &bits(&tables(), times)[..], &row[2..]].concat();
    assert!(clean(&strip(&[], &stream(1000))).is_ok());
    assert_eq!(clean(&strip(&[], &stream(2000))), Err(PhotoError::Bomb));
}
