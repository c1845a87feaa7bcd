//! zlib streams: what one unpacks to, and the same stream cut to as much as is wanted and ended properly.
//!
//! `png` calls this for pixels and colour profiles. Nothing unpacked is held: [`Unpacked::read`] counts and sums
//! it, [`Unpacked::mended`] copies the compressed bits as far as they are wanted. That costs a second pass over
//! them, which only streams pay that end otherwise than they should.

use flate2::{Decompress, FlushDecompress, Status};
use simd_adler32::Adler32;

use super::{PhotoError, Work};

/// The longest run that one symbol of a stream can stand for.
const LONGEST: usize = 258;

const HEADER: usize = 2;
const CHECKSUM: usize = 4;

/// What a stream unpacks to.
pub(super) struct Unpacked<'a> {
    zlib: &'a [u8],
    /// Bytes unpacked before the stream ended, broke or passed its limit.
    pub(super) length: u64,
    /// The first four of them.
    pub(super) start: [u8; 4],
    /// Whether the compressed data came to its own end.
    is_ended: bool,
    /// Compressed bytes read, the header included.
    used: usize,
    wanted: u64,
    /// Checksum and last bytes of what is wanted.
    checksum: Adler32,
    last: Vec<u8>,
}

impl<'a> Unpacked<'a> {
    /// Unpacks up to `wanted` bytes and at most `more` behind them.
    ///
    /// Damage inside the stream is its end. Errors are only a header that no decoder takes, and `work`'s.
    pub(super) fn read(
        zlib: &'a [u8],
        wanted: u64,
        more: u64,
        work: &mut Work,
    ) -> Result<Self, PhotoError> {
        let (&[method, flags], mut packed) = zlib
            .split_first_chunk::<HEADER>()
            .ok_or(PhotoError::Truncated)?;
        let is_deflate = method & 0x0F == 8 && method >> 4 <= 7;
        let wants_dictionary = flags & 0x20 != 0;
        if !is_deflate || wants_dictionary || u16::from_be_bytes([method, flags]) % 31 != 0 {
            return Err(PhotoError::Malformed);
        }
        let mut unpacked = Self {
            zlib,
            length: 0,
            start: [0; 4],
            is_ended: false,
            used: 0,
            wanted,
            checksum: Adler32::new(),
            last: Vec::new(),
        };
        let mut inflate = Decompress::new(false);
        let mut buffer = vec![0; 32 * 1024];
        let limit = wanted + more;
        while unpacked.length < limit && !unpacked.is_ended {
            let room = usize::try_from(limit - unpacked.length).unwrap_or(usize::MAX);
            let room = room.min(buffer.len());
            let slice = &packed[..packed.len().min(buffer.len())];
            let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
            let status = inflate.decompress(slice, &mut buffer[..room], FlushDecompress::None);
            let read = usize::try_from(inflate.total_in() - before_in).unwrap_or(0);
            let written = usize::try_from(inflate.total_out() - before_out).unwrap_or(0);
            packed = &packed[read..];
            unpacked.take(&buffer[..written]);
            work.spend(read + written)?;
            unpacked.is_ended = matches!(status, Ok(Status::StreamEnd));
            if status.is_err() || read + written == 0 {
                break;
            }
        }
        unpacked.used = zlib.len() - packed.len();
        Ok(unpacked)
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.length == 0
            && let Some(start) = bytes.first_chunk()
        {
            self.start = *start;
        }
        let left = usize::try_from(self.wanted.saturating_sub(self.length)).unwrap_or(usize::MAX);
        let wanted = &bytes[..left.min(bytes.len())];
        self.checksum.write(wanted);
        let tail = &wanted[wanted.len().saturating_sub(LONGEST)..];
        self.last.drain(
            ..(self.last.len() + tail.len())
                .saturating_sub(LONGEST)
                .min(self.last.len()),
        );
        self.last.extend(tail);
        self.length += bytes.len() as u64;
    }

    /// The stream, made to unpack to exactly the bytes wanted, with its right checksum and nothing behind. `None`
    /// when it has fewer.
    pub(super) fn mended(&self, work: &mut Work) -> Result<Option<Vec<u8>>, PhotoError> {
        if self.length < self.wanted {
            return Ok(None);
        }
        let mut stream = if self.is_ended && self.length == self.wanted {
            self.zlib[..self.used].to_vec()
        } else {
            let mut cut = Cut::new(&self.zlib[HEADER..], self.wanted, &self.last);
            let Some(deflate) = cut.cut(work)? else {
                return Ok(None);
            };
            [&self.zlib[..HEADER], &deflate].concat()
        };
        work.spend(stream.len())?;
        stream.extend(self.checksum.finish().to_be_bytes());
        Ok(Some(stream))
    }

