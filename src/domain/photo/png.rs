//! PNG: walks the chunks, keeps pixels and colour, drops text, time, EXIF, animation and everything private.
//!
//! Called by [`super::clean`] only. The pixels are inflated into a small buffer to prove that they are as many as
//! the header declares, never held. The IDAT chunks are joined into one, which ends where its zlib stream ends.

use std::io::{self, Read};

use flate2::bufread::ZlibDecoder;

use super::{MAX_ICC, MediaType, Photo, PhotoError, check_sides, exif};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Cleans a file that starts with the signature.
pub(super) fn clean(bytes: &[u8]) -> Result<Photo, PhotoError> {
    let mut chunks = Chunks(&bytes[SIGNATURE.len()..]);
    let first = chunks.next()?;
    let header = Header::parse(&first)?;
    let orientation = orientation(Chunks(chunks.0))?;

    let mut out = Vec::with_capacity(bytes.len());
    out.extend(SIGNATURE);
    write(&mut out, first.kind, first.content);
    if let Some(orientation) = orientation {
        write(&mut out, *b"eXIf", &exif::tiff(orientation));
    }
    let first_idat = copy_head(&header, &mut chunks, &mut out)?;
    let after = copy_pixels(&header, first_idat, &mut chunks, &mut out)?;
    check_tail(after, &mut chunks)?;
    write(&mut out, *b"IEND", &[]);
    Ok(Photo {
        media_type: MediaType::Png,
        width: header.width,
        height: header.height,
        bytes: out,
    })
}

/// The orientation of the first EXIF chunk that has one.
fn orientation(mut chunks: Chunks) -> Result<Option<u8>, PhotoError> {
    loop {
        let chunk = chunks.next()?;
        match &chunk.kind {
            b"IEND" => return Ok(None),
            b"eXIf" if chunk.checked().is_ok() => {
                if let Some(orientation) = exif::orientation(chunk.content) {
                    return Ok(Some(orientation));
                }
            }
            _ => {}
        }
    }
}

/// Copies palette and colour chunks; returns the first IDAT.
fn copy_head<'a>(
    header: &Header,
    chunks: &mut Chunks<'a>,
    out: &mut Vec<u8>,
) -> Result<Chunk<'a>, PhotoError> {
    let mut seen = Vec::new();
    let mut palette = 0;
    loop {
        let chunk = chunks.next()?;
        match &chunk.kind {
            b"IDAT" if header.colour == INDEXED && palette == 0 => {
                return Err(PhotoError::Malformed);
            }
            b"IDAT" => return Ok(chunk),
            b"PLTE" if palette == 0 => palette = header.palette(&chunk)?,
            _ if chunk.is_critical() => return Err(PhotoError::Malformed),
            // Looked at once even when it is not kept: looking inflates, which is not free.
            _ if seen.contains(&chunk.kind) => continue,
            _ => {
                seen.push(chunk.kind);
                if !header.keeps(&chunk, palette)? {
                    continue;
                }
            }
        }
        write(out, chunk.kind, chunk.checked()?);
    }
}

/// Joins the IDAT chunks into one and proves its length; returns the chunk behind them.
fn copy_pixels<'a>(
    header: &Header,
    mut chunk: Chunk<'a>,
    chunks: &mut Chunks<'a>,
    out: &mut Vec<u8>,
) -> Result<Chunk<'a>, PhotoError> {
    let start = out.len();
    out.extend(*b"\0\0\0\0IDAT");
    while chunk.kind == *b"IDAT" {
        out.extend(chunk.checked()?);
        chunk = chunks.next()?;
    }
    let expected = header.inflated_bytes();
    let (inflated, unused) = inflate(&out[start + 8..], expected)?;
    if inflated < expected {
        return Err(PhotoError::Truncated);
    }
    out.truncate(out.len() - unused);
    seal(out, start);
    Ok(chunk)
}

/// Walks to IEND; what lies between is not copied.
fn check_tail<'a>(mut chunk: Chunk<'a>, chunks: &mut Chunks<'a>) -> Result<(), PhotoError> {
    while chunk.kind != *b"IEND" {
        if chunk.is_critical() {
            return Err(PhotoError::Malformed);
        }
        chunk = chunks.next()?;
    }
    if chunk.checked()?.is_empty() {
        Ok(())
    } else {
        Err(PhotoError::Malformed)
    }
}

/// How many bytes `zlib` unpacks to and how many lie unused behind its end. Stops as soon as `limit` is passed.
fn inflate(zlib: &[u8], limit: u64) -> Result<(u64, usize), PhotoError> {
    let mut decoder = ZlibDecoder::new(zlib);
    let inflated =
        io::copy(&mut decoder.by_ref().take(limit + 1), &mut io::sink()).map_err(|error| {
            match error.kind() {
                io::ErrorKind::UnexpectedEof => PhotoError::Truncated,
                _ => PhotoError::Malformed,
            }
        })?;
    if inflated > limit {
        return Err(PhotoError::Bomb);
    }
    Ok((inflated, decoder.into_inner().len()))
}

const GREY: u8 = 0;
const RGB: u8 = 2;
const INDEXED: u8 = 3;
const GREY_ALPHA: u8 = 4;
const RGB_ALPHA: u8 = 6;

struct Header {
    width: u32,
    height: u32,
    depth: u8,
    colour: u8,
    interlaced: bool,
}

