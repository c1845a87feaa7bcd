//! PNG: walks the chunks, keeps pixels and colour, drops text, time, EXIF, animation and everything private.
//!
//! Called by [`super::clean_while`] only. The pixels are counted to prove that they are as many as the header
//! declares, never buffered: that decides whether the picture is whole, as in browsers, and neither checksums nor what
//! stands behind the pixels. The IDAT chunks are joined into one valid stream.

use std::borrow::Cow;

use super::{MAX_ICC, MENDED, MediaType, Photo, PhotoError, Work, check_sides, exif, zlib::Stream};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Bytes behind the declared pixels that are cut off, if they are fewer than the pixels. More is a decompression bomb.
const MAX_EXTRA: u64 = 16 * 1024 * 1024;

/// A colour profile is no shorter than its header and the number of its tags.
const MIN_ICC: u64 = 132;

/// Ancillary chunks that change how pixels look. A picture has each once; others are dropped unseen.
const KEPT: [[u8; 4]; 9] = [
    *b"gAMA", *b"cHRM", *b"sRGB", *b"sBIT", *b"bKGD", *b"pHYs", *b"cICP", *b"tRNS", *b"iCCP",
];

/// Cleans a file that starts with the signature.
pub(super) fn clean(bytes: &[u8], work: &mut Work) -> Result<Photo, PhotoError> {
    let mut chunks = Chunks(&bytes[SIGNATURE.len()..]);
    let first = chunks.next(work)?.whole()?;
    let header = Header::parse(&first, work)?;
    let orientation = orientation(Chunks(chunks.0), work)?;

    let mut out = Vec::with_capacity(bytes.len() + MENDED);
    out.extend(SIGNATURE);
    write(&mut out, first.kind, first.content, work)?;
    if let Some(orientation) = orientation {
        write(&mut out, *b"eXIf", &exif::tiff(orientation), work)?;
    }
    let first_idat = copy_head(&header, &mut chunks, &mut out, work)?;
    copy_pixels(&header, first_idat, &mut chunks, &mut out, work)?;
    write(&mut out, *b"IEND", &[], work)?;
    Ok(Photo {
        media_type: MediaType::Png,
        width: header.width,
        height: header.height,
        bytes: out,
    })
}

/// What the first EXIF chunk says; it may stand behind the pixels.
fn orientation(mut chunks: Chunks, work: &mut Work) -> Result<Option<u8>, PhotoError> {
    loop {
        match chunks.next(work) {
            Ok(chunk) if chunk.kind == *b"eXIf" && chunk.is_intact(work)? => {
                return Ok(exif::orientation(chunk.content));
            }
            Ok(chunk) if chunk.kind != *b"IEND" => {}
            Err(PhotoError::Cancelled) => return Err(PhotoError::Cancelled),
            // An error here may not matter, or is reported by whoever reads the chunk next.
            Ok(_) | Err(_) => return Ok(None),
        }
    }
}

/// Copies palette and colour chunks; returns the first IDAT.
fn copy_head<'a>(
    header: &Header,
    chunks: &mut Chunks<'a>,
    out: &mut Vec<u8>,
    work: &mut Work,
) -> Result<Chunk<'a>, PhotoError> {
    let mut is_written = [false; KEPT.len()];
    let mut palette = 0;
    loop {
        let chunk = chunks.next(work)?;
        if chunk.kind == *b"IDAT" {
            if header.colour == INDEXED && palette == 0 {
                return Err(PhotoError::Malformed);
            }
            return Ok(chunk);
        }
        let chunk = chunk.whole()?;
        if chunk.kind == *b"PLTE" {
            // Elsewhere it is a suggestion that nobody follows.
            if header.colour == INDEXED {
                if palette != 0 || !chunk.is_intact(work)? {
                    return Err(PhotoError::Malformed);
                }
                palette = colours(&chunk)?;
                write(out, chunk.kind, chunk.content, work)?;
            }
        } else if chunk.is_critical() {
            return Err(PhotoError::Malformed);
        } else if let Some(place) = KEPT.iter().position(|kind| *kind == chunk.kind)
            && !is_written[place]
            && chunk.is_intact(work)?
        {
            if chunk.kind == *b"iCCP" {
                // Decompressed once even when it is of no use: decompression is not free.
                is_written[place] = true;
                if let Some(profile) = profile(chunk.content, work)? {
                    write(out, chunk.kind, &profile, work)?;
                }
            } else if header.keeps(&chunk, palette) {
                is_written[place] = true;
                write(out, chunk.kind, chunk.content, work)?;
            }
        }
    }
}

/// Joins the IDAT chunks into one stream of exactly the declared pixels.
fn copy_pixels<'a>(
    header: &Header,
    mut chunk: Chunk<'a>,
    chunks: &mut Chunks<'a>,
    out: &mut Vec<u8>,
    work: &mut Work,
) -> Result<(), PhotoError> {
    let start = out.len();
    out.extend(*b"\0\0\0\0IDAT");
    while chunk.kind == *b"IDAT" {
        work.spend(chunk.content.len())?;
        out.extend(chunk.content);
        chunk = match chunks.next(work) {
            Ok(chunk) => chunk,
            Err(PhotoError::Cancelled) => return Err(PhotoError::Cancelled),
            // The pixels may be whole all the same.
            Err(_) => break,
        };
    }
    let stream = start + 8;
    let expected = header.inflated_bytes();
    let more = expected.min(MAX_EXTRA);
    let pixels = Stream::read(&out[stream..], expected, more, work)?;
    if pixels.length >= expected + more {
        return Err(PhotoError::Bomb);
    }
    match pixels.whole(work)? {
        Some(Cow::Borrowed(whole)) => {
            let length = whole.len();
            out.truncate(stream + length);
        }
        Some(Cow::Owned(mended)) => {
            out.truncate(stream);
            out.extend(mended);
        }
        None if pixels.length > expected => return Err(PhotoError::Bomb),
        None => return Err(PhotoError::Truncated),
    }
    seal(out, start, work)
}

