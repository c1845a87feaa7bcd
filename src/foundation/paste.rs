//! Normalises pasted text: the invisible characters, odd blanks and typographic signs that copy and paste brings
//! along.
//!
//! The one place that does so, for names, numbers, addresses, references, keys, tokens and cities alike. Two depths:
//! [`shed`] changes nothing visible, for texts that are shown again; [`plain`] also maps typographic signs to those of
//! a keyboard, for texts that are only parsed or compared. Both run in time linear in the text.

use unicode_normalization::char::{canonical_combining_class, is_combining_mark};

/// The text holds a bidirectional control: an embedding, override or isolate (U+202A–202E, U+2066–2069). What follows
/// it, on a page or in a report, would be displayed in another order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reordered;

/// Whether a character is invisible by itself: zero-width, soft hyphen, joiner, directional mark, tag.
#[must_use]
pub fn is_unseen(sign: char) -> bool {
    is_reordering(sign)
        || is_tag(sign)
        || matches!(
            sign,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
        )
}

fn is_reordering(sign: char) -> bool {
    matches!(sign, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_joiner(sign: char) -> bool {
    matches!(sign, '\u{200c}' | '\u{200d}')
}

fn is_tag(sign: char) -> bool {
    matches!(sign, '\u{e0000}'..='\u{e007f}')
}

/// Strips what a paste brings along: blanks around the text, and invisible characters in it. Joiners inside a word
/// stay, since they shape letters, and so do the tags of a flag; no-break and thin spaces become plain ones.
///
/// # Errors
/// [`Reordered`].
pub fn shed(text: &str) -> Result<String, Reordered> {
    const VIRAMA: u8 = 9;
    let mut kept = String::with_capacity(text.len());
    let (mut last, mut joiner) = (' ', None);
    for sign in text.chars() {
        if is_reordering(sign) {
            return Err(Reordered);
        }
        if is_joiner(sign) {
            joiner = joiner.or(Some(sign));
            continue;
        }
        let in_flag = is_tag(sign) && (last == '\u{1f3f4}' || is_tag(last));
        if is_unseen(sign) && !in_flag {
            continue;
        }
        let sign = match sign {
            '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' => ' ',
            seen => seen,
        };
        let inside = !last.is_whitespace() && !sign.is_whitespace();
        if let Some(joiner) = joiner.take()
            && (inside || canonical_combining_class(last) == VIRAMA)
        {
            kept.push(joiner);
        }
        kept.push(sign);
        last = sign;
    }
    // At the end of a word a joiner shapes only a letter whose vowel a virama removed.
    if let Some(joiner) = joiner
        && canonical_combining_class(last) == VIRAMA
    {
        kept.push(joiner);
    }
    Ok(kept.trim().to_owned())
}

/// [`shed`], then without joiners, and dashes, apostrophes, quotation marks and full-width characters mapped to ASCII.
///
/// # Errors
/// [`Reordered`].
pub fn plain(text: &str) -> Result<String, Reordered> {
    let shed = shed(text)?;
    let plain = shed
        .chars()
        .filter(|&sign| !is_joiner(sign))
        .map(|sign| match sign {
            '\u{2010}'..='\u{2015}'
            | '\u{2212}'
            | '\u{2043}'
            | '\u{2d7}'
            | '\u{fe58}'
            | '\u{fe63}' => '-',
            '\u{2018}'..='\u{201b}' | '\u{2b9}'..='\u{2bc}' | '\u{2032}' | '\u{b4}' => '\'',
            '\u{201c}'..='\u{201f}' | '\u{2033}' => '"',
            '\u{3000}' => ' ',
            '\u{ff01}'..='\u{ff5e}' => {
                char::from_u32(u32::from(sign) - 0xff01 + 0x21).unwrap_or(sign)
            }
            other => other,
        });
    Ok(plain.collect::<String>().trim().to_owned())
}

/// Whether anything is visible: blanks, invisible characters, fillers and marks without a letter are nothing.
#[must_use]
pub fn is_visible(text: &str) -> bool {
    text.chars().any(|sign| {
        let blank = sign.is_whitespace() || sign.is_control() || is_unseen(sign) || is_filler(sign);
        !blank && !is_combining_mark(sign)
    })
}

/// Characters that are rendered blank, or not at all, though Unicode classes them as letters or symbols.
fn is_filler(sign: char) -> bool {
    matches!(
        sign,
        '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_paste_brings_along_is_shed_wherever_it_stands() {
        for sign in [
            '\u{ad}',
            '\u{61c}',
            '\u{180e}',
            '\u{200b}',
            '\u{200e}',
            '\u{200f}',
            '\u{2060}',
            '\u{2064}',
            '\u{206a}',
            '\u{feff}',
            '\u{fff9}',
            '\u{e0041}',
        ] {
            for text in [
                format!("{sign}Ana María"),
                format!("Ana{sign} María"),
                format!("Ana Ma{sign}ría{sign}"),
            ] {
                assert_eq!(shed(&text).unwrap(), "Ana María", "{sign:?}");
                assert_eq!(plain(&text).unwrap(), "Ana María", "{sign:?}");
            }
        }
        for blank in [
            '\u{a0}', '\u{2007}', '\u{2009}', '\u{200a}', '\u{202f}', '\u{205f}',
        ] {
            let text = format!("{blank}Ana{blank}María{blank}\n");
            assert_eq!(shed(&text).unwrap(), "Ana María", "{blank:?}");
        }
    }

    #[test]
    fn nothing_that_is_seen_is_changed() {
        for text in [
            "Anne–Marie O’Brien",
            "D‘Angelo",
            "ＡＢＣ　１２３",
            "می‌خواهم",
            "ക്‍ഷ",
            "അവന്‍",
            "👩‍❤️‍👨",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            "Ñ  doble",
            "n\u{303}",
            "神\u{fe00}",
            "ㅤ가",
        ] {
            assert_eq!(shed(text).unwrap(), text);
        }
    }

    #[test]
    fn a_joiner_stays_inside_a_word_only() {
        for text in [
            "\u{200d}Ana",
            "Ana\u{200c}",
            "\u{200c}\u{200d} Ana \u{200d}",
        ] {
            assert_eq!(shed(text).unwrap(), "Ana");
        }
        assert_eq!(shed("Ana\u{200d} \u{200c}Mar").unwrap(), "Ana Mar");
        assert_eq!(plain("12\u{200d}34").unwrap(), "1234");
    }

    #[test]
    fn signs_that_a_keyboard_lacks_become_those_that_it_has() {
        for (typed, written) in [
            ("a‐b‑c‒d–e—f―g−h", "a-b-c-d-e-f-g-h"),
            ("1’020‘304ʼ0´5", "1'020'304'0'5"),
            ("“k”", "\"k\""),
            ("１２３．４＠ａ", "123.4@a"),
            ("1\u{202f}020\u{2009}304\u{3000}", "1 020 304"),
        ] {
            assert_eq!(plain(typed).unwrap(), written);
        }
    }

    #[test]
    fn what_turns_the_reading_around_is_refused() {
        for sign in ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}') {
            assert_eq!(shed(&format!("Ana{sign}")), Err(Reordered), "{sign:?}");
            assert_eq!(plain(&format!("{sign}12")), Err(Reordered), "{sign:?}");
        }
    }

    #[test]
    fn what_nobody_sees_is_nothing() {
        for text in [
            "",
            " ",
            "\u{3164}",
            "\u{115f}\u{1160}",
            "\u{ffa0}",
            "\u{2800}",
            "\u{301}",
            "\u{fe0f}",
            "\u{200d}",
            "\u{e0041}\u{e0042}",
            "\u{17b4}",
            "\u{1d159}",
            "\u{34f}",
            "\u{20dd}",
            "\u{1d173}",
            "\u{e0100}",
        ] {
            assert!(!is_visible(text), "{text:?}");
        }
        for text in ["X", "=1+1", "]]>", "-", "محمد", "😀", "ñ", "李", "ꯀ"] {
            assert!(is_visible(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn shedding_twice_changes_nothing(text in "[\\PC\u{ad}\u{200b}-\u{200f}\u{feff}\u{94d}\u{1f3f4}\u{e0061} ]{0,12}|.*") {
            if let Ok(once) = shed(&text) {
                prop_assert_eq!(shed(&once).unwrap(), once);
                let once = plain(&text).unwrap();
                prop_assert_eq!(plain(&once).unwrap(), once);
            } else {
                prop_assert!(text.contains(is_reordering));
            }
        }

        #[test]
        fn only_unseen_signs_and_blanks_are_lost(text: String) {
            let seen = |text: &str| text.chars().filter(|c| !is_unseen(*c) && !c.is_whitespace()).collect::<String>();
            if let Ok(kept) = shed(&text) {
                prop_assert_eq!(seen(&kept), seen(&text));
            }
        }
    }
}
