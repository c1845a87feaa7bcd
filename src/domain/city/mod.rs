//! The closed catalogue of cities, and the fuzzy search of it for what people type.
//!
//! Read once at start-up from a CSV (`code,municipality,department,aliases`) and shared by the form, the report and
//! the chart. `search` is the index. It never guesses: a text that fits several cities is answered with the choices.

mod department;
mod order;
mod search;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::Path,
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use self::department::{Department, DepartmentCode, NotADepartmentCode};
pub use self::order::CityOrder;
use self::search::{Fit, Index};
use crate::foundation::{lang::Lang, paste};

/// How many cities a field error suggests at most.
pub const MAX_SUGGESTIONS: usize = 8;

const EMBEDDED: &str = include_str!("../../../fixtures/municipalities.csv");

/// DANE code of a municipality: five digits, the first two naming the department.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CityCode([u8; 5]);

impl CityCode {
    /// The five digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// A city code is five ASCII digits.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a city code is five digits")]
pub struct NotACityCode;

impl FromStr for CityCode {
    type Err = NotACityCode;

    fn from_str(text: &str) -> Result<Self, NotACityCode> {
        match <[u8; 5]>::try_from(text.as_bytes()) {
            Ok(digits) if digits.iter().all(u8::is_ascii_digit) => Ok(Self(digits)),
            _ => Err(NotACityCode),
        }
    }
}

impl TryFrom<String> for CityCode {
    type Error = NotACityCode;

    fn try_from(text: String) -> Result<Self, NotACityCode> {
        text.parse()
    }
}

impl From<CityCode> for String {
    fn from(code: CityCode) -> Self {
        code.as_str().to_owned()
    }
}

impl fmt::Display for CityCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CityCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One municipality of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct City {
    /// DANE code, five digits.
    #[schema(value_type = String, example = "11001")]
    pub code: CityCode,
    /// Official name.
    #[schema(example = "Bogotá, D.C.")]
    pub name: String,
    /// Department that it lies in.
    #[schema(example = "Bogotá, D.C.")]
    pub department: String,
}

impl City {
    /// `name, department`: tells apart the cities that share a name.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}, {}", self.name, self.department)
    }
}

/// Why a text names no single city; each carries at most [`MAX_SUGGESTIONS`] choices.
#[derive(Debug, PartialEq, Eq)]
pub enum NoCity {
    /// Several cities bear this name.
    Ambiguous(Vec<City>),
    /// No city bears this name; the choices, if any, look alike.
    Unknown(Vec<City>),
}

