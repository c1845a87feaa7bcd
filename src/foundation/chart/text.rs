//! The chart's one typeface: measures, truncates and rasterises text with the embedded `DejaVu` Sans.
//!
//! Used by the layout to measure and by both plotters backends to draw. It never looks at the fonts of the machine
//! (same bytes everywhere), and does no shaping and no right-to-left text. plotters' own `ab_glyph` text is not used
//! because it drops each glyph's side bearing, which spaces the letters unevenly.

use std::{convert::Infallible, sync::LazyLock};

use ab_glyph::{Font, FontRef, GlyphId, PxScaleFont, ScaleFont, point};
use plotters_backend::{
    BackendColor, BackendCoord, BackendTextStyle, FontFamily,
    text_anchor::{HPos, Pos, VPos},
};
use unicode_normalization::UnicodeNormalization as _;

/// CSS family of the SVG: the embedded face where it is installed, else what the reader has.
const FAMILY: &str = "\"DejaVu Sans\", sans-serif";

// Font units, from the face's own tables (a test compares them).
const UNITS_PER_EM: i32 = 2048;
const ASCENT: i32 = 1901;
const DESCENT: i32 = 483;
/// What reaches highest and lowest, beyond the line: letters with two accents, and some marks below.
const HIGHEST: i32 = 2187;
const LOWEST: i32 = 573;
const CAP_HEIGHT: i32 = 1493;
const X_HEIGHT: i32 = 1120;

/// Steps of antialiasing: enough for smooth text, few enough for a small palette.
const SHADES: f32 = 7.0;

static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!(
        "../../../static/fonts/DejaVuSans-Subset.ttf"
    ))
    .expect("the embedded font is a valid TrueType file")
});

/// One line of text at its place. Lengths are pixels.
#[derive(Clone)]
pub(super) struct Text {
    pub(super) content: String,
    pub(super) em: i32,
    /// The side of the text that `x` names.
    pub(super) align: HPos,
    pub(super) x: i32,
    pub(super) baseline: i32,
    pub(super) ink: BackendColor,
}

impl Text {
    /// Where a backend is told to put the text: its SVG writes the baseline half an x-height below.
    pub(super) fn anchor_point(&self) -> BackendCoord {
        (self.x, self.baseline - half_x_height(self.em))
    }
}

impl BackendTextStyle for Text {
    type FontError = Infallible;

    fn color(&self) -> BackendColor {
        self.ink
    }

    fn size(&self) -> f64 {
        // The SVG backend divides by 1.24 to get its font size.
        f64::from(self.em) * 1.24
    }

    fn anchor(&self) -> Pos {
        Pos::new(self.align, VPos::Center)
    }

    fn family(&self) -> FontFamily<'_> {
        FontFamily::Name(FAMILY)
    }

    fn layout_box(&self, text: &str) -> Result<((i32, i32), (i32, i32)), Infallible> {
        // No height: `draw` places the baseline itself.
        Ok(((0, 0), (width(text, self.em), 0)))
    }

    fn draw<E, D: FnMut(i32, i32, BackendColor) -> Result<(), E>>(
        &self,
        text: &str,
        (x, y): BackendCoord,
        mut draw: D,
    ) -> Result<Result<(), E>, Infallible> {
        let top = y + half_x_height(self.em) - units(HIGHEST, self.em);
        let columns = width(text, self.em);
        let shades = rasterise(text, self.em, columns);
        let places =
            (0..ink_height(self.em)).flat_map(|row| (0..columns).map(move |column| (column, row)));
        for ((column, row), shade) in places.zip(shades) {
            if shade > 0.0 {
                let alpha = f64::from(shade);
                let colour = BackendColor { alpha, ..self.ink };
                if let Err(error) = draw(x + column, top + row, colour) {
                    return Ok(Err(error));
                }
            }
        }
        Ok(Ok(()))
    }
}

/// Coverage of the box of a line's ink, row by row, 0 to 1 in [`SHADES`] steps. The whole line is gathered before it is blended,
/// so touching glyphs make no shades beyond those.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "pixels of a line, and outside its box `as` saturates to a place that `get_mut` or the column check refuses"
)]
fn rasterise(text: &str, em: i32, columns: i32) -> Vec<f32> {
    let font = scaled(em);
    let mut cover = vec![0.0_f32; (columns * ink_height(em)).unsigned_abs() as usize];
    let mut pen = point(0.0, whole(units(HIGHEST, em)));
    for c in text.chars() {
        let mut glyph = font.scaled_glyph(c);
        glyph.position = pen;
        pen.x += font.h_advance(glyph.id);
        let Some(outline) = font.outline_glyph(glyph) else {
            continue;
        };
        let corner = outline.px_bounds().min;
        outline.draw(|dx, dy, share| {
            let column = corner.x as i32 + dx.cast_signed();
            let row = corner.y as i32 + dy.cast_signed();
            if (0..columns).contains(&column)
                && let Some(cell) = cover.get_mut((row * columns + column) as usize)
            {
                *cell += share;
            }
        });
    }
    for cell in &mut cover {
        *cell = (cell.min(1.0) * SHADES).round() / SHADES;
    }
    cover
}

