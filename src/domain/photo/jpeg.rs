//! JPEG: walks the segments, keeps what decodes the picture, drops the rest.
//!
//! Called by [`super::clean_while`] only. Compressed pixels are copied, never decoded: in sequential pictures they are
//! counted (`entropy`), in progressive ones skimmed for the next marker.

use super::{
    MAX_ICC, MediaType, Photo, PhotoError, Work, check_sides,
    entropy::{Component, End, Scan, Tables},
    exif,
};

const TEM: u8 = 0x01;
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
///
/// A sequential picture ends where the last of its pixels are: viewers look no further, whatever follows. Where
/// they cannot be counted it ends with EOI, or, once every bit of a progressive one has had its scan, with the file or
/// at what is no segment.
pub(super) fn clean(bytes: &[u8], work: &mut Work) -> Result<Photo, PhotoError> {
    let mut segments = Segments(&bytes[2..]);
    let header = Header::read(Segments(&bytes[2..]), work)?;
    let mut out = Vec::with_capacity(bytes.len());
    out.extend([0xFF, SOI]);
    if let Some(density) = header.density {
        write(&mut out, APP0, &[b"JFIF\0", density, &[0, 0]]);
    }
    if let Some(orientation) = header.exif.and_then(exif::orientation) {
        write(&mut out, APP1, &[b"Exif\0\0", &exif::tiff(orientation)]);
    }
    let mut scans = 0;
    let (mut tables, mut restart) = (Tables::default(), 0);
    // Components whose pixels have not been seen; none are looked for where they cannot be counted.
    let mut missing: Vec<u8> = header.components.iter().map(|part| part.id).collect();
    let mut is_counted = header.is_sequential;
    let mut bits = ProgressiveBits::new(&header);
    loop {
        let (marker, payload) = match segments.next(work) {
            Err(PhotoError::Truncated) if bits.are_sent() => break,
            segment => segment?,
        };
        if marker == EOI {
            if is_counted {
                return Err(PhotoError::Truncated);
            }
            break;
        }
        if let Some(payload) = header.keep(marker, payload, scans == 0)? {
            work.spend(payload.len())?;
            write(&mut out, marker, &[payload]);
        }
        match (marker, payload) {
            (DHT, payload) => tables.define(payload),
            (DRI, [high, low]) => restart = u16::from_be_bytes([*high, *low]),
            _ => {}
        }
        if marker != SOS {
            continue;
        }
        bits.add(payload);
        scans += 1;
        if scans > MAX_SCANS {
            return Err(PhotoError::Bomb);
        }
        let sides = [header.width, header.height];
        let scan = Scan::new(sides, &header.components, payload, &tables, restart);
        let end = match scan.filter(|_| is_counted) {
            Some(scan) => scan.end(segments.0, work)?,
            None => End::Unknown,
        };
        match end {
            End::Whole(length) => {
                out.extend(segments.take(length));
                let ids = payload[1..].iter().step_by(2).take(usize::from(payload[0]));
                ids.for_each(|id| missing.retain(|other| other != id));
                if missing.is_empty() {
                    break;
                }
            }
            End::Short => return Err(PhotoError::Truncated),
            End::Unknown => {
                is_counted = false;
                out.extend(match segments.scan(work) {
                    Err(PhotoError::Truncated) if bits.are_sent() => segments.rest(),
                    scan => scan?,
                });
            }
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
    is_sequential: bool,
    components: Vec<Component>,
    /// Version, unit and density of a JFIF header: what is left of it without its thumbnail.
    density: Option<&'a [u8]>,
    /// The first EXIF block, which alone is heeded.
    exif: Option<&'a [u8]>,
    icc_bytes: usize,
}

impl<'a> Header<'a> {
    fn read(mut segments: Segments<'a>, work: &mut Work) -> Result<Self, PhotoError> {
        let mut frame = None;
        let (mut density, mut exif, mut icc_bytes) = (None, None, 0);
        loop {
            match segments.next(work)? {
                (marker @ 0xC0..=0xC2, payload) if frame.is_none() => {
                    frame = Some((marker, frame_sides(payload)?, components(payload)));
                }
                // Lossless, hierarchical, arithmetic: browsers show none of them.
                (0xC3 | 0xC5..=0xCF | 0xDE | 0xDF, _) => return Err(PhotoError::Unsupported),
                (APP0, payload) if density.is_none() && payload.len() >= 14 => {
                    density = payload.strip_prefix(b"JFIF\0").map(|rest| &rest[..7]);
                }
                (APP1, payload) if exif.is_none() => {
                    // The byte behind the name is padding of any value.
                    let block = payload.strip_prefix(b"Exif\0");
                    exif = block.map(|block| block.get(1..).unwrap_or_default());
                }
                (APP2, payload) if is_icc(payload) => icc_bytes += payload.len(),
                (SOS, _) => break,
                (0xC0..=0xC2 | EOI, _) => return Err(PhotoError::Malformed),
                _ => {}
            }
        }
        let (marker, (width, height), components) = frame.ok_or(PhotoError::Malformed)?;
        Ok(Self {
            width,
            height,
            is_sequential: marker != 0xC2,
            components,
            density,
            exif,
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
            // Reserved ones as well: some viewers skip them, and all can show what is left.
            APP0..=APP15 | COM | DNL | 0x02..=0xBF | 0xF0..=0xFD => Ok(None),
            _ => Err(PhotoError::Malformed),
        }
    }
}

/// Which bits of a progressive picture have had their scan: for each component, the bit that was sent last of each
/// of its 64 coefficients. Bit 0 is the last one that a coefficient has.
struct ProgressiveBits(Vec<(u8, [u8; 64])>);

impl ProgressiveBits {
    fn new(header: &Header) -> Self {
        let progressive = header.components.iter().filter(|_| !header.is_sequential);
        Self(progressive.map(|part| (part.id, [u8::MAX; 64])).collect())
    }

    /// Adds those of a scan: components, first and last coefficient, and two numbers of bits, the second in the low half.
    fn add(&mut self, scan: &[u8]) {
        let [ids @ .., first, last, bits] = scan else {
            return;
        };
        for id in ids.iter().skip(1).step_by(2) {
            for (_, sent) in self.0.iter_mut().filter(|part| part.0 == *id) {
                if let Some(sent) = sent.get_mut(usize::from(*first)..=usize::from(*last)) {
                    sent.fill(bits & 0x0F);
                }
            }
        }
    }

    /// Whether a picture is progressive and none is missing.
    fn are_sent(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|(_, sent)| sent == &[0; 64])
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

/// The components of a frame header that [`frame_sides`] has taken.
fn components(frame: &[u8]) -> Vec<Component> {
    let (components, _) = frame[6..].as_chunks::<3>();
    components
        .iter()
        .map(|[id, sampling, _]| Component {
            id: *id,
            across: u32::from(sampling >> 4).max(1),
            down: u32::from(sampling & 0x0F).max(1),
        })
        .collect()
}

/// The bytes not yet walked.
struct Segments<'a>(&'a [u8]);

impl<'a> Segments<'a> {
    /// The next marker and its payload, without the length. Stray bytes before it are skipped, as decoders do.
    fn next(&mut self, work: &mut Work) -> Result<(u8, &'a [u8]), PhotoError> {
        loop {
            self.scan(work)?;
            let fill = self.0.iter().take_while(|byte| **byte == 0xFF).count();
            work.spend(fill + 4)?;
            let (marker, rest) = self.0[fill..].split_first().ok_or(PhotoError::Truncated)?;
            match *marker {
                EOI => return Ok((EOI, &[])),
                SOI => return Err(PhotoError::Malformed),
                _ => {}
            }
            self.0 = rest;
            // It has no length.
            if *marker == TEM {
                continue;
            }
            let length = rest.first_chunk().ok_or(PhotoError::Truncated)?;
            let length = usize::from(u16::from_be_bytes(*length));
            // Decoders that skip a segment do not mind a length shorter than itself.
            let length = match *marker {
                APP0..=APP15 | COM => length.max(2),
                _ => length,
            };
            let segment = rest.get(..length).ok_or(PhotoError::Truncated)?;
            self.take(length);
            return Ok((*marker, segment.get(2..).ok_or(PhotoError::Malformed)?));
        }
    }

    /// The bytes up to the next marker: behind SOS, the compressed pixels.
    fn scan(&mut self, work: &mut Work) -> Result<&'a [u8], PhotoError> {
        let end = find_marker(self.0);
        work.spend(end.unwrap_or(self.0.len()))?;
        Ok(self.take(end.ok_or(PhotoError::Truncated)?))
    }

    /// Everything that is left.
    fn rest(&mut self) -> &'a [u8] {
        let rest = self.take(self.0.len());
        // The first half of a marker.
        rest.strip_suffix(&[0xFF]).unwrap_or(rest)
    }

    /// The next `length` bytes, which are there.
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }
}

/// Where the next marker begins, fill bytes included. Stuffed zeros and restart markers belong to a scan.
fn find_marker(bytes: &[u8]) -> Option<usize> {
    /// Pairs tested at once, without a branch, so that the compiler vectorises the loop (SIMD).
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