/// A catalogue that cannot be used, with the line to correct.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The file cannot be read.
    #[error("cannot be read")]
    Unreadable(#[from] std::io::Error),
    /// A line is not `code,municipality,department,aliases`.
    #[error("line {line}: {problem}")]
    Line {
        /// Line of the file, counted from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no city in it.
    #[error("holds no city")]
    Empty,
}

#[derive(Deserialize)]
struct Line {
    code: String,
    municipality: String,
    department: String,
    aliases: String,
}

/// The catalogue: every city there is, by code and by each of its names.
#[derive(Debug)]
pub struct Cities {
    /// In order of the file.
    all: Vec<City>,
    by_code: HashMap<CityCode, usize>,
    /// The names that more than one bears.
    shared_names: HashSet<String>,
    index: Index,
    spanish: CityOrder,
    english: CityOrder,
    fingerprint: String,
}

impl Cities {
    /// The 1,121 municipalities of Colombia that are built in.
    ///
    /// # Errors
    /// When the built-in file is damaged, which a test excludes.
    pub fn embedded() -> Result<Self, CatalogueError> {
        Self::parse(EMBEDDED)
    }

    /// Reads a catalogue from a UTF-8 CSV file.
    ///
    /// # Errors
    /// When the file cannot be read, holds no city, or has a line that is not a city.
    pub fn read(path: &Path) -> Result<Self, CatalogueError> {
        Self::parse(&std::fs::read_to_string(path)?)
    }

    fn parse(text: &str) -> Result<Self, CatalogueError> {
        let mut cities = Self {
            all: Vec::new(),
            by_code: HashMap::new(),
            shared_names: HashSet::new(),
            index: Index::default(),
            spanish: CityOrder::default(),
            english: CityOrder::default(),
            fingerprint: hex::encode(&Sha256::digest(text)[..16]),
        };
        let mut aliases = Vec::new();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().cloned().unwrap_or_default();
        for record in reader.records() {
            let bad = |position: Option<&csv::Position>, problem: &str| CatalogueError::Line {
                line: line_at(text, position),
                problem: problem.to_owned(),
            };
            let form = "not of the form code,municipality,department,aliases";
            let record = record.map_err(|error| bad(error.position(), form))?;
            let line = record.deserialize(Some(&header));
            let line: Line = line.map_err(|_| bad(record.position(), form))?;
            aliases.push(line.aliases.clone());
            let added = cities.add(line);
            added.map_err(|problem| bad(record.position(), &problem))?;
        }
        if cities.all.is_empty() {
            return Err(CatalogueError::Empty);
        }
        let names = cities.all.iter().zip(&aliases).map(|(city, aliases)| {
            let names = std::iter::once(city.name.as_str()).chain(aliases.split('|'));
            (names.collect(), city.department.as_str())
        });
        cities.index = Index::of(names);
        let mut seen = HashSet::new();
        let again = cities.all.iter().filter(|city| !seen.insert(&city.name));
        cities.shared_names = again.map(|city| city.name.clone()).collect();
        cities.spanish = CityOrder::alphabetical(&cities.all, Lang::Es);
        cities.english = CityOrder::alphabetical(&cities.all, Lang::En);
        Ok(cities)
    }

    /// Adds a city, or returns what is wrong with its line.
    fn add(&mut self, line: Line) -> Result<(), String> {
        let code: CityCode = line
            .code
            .parse()
            .map_err(|error: NotACityCode| error.to_string())?;
        for (column, value) in [
            ("municipality", &line.municipality),
            ("department", &line.department),
        ] {
            if value.trim().is_empty() {
                return Err(format!("the {column} is empty"));
            }
        }
        let index = self.all.len();
        if self.by_code.insert(code, index).is_some() {
            return Err(format!("code {code} stands twice"));
        }
        self.all.push(City {
            code,
            name: line.municipality,
            department: line.department,
        });
        Ok(())
    }

    /// The city with this code, if the catalogue has it.
    #[must_use]
    pub fn get(&self, code: CityCode) -> Option<&City> {
        self.by_code.get(&code).map(|&index| &self.all[index])
    }

    /// The city with this code; a code that left the catalogue since it was stored still has a row
    /// in reports and charts, under its bare code.
    #[must_use]
    pub fn named(&self, code: CityCode) -> City {
        self.get(code).cloned().unwrap_or_else(|| City {
            code,
            name: code.to_string(),
            department: String::new(),
        })
    }

    /// The city's name; with its department where another bears the same name.
    #[must_use]
    pub fn short_name(&self, code: CityCode) -> String {
        let city = self.named(code);
        if self.shared_names.contains(&city.name) {
            city.full_name()
        } else {
            city.name
        }
    }

    /// Every city, in the order of the catalogue.
    pub fn iter(&self) -> impl Iterator<Item = &City> {
        self.all.iter()
    }

    /// The order of the alphabet in this language.
    #[must_use]
    pub fn alphabetical(&self, lang: Lang) -> &CityOrder {
        match lang {
            Lang::Es => &self.spanish,
            Lang::En => &self.english,
        }
    }

    /// A hash (SHA-256, cut to 32 hexadecimal digits) of the catalogue: it changes when the catalogue does.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The one city that `text` means: by code, name, alias, telling word, abbreviation, or any with its department,
    /// without regard to accents, case or punctuation, and with one typing error (an edit distance of 1) where that
    /// leaves one city only. An exact match of a name comes before names that only hold its words.
    ///
    /// # Errors
    /// [`NoCity`], with suggestions, when there is no such city or more than one.
    pub fn find(&self, text: &str) -> Result<&City, NoCity> {
        if let Some(city) = self.coded(text) {
            return Ok(city);
        }
        let found = self.index.find(text);
        let of = |fits: &[Fit]| {
            let hits = found.cities.iter().filter(|hit| fits.contains(&hit.0));
            hits.map(|&(_, _, at)| &self.all[at]).collect::<Vec<_>>()
        };
        let choices = |cities: &[&City]| {
            let choices = cities.iter().take(MAX_SUGGESTIONS);
            choices.map(|&city| city.clone()).collect::<Vec<_>>()
        };
        for whole in [of(&[Fit::Full]), of(&[Fit::Whole])] {
            match &*whole {
                [] => {}
                [city] => return Ok(city),
                several => return Err(NoCity::Ambiguous(choices(several))),
            }
        }
        // What holds its words is the one, unless another's name begins so; what is spelled nearly so, unless
        // another is longer. What may be a department is neither.
        let words = of(&[Fit::Words]);
        let near = of(&[Fit::Misspelled, Fit::Mistyped, Fit::Beginning]);
        let mut begun = found.cities.iter().filter(|hit| hit.0 == Fit::Beginning);
        match (&*words, &*near) {
            ([], [city]) if !of(&[Fit::Misspelled]).is_empty() => return Ok(city),
            _ if found.may_be_department => {}
            ([city], _) if begun.all(|&(_, elsewhere, _)| elsewhere) => return Ok(city),
            ([], [city]) if !of(&[Fit::Mistyped]).is_empty() => return Ok(city),
            ([_, _, ..], _) => return Err(NoCity::Ambiguous(choices(&words))),
            _ => {}
        }
        let mut known = words;
        known.extend(near);
        if known.is_empty() {
            known = self.alike(text, MAX_SUGGESTIONS);
        }
        Err(NoCity::Unknown(choices(&known)))
    }

    /// Autocomplete: at most `limit` cities for somebody who is still typing, ranked as [`Cities::find`] would take or
    /// suggest them: exact names, then names with this prefix, then names with such words, each in order of name.
    #[must_use]
    pub fn search(&self, text: &str, limit: usize) -> Vec<&City> {
        if let Some(city) = self.coded(text) {
            return vec![city];
        }
        let mut found = self.index.find(text).cities;
        if found.is_empty() {
            return self.alike(text, limit.min(MAX_SUGGESTIONS));
        }
        // A stable sort, so that cities of one kind stay in order of name.
        found.sort_by_key(|&(fit, elsewhere, _)| match fit {
            Fit::Full | Fit::Whole => 0,
            Fit::Words | Fit::Beginning if !elsewhere => 1,
            Fit::Words => 2,
            Fit::Beginning => 3,
            Fit::Misspelled | Fit::Mistyped => 4,
        });
        found
            .into_iter()
            .take(limit)
            .map(|(_, _, at)| &self.all[at])
            .collect()
    }

    fn coded(&self, text: &str) -> Option<&City> {
        self.get(paste::plain(text).ok()?.parse().ok()?)
    }

    /// What a text that fits no city may have been meant for: the part before the department first.
    fn alike(&self, text: &str, limit: usize) -> Vec<&City> {
        let name = text.rsplit_once(',').map_or(text, |(name, _)| name);
        let found = self.index.find(name).cities;
        let found: Vec<_> = if found.is_empty() {
            self.index.alike(text, limit)
        } else {
            found.into_iter().map(|(_, _, at)| at).collect()
        };
        found
            .into_iter()
            .take(limit)
            .map(|at| &self.all[at])
            .collect()
    }
}

/// The line of the record at `position`, which the reader takes from before the blank lines that it
/// passes over.
fn line_at(text: &str, position: Option<&csv::Position>) -> u64 {
    let byte = position.map_or(0, csv::Position::byte);
    let (before, rest) = text
        .split_at_checked(usize::try_from(byte).unwrap_or(0))
        .unwrap_or((text, ""));
    let blank = rest.len() - rest.trim_start_matches(['\r', '\n']).len();
    let lines = before.matches('\n').count() + rest[..blank].matches('\n').count();
    lines as u64 + 1
}

#[cfg(test)]
mod tests;