impl Header {
    fn parse(chunk: &Chunk) -> Result<Self, PhotoError> {
        let [
            w3,
            w2,
            w1,
            w0,
            h3,
            h2,
            h1,
            h0,
            depth,
            colour,
            0,
            0,
            interlace @ (0 | 1),
        ] = *chunk.content
        else {
            return Err(PhotoError::Malformed);
        };
        let width = u32::from_be_bytes([w3, w2, w1, w0]);
        let height = u32::from_be_bytes([h3, h2, h1, h0]);
        let depth_fits = match colour {
            GREY => matches!(depth, 1 | 2 | 4 | 8 | 16),
            INDEXED => matches!(depth, 1 | 2 | 4 | 8),
            RGB | GREY_ALPHA | RGB_ALPHA => matches!(depth, 8 | 16),
            _ => false,
        };
        if chunk.kind != *b"IHDR" || !depth_fits {
            return Err(PhotoError::Malformed);
        }
        chunk.checked()?;
        check_sides(width, height)?;
        Ok(Self {
            width,
            height,
            depth,
            colour,
            interlaced: interlace == 1,
        })
    }

    /// The number of colours in a palette.
    fn palette(&self, chunk: &Chunk) -> Result<usize, PhotoError> {
        let (colours, rest) = chunk.content.as_chunks::<3>();
        let allowed = !matches!(self.colour, GREY | GREY_ALPHA);
        if allowed && rest.is_empty() && (1..=256).contains(&colours.len()) {
            Ok(colours.len())
        } else {
            Err(PhotoError::Malformed)
        }
    }

    /// Whether an ancillary chunk changes how pixels look. A wrong length is a place to hide text: not kept.
    fn keeps(&self, chunk: &Chunk, palette: usize) -> Result<bool, PhotoError> {
        let length = chunk.content.len();
        Ok(match &chunk.kind {
            b"gAMA" | b"cICP" => length == 4,
            b"cHRM" => length == 32,
            b"sRGB" => length == 1,
            b"pHYs" => length == 9,
            b"sBIT" => (1..=4).contains(&length),
            b"bKGD" => matches!(length, 1 | 2 | 6),
            b"tRNS" => match self.colour {
                GREY => length == 2,
                RGB => length == 6,
                INDEXED => (1..=palette).contains(&length),
                _ => false,
            },
            b"iCCP" => is_profile(chunk.content)?,
            _ => false,
        })
    }

    /// Bytes of all rows, each with its filter byte, in all interlace passes.
    fn inflated_bytes(&self) -> u64 {
        /// First column, first row, step right, step down of each Adam7 pass.
        const ADAM7: [[u32; 4]; 7] = [
            [0, 0, 8, 8],
            [4, 0, 8, 8],
            [0, 4, 4, 8],
            [2, 0, 4, 4],
            [0, 2, 2, 4],
            [1, 0, 2, 2],
            [0, 1, 1, 2],
        ];
        let passes: &[_] = if self.interlaced {
            &ADAM7
        } else {
            &[[0, 0, 1, 1]]
        };
        let channels = match self.colour {
            GREY_ALPHA => 2,
            RGB => 3,
            RGB_ALPHA => 4,
            _ => 1,
        };
        let pass_bytes = |[left, top, right, down]: &[u32; 4]| {
            let columns = u64::from(self.width.saturating_sub(*left).div_ceil(*right));
            let rows = u64::from(self.height.saturating_sub(*top).div_ceil(*down));
            let row = (columns * channels * u64::from(self.depth)).div_ceil(8);
            if columns == 0 { 0 } else { rows * (1 + row) }
        };
        passes.iter().map(pass_bytes).sum()
    }
}

/// Whether an iCCP chunk holds a name, method 0 and one whole zlib stream with nothing behind it.
fn is_profile(content: &[u8]) -> Result<bool, PhotoError> {
    let Some(name) = content.iter().take(80).position(|byte| *byte == 0) else {
        return Ok(false);
    };
    let [0, zlib @ ..] = &content[name + 1..] else {
        return Ok(false);
    };
    match inflate(zlib, MAX_ICC as u64) {
        Ok((inflated, unused)) => Ok(name > 0 && inflated > 0 && unused == 0),
        Err(PhotoError::Bomb) => Err(PhotoError::Bomb),
        Err(_) => Ok(false),
    }
}

struct Chunk<'a> {
    kind: [u8; 4],
    content: &'a [u8],
    crc: u32,
}

impl<'a> Chunk<'a> {
    fn is_critical(&self) -> bool {
        self.kind[0] & 0x20 == 0
    }

    /// The content, when its checksum holds.
    fn checked(&self) -> Result<&'a [u8], PhotoError> {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.kind);
        hasher.update(self.content);
        if hasher.finalize() == self.crc {
            Ok(self.content)
        } else {
            Err(PhotoError::Malformed)
        }
    }
}

/// The bytes not yet walked.
struct Chunks<'a>(&'a [u8]);

impl<'a> Chunks<'a> {
    fn next(&mut self) -> Result<Chunk<'a>, PhotoError> {
        let chunk = || {
            let (length, rest) = self.0.split_first_chunk()?;
            let (kind, rest) = rest.split_first_chunk()?;
            let (content, rest) =
                rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
            let (crc, rest) = rest.split_first_chunk()?;
            Some((
                Chunk {
                    kind: *kind,
                    content,
                    crc: u32::from_be_bytes(*crc),
                },
                rest,
            ))
        };
        let (chunk, rest) = chunk().ok_or(PhotoError::Truncated)?;
        self.0 = rest;
        Ok(chunk)
    }
}

fn write(out: &mut Vec<u8>, kind: [u8; 4], content: &[u8]) {
    let start = out.len();
    out.extend([0; 4]);
    out.extend(kind);
    out.extend(content);
    seal(out, start);
}

/// Sets the length of the chunk that begins at `start` and adds its checksum.
fn seal(out: &mut Vec<u8>, start: usize) {
    let length = u32::try_from(out.len() - start - 8).expect("no longer than MAX_BYTES");
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    let crc = crc32fast::hash(&out[start + 4..]);
    out.extend(crc.to_be_bytes());
}
