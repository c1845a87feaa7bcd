//! The one fuzzy search of the catalogue: what a text may mean, ranked.
//!
//! One index, built once: every word of every name, alias and department, and for each city which of them are its own.
//! A text is looked up word by word in the words; a city is then a few bit masks, so that a search costs a few ten
//! thousand steps whatever is typed, and suggestions for what names no city about ten times as many.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::foundation::paste::is_unseen;

/// Most letters of a text, folded, that can name a city: bounds the cost of a search.
const MAX_LETTERS: usize = 200;

/// Most words of one; the masks below have a bit for each.
const MAX_WORDS: usize = 16;

/// Fewest letters of a word in which one typing error (an edit distance of 1) is forgiven.
const MIN_MISTYPED: usize = 4;

/// Fewest letters of an abbreviated department (`Cund.`).
const MIN_CUT: usize = 3;

/// Stop words, which people leave out, add, or confuse: no match depends on them.
const SMALL: [&str; 14] = [
    "de",
    "del",
    "la",
    "las",
    "los",
    "el",
    "y",
    "e",
    "colombia",
    "municipio",
    "mpio",
    "departamento",
    "depto",
    "dpto",
];

/// Words too common in names to identify a city by themselves.
const COMMON: [&str; 20] = [
    "alta", "alto", "bajo", "ciudad", "don", "media", "medio", "norte", "nueva", "nuevo", "pueblo",
    "puerto", "rio", "s", "san", "santa", "santo", "sur", "valle", "villa",
];

/// Abbreviations of words in names.
const SHORT: [(&str, &str); 14] = [
    ("cdad", "ciudad"),
    ("fco", "francisco"),
    ("gral", "general"),
    ("n", "norte"),
    ("nte", "norte"),
    ("pto", "puerto"),
    ("s", "san"),
    ("s", "santa"),
    ("s", "santo"),
    ("sn", "san"),
    ("sta", "santa"),
    ("stgo", "santiago"),
    ("sto", "santo"),
    ("vlla", "villa"),
];

/// How well a text matches a city, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// It is a name of it with its whole department: `Cauca`, which is a word of `Valle del Cauca` too.
    Full,
    /// It is a name of it, or one with words of its department.
    Whole,
    /// Each of its words is one of the city's, a telling one of its name among them.
    Words,
    /// It is a name of it but for one typing error.
    Misspelled,
    /// Its words are the city's but for one typing error.
    Mistyped,
    /// It is a prefix of one: it may become one while it is typed.
    Beginning,
}

/// What a text matches.
pub(super) struct Found {
    /// Fit, whether the name does not even begin so, and position in the catalogue; best first.
    pub(super) cities: Vec<(Fit, bool, usize)>,
    /// Whether it may be a department and no city.
    pub(super) may_be_department: bool,
}

/// Position of a word in the sorted list of words.
type WordId = u16;

#[derive(Debug)]
struct Form {
    text: Vec<char>,
    words: Vec<WordId>,
}

#[derive(Debug)]
struct Entry {
    /// `name department`, folded: the sort key of cities.
    text: String,
    /// The name and its aliases.
    forms: Vec<Form>,
    /// Position in `departments`.
    department: usize,
}

/// Every name, alias and department of a catalogue, by its words.
#[derive(Debug, Default)]
pub(super) struct Index {
    words: Vec<Vec<char>>,
    /// Without stop words.
    departments: Vec<Vec<WordId>>,
    /// In the order of the catalogue.
    entries: Vec<Entry>,
}

/// Which words of a text each word of the index fits: bit n for the text's word n.
#[derive(Clone, Copy, Default)]
struct Mask {
    exact: u32,
    mistyped: u32,
    beginning: u32,
}

impl Mask {
    fn of(words: &[WordId], masks: &[Self]) -> Self {
        words.iter().fold(Self::default(), |sum, &word| {
            let mask = masks[usize::from(word)];
            Self {
                exact: sum.exact | mask.exact,
                mistyped: sum.mistyped | mask.mistyped,
                beginning: sum.beginning | mask.beginning,
            }
        })
    }
}

