//! Planted canaries: every encoding in which a text could leak, and the search for it.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
    fs,
    path::Path,
};

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD, prelude::BASE64_URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Bytes by which the search finds candidates; nothing shorter is planted.
const HEAD: usize = 4;

/// Searches for planted texts in all their encodings at once.
#[derive(Default)]
pub struct Search {
    /// Forms by their first bytes: what is planted, and the form.
    forms: HashMap<[u8; HEAD], Vec<(String, Vec<u8>)>>,
}

impl Search {
    /// For these texts, each of at least four bytes.
    pub fn of<'a>(planted: impl IntoIterator<Item = &'a str>) -> Self {
        let mut search = Self::default();
        search.extend(planted);
        search
    }

    /// Adds texts to search for.
    pub fn extend<'a>(&mut self, planted: impl IntoIterator<Item = &'a str>) {
        for text in planted {
            for form in forms(text) {
                self.add(text, form);
            }
        }
    }

    /// Adds bytes that are searched for as they are.
    pub fn add(&mut self, called: &str, form: Vec<u8>) {
        let head = *form.first_chunk().unwrap();
        let forms = self.forms.entry(head).or_default();
        forms.push((called.to_owned(), form));
    }

    /// The planted texts that are in `bytes`, in whatever form.
    pub fn find(&self, bytes: &[u8]) -> BTreeSet<&str> {
        (0..bytes.len())
            .filter_map(|at| {
                let rest = &bytes[at..];
                Some((rest, self.forms.get(rest.first_chunk::<HEAD>()?)?))
            })
            .flat_map(|(rest, forms)| {
                let found = forms.iter().filter(|(_, form)| rest.starts_with(form));
                found.map(|(called, _)| called.as_str())
            })
            .collect()
    }

    /// Looks through every file below `folder`, and through the names, but not into `passed_over`.
    /// Returns how many files were read.
    pub fn finds_nothing_below(&self, folder: &Path, passed_over: &[&str]) -> usize {
        let mut read = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            self.finds_nothing_in("the name of a file", name.as_bytes());
            if path.is_dir() {
                read += self.finds_nothing_below(&path, passed_over);
            } else if !passed_over.contains(&name) {
                self.finds_nothing_in(&path.display().to_string(), &fs::read(&path).unwrap());
                read += 1;
            }
        }
        read
    }

    /// `bytes` of `place` hold nothing that is planted.
    pub fn finds_nothing_in(&self, place: &str, bytes: &[u8]) {
        let found = self.find(bytes);
        assert!(found.is_empty(), "{found:?} in {place}");
    }
}

/// A text as bytes, in UTF-8 and UTF-16, in any of the encodings that programs put texts in.
fn forms(text: &str) -> BTreeSet<Vec<u8>> {
    let bytes = text.as_bytes();
    let json = serde_json::to_string(text).unwrap();
    let percent = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let html = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;");
    let mut forms = BTreeSet::from([
        bytes.to_vec(),
        text.to_lowercase().into_bytes(),
        text.to_uppercase().into_bytes(),
        utf16(text, u16::to_le_bytes),
        utf16(text, u16::to_be_bytes),
        html.into_bytes(),
        json.trim_matches('"').as_bytes().to_vec(),
        json_in_ascii(text).into_bytes(),
        text.escape_debug().to_string().into_bytes(),
        text.escape_default().to_string().into_bytes(),
        // How Rust shows bytes: `b"\xc3\xb1"`, and `[195, 177]`.
        bytes.escape_ascii().to_string().into_bytes(),
        format!("{bytes:?}")
            .trim_matches(['[', ']'])
            .as_bytes()
            .to_vec(),
        percent.replace("%20", "+").into_bytes(),
        percent.to_lowercase().into_bytes(),
        percent.into_bytes(),
        hex::encode_upper(bytes).into_bytes(),
        hex::encode(bytes).into_bytes(),
    ]);
    for engine in [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD] {
        // In the middle of something longer a text begins at any of three places in a group of
        // symbols; those at its ends hold bits of the neighbours and are left out.
        for shift in 0..3 {
            let padded = [&b"\0\0\0"[..shift], bytes].concat();
            let whole = &padded[..padded.len() - padded.len() % 3];
            let encoded = engine.encode(whole);
            forms.insert(encoded.as_bytes()[shift.min(1) * 4..].to_vec());
        }
    }
    forms
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

fn json_in_ascii(text: &str) -> String {
    text.encode_utf16().fold(String::new(), |mut json, unit| {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_graphic() || byte == b' ' => json.push(byte.into()),
            _ => write!(json, "\\u{unit:04x}").unwrap(),
        }
        json
    })
}

#[test]
fn every_form_is_found() {
    let text = "Ñandú <\"Plantada\"> & Hijos";
    let search = Search::of([text]);
    for form in forms(text) {
        let found = search.find(&[b"before".as_slice(), &form, b"behind"].concat());
        assert_eq!(found, BTreeSet::from([text]));
    }
    for before in ["", "a", "ab", "abc"] {
        let encoded = BASE64_STANDARD_NO_PAD.encode(format!("{before}{text} and more"));
        assert_eq!(search.find(encoded.as_bytes()), BTreeSet::from([text]));
    }
    assert_eq!(
        search.find("Ñandú, Plantada & Hijos".as_bytes()),
        BTreeSet::new()
    );
}
