//! WebP: walks the RIFF chunks, keeps bitstream, alpha and colour profile, drops EXIF, XMP and unknown chunks.
//!
//! Called by [`super::clean_while`] only. The bitstream is read as far as its sides and never decoded.

use super::{MAX_ICC, MediaType, Photo, PhotoError, Work, check_sides, exif};

/// Where the flags of VP8X lie in a file.
const FLAGS: usize = 20;
const ICC: u8 = 0x20;
const ALPHA: u8 = 0x10;
const EXIF: u8 = 0x08;
const ANIMATION: u8 = 0x02;

/// Cleans a file that starts with a RIFF header of form WEBP.
pub(super) fn clean(bytes: &[u8], work: &mut Work) -> Result<Photo, PhotoError> {
    let size = bytes[4..].first_chunk().ok_or(PhotoError::Truncated)?;
    let size = usize::try_from(u32::from_le_bytes(*size)).map_err(|_| PhotoError::Truncated)?;
    // Some writers count the whole file. The chunks decide whether it is whole.
    let riff = &bytes[8..];
    let riff = &riff[..size.min(riff.len())];
    let mut chunks = Chunks(riff.get(4..).ok_or(PhotoError::Malformed)?);
    let (kind, content) = chunks.next(work)?.ok_or(PhotoError::Truncated)?;

    let mut out = Vec::with_capacity(bytes.len() + 1);
    out.extend(b"RIFF\0\0\0\0WEBP");
    let (width, height) = if kind == *b"VP8X" {
        copy_extended(content, chunks, &mut out, work)?
    } else {
        // The simple layout is its bitstream alone; decoders ignore whatever follows.
        let sides = bitstream_sides(kind, content)?;
        write(&mut out, kind, content);
        sides
    };
    let size = u32::try_from(out.len() - 8).expect("no longer than MAX_BYTES");
    out[4..8].copy_from_slice(&size.to_le_bytes());
    Ok(Photo {
        media_type: MediaType::WebP,
        width,
        height,
        bytes: out,
    })
}

/// Copies the chunks behind VP8X, in the order of the specification, and a VP8X that tells what is left.
fn copy_extended(
    canvas: &[u8],
    mut chunks: Chunks,
    out: &mut Vec<u8>,
    work: &mut Work,
) -> Result<(u32, u32), PhotoError> {
    let [flags, _, _, _, sides @ ..] = canvas else {
        return Err(PhotoError::Malformed);
    };
    let sides = canvas_sides(sides)?;
    if flags & ANIMATION != 0 {
        return Err(PhotoError::Animated);
    }
    let (mut icc, mut alpha, mut image, mut exif) = (None, None, None, None);
    loop {
        let (kind, content) = match chunks.next(work) {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            // A picture is whole without what stands behind it.
            Err(PhotoError::Truncated) if image.is_some() => break,
            Err(error) => return Err(error),
        };
        match &kind {
            b"ANIM" | b"ANMF" => return Err(PhotoError::Animated),
            b"VP8 " | b"VP8L" if image.is_some() => return Err(PhotoError::Malformed),
            b"VP8 " | b"VP8L" => image = Some((kind, content)),
            b"ICCP" if image.is_none() && content.len() <= MAX_ICC => icc = icc.or(Some(content)),
            b"ALPH" if image.is_none() => alpha = alpha.or(Some(content)),
            b"EXIF" => exif = exif.or(Some(content)),
            _ => {}
        }
    }
    let (kind, bitstream) = image.ok_or(PhotoError::Malformed)?;
    if bitstream_sides(kind, bitstream)? != sides {
        return Err(PhotoError::Malformed);
    }
    let head = [&[flags & ALPHA, 0, 0, 0], &canvas[4..]].concat();
    write(out, *b"VP8X", &head);
    if let Some(icc) = icc {
        out[FLAGS] |= ICC;
        write(out, *b"ICCP", icc);
    }
    if let Some(alpha) = alpha.filter(|_| kind == *b"VP8 ") {
        write(out, *b"ALPH", alpha);
    }
    write(out, kind, bitstream);
    // Some writers put the JPEG prefix in front.
    let tiff = exif.map(|exif| exif.strip_prefix(b"Exif\0\0").unwrap_or(exif));
    if let Some(orientation) = tiff.and_then(exif::orientation) {
        out[FLAGS] |= EXIF;
        write(out, *b"EXIF", &exif::tiff(orientation));
    }
    Ok(sides)
}

