//! Which tabs the workbook has: one or more for each city, with names every spreadsheet program takes.
//!
//! `report` plans the tabs from the counts of its snapshot before the first row is read. Never sees a registration.

use std::collections::{HashMap, HashSet};

use crate::domain::city::City;

/// Registrations on one tab: a sheet has 1,048,576 rows and the first is the header.
pub(super) const MAX_ROWS: u64 = 1_048_575;

/// Longest name of a tab, in UTF-16 code units.
const MAX_NAME: usize = 31;

/// Names that Excel keeps for itself, in the languages of padron.
const RESERVED: [&str; 4] = ["History", "Historial", "Summary", "Resumen"];

/// One city tab, in the order of the workbook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tab {
    /// Safe and unique in the workbook.
    pub name: String,
    /// Index of its city.
    pub city: usize,
    /// Whether the city ends here, with its total row.
    pub last: bool,
}

/// The tabs of `cities`, each given with its rows, with up to `max_rows` (≥ 1, [`MAX_ROWS`] outside tests)
/// registrations on each, besides a tab named `summary`.
///
/// A city has `rows / max_rows + 1` tabs, so its last one always has room for the total row: a city that fills a tab
/// to its last row has its total, alone, on the next.
#[must_use]
pub(super) fn plan(cities: &[(City, u64)], max_rows: u64, summary: &str) -> Vec<Tab> {
    let mut shared: HashMap<String, u32> = HashMap::new();
    for (city, _) in cities {
        *shared.entry(fold(&city.name)).or_default() += 1;
    }
    let mut taken: HashSet<String> = RESERVED
        .iter()
        .chain([&summary])
        .map(|name| fold(name))
        .collect();
    let mut tabs = Vec::with_capacity(cities.len());
    for (index, (city, rows)) in cities.iter().enumerate() {
        let alone = shared.get(&fold(&city.name)) == Some(&1);
        let label = if alone {
            clean(&city.name)
        } else {
            clean(&format!("{}, {}", city.name, city.department))
        };
        let count = rows / max_rows + 1;
        for number in 1..=count {
            let part = if number == 1 {
                String::new()
            } else {
                format!(" ({number})")
            };
            tabs.push(Tab {
                name: claim(&mut taken, &label, &part),
                city: index,
                last: number == count,
            });
        }
    }
    tabs
}

/// The first free of `label part`, `label part #2`, `label part #3`…
fn claim(taken: &mut HashSet<String>, label: &str, part: &str) -> String {
    let mut name = fit(label, part);
    let mut attempt = 2;
    while !taken.insert(fold(&name)) {
        name = fit(label, &format!("{part} #{attempt}"));
        attempt += 1;
    }
    name
}

/// `label` and `suffix`, the label truncated to what a name may hold.
fn fit(label: &str, suffix: &str) -> String {
    let mut room = MAX_NAME.saturating_sub(suffix.encode_utf16().count());
    let start: String = label
        .chars()
        .take_while(|symbol| match room.checked_sub(symbol.len_utf16()) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        })
        .collect();
    format!("{}{suffix}", start.trim_end_matches(is_edge))
}

/// Sanitises a name: without what a tab's name may not hold; `-` when nothing is left.
fn clean(name: &str) -> String {
    let safe = name
        .replace(
            ['[', ']', ':', '*', '?', '/', '\\', '\u{FFFE}', '\u{FFFF}'],
            "-",
        )
        .replace(char::is_control, " ");
    let safe = safe.trim_matches(is_edge);
    if safe.is_empty() {
        "-".to_owned()
    } else {
        safe.to_owned()
    }
}

fn is_edge(symbol: char) -> bool {
    symbol == '\'' || symbol.is_whitespace()
}