/// A text, looked up.
struct Typed {
    text: Vec<char>,
    words: usize,
    masks: Vec<Mask>,
    /// The words that a city must have.
    needed: u32,
    /// Those that by themselves name nothing.
    common: u32,
    /// Those long enough to be an abbreviated department.
    cut: u32,
    /// Whether one of them is in no name.
    has_unknown: bool,
}

impl Index {
    /// An index of cities, each its names and its department, as they are written.
    pub(super) fn of<'a>(cities: impl Iterator<Item = (Vec<&'a str>, &'a str)> + Clone) -> Self {
        let mut words: Vec<Vec<char>> = cities
            .clone()
            .flat_map(|(names, department)| names.into_iter().chain([department]))
            .flat_map(|text| {
                fold(text)
                    .split(' ')
                    .map(|word| word.chars().collect())
                    .collect::<Vec<_>>()
            })
            .collect();
        words.sort_unstable();
        words.dedup();
        words.truncate(usize::from(WordId::MAX));
        let mut index = Self {
            words,
            ..Self::default()
        };
        for (names, department) in cities {
            let telling = |word: &&str| !SMALL.contains(word);
            let department_folded = fold(department);
            let words: Vec<_> = department_folded.split(' ').filter(telling).collect();
            let words = index.ids(&words.join(" "));
            let known = index.departments.iter().position(|known| *known == words);
            let department_at = known.unwrap_or_else(|| {
                index.departments.push(words);
                index.departments.len() - 1
            });
            let folded = names.iter().map(|name| fold(name));
            let forms = folded.filter(|name| !name.is_empty()).map(|name| Form {
                words: index.ids(&name),
                text: name.chars().collect(),
            });
            index.entries.push(Entry {
                text: fold(&format!("{} {department}", names.first().unwrap_or(&""))),
                forms: forms.collect(),
                department: department_at,
            });
        }
        index
    }

    fn ids(&self, folded: &str) -> Vec<WordId> {
        folded
            .split(' ')
            .filter_map(|word| self.id(&word.chars().collect::<Vec<_>>()))
            .collect()
    }

    fn id(&self, word: &[char]) -> Option<WordId> {
        let at = self
            .words
            .binary_search_by(|known| known.as_slice().cmp(word))
            .ok()?;
        WordId::try_from(at).ok()
    }

    /// The cities that a text may mean, best first; ties in order of name.
    pub(super) fn find(&self, text: &str) -> Found {
        let mut found = Found {
            cities: Vec::new(),
            may_be_department: false,
        };
        let Some(typed) = self.look_up(text) else {
            return found;
        };
        let departments: Vec<_> = self
            .departments
            .iter()
            .map(|words| Mask::of(words, &typed.masks))
            .collect();
        found.may_be_department = departments.iter().any(|department| {
            typed.needed
                & !(department.exact | department.mistyped | department.beginning & typed.cut)
                == 0
        });
        let folded: String = typed.text.iter().collect();
        for (at, entry) in self.entries.iter().enumerate() {
            let department = departments[entry.department];
            let fit = entry
                .forms
                .iter()
                .filter_map(|form| typed.fit(form, &self.departments[entry.department], department))
                .min();
            if let Some(fit) = fit {
                found
                    .cities
                    .push((fit, !entry.text.starts_with(&folded), at));
            }
        }
        found
            .cities
            .sort_by_key(|&(fit, elsewhere, at)| (fit, elsewhere, &self.entries[at].text));
        found
    }

    /// Suggestions: cities whose names have a telling word in common with the text, or else are similar; most similar
    /// first.
    pub(super) fn alike(&self, text: &str, limit: usize) -> Vec<usize> {
        /// Least similarity of a text and a name (Jaro-Winkler, 0 to 1).
        const LIKENESS: f64 = 0.85;
        /// Most letters of a text that is compared so, which costs its length times that of all names.
        const COMPARED: usize = 60;
        let Some(typed) = self.look_up(text) else {
            return Vec::new();
        };
        let telling = typed.needed & !typed.common;
        let folded: String = typed.text.iter().collect();
        let mut alike: Vec<_> = (0..self.entries.len())
            .filter_map(|at| {
                let names = self.entries[at].forms.iter();
                names
                    .filter_map(|form| {
                        let mask = Mask::of(&form.words, &typed.masks);
                        let common = (mask.exact & telling).count_ones() * 2
                            + (mask.mistyped & telling).count_ones();
                        let likeness = if typed.text.len() > COMPARED {
                            0.0
                        } else {
                            let name: String = form.text.iter().collect();
                            strsim::jaro_winkler(&name, &folded)
                        };
                        (common > 0 || likeness >= LIKENESS).then_some((common, likeness, at))
                    })
                    .max_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)))
            })
            .collect();
        alike.sort_by(|a, b| b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)));
        alike.into_iter().take(limit).map(|(_, _, at)| at).collect()
    }

    /// Looks each word of a text up in all words; nothing when it is blank or longer than any city's name.
    fn look_up(&self, text: &str) -> Option<Typed> {
        let text = fold(text);
        let words: Vec<Vec<char>> = text.split(' ').map(|word| word.chars().collect()).collect();
        if text.is_empty() || text.chars().count() > MAX_LETTERS || words.len() > MAX_WORDS {
            return None;
        }
        let bits = |is: &dyn Fn(&str, &[char]) -> bool| {
            let texts = text.split(' ').zip(&words).enumerate();
            texts
                .filter(|(_, (text, word))| is(text, word))
                .fold(0, |bits, (at, _)| bits | 1 << at)
        };
        let all = bits(&|_, _| true);
        let small: u32 = bits(&|text, _| SMALL.contains(&text));
        let mut masks = vec![Mask::default(); self.words.len()];
        let mut has_unknown = false;
        for (at, word) in words.iter().enumerate() {
            let bit = 1 << at;
            let begun = self.words.partition_point(|known| known < word);
            for (mask, known) in masks[begun..].iter_mut().zip(&self.words[begun..]) {
                if !known.starts_with(word) {
                    break;
                }
                mask.beginning |= bit;
                if known == word {
                    mask.exact |= bit;
                }
            }
            if self.id(word).is_some() {
                continue;
            }
            has_unknown = true;
            if word.len() >= MIN_MISTYPED {
                for (mask, known) in masks.iter_mut().zip(&self.words) {
                    if known.len() >= MIN_MISTYPED && one_error(known, word) {
                        mask.mistyped |= bit;
                    }
                }
            }
        }
        for (at, word) in text.split(' ').enumerate() {
            for (_, long) in SHORT.iter().filter(|(short, _)| *short == word) {
                if let Some(id) = self.id(&long.chars().collect::<Vec<_>>()) {
                    masks[usize::from(id)].exact |= 1 << at;
                }
            }
        }
        Some(Typed {
            needed: if small == all { all } else { all & !small },
            common: bits(&|text, _| {
                COMMON.contains(&text) || SHORT.iter().any(|(short, _)| *short == text)
            }),
            cut: bits(&|_, word| word.len() >= MIN_CUT),
            words: words.len(),
            has_unknown,
            text: text.chars().collect(),
            masks,
        })
    }
}

