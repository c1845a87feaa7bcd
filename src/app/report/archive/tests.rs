use std::io::{Cursor, Read, Seek, SeekFrom, Write};

use jiff::civil::date;
use proptest::prelude::*;
use zip::ZipArchive;

use super::*;

fn archive() -> Archive {
    Archive::new(date(2026, 11, 21).at(13, 5, 59, 0))
}

fn read(zip: &[u8], name: &str) -> Vec<u8> {
    let mut content = Vec::new();
    let mut zip = ZipArchive::new(Cursor::new(zip)).expect("opens");
    zip.by_name(name)
        .expect("is there")
        .read_to_end(&mut content)
        .expect("checksum holds");
    content
}

proptest! {
    #[test]
    fn blocks_join_into_the_content(blocks: Vec<Vec<u8>>, other: Vec<u8>) {
        let mut archive = archive();
        let mut sent = archive.begin("ñandú/a.xml");
        for block in &blocks {
            sent.extend(archive.append(deflate(block)));
        }
        sent.extend(archive.begin("b.xml"));
        sent.extend(archive.append(deflate(&other)));
        sent.extend(archive.finish());
        prop_assert_eq!(read(&sent, "ñandú/a.xml"), blocks.concat());
        prop_assert_eq!(read(&sent, "b.xml"), other);
    }
}

#[test]
fn no_prefix_opens() {
    let mut archive = archive();
    let mut sent = archive.begin("a.xml");
    sent.extend(archive.append(deflate(&[b'x'; 1000])));
    sent.extend(archive.finish());
    for end in 0..sent.len() {
        assert!(
            ZipArchive::new(Cursor::new(&sent[..end])).is_err(),
            "opens at {end} of {}",
            sent.len()
        );
    }
}

#[test]
fn every_entry_carries_the_given_time() {
    let mut archive = archive();
    let mut sent = archive.begin("a.xml");
    sent.extend(archive.finish());
    let mut zip = ZipArchive::new(Cursor::new(sent)).expect("opens");
    let time = zip
        .by_index(0)
        .expect("is there")
        .last_modified()
        .expect("has a time");
    assert_eq!(time.to_string(), "2026-11-21 13:05:58");
    assert_eq!(dos_time(date(1901, 2, 3).at(0, 0, 0, 0)), [0, (2 << 5) | 3]);
}

#[test]
fn more_entries_than_sixteen_bits_count() {
    let mut archive = archive();
    let mut sent = Vec::new();
    for number in 0..70_000 {
        sent.extend(archive.begin(&number.to_string()));
    }
    sent.extend(archive.finish());
    assert_eq!(
        ZipArchive::new(Cursor::new(sent)).expect("opens").len(),
        70_000
    );
}

#[test]
fn offsets_past_four_gib_are_found() {
    let mut archive = archive();
    let mut file = tempfile::tempfile().expect("a file");
    archive.offset = 5 << 30;
    file.seek(SeekFrom::Start(archive.offset))
        .expect("a hole in the file");
    file.write_all(&archive.begin("far.xml")).expect("written");
    file.write_all(&archive.append(deflate(b"far away")))
        .expect("written");
    file.write_all(&archive.finish()).expect("written");
    let mut content = String::new();
    let mut zip = ZipArchive::new(file).expect("opens");
    zip.by_name("far.xml")
        .expect("is there")
        .read_to_string(&mut content)
        .expect("checksum holds");
    assert_eq!(content, "far away");
}

#[test]
fn an_entry_past_four_gib_is_read_whole() {
    let block = vec![b'r'; 64 << 20];
    let mut archive = archive();
    let mut sent = archive.begin("wide.xml");
    let Deflated {
        bytes,
        checksum,
        plain_len,
    } = deflate(&block);
    for _ in 0..65 {
        sent.extend(archive.append(Deflated {
            bytes: bytes.clone(),
            checksum: checksum.clone(),
            plain_len,
        }));
    }
    sent.extend(archive.begin("after.xml"));
    sent.extend(archive.append(deflate(b"after")));
    sent.extend(archive.finish());
    let mut zip = ZipArchive::new(Cursor::new(&sent)).expect("opens");
    assert_eq!(
        zip.by_name("wide.xml").expect("is there").size(),
        65 * (64 << 20)
    );
    assert_eq!(read(&sent, "after.xml"), b"after");
    // Inflating it all is the check of the joined checksum; that needs an optimised build.
    if !cfg!(debug_assertions) {
        let mut wide = zip.by_name("wide.xml").expect("is there");
        assert_eq!(
            std::io::copy(&mut wide, &mut std::io::sink()).expect("checksum holds"),
            65 * (64 << 20)
        );
    }
}