    /// Length of the stream, when it ended by itself with what is wanted or less, and its checksum is right.
    pub(super) fn intact(&self) -> Option<usize> {
        let end = self.used + CHECKSUM;
        let checksum = self.zlib.get(self.used..end)?;
        let is_intact = self.is_ended
            && self.length <= self.wanted
            && checksum == self.checksum.finish().to_be_bytes();
        is_intact.then_some(end)
    }
}

/// Ends compressed data behind a given number of unpacked bytes.
///
/// Reads symbol by symbol without unpacking, up to the one that passes the mark, and ends the block there. What
/// of that symbol is still wanted follows in a last block of its own.
struct Cut<'a> {
    deflate: &'a [u8],
    /// Bits read.
    at: usize,
    /// Unpacked bytes still wanted.
    left: u64,
    /// The last unpacked bytes that are wanted.
    last: &'a [u8],
}

/// How often each code length is used and the symbols in the order of their codes.
struct Huffman {
    counts: [u16; 16],
    symbols: Vec<u16>,
}

impl Huffman {
    fn new(lengths: &[u8]) -> Self {
        let mut counts = [0; 16];
        for length in lengths {
            counts[usize::from(*length)] += 1;
        }
        let mut starts = [0; 16];
        for length in 1..15 {
            starts[length + 1] = starts[length] + counts[length];
        }
        let mut symbols = vec![0; lengths.len()];
        for (symbol, length) in (0..).zip(lengths) {
            if *length != 0 {
                let start = &mut starts[usize::from(*length)];
                symbols[usize::from(*start)] = symbol;
                *start += 1;
            }
        }
        Self { counts, symbols }
    }

    /// The code of `wanted` and its length in bits.
    fn code(&self, wanted: u16) -> Option<(u32, u32)> {
        let (mut first, mut index) = (0, 0);
        for (length, count) in (1..).zip(&self.counts[1..]) {
            let count = usize::from(*count);
            let symbols = self.symbols.get(index..index + count)?;
            if let Some(place) = symbols.iter().position(|symbol| *symbol == wanted) {
                return Some((u32::try_from(first + place).ok()?, length));
            }
            index += count;
            first = (first + count) << 1;
        }
        None
    }
}

const END_OF_BLOCK: u16 = 256;

impl<'a> Cut<'a> {
    fn new(deflate: &'a [u8], wanted: u64, last: &'a [u8]) -> Self {
        Self {
            deflate,
            at: 0,
            left: wanted,
            last,
        }
    }

    /// `None` when the data ends or breaks before the mark.
    fn cut(&mut self, work: &mut Work) -> Result<Option<Vec<u8>>, PhotoError> {
        loop {
            let start = self.at;
            let Some(kind) = self.bits(3) else {
                return Ok(None);
            };
            let ended = match kind >> 1 {
                0 => self.stored(work)?,
                1 => self.fixed(work)?,
                2 => self.dynamic(work)?,
                _ => Block::Broken,
            };
            match ended {
                Block::Passed => {}
                Block::Broken => return Ok(None),
                Block::Cut(mut out) => {
                    // The block is not the last any more.
                    out.bytes[start / 8] &= !(1 << (start % 8));
                    return Ok(Some(out.finish(
                        &self.last
                            [self.last.len().saturating_sub(
                                usize::try_from(self.left).unwrap_or(usize::MAX),
                            )..],
                    )));
                }
            }
        }
    }

    fn bits(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for bit in 0..count {
            value |= self.bit()? << bit;
        }
        Some(value)
    }

    fn bit(&mut self) -> Option<u32> {
        let byte = self.deflate.get(self.at / 8)?;
        let bit = byte >> (self.at % 8) & 1;
        self.at += 1;
        Some(u32::from(bit))
    }

    fn stored(&mut self, work: &mut Work) -> Result<Block, PhotoError> {
        let head = self.at.div_ceil(8);
        let Some(&[low, high, _, _]) = self.deflate.get(head..).and_then(|rest| rest.first_chunk())
        else {
            return Ok(Block::Broken);
        };
        let length = u16::from_le_bytes([low, high]);
        work.spend(4)?;
        let content = head + 4;
        if u64::from(length) < self.left {
            self.left -= u64::from(length);
            self.at = 8 * (content + usize::from(length));
            return Ok(Block::Passed);
        }
        let end = content + usize::try_from(self.left).unwrap_or(usize::MAX);
        let Some(kept) = self.deflate.get(..end) else {
            return Ok(Block::Broken);
        };
        let mut out = Bits::new(kept, 8 * kept.len());
        let length = u16::try_from(self.left).unwrap_or(u16::MAX);
        out.bytes[head..head + 2].copy_from_slice(&length.to_le_bytes());
        out.bytes[head + 2..content].copy_from_slice(&(!length).to_le_bytes());
        self.left = 0;
        Ok(Block::Cut(out))
    }

    fn fixed(&mut self, work: &mut Work) -> Result<Block, PhotoError> {
        let mut lengths = [8; 288];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        self.symbols(&Huffman::new(&lengths), &Huffman::new(&[5; 30]), work)
    }

