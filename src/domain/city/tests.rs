//! The catalogue, and what people type against it.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::{search::fold, *};

static CITIES: LazyLock<Cities> = LazyLock::new(|| Cities::embedded().unwrap());

fn cities() -> &'static Cities {
    &CITIES
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

fn found(cities: &Cities, text: &str) -> String {
    cities
        .find(text)
        .map_or_else(|error| format!("{error:?}"), City::full_name)
}

fn offered(cities: &Cities, text: &str) -> Vec<String> {
    let choices = match cities.find(text) {
        Ok(city) => panic!("{text} is taken for {}", city.full_name()),
        Err(NoCity::Ambiguous(choices) | NoCity::Unknown(choices)) => choices,
    };
    choices.iter().map(City::full_name).collect()
}

#[test]
fn what_can_only_be_one_city_is_taken() {
    let cities = cities();
    for (text, city) in [
        ("Tolú", "Santiago de Tolú, Sucre"),
        ("tolu, sucre", "Santiago de Tolú, Sucre"),
        ("Mariquita", "San Sebastián de Mariquita, Tolima"),
        ("Ubaté", "Villa de San Diego de Ubaté, Cundinamarca"),
        (
            "ubate cundinamarca",
            "Villa de San Diego de Ubaté, Cundinamarca",
        ),
        ("Viboral", "El Carmen de Viboral, Antioquia"),
        ("carmen de viboral", "El Carmen de Viboral, Antioquia"),
        ("Sta. Marta", "Santa Marta, Magdalena"),
        ("S. Marta", "Santa Marta, Magdalena"),
        (
            "Cúcuta, N. de Santander",
            "San José de Cúcuta, Norte de Santander",
        ),
        ("Pamplona, Nte de Santander", "Pamplona, Norte de Santander"),
        ("cali, valle", "Cali, Valle del Cauca"),
        ("Cali (Valle)", "Cali, Valle del Cauca"),
        ("valle, cali", "Cali, Valle del Cauca"),
        ("Cali - Colombia", "Cali, Valle del Cauca"),
        ("municipio de Cali", "Cali, Valle del Cauca"),
        ("la victoria, valle", "La Victoria, Valle del Cauca"),
        ("facatativá, Cund.", "Facatativá, Cundinamarca"),
        ("tolu viejo", "San José de Toluviejo, Sucre"),
        ("pto berrio", "Puerto Berrío, Antioquia"),
        ("Quilichao", "Santander de Quilichao, Cauca"),
        ("argelia cauca", "Argelia, Cauca"),
        ("argelia valle", "Argelia, Valle del Cauca"),
        ("Dorada", "La Dorada, Caldas"),
        ("Colombia", "Colombia, Huila"),
        ("colombia huila", "Colombia, Huila"),
        ("Bogotá, D.C., Colombia", "Bogotá, D.C., Bogotá, D.C."),
        ("mede\u{ad}llin\u{200b}", "Medellín, Antioquia"),
        ("１１００１", "Bogotá, D.C., Bogotá, D.C."),
        // One typing error.
        ("Medelin", "Medellín, Antioquia"),
        ("Medellin, Antioqia", "Medellín, Antioquia"),
        ("Mdeellín", "Medellín, Antioquia"),
        ("Barranquila", "Barranquilla, Atlántico"),
        ("Bogta", "Bogotá, D.C., Bogotá, D.C."),
        ("caly, valle", "Cali, Valle del Cauca"),
        ("santamarta", "Santa Marta, Magdalena"),
        ("Maraquita", "San Sebastián de Mariquita, Tolima"),
    ] {
        assert_eq!(found(cities, text), city, "{text}");
    }
}