/// Width and height of a canvas, within bounds.
fn canvas_sides(sides: &[u8]) -> Result<(u32, u32), PhotoError> {
    let &[w0, w1, w2, h0, h1, h2] = sides else {
        return Err(PhotoError::Malformed);
    };
    let width = u32::from_le_bytes([w0, w1, w2, 0]) + 1;
    let height = u32::from_le_bytes([h0, h1, h2, 0]) + 1;
    check_sides(width, height)?;
    Ok((width, height))
}

/// Width and height of a bitstream, within bounds.
fn bitstream_sides(kind: [u8; 4], bitstream: &[u8]) -> Result<(u32, u32), PhotoError> {
    let (width, height) = match &kind {
        b"VP8 " => lossy_sides(bitstream)?,
        b"VP8L" => lossless_sides(bitstream).ok_or(PhotoError::Malformed)?,
        _ => return Err(PhotoError::Malformed),
    };
    check_sides(width, height)?;
    Ok((width, height))
}

fn lossy_sides(bitstream: &[u8]) -> Result<(u32, u32), PhotoError> {
    let Some((head, partitions)) = bitstream.split_first_chunk::<10>() else {
        return Err(PhotoError::Truncated);
    };
    let [t0, t1, t2, 0x9D, 0x01, 0x2A, w0, w1, h0, h1] = *head else {
        return Err(PhotoError::Malformed);
    };
    let tag = u32::from_le_bytes([t0, t1, t2, 0]);
    let (is_key_frame, version, is_shown) = (tag & 1 == 0, tag >> 1 & 7, tag >> 4 & 1 == 1);
    if !is_key_frame || version > 3 || !is_shown {
        return Err(PhotoError::Malformed);
    }
    if (tag >> 5) as usize > partitions.len() {
        return Err(PhotoError::Truncated);
    }
    // The top two bits ask for scaling, which decoders ignore.
    let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
    Ok((side(w0, w1), side(h0, h1)))
}

fn lossless_sides(bitstream: &[u8]) -> Option<(u32, u32)> {
    let bits = bitstream.strip_prefix(&[0x2F])?.first_chunk()?;
    let bits = u32::from_le_bytes(*bits);
    let version = bits >> 29;
    (version == 0).then_some(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
}

/// A name and the content behind it.
type Chunk<'a> = ([u8; 4], &'a [u8]);

/// The bytes not yet walked.
struct Chunks<'a>(&'a [u8]);

impl<'a> Chunks<'a> {
    /// The next chunk; `None` when too little is left for one.
    fn next(&mut self, work: &mut Work) -> Result<Option<Chunk<'a>>, PhotoError> {
        let Some((&[k0, k1, k2, k3, s0, s1, s2, s3], rest)) = self.0.split_first_chunk::<8>()
        else {
            return Ok(None);
        };
        let size = usize::try_from(u32::from_le_bytes([s0, s1, s2, s3]));
        let (content, rest) = size
            .ok()
            .and_then(|size| rest.split_at_checked(size))
            .ok_or(PhotoError::Truncated)?;
        // Each is copied at most once.
        work.spend(8 + content.len())?;
        // Some writers forget the padding of the last chunk.
        self.0 = rest.get(content.len() % 2..).unwrap_or_default();
        Ok(Some(([k0, k1, k2, k3], content)))
    }
}

fn write(out: &mut Vec<u8>, kind: [u8; 4], content: &[u8]) {
    let size = u32::try_from(content.len()).expect("no longer than MAX_BYTES");
    out.extend(kind);
    out.extend(size.to_le_bytes());
    out.extend(content);
    if content.len() % 2 == 1 {
        out.push(0);
    }
}