/// Case folding: equal for names that differ in case only, by any program's rule.
fn fold(name: &str) -> String {
    name.to_lowercase().to_uppercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn city(name: &str, department: &str, rows: u64) -> (City, u64) {
        let city = City {
            code: "11001".parse().expect("a code"),
            name: name.to_owned(),
            department: department.to_owned(),
        };
        (city, rows)
    }

    fn names(cities: &[(City, u64)]) -> Vec<String> {
        plan(cities, 10, "Portada")
            .into_iter()
            .map(|tab| tab.name)
            .collect()
    }

    #[test]
    fn shared_names_take_their_department() {
        let cities = [
            city("La Victoria", "Boyacá", 0),
            city("Cali", "Valle del Cauca", 0),
            city("LA VICTORIA", "Amazonas", 0),
            city("La Victoria", "Valle del Cauca del Pacífico", 0),
            city("La Victoria", "Valle del Cauca del Palmar", 0),
        ];
        let expected = [
            "La Victoria, Boyacá",
            "Cali",
            "LA VICTORIA, Amazonas",
            "La Victoria, Valle del Cauca de",
            "La Victoria, Valle del Cauca #2",
        ];
        assert_eq!(names(&cities), expected);
    }

    #[test]
    fn the_last_tab_has_room_for_the_total() {
        let tabs = |rows| {
            plan(&[city("Cali", "", rows)], 10, "Portada")
                .into_iter()
                .map(|tab| (tab.name, tab.last))
                .collect::<Vec<_>>()
        };
        let one = vec![("Cali".to_owned(), true)];
        let two = vec![("Cali".to_owned(), false), ("Cali (2)".to_owned(), true)];
        assert_eq!([tabs(0), tabs(9)], [one.clone(), one]);
        assert_eq!(
            [tabs(10), tabs(11), tabs(19)],
            [two.clone(), two.clone(), two]
        );
        assert_eq!(tabs(20).len(), 3);
    }

    #[test]
    fn unsafe_names_are_mended() {
        let cities = [
            "'a/b'",
            "History",
            "portada",
            "",
            " ' ",
            "Cali (2)",
            "\u{1F489}\u{1F489}\u{1F489}\u{1F489}\u{1F489}\u{1F489}\u{1F489}\u{1F489}\u{1F489}\u{1F489}\u{1F489}\u{1F489}\u{1F489}\u{1F489}\u{1F489}\u{1F489}",
        ];
        let mut cities: Vec<_> = cities.into_iter().map(|name| city(name, "D", 0)).collect();
        cities.push(city("Cali", "D", 10));
        let emoji = "\u{1F489}".repeat(15);
        assert_eq!(
            names(&cities),
            [
                "a-b",
                "History #2",
                "portada #2",
                "-",
                "- #2",
                "Cali (2)",
                &emoji,
                "Cali",
                "Cali (2) #2"
            ]
        );
    }

    proptest! {
        #[test]
        fn names_are_safe_and_unique(names in prop::collection::vec((prop_oneof!["\\PC{0,40}", "[a-cA-C' /]{0,3}", any::<String>()], "[a-c]{0,2}", 0_u64..40), 0..40)) {
            let cities: Vec<_> = names.iter().map(|(name, department, rows)| city(name, department, *rows)).collect();
            let tabs = plan(&cities, 10, "Portada");
            let mut seen = HashSet::from(["portada".to_owned(), "history".to_owned()]);
            for tab in &tabs {
                prop_assert!((1..=31).contains(&tab.name.encode_utf16().count()), "{:?}", tab.name);
                prop_assert!(!tab.name.contains(['[', ']', ':', '*', '?', '/', '\\']) && !tab.name.contains(char::is_control));
                prop_assert!(!tab.name.starts_with('\'') && !tab.name.ends_with('\'') && !tab.name.trim().is_empty());
                prop_assert!(seen.insert(tab.name.to_lowercase()), "{:?} twice", tab.name);
            }
            prop_assert_eq!(tabs.iter().filter(|tab| tab.last).count(), cities.len());
            // The library's own check of names, as a second opinion.
            for tab in tabs {
                prop_assert!(rust_xlsxwriter::Worksheet::new().set_name(tab.name).is_ok());
            }
        }
    }
}
