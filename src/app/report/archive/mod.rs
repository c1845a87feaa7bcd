//! A streaming ZIP writer: no seek, no entry held in memory.
//!
//! `workbook` compresses blocks of an entry on any thread ([`compress`]), then passes them in order through one
//! [`Archive`], which sends them on and keeps only the offset and a line for each entry. Sizes follow each entry in a
//! data descriptor and the central directory comes last, so a file cut before its end never opens as a whole one.

use std::mem;

use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress};
use jiff::civil::DateTime;

use super::{ReportError, sink::Sink};

/// DEFLATE level. On row XML levels 2 and 3 are the knee: 6 costs 1.4 times the time for 6 % fewer bytes, 1 halves
/// the time for 1.5 times the bytes.
const LEVEL: u32 = 3;

/// Bytes of room that a buffer gets at a time, far more than a sync flush takes.
const SPARE: usize = 4096;

/// An empty final DEFLATE block with fixed codes: ends an entry none of whose other blocks is final.
const FINAL_BLOCK: [u8; 2] = [0x03, 0x00];

/// General-purpose flags: sizes in a data descriptor (bit 3), names in UTF-8 (bit 11).
const FLAGS: u16 = (1 << 3) | (1 << 11);
const DEFLATE: u16 = 8;
const VERSION: u16 = 20;
const VERSION_ZIP64: u16 = 45;

/// In a 32-bit field: "look in the ZIP64 record". So it is also the first value that needs one.
const FULL_32: u64 = 0xFFFF_FFFF;

/// A compressed block with its CRC-32; the blocks of an entry can be concatenated in any number.
pub(super) struct Compressed {
    bytes: Vec<u8>,
    checksum: Hasher,
    plain_len: u64,
}

/// Compresses blocks one after the other, each by itself.
pub(super) struct Compressor(Compress);

impl Default for Compressor {
    fn default() -> Self {
        Self(Compress::new(Compression::new(LEVEL), false))
    }
}

impl Compressor {
    /// Compresses `content`, ended on a byte boundary (sync flush) and without a final block.
    ///
    /// # Panics
    /// Never: compressing into memory does not fail.
    pub(super) fn compress(&mut self, content: &[u8]) -> Compressed {
        let mut bytes = Vec::with_capacity(content.len() / 4);
        let mut rest = content;
        // A sync flush is over only when it leaves room, and is asked for again until then. `DeflateEncoder` asks once,
        // so that what its 32 KiB have no room for would end without the byte boundary.
        loop {
            bytes.reserve(SPARE);
            let before = self.0.total_in();
            let compressed = self.0.compress_vec(rest, &mut bytes, FlushCompress::Sync);
            compressed.expect("memory takes every byte");
            let taken = usize::try_from(self.0.total_in() - before).expect("no more than there is");
            rest = &rest[taken..];
            if rest.is_empty() && bytes.len() < bytes.capacity() {
                break;
            }
        }
        self.0.reset();
        let mut checksum = Hasher::new();
        checksum.update(content);
        Compressed {
            bytes,
            checksum,
            plain_len: content.len() as u64,
        }
    }
}

#[must_use]
pub(super) fn compress(content: &[u8]) -> Compressed {
    Compressor::default().compress(content)
}

/// What the central directory says of one entry.
struct Entry {
    name: String,
    offset: u64,
    checksum: Hasher,
    packed_len: u64,
    plain_len: u64,
}

/// A ZIP file that is being sent.
///
/// An entry may pass 4 GiB, though no sheet of real registrations does: the domain's bounds keep a row under 4,096
/// bytes and a sheet has 2^20 rows. Its header then still says "sizes follow" without a ZIP64 field (Excel refuses
/// one there), its descriptor has 64-bit sizes, and the directory, which is what readers go by, has the ZIP64 field:
/// as Java's writer does.
pub(super) struct Archive<'a> {
    sink: &'a Sink,
    offset: u64,
    entries: Vec<Entry>,
    open: bool,
    modified: [u16; 2],
}

impl<'a> Archive<'a> {
    /// An empty archive whose entries all carry the time `modified` (2-second steps, years 1980–2107).
    #[must_use]
    pub(super) fn new(sink: &'a Sink, modified: DateTime) -> Self {
        Self {
            sink,
            offset: 0,
            entries: Vec::new(),
            open: false,
            modified: dos_time(modified),
        }
    }

    /// Ends the current entry, if any, and opens `name` (at most 65,535 bytes, not used before).
    ///
    /// # Errors
    /// As [`Sink::send`].
    pub(super) async fn begin(&mut self, name: &str) -> Result<(), ReportError> {
        let mut out = self.descriptor();
        let offset = self.offset + out.len() as u64;
        put32(&mut out, &[0x0403_4b50]);
        put16(
            &mut out,
            &[VERSION, FLAGS, DEFLATE, self.modified[0], self.modified[1]],
        );
        put32(&mut out, &[0, 0, 0]);
        put16(&mut out, &[low16(name.len()), 0]);
        out.extend_from_slice(name.as_bytes());
        self.open = true;
        self.entries.push(Entry {
            name: name.to_owned(),
            offset,
            checksum: Hasher::new(),
            packed_len: 0,
            plain_len: 0,
        });
        self.send(out, 0).await
    }

