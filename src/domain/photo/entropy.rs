//! The entropy-coded pixels of a sequential JPEG, counted: whether a scan has all of them, and where they end.
//!
//! `jpeg` calls [`Scan::end`]. Huffman codes are read and their values skipped; nothing is decoded or buffered. About
//! 5 ms per MB. Progressive scans build on each other and are not counted.

use super::{PhotoError, Work};

/// One colour of a frame: its identifier and how many blocks of it lie side by side and below each other.
pub(super) struct Component {
    pub(super) id: u8,
    pub(super) across: u32,
    pub(super) down: u32,
}

/// Huffman tables as sent, by class (0 DC, 1 AC) and number: 16 counts of codes by length, and their symbols.
#[derive(Default)]
pub(super) struct Tables<'a>([[Option<&'a [u8]>; 4]; 2]);

impl<'a> Tables<'a> {
    /// Remembers the tables of a DHT segment, as far as they can be read.
    pub(super) fn define(&mut self, mut payload: &'a [u8]) {
        while let Some((&kind, rest)) = payload.split_first()
            && let Some(counts) = rest.get(..16)
        {
            let symbols = counts
                .iter()
                .map(|count| usize::from(*count))
                .sum::<usize>();
            let Some((table, rest)) = rest.split_at_checked(16 + symbols) else {
                return;
            };
            if let Some(place) = self
                .0
                .get_mut(usize::from(kind >> 4))
                .and_then(|class| class.get_mut(usize::from(kind & 0x0F)))
            {
                *place = Some(table);
            }
            payload = rest;
        }
    }

    fn decoder(&self, class: usize, number: u8) -> Option<Decoder<'a>> {
        Decoder::new((*self.0[class].get(usize::from(number))?)?)
    }
}

/// Huffman codes of up to this many bits are found by one table look-up.
const SHORT: u32 = 9;

struct Decoder<'a> {
    /// Length and symbol by the next [`SHORT`] bits; length 0 for longer codes.
    short: Vec<(u8, u8)>,
    /// For each length, the first code behind those of that length, and what to add to a code for the place of
    /// its symbol.
    ends: [(u32, i32); 17],
    symbols: &'a [u8],
}

impl<'a> Decoder<'a> {
    fn new(table: &'a [u8]) -> Option<Self> {
        let (counts, symbols) = table.split_at_checked(16)?;
        let mut short = vec![(0, 0); 1 << SHORT];
        let mut ends = [(0, 0); 17];
        let (mut code, mut place) = (0_u32, 0_usize);
        for (length, count) in (1_u8..).zip(counts) {
            let bits = u32::from(length);
            let end = code + u32::from(*count);
            if end > 1 << bits {
                return None;
            }
            ends[usize::from(length)] =
                (end, i32::try_from(place).ok()? - i32::try_from(code).ok()?);
            for code in code..end {
                if bits <= SHORT {
                    let start = (code << (SHORT - bits)) as usize;
                    short[start..start + (1 << (SHORT - bits))]
                        .fill((length, *symbols.get(place)?));
                }
                place += 1;
            }
            code = end << 1;
        }
        Some(Self {
            short,
            ends,
            symbols,
        })
    }

    /// The next symbol; `None` for bits that are no code.
    #[inline]
    fn symbol(&self, bits: &mut Bits) -> Option<u8> {
        let (length, symbol) = self.short[bits.peek(SHORT) as usize];
        if length != 0 {
            bits.skip(u32::from(length));
            return Some(symbol);
        }
        for length in SHORT + 1..=16 {
            let code = bits.peek(length);
            let (end, offset) = self.ends[length as usize];
            if code < end {
                bits.skip(length);
                let place = usize::try_from(i64::from(code) + i64::from(offset)).ok()?;
                return self.symbols.get(place).copied();
            }
        }
        None
    }
}

/// Where the pixels of a scan end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All are there, in so many bytes.
    Whole(usize),
    /// The data are truncated before.
    Short,
    /// The data are corrupt; only a viewer knows.
    Unknown,
}

