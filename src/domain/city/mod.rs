//! The closed catalogue of cities and the matching of what people type against it.
//!
//! Read once at start-up from a CSV (`code,municipality,department,aliases`) and shared by the
//! form, the report and the chart. It never guesses: a text that fits several cities is answered
//! with the choices.

use std::{collections::HashMap, fmt, path::Path, str::FromStr};

use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// How many cities a field error suggests at most.
pub const MAX_SUGGESTIONS: usize = 5;

/// How alike an unknown text and a city's name must be (Jaro-Winkler, 0 to 1) to suggest the city.
const LIKENESS: f64 = 0.85;

/// Longest text, folded, that is compared with every name: comparing costs the product of the lengths.
const LONGEST_LIKENESS: usize = 100;

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

/// A catalogue that cannot be used, with the line to mend.
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
    /// In order of code.
    all: Vec<City>,
    by_code: HashMap<CityCode, usize>,
    by_name: HashMap<String, Vec<usize>>,
    /// What `search` and the suggestions compare with: folded `name department`.
    folded: Vec<String>,
    /// The folded names alone.
    names: Vec<String>,
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
            by_name: HashMap::new(),
            folded: Vec::new(),
            names: Vec::new(),
        };
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
            let line = line.map_err(|_| bad(record.position(), form))?;
            let added = cities.add(line);
            added.map_err(|problem| bad(record.position(), &problem))?;
        }
        if cities.all.is_empty() {
            return Err(CatalogueError::Empty);
        }
        Ok(cities)
    }

    /// Adds a city, or says what is wrong with its line.
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
        for name in std::iter::once(line.municipality.as_str()).chain(line.aliases.split('|')) {
            let name = fold(name);
            if name.is_empty() {
                continue;
            }
            let with_department = fold(&format!("{name} {}", line.department));
            for key in [name, with_department] {
                let bearers = self.by_name.entry(key).or_default();
                if !bearers.contains(&index) {
                    bearers.push(index);
                }
            }
        }
        let city = City {
            code,
            name: line.municipality,
            department: line.department,
        };
        self.folded.push(fold(&city.full_name()));
        self.names.push(fold(&city.name));
        self.all.push(city);
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

    /// Every city, in order of code.
    pub fn iter(&self) -> impl Iterator<Item = &City> {
        self.all.iter()
    }

    /// The one city that `text` names: by code, name, alias, or either with its department,
    /// without regard to accents, case or punctuation.
    ///
    /// # Errors
    /// [`NoCity`], with suggestions, when there is no such city or more than one.
    pub fn find(&self, text: &str) -> Result<&City, NoCity> {
        if let Some(city) = text.trim().parse().ok().and_then(|code| self.get(code)) {
            return Ok(city);
        }
        let folded = fold(text);
        match self.by_name.get(&folded).map(Vec::as_slice) {
            Some([index]) => Ok(&self.all[*index]),
            Some(several) => Err(NoCity::Ambiguous(
                several
                    .iter()
                    .take(MAX_SUGGESTIONS)
                    .map(|&index| self.all[index].clone())
                    .collect(),
            )),
            None => Err(NoCity::Unknown(self.alike(&folded))),
        }
    }

    /// At most `limit` cities for somebody who is still typing: names that start so first, then
    /// names with a word that starts so, each in order of name.
    #[must_use]
    pub fn search(&self, text: &str, limit: usize) -> Vec<&City> {
        let folded = fold(text);
        if folded.is_empty() {
            return Vec::new();
        }
        let inner = format!(" {folded}");
        let mut found: Vec<_> = self
            .folded
            .iter()
            .zip(&self.all)
            .filter_map(|(name, city)| {
                let rank = if name.starts_with(&folded) {
                    0
                } else if name.contains(&inner) {
                    1
                } else {
                    return None;
                };
                Some((rank, name, city))
            })
            .collect();
        found.sort_unstable_by_key(|&(rank, name, _)| (rank, name));
        found
            .into_iter()
            .take(limit)
            .map(|(_, _, city)| city)
            .collect()
    }

    fn alike(&self, folded: &str) -> Vec<City> {
        if folded.chars().count() > LONGEST_LIKENESS {
            return Vec::new();
        }
        let mut found: Vec<_> = self
            .names
            .iter()
            .zip(&self.all)
            .map(|(name, city)| (strsim::jaro_winkler(name, folded), city))
            .filter(|&(likeness, _)| likeness >= LIKENESS)
            .collect();
        found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        found
            .into_iter()
            .take(MAX_SUGGESTIONS)
            .map(|(_, city)| city.clone())
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

/// Lower case without accents, every run of other than letters and digits one blank.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for symbol in text.nfkd().filter(|&symbol| !is_combining_mark(symbol)) {
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
mod tests;
