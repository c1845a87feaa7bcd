//! JPEG: walks the segments, keeps what decodes the picture, drops the rest.
//!
//! Called by [`super::clean`] only. Entropy-coded data is skimmed for the next marker and copied, never decoded.

use super::{MAX_ICC, MediaType, Photo, PhotoError, check_sides, exif};

const DHT: u8 = 0xC4;
const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DQT: u8 = 0xDB;
const DNL: u8 = 0xDC;
const DRI: u8 = 0xDD;
const APP0: u8 = 0xE0;
const APP1: u8 = 0xE1;
const APP2: u8 = 0xE2;
const APP14: u8 = 0xEE;
const APP15: u8 = 0xEF;
const COM: u8 = 0xFE;

/// Encoders write about ten scans. Thousands fit in a small file, and each costs a viewer a pass over all pixels.
const MAX_SCANS: usize = 256;

/// Cleans a file that starts with SOI.
pub(super) fn clean(bytes: &[u8]) -> Result<Photo, PhotoError> {
    let mut segments = Segments(&bytes[2..]);
    let header = Header::read(Segments(&bytes[2..]))?;
    let mut out = Vec::with_capacity(bytes.len());
    out.extend([0xFF, SOI]);
    if let Some(density) = header.density {
        write(&mut out, APP0, &[b"JFIF\0", density, &[0, 0]]);
    }
    if let Some(orientation) = header.orientation {
        write(&mut out, APP1, &[b"Exif\0\0", &exif::tiff(orientation)]);
    }
    let mut scans = 0;
    loop {
        let (marker, payload) = segments.next()?;
        if marker == EOI {
            break;
        }
        if let Some(payload) = header.keep(marker, payload, scans == 0)? {
            write(&mut out, marker, &[payload]);
        }
        if marker == SOS {
            scans += 1;
            if scans > MAX_SCANS {
                return Err(PhotoError::Bomb);
            }
            out.extend(segments.scan()?);
        }
    }
    out.extend([0xFF, EOI]);
    Ok(Photo {
        media_type: MediaType::Jpeg,
        width: header.width,
        height: header.height,
        bytes: out,
    })
}

fn write(out: &mut Vec<u8>, marker: u8, parts: &[&[u8]]) {
    let length = 2 + parts.iter().map(|part| part.len()).sum::<usize>();
    let length = u16::try_from(length).expect("parts come from one segment or are a few bytes");
    out.extend([0xFF, marker]);
    out.extend(length.to_be_bytes());
    for part in parts {
        out.extend(*part);
    }
}

/// What the segments before the first scan say.
struct Header<'a> {
    width: u32,
    height: u32,
    /// Version, unit and density of a JFIF header: what is left of it without its thumbnail.
    density: Option<&'a [u8]>,
    orientation: Option<u8>,
    icc_bytes: usize,
}

impl<'a> Header<'a> {
    fn read(mut segments: Segments<'a>) -> Result<Self, PhotoError> {
        let mut sides = None;
        let (mut density, mut orientation, mut icc_bytes) = (None, None, 0);
        loop {
            match segments.next()? {
                (0xC0..=0xC2, frame) if sides.is_none() => sides = Some(frame_sides(frame)?),
                // Lossless, hierarchical, arithmetic: browsers show none of them.
                (0xC3 | 0xC5..=0xCF | 0xDE | 0xDF, _) => return Err(PhotoError::Unsupported),
                (APP0, payload) if density.is_none() && payload.len() >= 14 => {
                    density = payload.strip_prefix(b"JFIF\0").map(|rest| &rest[..7]);
                }
                (APP1, payload) if orientation.is_none() => {
                    // The byte behind the name is padding of any value.
                    orientation = payload
                        .strip_prefix(b"Exif\0")
                        .and_then(|rest| exif::orientation(rest.get(1..)?));
                }
                (APP2, payload) if is_icc(payload) => icc_bytes += payload.len(),
                (SOS, _) => break,
                (0xC0..=0xC2 | EOI, _) => return Err(PhotoError::Malformed),
                _ => {}
            }
        }
        let (width, height) = sides.ok_or(PhotoError::Malformed)?;
        Ok(Self {
            width,
            height,
            density,
            orientation,
            icc_bytes,
        })
    }