/// A colour profile that can be read: a name, method 0 and one whole zlib stream with nothing behind it, repaired
/// where it is not so.
fn profile<'a>(content: &'a [u8], work: &mut Work) -> Result<Option<Cow<'a, [u8]>>, PhotoError> {
    let name = content.iter().take(80).position(|byte| *byte == 0);
    let Some(name @ 1..) = name else {
        return Ok(None);
    };
    let [0, zlib @ ..] = &content[name + 1..] else {
        return Ok(None);
    };
    let most = MAX_ICC as u64;
    let stream = match Stream::read(zlib, most, 1, work) {
        Ok(stream) if stream.length > most => return Err(PhotoError::Bomb),
        Ok(stream) => stream,
        Err(error @ (PhotoError::Cancelled | PhotoError::Bomb)) => return Err(error),
        Err(_) => return Ok(None),
    };
    if stream.length == 0 {
        return Ok(None);
    }
    let whole = Stream::read(zlib, stream.length, 1, work)?.whole(work)?;
    if let Some(Cow::Borrowed(whole)) = whole
        && whole.len() == zlib.len()
    {
        return Ok(Some(content.into()));
    }
    // A profile begins with its own length: all of that may be there even so.
    let Some(length) = stream.start(work)?.map(u32::from_be_bytes).map(u64::from) else {
        return Ok(None);
    };
    if length < MIN_ICC || length > stream.length {
        return Ok(None);
    }
    let head = &content[..content.len() - zlib.len()];
    let zlib = Stream::read(zlib, length, 1, work)?.whole(work)?;
    Ok(zlib.map(|zlib| [head, &zlib].concat().into()))
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
    fn parse(chunk: &Chunk, work: &mut Work) -> Result<Self, PhotoError> {
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
        if chunk.kind != *b"IHDR" || !depth_fits || !chunk.is_intact(work)? {
            return Err(PhotoError::Malformed);
        }
        check_sides(width, height)?;
        Ok(Self {
            width,
            height,
            depth,
            colour,
            interlaced: interlace == 1,
        })
    }

    /// Whether a chunk has the length of its kind. A wrong one is a place to hide text: not kept.
    fn keeps(&self, chunk: &Chunk, palette: usize) -> bool {
        let length = chunk.content.len();
        match &chunk.kind {
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
            _ => false,
        }
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

/// The number of colours in a palette.
fn colours(palette: &Chunk) -> Result<usize, PhotoError> {
    let (colours, rest) = palette.content.as_chunks::<3>();
    if rest.is_empty() && (1..=256).contains(&colours.len()) {
        Ok(colours.len())
    } else {
        Err(PhotoError::Malformed)
    }
}

struct Chunk<'a> {
    kind: [u8; 4],
    content: &'a [u8],
    /// `None` where the file ends too early for it.
    crc: Option<[u8; 4]>,
}

impl Chunk<'_> {
    fn is_critical(&self) -> bool {
        self.kind[0] & 0x20 == 0
    }

    /// The chunk, unless the file ends inside it.
    fn whole(self) -> Result<Self, PhotoError> {
        match self.crc {
            Some(_) => Ok(self),
            None => Err(PhotoError::Truncated),
        }
    }

    /// Whether its checksum holds.
    fn is_intact(&self, work: &mut Work) -> Result<bool, PhotoError> {
        work.spend(self.content.len())?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.kind);
        hasher.update(self.content);
        Ok(self.crc == Some(hasher.finalize().to_be_bytes()))
    }
}

/// The bytes not yet walked.
struct Chunks<'a>(&'a [u8]);

impl<'a> Chunks<'a> {
    /// The next chunk, as far as it is there.
    fn next(&mut self, work: &mut Work) -> Result<Chunk<'a>, PhotoError> {
        work.spend(12)?;
        let ([length, kind], rest) = match self.0.as_chunks::<4>().0 {
            [length, kind, ..] => ([*length, *kind], &self.0[8..]),
            _ => return Err(PhotoError::Truncated),
        };
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        let (content, rest) = rest.split_at(length.min(rest.len()));
        let crc = rest.first_chunk().copied();
        self.0 = rest.get(4..).unwrap_or_default();
        Ok(Chunk { kind, content, crc })
    }
}

fn write(
    out: &mut Vec<u8>,
    kind: [u8; 4],
    content: &[u8],
    work: &mut Work,
) -> Result<(), PhotoError> {
    let start = out.len();
    out.extend([0; 4]);
    out.extend(kind);
    out.extend(content);
    seal(out, start, work)
}

/// Sets the length of the chunk that begins at `start` and adds its checksum.
fn seal(out: &mut Vec<u8>, start: usize, work: &mut Work) -> Result<(), PhotoError> {
    work.spend(out.len() - start)?;
    let length =
        u32::try_from(out.len() - start - 8).expect("no longer than MAX_BYTES and a little");
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    let crc = crc32fast::hash(&out[start + 4..]);
    out.extend(crc.to_be_bytes());
    Ok(())
}
