//! zlib (deflate) streams: the decompressed length of one, and the same stream truncated to as much as is wanted and
//! ended properly.
//!
//! `png` calls this for pixels and colour profiles. [`Stream::read`] reads the symbols and adds up what they stand
//! for, so its time is linear in the compressed bytes, whatever they decompress to: a decompression bomb gains
//! nothing. [`Stream::whole`] decompresses through a small buffer for the checksum (Adler-32), where that is
//! affordable.

use std::borrow::Cow;

use flate2::{Decompress, FlushDecompress, Status};
use simd_adler32::Adler32;

use super::{MENDED, PhotoError, Work};

const HEADER: usize = 2;
const CHECKSUM: usize = 4;

/// The longest match that one symbol of a stream can stand for.
const LONGEST: usize = 258;

/// Most blocks with Huffman tables of their own, without regard to length and for each 64 bytes: tables cost a hundred
/// times what they take up, and no encoder changes them that often.
const MAX_TABLES: usize = 1024;

/// A stream is decompressed for its checksum up to this length and 64 times its compressed bytes. Only pictures that
/// are almost blank are longer; their checksum is believed.
const AFFORDABLE: u64 = 16 * 1024 * 1024;

/// A stream that was read.
pub(super) struct Stream<'a> {
    zlib: &'a [u8],
    wanted: u64,
    /// Decompressed length: up to its end, to damage, or to what was asked for.
    pub(super) length: u64,
    /// Its compressed bytes up to the checksum, when it came to its own end.
    end: Option<usize>,
    /// Where what is wanted ends; `None` when it has less.
    cut: Option<Cut>,
}

impl<'a> Stream<'a> {
    /// Counts up to `wanted` bytes and at most `more` behind them. Damage inside the stream is its end.
    ///
    /// # Errors
    /// `Malformed` and `Truncated` for the header, `Bomb` for too many tables, and `work`'s.
    pub(super) fn read(
        zlib: &'a [u8],
        wanted: u64,
        more: u64,
        work: &mut Work,
    ) -> Result<Self, PhotoError> {
        let (&[method, flags], deflate) = zlib
            .split_first_chunk::<HEADER>()
            .ok_or(PhotoError::Truncated)?;
        let is_deflate = method & 0x0F == 8 && method >> 4 <= 7;
        let wants_dictionary = flags & 0x20 != 0;
        if !is_deflate || wants_dictionary || u16::from_be_bytes([method, flags]) % 31 != 0 {
            return Err(PhotoError::Malformed);
        }
        let mut reader = Reader {
            deflate,
            at: 0,
            length: 0,
            wanted,
            limit: wanted + more,
            cut: None,
            tables: 0,
        };
        let is_ended = reader.read(work)?;
        Ok(Self {
            zlib,
            wanted,
            length: reader.length,
            end: is_ended.then_some(HEADER + reader.at.div_ceil(8)),
            cut: reader.cut,
        })
    }

    /// The stream, decompressing to exactly what is wanted, with its right checksum and nothing behind: borrowed when
    /// it was sent so. `None` when that cannot be had.
    pub(super) fn whole(&self, work: &mut Work) -> Result<Option<Cow<'a, [u8]>>, PhotoError> {
        let Some(cut) = &self.cut else {
            return Ok(None);
        };
        let end = self.end.filter(|_| self.length == self.wanted);
        let sent = end.and_then(|end| self.zlib.get(..end + CHECKSUM));
        if self.wanted > AFFORDABLE + 64 * self.zlib.len() as u64 {
            return Ok(sent.map(Cow::Borrowed));
        }
        let Some(Unpacked { checksum, last }) = self.unpack(work)? else {
            return Ok(None);
        };
        if let Some(sent) = sent
            && sent.ends_with(&checksum)
        {
            return Ok(Some(sent.into()));
        }
        let mut mended = Vec::with_capacity(self.zlib.len() + MENDED);
        if let Some(end) = end {
            mended.extend(&self.zlib[..end]);
        } else {
            mended.extend(&self.zlib[..HEADER]);
            mended.extend(cut.apply(&self.zlib[HEADER..], &last));
        }
        work.spend(mended.len())?;
        mended.extend(checksum);
        Ok(Some(mended.into()))
    }

    /// The first four bytes that it decompresses to.
    pub(super) fn start(&self, work: &mut Work) -> Result<Option<[u8; 4]>, PhotoError> {
        let start = Self::read(self.zlib, 4, 1, work)?.unpack(work)?;
        Ok(start.and_then(|start| start.last.try_into().ok()))
    }

    /// Checksum and last bytes of what is wanted; `None` when it is not there.
    fn unpack(&self, work: &mut Work) -> Result<Option<Unpacked>, PhotoError> {
        let mut packed = &self.zlib[HEADER..];
        let mut checksum = Adler32::new();
        let mut last = Vec::new();
        let mut inflate = Decompress::new(false);
        let mut buffer = vec![0; 32 * 1024];
        let mut left = self.wanted;
        while left > 0 {
            let room = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let slice = &packed[..packed.len().min(buffer.len())];
            let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
            let status = inflate.decompress(slice, &mut buffer[..room], FlushDecompress::None);
            let read = usize::try_from(inflate.total_in() - before_in).unwrap_or(0);
            let written = usize::try_from(inflate.total_out() - before_out).unwrap_or(0);
            work.spend(read + written)?;
            packed = &packed[read..];
            left -= written as u64;
            let unpacked = &buffer[..written];
            checksum.write(unpacked);
            let kept = (last.len() + written)
                .saturating_sub(LONGEST)
                .min(last.len());
            last.drain(..kept);
            last.extend(&unpacked[written.saturating_sub(LONGEST)..]);
            let is_over = !matches!(status, Ok(Status::Ok)) || read + written == 0;
            if is_over && left > 0 {
                return Ok(None);
            }
        }
        Ok(Some(Unpacked {
            checksum: checksum.finish().to_be_bytes(),
            last,
        }))
    }
}

