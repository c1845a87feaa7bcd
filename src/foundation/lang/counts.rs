//! The sentences of the charts, which carry counts, shares and times.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::Lang;

/// What a bar of a chart stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noun {
    /// A city.
    City,
    /// A department.
    Department,
}

impl Lang {
    /// The line for the `n` cities or departments without a bar of their own, which have `count` of `all` people.
    #[must_use]
    pub fn rest(self, of: Noun, n: usize, count: u64, all: u64) -> String {
        let noun = match (self, of, n) {
            (Self::Es, Noun::City, 1) => "ciudad más",
            (Self::Es, Noun::City, _) => "ciudades más",
            (Self::Es, Noun::Department, 1) => "departamento más",
            (Self::Es, Noun::Department, _) => "departamentos más",
            (Self::En, Noun::City, 1) => "more city",
            (Self::En, Noun::City, _) => "more cities",
            (Self::En, Noun::Department, 1) => "more department",
            (Self::En, Noun::Department, _) => "more departments",
        };
        let (n, people) = (self.count(n as u64), self.count(count));
        format!("{n} {noun}: {people} ({})", self.share(count, all))
    }

    /// How much of `all` a count is, in whole per cent.
    #[must_use]
    pub fn share(self, count: u64, all: u64) -> String {
        let of_all = u128::from(count) * 100;
        let all = u128::from(all).max(1);
        // Half a per cent is rounded up, and what is not nothing is never 0 %, nor 100 % what is not all.
        let share = (of_all + all / 2) / all;
        let (word, share) = match share {
            0 if count > 0 => (["menos de ", "less than "], 1),
            share if share >= 100 && u128::from(count) < all => (["más de ", "more than "], 99),
            share => (["", ""], share),
        };
        match self {
            Self::Es => format!("{}{share} %", word[0]),
            Self::En => format!("{}{share}%", word[1]),
        }
    }

    /// The lines under a chart's title: how many people, and when they were counted.
    #[must_use]
    pub fn chart_subtitle(self, total: u64, as_of: Timestamp, zone: &TimeZone) -> Vec<String> {
        let t = self.texts();
        let (total, as_of) = (self.count(total), self.time(as_of, zone));
        vec![
            format!("{}: {total}", t.total),
            format!("{} {as_of}", t.as_of),
        ]
    }

    /// The lines under the title of the chart of days: how many registered on the last of them, and in all of them.
    #[must_use]
    pub fn days_subtitle(
        self,
        today: u64,
        all: u64,
        at: Timestamp,
        zone: &TimeZone,
    ) -> Vec<String> {
        let t = self.texts();
        let (today, all, at) = (self.count(today), self.count(all), self.time(at, zone));
        vec![
            format!("{}: {today}", t.today),
            format!("{}: {all}", t.total),
            format!("{} {at}", t.as_of),
        ]
    }

    /// How many of the cities that were found a list shows, and how many people they all have.
    #[must_use]
    pub fn shown(self, shown: usize, found: usize, people: u64) -> String {
        let (shown, found) = (self.count(shown as u64), self.count(found as u64));
        let (of, noun) = match self {
            Self::Es => ("de", "ciudades con registros"),
            Self::En => ("of", "cities with registrations"),
        };
        let cities = if shown == found {
            found
        } else {
            format!("{shown} {of} {found}")
        };
        format!("{cities} {noun}, {}.", self.people(people))
    }

    /// A day without its year.
    #[must_use]
    pub fn day(self, day: Date) -> String {
        day.strftime(self.texts().day_format).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_told_with_its_share() {
        for (of, n, count, all, es, en) in [
            (
                Noun::City,
                1,
                5,
                50,
                "1 ciudad más: 5 (10 %)",
                "1 more city: 5 (10%)",
            ),
            (
                Noun::City,
                1_101,
                20_503,
                36_612,
                "1.101 ciudades más: 20.503 (56 %)",
                "1,101 more cities: 20,503 (56%)",
            ),
            (
                Noun::Department,
                1,
                1,
                1_000,
                "1 departamento más: 1 (menos de 1 %)",
                "1 more department: 1 (less than 1%)",
            ),
            (
                Noun::Department,
                2,
                999,
                1_000,
                "2 departamentos más: 999 (más de 99 %)",
                "2 more departments: 999 (more than 99%)",
            ),
        ] {
            assert_eq!(Lang::Es.rest(of, n, count, all), es);
            assert_eq!(Lang::En.rest(of, n, count, all), en);
        }
        for (count, all, share) in [
            (0, 0, "0 %"),
            (0, 9, "0 %"),
            (9, 9, "100 %"),
            (1, 200, "1 %"),
            (u64::MAX, u64::MAX, "100 %"),
        ] {
            assert_eq!(Lang::Es.share(count, all), share);
        }
    }

    #[test]
    fn a_list_says_of_how_many_it_is_the_beginning() {
        let all = Lang::Es.shown(3, 3, 1_000);
        assert_eq!(all, "3 ciudades con registros, 1.000 personas registradas.");
        let some = Lang::En.shown(50, 1_121, 20_000);
        assert_eq!(
            some,
            "50 of 1,121 cities with registrations, 20,000 people registered."
        );
    }

    #[test]
    fn the_subtitle_tells_the_total_and_its_time() {
        let as_of = "2026-11-21T11:30:00Z".parse().unwrap();
        let bogota = TimeZone::fixed(jiff::tz::offset(-5));
        assert_eq!(
            Lang::Es.chart_subtitle(1_234, as_of, &bogota),
            ["Total: 1.234", "Datos al 21/11/2026, 06:30"]
        );
        assert_eq!(
            Lang::En.days_subtitle(2, 1_234, as_of, &bogota),
            ["Today: 2", "Total: 1,234", "As of 2026-11-21, 06:30"]
        );
        assert_eq!(Lang::Es.day(jiff::civil::date(2026, 11, 2)), "02/11");
        assert_eq!(Lang::En.day(jiff::civil::date(2026, 11, 2)), "11-02");
    }
}