#[test]
fn what_may_be_another_city_is_offered() {
    let cities = cities();
    for (text, first) in [
        ("Sn. Andrés", "San Andrés, "),
        ("Carmen", "Carmen "),
        ("Rosario", "Altos del Rosario, Bolívar"),
        // A department is not the city that bears a word of it.
        ("Antioquia", "Santa Fé de Antioquia, Antioquia"),
        ("Antioqia", "Santa Fé de Antioquia, Antioquia"),
        ("Santander", "Santander de Quilichao, Cauca"),
        ("Norte de Santander", ""),
        ("Guaviare", "San José del Guaviare, Guaviare"),
        // Cut short, or spelled otherwise.
        ("barranca", "Barranca de Upía, Meta"),
        ("bucaraman", "Bucaramanga, Santander"),
        // By themselves these name nothing.
        ("ciudad", "Ciudad Bolívar, Antioquia"),
        ("puerto", "Puerto "),
        ("San", "San "),
        // Not in that department.
        ("cali, antioquia", "Cali, Valle del Cauca"),
        ("Bogotá, Cundinamarca", "Bogotá, D.C., Bogotá, D.C."),
        // A hamlet of it.
        ("vereda El Guayabo, Jamundí", "Jamundí, Valle del Cauca"),
        ("Medeyyn", "Medellín, Antioquia"),
    ] {
        let offered = offered(cities, text);
        let first_offered = offered.first().map_or("", String::as_str);
        assert!(first_offered.starts_with(first), "{text}: {offered:?}");
        assert!(offered.len() <= MAX_SUGGESTIONS);
    }
    assert_eq!(
        offered(cities, "Rosario").len(),
        3,
        "El Rosario is no more Rosario than Villa del Rosario"
    );
    for unknown in [
        "",
        "-",
        "\u{200b}",
        "xyzzy",
        &"a ".repeat(3000),
        &"medellin".repeat(3000),
    ] {
        assert_eq!(
            cities.find(unknown).unwrap_err(),
            NoCity::Unknown(Vec::new()),
            "{unknown:.20}"
        );
    }
}

#[test]
fn every_city_is_taken_or_offered_by_each_telling_word_of_its_name() {
    let cities = cities();
    let mut missed = Vec::new();
    for city in cities.iter() {
        let name = fold(&city.name);
        let words: Vec<_> = name.split(' ').collect();
        for word in &words {
            let bearers = cities
                .iter()
                .filter(|city| fold(&city.name).split(' ').any(|other| other == *word))
                .count();
            if word.len() < 4 || words.len() < 2 || bearers > MAX_SUGGESTIONS {
                continue;
            }
            // A name that is whole, another city's or an alias, comes first.
            let whole = cities.index.find(word).cities[0].0 <= Fit::Whole;
            let right = match cities.find(word) {
                Ok(taken) => taken == city || whole,
                Err(NoCity::Ambiguous(choices) | NoCity::Unknown(choices)) => {
                    choices.contains(city) || whole
                }
            };
            let searched = cities.search(word, 20).contains(&city);
            if !right || !searched {
                missed.push(format!(
                    "{word} of {}: {right} {searched}",
                    city.full_name()
                ));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn one_typing_error_never_names_another_city() {
    // Each name of the catalogue with a letter doubled: it is the same city, or a choice.
    let cities = cities();
    for city in cities.iter() {
        let name = fold(&city.name);
        if name.len() < 4 {
            continue;
        }
        let mistyped = format!("{}{name}, {}", &name[..1], city.department);
        match cities.find(&mistyped) {
            Ok(taken) => assert_eq!(taken, city, "{mistyped}"),
            Err(NoCity::Ambiguous(choices) | NoCity::Unknown(choices)) => {
                assert!(choices.contains(city), "{mistyped}: {choices:?}");
            }
        }
    }
}

#[test]
fn the_fingerprint_is_the_catalogues() {
    let other = "code,municipality,department,aliases\n05001,Medellín,Antioquia,\n";
    assert_eq!(cities().fingerprint(), cities().fingerprint());
    assert_ne!(
        cities().fingerprint(),
        Cities::parse(other).unwrap().fingerprint()
    );
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
}