impl Typed {
    fn fit(&self, form: &Form, words: &[WordId], department: Mask) -> Option<Fit> {
        let of_department = department.exact | department.beginning & self.cut;
        if self.begins_with(form) {
            let behind = self.needed & !0 << form.words.len();
            let in_it = |&word: &WordId| self.masks[usize::from(word)].exact & behind != 0;
            if behind & !of_department == 0 {
                let full = behind != 0 && words.iter().all(in_it);
                return Some(if full { Fit::Full } else { Fit::Whole });
            }
        }
        // A word that some name has was not mistyped; a blank too many or too few may be.
        let mistyped = self.has_unknown || form.words.len() != self.words;
        let long = self.text.len().min(form.text.len()) >= MIN_MISTYPED;
        if mistyped && long && one_error(&form.text, &self.text) {
            return Some(Fit::Misspelled);
        }
        let name = Mask::of(&form.words, &self.masks);
        if (name.exact | name.mistyped | name.beginning) & self.needed == 0 {
            return None;
        }
        let exact = (name.exact | of_department) & self.needed;
        let mistyped = (name.mistyped | department.mistyped) & self.needed & !exact;
        let begun = (name.beginning | department.beginning) & self.needed & !exact;
        let telling =
            (name.exact | name.mistyped) & self.needed & !self.common != 0 || self.covers(form);
        if exact == self.needed && telling {
            Some(Fit::Words)
        } else if telling && mistyped.is_power_of_two() && exact | mistyped == self.needed {
            Some(Fit::Mistyped)
        } else if exact | begun == self.needed {
            Some(Fit::Beginning)
        } else {
            None
        }
    }