/// Width of `text` in whole pixels, rounded up. No kerning: the embedded subset has none.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
pub(super) fn width(text: &str, em: i32) -> i32 {
    let font = scaled(em);
    let advances = text.chars().map(|c| font.h_advance(font.glyph_id(c)));
    advances.sum::<f32>().ceil() as i32
}

/// `text` truncated to at most `room` pixels, with an ellipsis, and free of characters that XML refuses.
pub(super) fn fitted(text: &str, em: i32, room: i32) -> String {
    let text = printable(text);
    if width(&text, em) <= room {
        return text;
    }
    let font = scaled(em);
    let mut left = whole(room) - font.h_advance(font.glyph_id('…'));
    let kept: String = text
        .chars()
        .take_while(|&c| {
            left -= font.h_advance(font.glyph_id(c));
            left >= 0.0
        })
        .collect();
    format!("{}…", kept.trim_end_matches(|c: char| !c.is_alphanumeric()))
}

/// The first character of `text` that the chart cannot draw: it has Latin with all the accents of Vietnamese, Greek and
/// Cyrillic, and no other letters. A text without one is drawn as it is.
#[must_use]
pub fn undrawable(text: &str) -> Option<char> {
    text.nfc().find(|&c| !is_drawable(c))
}

/// `text` in composed form (NFC), so that a letter and its accent are one glyph, and with U+FFFD for what
/// [`undrawable`] finds, which XML may refuse too.
pub(super) fn printable(text: &str) -> String {
    let drawable = |c| if is_drawable(c) { c } else { '\u{FFFD}' };
    text.nfc().map(drawable).collect()
}

fn is_drawable(c: char) -> bool {
    FONT.glyph_id(c) != GlyphId(0)
}

/// Height of a line's box, in pixels, rounded up.
pub(super) fn line_height(em: i32) -> i32 {
    ascent(em) + units(DESCENT, em)
}

/// From the highest ink above a baseline to the lowest below it.
fn ink_height(em: i32) -> i32 {
    units(HIGHEST, em) + units(LOWEST, em)
}

/// From the top of a line's box to its baseline.
pub(super) fn ascent(em: i32) -> i32 {
    units(ASCENT, em)
}

/// From the middle of capitals and digits down to the baseline.
pub(super) fn half_cap_height(em: i32) -> i32 {
    units(CAP_HEIGHT, em) / 2
}

fn half_x_height(em: i32) -> i32 {
    units(X_HEIGHT, em) / 2
}

fn units(length: i32, em: i32) -> i32 {
    (length * em + UNITS_PER_EM - 1) / UNITS_PER_EM
}