/// What a scan consists of.
pub(super) struct Scan<'a> {
    /// Units of the picture, each of `blocks`.
    units: u64,
    /// Tables of each block of a unit, by place in `decoders`.
    blocks: Vec<usize>,
    decoders: Vec<[Decoder<'a>; 2]>,
    /// Units between restart markers; 0 without them.
    restart: u64,
}

impl<'a> Scan<'a> {
    /// `None` when it cannot be counted. `header` is the payload of SOS.
    pub(super) fn new(
        [width, height]: [u32; 2],
        frame: &[Component],
        header: &[u8],
        tables: &Tables<'a>,
        restart: u16,
    ) -> Option<Self> {
        let (count, rest) = header.split_first()?;
        let chosen = rest.get(..2 * usize::from(*count))?.as_chunks::<2>().0;
        let across = frame.iter().map(|component| component.across).max()?;
        let down = frame.iter().map(|component| component.down).max()?;
        let (mut blocks, mut decoders) = (Vec::new(), Vec::new());
        let mut units = [width.div_ceil(8 * across), height.div_ceil(8 * down)];
        for (place, [id, table]) in chosen.iter().enumerate() {
            let component = frame.iter().find(|component| component.id == *id)?;
            decoders.push([
                tables.decoder(0, table >> 4)?,
                tables.decoder(1, table & 0x0F)?,
            ]);
            if chosen.len() == 1 {
                // Alone, a component is not padded to whole units of the others.
                units = [
                    (width * component.across).div_ceil(across).div_ceil(8),
                    (height * component.down).div_ceil(down).div_ceil(8),
                ];
                blocks.push(place);
            } else {
                let more = component.across * component.down;
                blocks.extend(std::iter::repeat_n(place, more as usize));
            }
        }
        // The format's own bound.
        (1..=10).contains(&blocks.len()).then(|| Self {
            units: u64::from(units[0]) * u64::from(units[1]),
            blocks,
            decoders,
            restart: u64::from(restart),
        })
    }

    /// Reads the scan that `bytes` begin with.
    pub(super) fn end(&self, bytes: &[u8], work: &mut Work) -> Result<End, PhotoError> {
        let mut bits = Bits::new(bytes, 0);
        let mut restarts = 0;
        for unit in 0..self.units {
            if self.restart != 0 && unit != 0 && unit.is_multiple_of(self.restart) {
                let Some((marker, behind)) = bits.next_marker() else {
                    return Ok(End::Short);
                };
                work.spend(behind - bits.at.min(behind))?;
                match marker {
                    0xD0..=0xD7 if marker & 7 == restarts => {}
                    0xD0..=0xD7 => return Ok(End::Unknown),
                    _ => return Ok(End::Short),
                }
                restarts = (restarts + 1) % 8;
                bits = Bits::new(bytes, behind);
            }
            let before = bits.at;
            for place in &self.blocks {
                let [dc, ac] = &self.decoders[*place];
                if bits.skip_block(dc, ac).is_none() && bits.lacking() == 0 {
                    return Ok(End::Unknown);
                }
            }
            work.spend(bits.at - before + bits.looked_ahead)?;
            bits.looked_ahead = 0;
            if bits.lacking() != 0 {
                // Viewers read zeros on: a corner that begins well is shown.
                let is_last = unit + 1 == self.units;
                return Ok(match bytes.get(bits.at..).map(marker_of) {
                    Some(Some(0xD0..=0xD7)) if !is_last => End::Unknown,
                    Some(Some(_)) if is_last => End::Whole(bits.at),
                    _ => End::Short,
                });
            }
        }
        Ok(End::Whole(bits.position()))
    }
}

/// The marker that `bytes` begin with.
fn marker_of(bytes: &[u8]) -> Option<u8> {
    let fill = bytes.iter().take_while(|byte| **byte == 0xFF).count();
    bytes.get(fill).copied().filter(|_| fill > 0)
}

