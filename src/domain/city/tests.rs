//! The catalogue, and what people type against it.

use proptest::prelude::*;

use super::*;

fn cities() -> Cities {
    Cities::embedded().unwrap()
}

#[test]
fn the_embedded_catalogue_is_whole() {
    assert_eq!(cities().iter().count(), 1121);
}

#[test]
fn finds_by_code_name_department_and_alias() {
    let cities = cities();
    for text in [
        "11001",
        " 11001 ",
        "Bogotá, D.C.",
        "bogota",
        "BOGOTÁ DC",
        "Santafé  de Bogotá",
    ] {
        assert_eq!(cities.find(text).unwrap().code.as_str(), "11001", "{text}");
    }
    assert_eq!(
        cities
            .find("la victoria, valle del cauca")
            .unwrap()
            .department,
        "Valle del Cauca"
    );
    assert_eq!(cities.find("Mompós").unwrap().code.as_str(), "13468");
}

#[test]
fn a_shared_name_is_answered_with_the_choices() {
    let Err(NoCity::Ambiguous(choices)) = cities().find("La Unión") else {
        panic!("La Unión must be ambiguous");
    };
    assert_eq!(choices.len(), 4);
    for choice in choices {
        assert_eq!(cities().find(&choice.full_name()).unwrap(), &choice);
    }
}

#[test]
fn an_unknown_name_is_answered_with_what_looks_alike() {
    let Err(NoCity::Unknown(choices)) = cities().find("Medelin") else {
        panic!("Medelin must be unknown");
    };
    assert_eq!(choices[0].name, "Medellín");
    assert!(choices.len() <= MAX_SUGGESTIONS);
    assert_eq!(cities().find("").unwrap_err(), NoCity::Unknown(Vec::new()));
}

#[test]
fn search_puts_names_that_start_so_first() {
    let cities = cities();
    let found = cities.search("cali", 20);
    assert_eq!(found[0].name, "Cali");
    assert!(cities.search("a", 7).len() == 7);
    assert!(cities.search("  ", 20).is_empty());
}

#[test]
fn a_bad_line_is_named() {
    for (text, message) in [
        (
            "code,municipality,department,aliases\n05001,Medellín,Antioquia,\n5,X,Y,\n",
            "line 3: a city code is five digits",
        ),
        (
            "code,municipality,department,aliases\n05001,Medellín,Antioquia,\n05001,X,Y,\n",
            "line 3: code 05001 stands twice",
        ),
        (
            "code,municipality,department,aliases\n\n05001,Medellín,Antioquia,\n\n5,X,Y,\n",
            "line 5: a city code is five digits",
        ),
        (
            "code,municipality,department,aliases\n05001,,Antioquia,\n",
            "line 2: the municipality is empty",
        ),
        (
            "code,municipality,department,aliases\n05001,X\n",
            "line 2: not of the form code,municipality,department,aliases",
        ),
        ("code,municipality,department,aliases\n", "holds no city"),
    ] {
        assert_eq!(Cities::parse(text).unwrap_err().to_string(), message);
    }
}

proptest! {
    #[test]
    fn a_full_name_is_found_however_it_is_written(index in 0..1121_usize, upper: bool, bare: bool) {
        let cities = cities();
        let city = &cities.all[index];
        let mut text = city.full_name();
        if bare {
            text = fold(&text);
        }
        if upper {
            text = text.to_uppercase();
        }
        prop_assert_eq!(cities.find(&text).unwrap(), city);
    }

    #[test]
    fn no_text_panics(text: String) {
        let cities = cities();
        let _ = cities.find(&text);
        prop_assert!(cities.search(&text, 20).len() <= 20);
    }

    #[test]
    fn folding_twice_changes_nothing(text: String) {
        let once = fold(&text);
        prop_assert_eq!(fold(&once), once);
    }
}