fn scaled(em: i32) -> PxScaleFont<&'static FontRef<'static>> {
    // ab_glyph scales by the line's height, not by the em.
    FONT.as_scaled(whole(em * (ASCENT + DESCENT)) / whole(UNITS_PER_EM))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "pixels and font units, below 2^24"
)]
fn whole(length: i32) -> f32 {
    length as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ink(text: &str) -> Vec<f32> {
        rasterise(text, 16, 40)
    }

    #[test]
    fn the_constants_are_the_fonts() {
        let height = |c| {
            FONT.outline(FONT.glyph_id(c))
                .expect("a letter")
                .bounds
                .height()
                .abs()
        };
        let pairs = [
            (FONT.units_per_em().expect("in the font"), UNITS_PER_EM),
            (FONT.ascent_unscaled(), ASCENT),
            (FONT.descent_unscaled(), -DESCENT),
            (height('H'), CAP_HEIGHT),
            (height('x'), X_HEIGHT),
        ];
        for (found, constant) in pairs {
            assert!(
                (found - whole(constant)).abs() < 0.5,
                "{found} is not {constant}"
            );
        }
        for (id, c) in FONT.codepoint_ids() {
            // A font's y points upwards, so that the greatest is on top.
            let Some(outline) = FONT.outline(id) else {
                continue;
            };
            let ys = [outline.bounds.min.y, outline.bounds.max.y];
            let within = ys.map(|y| (whole(-LOWEST)..=whole(HIGHEST)).contains(&y));
            assert_eq!(within, [true; 2], "{c} has ink from {ys:?}");
        }
    }

    #[test]
    fn no_letter_of_latin_greek_or_cyrillic_is_a_box() {
        let missing = ink("\u{10FFFF}");
        assert!(missing.iter().any(|&shade| shade > 0.0), "the box has ink");
        let blocks = [
            '\u{20}'..='\u{7E}',
            '\u{A1}'..='\u{AC}',
            '\u{AE}'..='\u{24F}',
            '\u{391}'..='\u{3A1}',
            '\u{3A3}'..='\u{3FF}',
            '\u{400}'..='\u{525}',
            '\u{1E00}'..='\u{1EF9}',
        ];
        for c in blocks.into_iter().flatten() {
            assert_eq!(undrawable(&c.to_string()), None, "{c}");
            assert_ne!(ink(&c.to_string()), missing, "{c} is a box");
        }
        for name in [
            "Thị xã Đồng Xoài",
            "TP. Hồ Chí Minh",
            "Αθήνα",
            "Ἀθῆναι",
            "Нижний Новгород",
            "Їжакевичі",
            "Şanlıurfa",
            "Łódź",
            "Ñemby",
            "Ypacara\u{ed} g\u{303}",
            "Bogotá \u{2013} D.\u{a0}C.",
            "Mhlambanyatsi\u{200b}",
            "L\u{2019}Hospitalet",
        ] {
            for name in [name.nfc().collect::<String>(), name.nfd().collect()] {
                assert_eq!(undrawable(&name), None, "{name}");
                assert!(!printable(&name).contains('\u{FFFD}'), "{name}");
            }
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_found_and_replaced() {
        for (name, c) in [
            ("القاهرة", 'ا'),
            ("北京市", '北'),
            ("서울", '서'),
            ("ירושלים", 'י'),
            ("दिल्ली", 'द'),
            ("กรุงเทพ", 'ก'),
            ("Cali \u{1F489}", '\u{1F489}'),
            ("Ca\u{7}li", '\u{7}'),
            ("a\nb", '\n'),
            ("\u{202E}Cali", '\u{202E}'),
            ("Ca\u{AD}li", '\u{AD}'),
            ("\u{E000}", '\u{E000}'),
            ("x\u{FFFF}", '\u{FFFF}'),
        ] {
            assert_eq!(undrawable(name), Some(c), "{name:?}");
            assert!(printable(name).contains('\u{FFFD}'), "{name:?}");
            assert_eq!(undrawable(&printable(name)), None, "{name:?}");
        }
    }

    #[test]
    fn an_accent_of_its_own_is_drawn_as_the_letter_that_has_it() {
        for name in ["Bogotá", "Hồ", "Ῥόδος"] {
            let decomposed: String = name.nfd().collect();
            assert_ne!(decomposed, name);
            assert_eq!(printable(&decomposed), name);
        }
        assert_ne!(
            ink("g\u{303}"),
            ink("g"),
            "a mark that no letter has is drawn over it"
        );
    }

    #[test]
    fn every_character_of_spanish_has_its_own_ink() {
        let missing = ink("\u{E000}");
        for c in "áéíóúñüÁÉÍÓÚÑÜ¿¡·…ºª—“”0123456789".chars() {
            let drawn = ink(&c.to_string());
            assert!(drawn.iter().any(|&shade| shade > 0.0), "{c} is blank");
            assert_ne!(drawn, missing, "{c} is not in the font");
        }
        for (accented, plain) in "áéíóúñü".chars().zip("aeiounu".chars()) {
            assert_ne!(
                ink(&accented.to_string()),
                ink(&plain.to_string()),
                "{accented} lost its accent"
            );
        }
    }

    #[test]
    fn ink_is_not_cut_by_its_box() {
        for em in 9..45 {
            for text in ["ÁÑÜ ¿Qué? jgpqy", "1.234.567", "Bogotá, D. C.", "Hồ Ẫ"] {
                let box_of = |extra: i32| -> f32 {
                    let columns = width(text, em) + extra;
                    rasterise(text, em, columns).iter().sum()
                };
                // A glyph may lean out of its advance by a fraction of a pixel.
                assert!((box_of(8) - box_of(0)).abs() < 1.0, "{text} at {em}");
            }
        }
    }

    #[test]
    fn text_is_cut_to_the_room_with_an_ellipsis() {
        let long = "San Andrés y Providencia y Santa Catalina (Archipiélago de San Andrés)";
        for em in [9, 14, 28] {
            for room in 20..600 {
                let cut = fitted(long, em, room);
                assert!(
                    width(&cut, em) <= room.max(width("…", em)),
                    "{cut} at {em} in {room}"
                );
                assert!(cut == long || cut.ends_with('…'));
                assert!(!cut.contains(" …"));
            }
        }
        assert_eq!(fitted("Cali", 14, 200), "Cali");
        assert_eq!(
            fitted("a\u{1}b\nc\u{FFFF}", 14, 200),
            "a\u{FFFD}b\u{FFFD}c\u{FFFD}"
        );
    }
}