    /// Whether the text's first words are this name.
    fn begins_with(&self, form: &Form) -> bool {
        let mut words = form.words.iter().enumerate();
        form.words.len() <= self.words
            && words.all(|(at, &word)| self.masks[usize::from(word)].exact & 1 << at != 0)
    }

    /// Whether each word of this name is in the text.
    fn covers(&self, form: &Form) -> bool {
        form.words.iter().all(|&word| {
            let mask = self.masks[usize::from(word)];
            mask.exact | mask.mistyped != 0
        })
    }
}

/// Whether the Damerau-Levenshtein distance is at most 1: one letter too many, missing, wrong or swapped with its
/// neighbour.
fn one_error(a: &[char], b: &[char]) -> bool {
    if a.len().abs_diff(b.len()) > 1 {
        return false;
    }
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    match (&a[same..], &b[same..]) {
        ([], _) | (_, []) => true,
        ([x, a @ ..], [y, b @ ..]) if a.len() == b.len() => {
            a == b || matches!((a, b), ([x2, a @ ..], [y2, b @ ..]) if x == y2 && y == x2 && a == b)
        }
        ([_, a @ ..], b) if a.len() == b.len() => a == b,
        (a, [_, b @ ..]) => a == b,
    }
}

/// Normalises for matching: lower case without accents and invisible characters, every run of other than letters and
/// digits one blank; of a text that is too long to name a city, a prefix that is too long as well.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len().min(4 * MAX_LETTERS));
    let signs = text.chars().filter(|&sign| !is_unseen(sign));
    for symbol in signs.nfkd().filter(|&symbol| !is_combining_mark(symbol)) {
        if folded.len() > 4 * MAX_LETTERS {
            break;
        }
        if symbol.is_alphanumeric() {
            folded.extend(symbol.to_lowercase());
        } else if !folded.is_empty() && !folded.ends_with(' ') {
            folded.push(' ');
        }
    }
    folded.truncate(folded.trim_end().len());
    folded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error_between(a: &str, b: &str) -> bool {
        let letters = |text: &str| text.chars().collect::<Vec<_>>();
        one_error(&letters(a), &letters(b))
    }

    #[test]
    fn one_typing_error_is_one_letter() {
        for (a, b) in [
            ("cali", "calli"),
            ("cali", "cai"),
            ("cali", "caly"),
            ("cali", "clai"),
            ("cali", "cali"),
            ("", "a"),
        ] {
            assert!(error_between(a, b) && error_between(b, a), "{a} {b}");
        }
        for (a, b) in [
            ("cali", "ca"),
            ("cali", "calle"),
            ("cali", "ilac"),
            ("cali", "acil"),
            ("abcd", "badc"),
        ] {
            assert!(!error_between(a, b) && !error_between(b, a), "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn one_typing_error_is_what_a_textbook_says(a in "[ab]{0,6}", b in "[ab]{0,6}") {
            prop_assert_eq!(error_between(&a, &b), strsim::osa_distance(&a, &b) <= 1);
        }

        #[test]
        fn folding_twice_changes_nothing(text: String) {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }
    }
}
