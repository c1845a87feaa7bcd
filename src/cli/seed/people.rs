//! Made-up people: names and cities as they are spread over Colombia.

use anyhow::{Context as _, anyhow};

use crate::{
    domain::city::{Cities, City},
    domain::photo::Photo,
    domain::registration::{DocumentNumber, Email, NewRegistration, Person, PersonName},
    foundation::seal::random,
};

const GIVEN_NAMES: &str = include_str!("../../../fixtures/given-names.txt");
const SURNAMES: &str = include_str!("../../../fixtures/surnames.txt");
/// Thousands of inhabitants of the largest cities, rounded; every other city weighs one [`SMALL`].
const WEIGHTS: &str = include_str!("../../../fixtures/city-weights.csv");
const SMALL: u64 = 20;

/// Where people are drawn from.
pub(super) struct People<'a> {
    given_names: Vec<&'static str>,
    surnames: Vec<&'static str>,
    /// Each city with the cumulative sum of the weights up to it.
    cities: Vec<(u64, &'a City)>,
}

impl<'a> People<'a> {
    pub(super) fn new(cities: &'a Cities) -> anyhow::Result<Self> {
        let mut weights = std::collections::HashMap::new();
        for line in WEIGHTS.lines().skip(1) {
            let (code, weight) = line.split_once(',').context("a weight is code,weight")?;
            weights.insert(code, weight.parse::<u64>()?);
        }
        let mut sum = 0;
        let cities = cities.iter().map(|city| {
            sum += weights.get(city.code.as_str()).copied().unwrap_or(SMALL);
            (sum, city)
        });
        Ok(Self {
            given_names: GIVEN_NAMES.lines().collect(),
            surnames: SURNAMES.lines().collect(),
            cities: cities.collect(),
        })
    }

    /// Somebody. Nine in ten give a document number, one in four an e-mail address.
    pub(super) fn draw(&self, photo: Option<Photo>) -> anyhow::Result<NewRegistration> {
        let name = format!(
            "{} {} {}",
            pick(&self.given_names),
            pick(&self.surnames),
            pick(&self.surnames)
        );
        let number = (below(10) > 0).then(|| (1_000_000 + below(1_999_000_000)).to_string());
        let email = (below(4) == 0).then(|| format!("persona{}@example.com", below(1 << 40)));
        let fault = |fault| anyhow!("a made-up person is refused: {fault:?}");
        let (sum, _) = self.cities.last().context("the catalogue is empty")?;
        let drawn = below(*sum);
        let city = self.cities.partition_point(|(sum, _)| *sum <= drawn);
        Ok(NewRegistration {
            person: Person {
                name: PersonName::parse(&name).map_err(fault)?,
                document_number: number
                    .map(|number| DocumentNumber::parse(&number))
                    .transpose()
                    .map_err(fault)?,
                email: email
                    .map(|email| Email::parse(&email))
                    .transpose()
                    .map_err(fault)?,
                notice: None,
            },
            city: self.cities[city].1.clone(),
            photo,
            idempotency_key: None,
        })
    }
}

fn pick(from: &[&'static str]) -> &'static str {
    let index = below(from.len() as u64);
    from[usize::try_from(index).unwrap_or_default()]
}

/// A random number below `bound`; the modulo bias does not matter for made-up people.
fn below(bound: u64) -> u64 {
    u64::from_le_bytes(random()) % bound
}
