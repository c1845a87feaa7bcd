//! The one EXIF field that changes how a picture is shown: its orientation.
//!
//! The three formats carry EXIF as the same little TIFF file; they call [`orientation`] to read it and [`tiff`] to
//! write one with nothing else in it. No other field is ever looked at.

/// A TIFF file with a single entry: orientation (0x0112), one 16-bit number, the zero before last in its row.
const TEMPLATE: [u8; 26] = *b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0";

/// Reads an orientation that turns or mirrors the picture (2 to 8) from a TIFF file of either byte order.
pub(super) fn orientation(tiff: &[u8]) -> Option<u8> {
    let big_endian = match tiff.first_chunk()? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let number = |bytes: &[u8]| {
        let push = |number: u32, byte: &u8| number << 8 | u32::from(*byte);
        if big_endian {
            bytes.iter().fold(0, push)
        } else {
            bytes.iter().rfold(0, push)
        }
    };
    let directory = tiff.get(usize::try_from(number(tiff.get(4..8)?)).ok()?..)?;
    let (count, entries) = directory.split_first_chunk::<2>()?;
    let count = usize::try_from(number(count)).ok()?;
    entries
        .chunks_exact(12)
        .take(count)
        .find(|entry| {
            number(&entry[..2]) == 0x0112 && number(&entry[2..4]) == 3 && number(&entry[4..8]) == 1
        })
        .and_then(|entry| u8::try_from(number(&entry[8..10])).ok())
        .filter(|orientation| (2..=8).contains(orientation))
}

/// A TIFF file that says `orientation` and nothing else.
pub(super) fn tiff(orientation: u8) -> [u8; TEMPLATE.len()] {
    let mut tiff = TEMPLATE;
    tiff[19] = orientation;
    tiff
}
