use std::io::{Cursor, Read, Seek, SeekFrom, Write};

use futures::TryStreamExt as _;
use jiff::civil::date;
use proptest::prelude::*;
use zip::ZipArchive;

use super::{super::sink, *};

/// What `write` puts into an archive, as the client gets it; its offsets begin at `offset`.
fn written(
    offset: u64,
    write: impl AsyncFnOnce(Archive<'_>) -> Result<(), ReportError>,
) -> Vec<u8> {
    let (sink, chunks) = sink::channel();
    let mut archive = Archive::new(&sink, date(2026, 11, 21).at(13, 5, 59, 0));
    archive.offset = offset;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("threads").block_on(async {
        let write = async {
            write(archive).await?;
            sink.end().await
        };
        let (written, chunks) = futures::join!(write, chunks.try_collect::<Vec<_>>());
        written.expect("taken");
        chunks.expect("whole").concat()
    })
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
        let sent = written(0, async |mut archive| {
            archive.begin("ñandú/a.xml").await?;
            for block in &blocks {
                archive.append(compress(block), 0).await?;
            }
            archive.begin("b.xml").await?;
            archive.append(compress(&other), 0).await?;
            archive.finish().await
        });
        prop_assert_eq!(read(&sent, "ñandú/a.xml"), blocks.concat());
        prop_assert_eq!(read(&sent, "b.xml"), other);
    }
}

#[test]
fn a_block_joins_whatever_its_compressed_size() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut compressor = Compressor::default();
    // Noise stays as long as it is: around the sizes of every buffer on the way.
    for size in [1_usize << 12, 1 << 13, 1 << 15, 1 << 16, 3 << 15, 1 << 17] {
        for length in size - 40..size + 40 {
            let blocks: [Vec<u8>; 2] = [length, 100].map(|length| {
                std::iter::repeat_with(|| random.u8(..))
                    .take(length)
                    .collect()
            });
            let sent = written(0, async |mut archive| {
                archive.begin("a.xml").await?;
                for block in &blocks {
                    archive.append(compressor.compress(block), 0).await?;
                }
                archive.finish().await
            });
            assert!(read(&sent, "a.xml") == blocks.concat(), "{length}");
        }
    }
}

#[test]
fn no_prefix_opens() {
    let sent = written(0, async |mut archive| {
        archive.begin("a.xml").await?;
        archive.append(compress(&[b'x'; 1000]), 0).await?;
        archive.finish().await
    });
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
    let sent = written(0, async |mut archive| {
        archive.begin("a.xml").await?;
        archive.finish().await
    });
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
    let sent = written(0, async |mut archive| {
        for number in 0..70_000 {
            archive.begin(&number.to_string()).await?;
        }
        archive.finish().await
    });
    assert_eq!(
        ZipArchive::new(Cursor::new(sent)).expect("opens").len(),
        70_000
    );
}

#[test]
fn offsets_past_four_gib_are_found() {
    let offset = 5 << 30;
    let sent = written(offset, async |mut archive| {
        archive.begin("far.xml").await?;
        archive.append(compress(b"far away"), 0).await?;
        archive.finish().await
    });
    let mut file = tempfile::tempfile().expect("a file");
    file.seek(SeekFrom::Start(offset))
        .expect("a hole in the file");
    file.write_all(&sent).expect("written");
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
    let Compressed {
        bytes,
        checksum,
        plain_len,
    } = compress(&block);
    let sent = written(0, async |mut archive| {
        archive.begin("wide.xml").await?;
        for _ in 0..65 {
            let block = Compressed {
                bytes: bytes.clone(),
                checksum: checksum.clone(),
                plain_len,
            };
            archive.append(block, 0).await?;
        }
        archive.begin("after.xml").await?;
        archive.append(compress(b"after"), 0).await?;
        archive.finish().await
    });
    let mut zip = ZipArchive::new(Cursor::new(&sent)).expect("opens");
    assert_eq!(
        zip.by_name("wide.xml").expect("is there").size(),
        65 * (64 << 20)
    );
    assert_eq!(read(&sent, "after.xml"), b"after");
    // Inflating it all checks the combined CRC-32; that needs an optimised build.
    if !cfg!(debug_assertions) {
        let mut wide = zip.by_name("wide.xml").expect("is there");
        assert_eq!(
            std::io::copy(&mut wide, &mut std::io::sink()).expect("checksum holds"),
            65 * (64 << 20)
        );
    }
}
