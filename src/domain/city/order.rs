//! In which order cities are listed: that of the alphabet, as a language has it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use super::{City, CityCode};
use crate::foundation::lang::Lang;

/// An order of cities. Those that it does not name follow the others, by code; the empty order is by code.
#[derive(Clone, Debug, Default)]
pub struct CityOrder(Arc<HashMap<CityCode, usize>>);

impl CityOrder {
    /// By name, then by department.
    pub(super) fn alphabetical(cities: &[City], lang: Lang) -> Self {
        let mut sorted: Vec<_> = cities
            .iter()
            .map(|city| {
                let [name, department] =
                    [&city.name, &city.department].map(|text| sort_key(text, lang));
                (name, department, city.code)
            })
            .collect();
        sorted.sort();
        let ranks = sorted.into_iter().enumerate();
        Self(Arc::new(
            ranks.map(|(rank, (.., code))| (code, rank)).collect(),
        ))
    }

    /// The cities of `counts` in this order.
    #[must_use]
    pub fn sorted(&self, counts: &BTreeMap<CityCode, u64>) -> Vec<(CityCode, u64)> {
        let mut sorted: Vec<_> = counts.iter().map(|(&code, &count)| (code, count)).collect();
        sorted.sort_by_key(|&(code, _)| self.rank(code));
        sorted
    }

    /// Smaller for the earlier of two cities.
    #[must_use]
    pub fn rank(&self, code: CityCode) -> (usize, CityCode) {
        (self.0.get(&code).copied().unwrap_or(usize::MAX), code)
    }
}

/// What sorts as the language's dictionaries do: without regard to case, accents and punctuation; in Spanish ñ is a
/// letter between n and o.
fn sort_key(text: &str, lang: Lang) -> String {
    let mut key = String::with_capacity(text.len());
    for symbol in text.nfc().flat_map(char::to_lowercase) {
        match symbol {
            // `~` comes after every letter that may follow an n.
            'ñ' if lang == Lang::Es => key.push_str("n~"),
            _ if symbol.is_alphanumeric() || symbol == ' ' => {
                let plain = std::iter::once(symbol).nfd();
                key.extend(plain.filter(|&symbol| !is_combining_mark(symbol)));
            }
            _ => {}
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[&str], lang: Lang) -> Vec<String> {
        let cities: Vec<_> = names
            .iter()
            .zip(10_000..)
            .map(|(name, code)| City {
                code: format!("{code}").parse().expect("a code"),
                name: (*name).to_owned(),
                department: String::new(),
            })
            .collect();
        let counts = cities.iter().map(|city| (city.code, 1)).collect();
        let name_of = |(code, _)| {
            let city = cities.iter().find(|city| city.code == code);
            city.expect("is there").name.clone()
        };
        let order = CityOrder::alphabetical(&cities, lang);
        order.sorted(&counts).into_iter().map(name_of).collect()
    }

    #[test]
    fn cities_are_in_the_order_of_the_language() {
        let names = [
            "Zipaquirá",
            "Ñemerá",
            "Nunchía",
            "Obando",
            "Bogotá, D.C.",
            "abejorral",
            "Ábrego",
            "El Águila",
            "El Aguado",
            "Elías",
        ];
        let spanish = [
            "abejorral",
            "Ábrego",
            "Bogotá, D.C.",
            "El Aguado",
            "El Águila",
            "Elías",
            "Nunchía",
            "Ñemerá",
            "Obando",
            "Zipaquirá",
        ];
        assert_eq!(sorted(&names, Lang::Es), spanish);
        let english = ["Ñemerá", "Nunchía", "Obando"];
        assert_eq!(sorted(&names, Lang::En)[6..9], english);
    }

    #[test]
    fn cities_of_one_name_are_by_department_and_unknown_ones_last_by_code() {
        let city = |code: &str, department: &str| City {
            code: code.parse().expect("a code"),
            name: "La Unión".into(),
            department: department.into(),
        };
        let known = [city("05400", "Nariño"), city("52399", "Antioquia")];
        let codes = ["00002", "00001", "05400", "52399"];
        let codes = codes.map(|code| (code.parse().expect("a code"), 1));
        let order = CityOrder::alphabetical(&known, Lang::Es);
        let sorted = order.sorted(&codes.into());
        let sorted: Vec<_> = sorted.iter().map(|(code, _)| code.as_str()).collect();
        assert_eq!(sorted, ["52399", "05400", "00001", "00002"]);
    }
}