    /// Adds `block`, which holds `rows` registrations, to the current entry; there must be one.
    ///
    /// # Errors
    /// As [`Sink::send`].
    pub(super) async fn append(&mut self, block: Compressed, rows: u64) -> Result<(), ReportError> {
        debug_assert!(self.open, "append before begin");
        if let Some(entry) = self.entries.last_mut() {
            entry.checksum.combine(&block.checksum);
            entry.packed_len += block.bytes.len() as u64;
            entry.plain_len += block.plain_len;
        }
        self.send(block.bytes, rows).await
    }

    /// Ends the current entry; without one, does nothing.
    ///
    /// # Errors
    /// As [`Sink::send`].
    pub(super) async fn end(&mut self) -> Result<(), ReportError> {
        let out = self.descriptor();
        self.send(out, 0).await
    }

    /// Ends the current entry and writes the central directory; without it no reader takes the file for a ZIP.
    ///
    /// # Errors
    /// As [`Sink::send`].
    pub(super) async fn finish(mut self) -> Result<(), ReportError> {
        self.end().await?;
        let mut out = Vec::new();
        for entry in &self.entries {
            self.put_directory_line(&mut out, entry);
        }
        let directory_len = out.len() as u64;
        let count = self.entries.len();
        if count >= 0xFFFF || self.offset.max(directory_len) >= FULL_32 {
            let record_at = self.offset + directory_len;
            put32(&mut out, &[0x0606_4b50]);
            put64(&mut out, &[44]);
            put16(&mut out, &[VERSION_ZIP64, VERSION_ZIP64]);
            put32(&mut out, &[0, 0]);
            put64(
                &mut out,
                &[count as u64, count as u64, directory_len, self.offset],
            );
            put32(&mut out, &[0x0706_4b50, 0]);
            put64(&mut out, &[record_at]);
            put32(&mut out, &[1]);
        }
        put32(&mut out, &[0x0605_4b50]);
        put16(&mut out, &[0, 0, low16(count), low16(count)]);
        put32(&mut out, &[low32(directory_len), low32(self.offset)]);
        put16(&mut out, &[0]);
        self.send(out, 0).await
    }

    async fn send(&mut self, bytes: Vec<u8>, rows: u64) -> Result<(), ReportError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.offset += bytes.len() as u64;
        self.sink.send(bytes, rows).await
    }

    /// The data descriptor that ends the current entry; nothing without one.
    fn descriptor(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if let (true, Some(entry)) = (mem::take(&mut self.open), self.entries.last_mut()) {
            out.extend_from_slice(&FINAL_BLOCK);
            entry.packed_len += FINAL_BLOCK.len() as u64;
            put32(&mut out, &[0x0807_4b50, entry.checksum.clone().finalize()]);
            if entry.packed_len.max(entry.plain_len) < FULL_32 {
                put32(&mut out, &[low32(entry.packed_len), low32(entry.plain_len)]);
            } else {
                put64(&mut out, &[entry.packed_len, entry.plain_len]);
            }
        }
        out
    }

    fn put_directory_line(&self, out: &mut Vec<u8>, entry: &Entry) {
        let fields = [entry.plain_len, entry.packed_len, entry.offset];
        let wide: Vec<u64> = fields
            .into_iter()
            .filter(|&value| value >= FULL_32)
            .collect();
        let (version, extra_len) = if wide.is_empty() {
            (VERSION, 0)
        } else {
            (VERSION_ZIP64, 4 + 8 * wide.len())
        };
        put32(out, &[0x0201_4b50]);
        put16(
            out,
            &[
                version,
                version,
                FLAGS,
                DEFLATE,
                self.modified[0],
                self.modified[1],
            ],
        );
        put32(
            out,
            &[
                entry.checksum.clone().finalize(),
                low32(entry.packed_len),
                low32(entry.plain_len),
            ],
        );
        put16(out, &[low16(entry.name.len()), low16(extra_len), 0, 0, 0]);
        put32(out, &[0, low32(entry.offset)]);
        out.extend_from_slice(entry.name.as_bytes());
        if !wide.is_empty() {
            put16(out, &[1, low16(8 * wide.len())]);
            put64(out, &wide);
        }
    }
}

/// Time and date in the format of MS-DOS.
fn dos_time(at: DateTime) -> [u16; 2] {
    let part = |value: i8| u16::from(value.unsigned_abs());
    let year = at.year().clamp(1980, 2107).unsigned_abs() - 1980;
    [
        (part(at.hour()) << 11) | (part(at.minute()) << 5) | (part(at.second()) / 2),
        (year << 9) | (part(at.month()) << 5) | part(at.day()),
    ]
}

/// The value, or "look in the ZIP64 record".
fn low32(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The value, or "look in the ZIP64 record".
fn low16(value: usize) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

fn put16(out: &mut Vec<u8>, values: &[u16]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn put32(out: &mut Vec<u8>, values: &[u32]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn put64(out: &mut Vec<u8>, values: &[u64]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

#[cfg(test)]
mod tests;