/// The result of decompressing.
struct Unpacked {
    checksum: [u8; CHECKSUM],
    /// The last bytes, as many as a symbol can stand for.
    last: Vec<u8>,
}

/// Where a stream is to end, in bits of its compressed data.
struct Cut {
    /// The first bit of the block, which says whether it is the last.
    block: usize,
    /// Behind the last symbol that is wanted whole.
    at: usize,
    /// Bytes wanted of the next one.
    rest: usize,
    /// What ends the block there.
    end: BlockEnd,
}

enum BlockEnd {
    /// A code, and its length.
    Code(u32, u32),
    /// The length of the block, in bytes, at this byte.
    Length(u16, usize),
}

impl Cut {
    /// The data, ended here. What is left of a symbol follows in a block of its own, which is the last; it is
    /// found at the end of `last`.
    fn apply(&self, deflate: &[u8], last: &[u8]) -> Vec<u8> {
        let mut bits = Bits::new(deflate, self.at);
        bits.bytes[self.block / 8] &= !(1 << (self.block % 8));
        match self.end {
            BlockEnd::Code(code, length) => bits.push_code(code, length),
            BlockEnd::Length(length, at) => {
                bits.bytes[at..at + 2].copy_from_slice(&length.to_le_bytes());
                bits.bytes[at + 2..at + 4].copy_from_slice(&(!length).to_le_bytes());
            }
        }
        bits.finish(&last[last.len().saturating_sub(self.rest)..])
    }
}

/// Huffman codes of up to this many bits are found by one table look-up.
const SHORT: u32 = 9;

const END_OF_BLOCK: u16 = 256;

struct Huffman {
    /// Symbol and, in the low four bits, length of the code that the next bits begin with; 0 for longer ones.
    short: [u16; 1 << SHORT],
    /// How often each code length is used.
    counts: [u16; 16],
    /// The symbols in the order of their codes.
    symbols: [u16; 288],
}

impl Huffman {
    /// `None` when the code is over-subscribed: there are more codes than their lengths have room for.
    fn new(lengths: &[u8]) -> Option<Self> {
        let mut counts = [0_u16; 16];
        for length in lengths {
            counts[usize::from(*length)] += 1;
        }
        counts[0] = 0;
        let (mut starts, mut codes) = ([0_u16; 16], [0_u16; 16]);
        for length in 1..16 {
            starts[length] = starts[length - 1] + counts[length - 1];
            codes[length] = (codes[length - 1] + counts[length - 1]) << 1;
            if u32::from(codes[length]) + u32::from(counts[length]) > 1 << length {
                return None;
            }
        }
        let (mut short, mut symbols) = ([0; 1 << SHORT], [0; 288]);
        for (symbol, length) in (0_u16..).zip(lengths) {
            let place = usize::from(*length);
            if place == 0 {
                continue;
            }
            symbols[usize::from(starts[place])] = symbol;
            starts[place] += 1;
            let code = codes[place];
            codes[place] += 1;
            if u32::from(*length) <= SHORT {
                let first = usize::from(code.reverse_bits() >> (16 - *length));
                for entry in short[first..].iter_mut().step_by(1 << length) {
                    *entry = symbol << 4 | u16::from(*length);
                }
            }
        }
        Some(Self {
            short,
            counts,
            symbols,
        })
    }