    /// The part of a segment that belongs in the clean file, if any.
    fn keep(
        &self,
        marker: u8,
        payload: &'a [u8],
        before_scans: bool,
    ) -> Result<Option<&'a [u8]>, PhotoError> {
        match marker {
            DHT | DQT | DRI => Ok(Some(payload)),
            SOS => match payload {
                [n @ 1..=4, ..] if payload.len() == 4 + 2 * usize::from(*n) => Ok(Some(payload)),
                _ => Err(PhotoError::Malformed),
            },
            0xC0..=0xC2 if before_scans => Ok(Some(payload)),
            // Tells RGB from YCbCr and CMYK from YCCK: without it colours change.
            APP14 if before_scans && payload.starts_with(b"Adobe") => Ok(payload.get(..12)),
            APP2 if before_scans && is_icc(payload) && self.icc_bytes <= MAX_ICC => {
                Ok(Some(payload))
            }
            APP0..=APP15 | COM | DNL => Ok(None),
            _ => Err(PhotoError::Malformed),
        }
    }
}

fn is_icc(payload: &[u8]) -> bool {
    payload.starts_with(b"ICC_PROFILE\0")
}

/// Width and height of a frame header, within bounds.
fn frame_sides(frame: &[u8]) -> Result<(u32, u32), PhotoError> {
    let [precision, h1, h0, w1, w0, components, rest @ ..] = frame else {
        return Err(PhotoError::Malformed);
    };
    let width = u32::from(u16::from_be_bytes([*w1, *w0]));
    let height = u32::from(u16::from_be_bytes([*h1, *h0]));
    check_sides(width, height)?;
    if rest.len() != 3 * usize::from(*components) {
        return Err(PhotoError::Malformed);
    }
    if *precision != 8 || !matches!(components, 1 | 3 | 4) {
        return Err(PhotoError::Unsupported);
    }
    Ok((width, height))
}

/// The bytes not yet walked.
struct Segments<'a>(&'a [u8]);

impl<'a> Segments<'a> {
    /// The next marker and its payload, without the length. Stray bytes before it are skipped, as decoders do.
    fn next(&mut self) -> Result<(u8, &'a [u8]), PhotoError> {
        self.scan()?;
        let fill = self.0.iter().take_while(|byte| **byte == 0xFF).count();
        let (marker, rest) = self.0[fill..].split_first().ok_or(PhotoError::Truncated)?;
        match *marker {
            EOI => return Ok((EOI, &[])),
            SOI => return Err(PhotoError::Malformed),
            _ => {}
        }
        let length = rest.first_chunk().ok_or(PhotoError::Truncated)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (segment, rest) = rest.split_at_checked(length).ok_or(PhotoError::Truncated)?;
        self.0 = rest;
        Ok((*marker, segment.get(2..).ok_or(PhotoError::Malformed)?))
    }

    /// The bytes up to the next marker: behind SOS, the compressed pixels.
    fn scan(&mut self) -> Result<&'a [u8], PhotoError> {
        let end = find_marker(self.0).ok_or(PhotoError::Truncated)?;
        let (scan, rest) = self.0.split_at(end);
        self.0 = rest;
        Ok(scan)
    }
}

/// Where the next marker begins, fill bytes included. Stuffed zeros and restart markers belong to a scan.
fn find_marker(bytes: &[u8]) -> Option<usize> {
    /// Pairs tested at once, without a branch, so that the compiler uses vector instructions.
    const BLOCK: usize = 128;
    let hit = |(a, b): (&u8, &u8)| *a == 0xFF && *b != 0 && *b & 0xF8 != 0xD0;
    let mut at = 0;
    loop {
        while let Some(block) = bytes.get(at..=at + BLOCK)
            && !block
                .iter()
                .zip(&block[1..])
                .fold(false, |any, pair| any | hit(pair))
        {
            at += BLOCK;
        }
        let rest = &bytes[at..];
        let start = at + rest.iter().zip(rest.get(1..)?).position(hit)?;
        let fill = bytes[start..]
            .iter()
            .take_while(|byte| **byte == 0xFF)
            .count();
        if !matches!(bytes.get(start + fill)?, 0 | 0xD0..=0xD7) {
            return Some(start);
        }
        at = start + fill;
    }
}