    fn dynamic(&mut self, work: &mut Work) -> Result<Block, PhotoError> {
        // Building the tables is work, too.
        work.spend(320)?;
        match self.tables() {
            Some((literals, distances)) => self.symbols(&literals, &distances, work),
            None => Ok(Block::Broken),
        }
    }

    fn tables(&mut self) -> Option<(Huffman, Huffman)> {
        const ORDER: [usize; 19] = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];
        let literals = self.bits(5)? as usize + 257;
        let all = literals + self.bits(5)? as usize + 1;
        let mut lengths = [0; 19];
        for place in &ORDER[..self.bits(4)? as usize + 4] {
            lengths[*place] = u8::try_from(self.bits(3)?).ok()?;
        }
        let code = Huffman::new(&lengths);
        let mut lengths = Vec::with_capacity(all);
        while lengths.len() < all {
            let (length, times) = match self.symbol(&code)? {
                16 => (*lengths.last()?, 3 + self.bits(2)?),
                17 => (0, 3 + self.bits(3)?),
                18 => (0, 11 + self.bits(7)?),
                length => (u8::try_from(length).ok()?, 1),
            };
            lengths.resize(lengths.len() + times as usize, length);
        }
        lengths.truncate(all);
        Some((
            Huffman::new(&lengths[..literals]),
            Huffman::new(&lengths[literals..]),
        ))
    }

    fn symbol(&mut self, huffman: &Huffman) -> Option<u16> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &huffman.counts[1..] {
            code |= self.bit()? as usize;
            let count = usize::from(*count);
            if code < first + count {
                return huffman.symbols.get(index + code - first).copied();
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }

    fn symbols(
        &mut self,
        literals: &Huffman,
        distances: &Huffman,
        work: &mut Work,
    ) -> Result<Block, PhotoError> {
        loop {
            let before = self.at;
            let Some(run) = self.run(literals, distances) else {
                return Ok(Block::Broken);
            };
            work.spend(self.at.div_ceil(8) - before / 8)?;
            if run == 0 {
                return Ok(Block::Passed);
            }
            let is_passed = u64::from(run) > self.left;
            if !is_passed {
                self.left -= u64::from(run);
            }
            if is_passed || self.left == 0 {
                let at = if is_passed { before } else { self.at };
                let mut out = Bits::new(self.deflate, at);
                let Some((code, length)) = literals.code(END_OF_BLOCK) else {
                    return Ok(Block::Broken);
                };
                out.push_code(code, length);
                return Ok(Block::Cut(out));
            }
        }
    }

    /// How many unpacked bytes the next symbol stands for; 0 at the end of a block.
    fn run(&mut self, literals: &Huffman, distances: &Huffman) -> Option<u32> {
        let symbol = u32::from(self.symbol(literals)?);
        let length = match symbol {
            0..256 => return Some(1),
            256 => return Some(0),
            257..265 => symbol - 254,
            265..285 => {
                let extra = (symbol - 261) / 4;
                3 + ((4 + (symbol - 261) % 4) << extra) + self.bits(extra)?
            }
            285 => 258,
            _ => return None,
        };
        let distance = u32::from(self.symbol(distances)?);
        self.bits((distance / 2).saturating_sub(1))?;
        (distance < 30).then_some(length)
    }
}

enum Block {
    /// Read to its end; more is wanted.
    Passed,
    /// It breaks off before the mark.
    Broken,
    /// The data up to the mark, its block ended there.
    Cut(Bits),
}

/// Compressed data that is written to.
struct Bits {
    bytes: Vec<u8>,
    /// Bits written.
    length: usize,
}

impl Bits {
    /// The first `length` bits of `deflate`.
    fn new(deflate: &[u8], length: usize) -> Self {
        let mut bytes = deflate[..length.div_ceil(8)].to_vec();
        if let Some(last) = bytes.last_mut()
            && !length.is_multiple_of(8)
        {
            *last &= (1 << (length % 8)) - 1;
        }
        Self { bytes, length }
    }

    fn push(&mut self, bit: u8) {
        if self.length.is_multiple_of(8) {
            self.bytes.push(0);
        }
        self.bytes[self.length / 8] |= bit << (self.length % 8);
        self.length += 1;
    }

    /// Codes stand with their highest bit first.
    fn push_code(&mut self, code: u32, length: u32) {
        for bit in (0..length).rev() {
            self.push(u8::from(code >> bit & 1 == 1));
        }
    }

    /// Adds a last block of `literals`, in the fixed code.
    fn finish(mut self, literals: &[u8]) -> Vec<u8> {
        for bit in [1, 1, 0] {
            self.push(bit);
        }
        for byte in literals {
            let byte = u32::from(*byte);
            if byte < 144 {
                self.push_code(0x30 + byte, 8);
            } else {
                self.push_code(0x190 + byte - 144, 9);
            }
        }
        self.push_code(0, 7);
        self.bytes
    }
}