    /// The symbol that `bits` begin with, and the length of its code.
    #[inline]
    fn symbol(&self, bits: u64) -> Option<(u16, u32)> {
        let entry = self.short[low(bits, SHORT)];
        if entry != 0 {
            return Some((entry >> 4, u32::from(entry & 0x0F)));
        }
        let (mut code, mut first, mut index) = (0, 0, 0);
        for (length, count) in (1..).zip(&self.counts[1..]) {
            code |= low(bits >> (length - 1), 1);
            let count = usize::from(*count);
            if code < first + count {
                let symbol = self.symbols.get(index + code - first)?;
                return Some((*symbol, length));
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }

    /// The code of the end of a block, and its length.
    fn end_of_block(&self) -> Option<BlockEnd> {
        let (mut first, mut index) = (0, 0);
        for (length, count) in (1..).zip(&self.counts[1..]) {
            let count = usize::from(*count);
            let symbols = self.symbols.get(index..index + count)?;
            if let Some(place) = symbols.iter().position(|symbol| *symbol == END_OF_BLOCK) {
                return Some(BlockEnd::Code(u32::try_from(first + place).ok()?, length));
            }
            index += count;
            first = (first + count) << 1;
        }
        None
    }
}

/// Reads deflate data symbol by symbol, without decompressing it.
struct Reader<'a> {
    deflate: &'a [u8],
    /// Bits read.
    at: usize,
    /// Bytes that they stand for.
    length: u64,
    wanted: u64,
    limit: u64,
    cut: Option<Cut>,
    /// Blocks with Huffman tables of their own (dynamic blocks).
    tables: usize,
}

impl Reader<'_> {
    /// Whether the data came to its own end, rather than to damage or the limit.
    fn read(&mut self, work: &mut Work) -> Result<bool, PhotoError> {
        let fixed = fixed();
        loop {
            let block = self.at;
            let Some(kind) = self.bits(3) else {
                return Ok(false);
            };
            work.spend(1)?;
            let is_read = match (kind >> 1, &fixed) {
                (0, _) => self.stored(block, work)?,
                (1, Some((literals, distances))) => {
                    self.symbols(block, literals, distances, work)?
                }
                (2, _) => {
                    self.tables += 1;
                    if self.tables > MAX_TABLES + self.deflate.len() / 64 {
                        return Err(PhotoError::Bomb);
                    }
                    work.spend(64)?;
                    match self.dynamic() {
                        Some((literals, distances)) => {
                            self.symbols(block, &literals, &distances, work)?
                        }
                        None => false,
                    }
                }
                _ => false,
            };
            if !is_read || self.length >= self.limit {
                return Ok(false);
            }
            if kind & 1 == 1 {
                return Ok(true);
            }
        }
    }

    /// The next bits, as far as there are any, and zeros; at least 56.
    #[inline]
    fn peek(&self) -> u64 {
        let rest = self.deflate.get(self.at / 8..).unwrap_or_default();
        let next = rest.first_chunk().copied().unwrap_or_else(|| {
            let mut next = [0; 8];
            next[..rest.len()].copy_from_slice(rest);
            next
        });
        u64::from_le_bytes(next) >> (self.at % 8)
    }

    /// Whether no more bits were read than there are.
    #[inline]
    fn is_within(&self) -> bool {
        self.at <= 8 * self.deflate.len()
    }

    fn bits(&mut self, count: u32) -> Option<usize> {
        let bits = low(self.peek(), count);
        self.at += count as usize;
        self.is_within().then_some(bits)
    }

    /// Counts a stored (not compressed) block; `false` when it is truncated.
    fn stored(&mut self, block: usize, work: &mut Work) -> Result<bool, PhotoError> {
        let head = self.at.div_ceil(8);
        let rest = self.deflate.get(head..).unwrap_or_default();
        let Some((&[low, high, not_low, not_high], content)) = rest.split_first_chunk() else {
            return Ok(false);
        };
        work.spend(4)?;
        let length = u16::from_le_bytes([low, high]);
        if u16::from_le_bytes([not_low, not_high]) != !length {
            return Ok(false);
        }
        // What is wanted may be there although the block is not whole.
        let there = content.len().min(usize::from(length));
        let left = self.wanted.saturating_sub(self.length);
        if self.cut.is_none()
            && let Ok(left) = u16::try_from(left)
            && usize::from(left) <= there
        {
            self.cut = Some(Cut {
                block,
                at: 8 * (head + 4 + usize::from(left)),
                rest: 0,
                end: BlockEnd::Length(left, head),
            });
        }
        self.length += there as u64;
        self.at = 8 * (head + 4 + there);
        Ok(there == usize::from(length))
    }