/// A bit reader without byte stuffing, padded with zeros behind the end and at a marker.
struct Bits<'a> {
    bytes: &'a [u8],
    /// The first byte that is not in `buffer`.
    at: usize,
    /// The next bits, the lowest last.
    buffer: u64,
    /// How many.
    count: u32,
    /// How many zeros have been added in all.
    added: u32,
    /// Whether a marker is next: nothing but zeros comes any more.
    is_over: bool,
    /// Fill bytes in front of that marker, which were read and are not behind `at`.
    looked_ahead: usize,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8], at: usize) -> Self {
        Self {
            bytes,
            at,
            buffer: 0,
            count: 0,
            added: 0,
            is_over: false,
            looked_ahead: 0,
        }
    }

    /// Fills the buffer with at least 32 bits: enough for a code and its value.
    #[inline]
    fn refill(&mut self) {
        if self.count > 32 {
            return;
        }
        if let Some(next) = self
            .bytes
            .get(self.at..)
            .and_then(|rest| rest.first_chunk())
        {
            let next = u32::from_be_bytes(*next);
            let has_ff = (!next).wrapping_sub(0x0101_0101) & next & 0x8080_8080 != 0;
            if !has_ff {
                self.buffer = self.buffer << 32 | u64::from(next);
                self.count += 32;
                self.at += 4;
                return;
            }
        }
        while self.count <= 32 {
            let byte = self.next_byte();
            self.buffer = self.buffer << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    fn next_byte(&mut self) -> u8 {
        match self.bytes.get(self.at) {
            Some(0xFF) if !self.is_over => {
                let rest = &self.bytes[self.at..];
                let fill = rest.iter().take_while(|byte| **byte == 0xFF).count();
                if rest.get(fill) == Some(&0) {
                    self.at += fill + 1;
                    return 0xFF;
                }
                self.is_over = true;
                self.looked_ahead += fill;
            }
            Some(byte) if !self.is_over => {
                self.at += 1;
                return *byte;
            }
            _ => {}
        }
        self.added += 8;
        0
    }

    #[inline]
    fn peek(&self, count: u32) -> u32 {
        let bits = self.buffer >> (self.count - count) & ((1 << count) - 1);
        u32::try_from(bits).unwrap_or_default()
    }

    #[inline]
    fn skip(&mut self, count: u32) {
        self.count -= count;
    }

    /// Skips the 64 values of a block; `None` at bits that are no code.
    #[inline]
    fn skip_block(&mut self, dc: &Decoder, ac: &Decoder) -> Option<()> {
        self.refill();
        let size = dc.symbol(self)?;
        self.skip(u32::from(size & 0x0F));
        let mut place = 1;
        while place < 64 {
            self.refill();
            let symbol = ac.symbol(self)?;
            let (run, size) = (symbol >> 4, symbol & 0x0F);
            if size == 0 && run != 15 {
                break;
            }
            self.skip(u32::from(size));
            place += u32::from(run) + 1;
        }
        Some(())
    }

    /// How many padding bits were read, which are not in the data.
    fn lacking(&self) -> u32 {
        self.added.saturating_sub(self.count)
    }

    /// The first byte of which no bit was read.
    fn position(&self) -> usize {
        let mut at = self.at;
        for _ in 0..(self.count.saturating_sub(self.added)) / 8 {
            let before = &self.bytes[..at];
            at -= 1;
            if let [.., 0xFF, 0] = before {
                at -= 1;
                while let [.., 0xFF] = self.bytes[..at] {
                    at -= 1;
                }
            }
        }
        at
    }

    /// The next marker and where the bytes behind it begin. Stray bytes before it are skipped, as viewers do.
    fn next_marker(&self) -> Option<(u8, usize)> {
        let mut at = self.position();
        loop {
            at += self
                .bytes
                .get(at..)?
                .iter()
                .position(|byte| *byte == 0xFF)?;
            at += self.bytes[at..]
                .iter()
                .take_while(|byte| **byte == 0xFF)
                .count();
            match *self.bytes.get(at)? {
                0 => at += 1,
                marker => return Some((marker, at + 1)),
            }
        }
    }
}