    fn dynamic(&mut self) -> Option<(Huffman, Huffman)> {
        const ORDER: [usize; 19] = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];
        let literals = self.bits(5)? + 257;
        let all = literals + self.bits(5)? + 1;
        let mut lengths = [0; 19];
        for place in &ORDER[..self.bits(4)? + 4] {
            lengths[*place] = u8::try_from(self.bits(3)?).ok()?;
        }
        let code = Huffman::new(&lengths)?;
        // The longest repetition behind the most lengths.
        let mut lengths = [0; 288 + 32 + 138];
        let (mut known, mut before) = (0, None);
        while known < all {
            let (symbol, bits) = code.symbol(self.peek())?;
            self.at += bits as usize;
            let (length, times) = match symbol {
                16 => (before?, 3 + self.bits(2)?),
                17 => (0, 3 + self.bits(3)?),
                18 => (0, 11 + self.bits(7)?),
                length => (u8::try_from(length).ok()?, 1),
            };
            lengths[known..known + times].fill(length);
            known += times;
            before = Some(length);
        }
        let (literals, distances) = lengths[..all].split_at(literals.min(288));
        let is_whole = known == all && self.is_within();
        is_whole.then_some((Huffman::new(literals)?, Huffman::new(distances)?))
    }

    /// Counts the symbols of a block; `false` when it is truncated, and at the limit.
    fn symbols(
        &mut self,
        block: usize,
        literals: &Huffman,
        distances: &Huffman,
        work: &mut Work,
    ) -> Result<bool, PhotoError> {
        let mut told = self.at;
        loop {
            let before = self.at;
            let Some(run) = self.run(literals, distances) else {
                return Ok(false);
            };
            if self.at - told >= 8 * 1024 {
                work.spend((self.at - told) / 8)?;
                told = self.at;
            }
            if run == 0 {
                work.spend((self.at - told) / 8)?;
                return Ok(true);
            }
            let left = self.wanted.saturating_sub(self.length);
            self.length += run;
            if left <= run && self.cut.is_none() {
                let Some(end) = literals.end_of_block() else {
                    return Ok(false);
                };
                let (at, rest) = if left == run {
                    (self.at, 0)
                } else {
                    (before, left)
                };
                let rest = usize::try_from(rest).unwrap_or(0);
                self.cut = Some(Cut {
                    block,
                    at,
                    rest,
                    end,
                });
            }
            if self.length >= self.limit {
                return Ok(false);
            }
        }
    }

    /// How many bytes the next symbol stands for, 0 at the end of a block; `None` for what is no symbol.
    #[inline]
    fn run(&mut self, literals: &Huffman, distances: &Huffman) -> Option<u64> {
        let mut bits = self.peek();
        let start = self.at;
        let (symbol, used) = literals.symbol(bits)?;
        self.at += used as usize;
        if symbol < END_OF_BLOCK {
            return self.is_within().then_some(1);
        }
        if symbol == END_OF_BLOCK {
            return self.is_within().then_some(0);
        }
        bits >>= used;
        let mut extra = |count: u32| {
            let value = bits & ((1 << count) - 1);
            bits >>= count;
            self.at += count as usize;
            value
        };
        let symbol = u64::from(symbol);
        let length = match symbol {
            257..265 => symbol - 254,
            265..285 => {
                let count = (symbol - 261) / 4;
                3 + ((4 + (symbol - 261) % 4) << count) + extra(u32::try_from(count).ok()?)
            }
            285 => 258,
            _ => return None,
        };
        let (symbol, used) = distances.symbol(bits)?;
        bits >>= used;
        let count = (u32::from(symbol) / 2).saturating_sub(1);
        let value = bits & ((1 << count) - 1);
        self.at += (used + count) as usize;
        let distance = match u64::from(symbol) {
            symbol @ 0..4 => symbol + 1,
            symbol @ 4..30 => 1 + ((2 + symbol % 2) << count) + value,
            _ => return None,
        };
        debug_assert!(self.at - start <= 48, "all bits were in sight");
        (self.is_within() && distance <= self.length).then_some(length)
    }
}

/// The lowest `count` bits, of which there are few.
#[inline]
fn low(bits: u64, count: u32) -> usize {
    usize::try_from(bits & ((1 << count) - 1)).unwrap_or_default()
}

fn fixed() -> Option<(Huffman, Huffman)> {
    let mut lengths = [8; 288];
    lengths[144..256].fill(9);
    lengths[256..280].fill(7);
    Some((Huffman::new(&lengths)?, Huffman::new(&[5; 30])?))
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

    /// Adds a final block of `literals`, in the fixed Huffman code.
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
