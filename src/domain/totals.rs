//! How many people each city has, as counted by reports: what the chart shows.
//!
//! Pure: [`Totals::merge`] decides what a finished report changes. Each count carries the sequence number of the
//! snapshot that it was read from, so that a slow report never overwrites what a later one saw, on whichever replica
//! and in whichever order the two end. Timestamps are for people to read: no clock decides which snapshot is later.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::city::{CityCode, DepartmentCode};

/// What one snapshot of the store counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Sequence number of the snapshot, given by the store: the higher is the later. Snapshots between which nothing
    /// was written may share one.
    pub sequence: u64,
    /// When the snapshot was taken.
    pub as_of: Timestamp,
    /// The only city that was counted; `None` when all were, so that absence means zero.
    pub city: Option<CityCode>,
    /// Registrations per city.
    pub counts: BTreeMap<CityCode, u64>,
}

/// The count of one city.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CityCount {
    /// Registrations.
    pub count: u64,
    /// Sequence number of the snapshot that counted them.
    pub sequence: u64,
    /// When that was taken.
    pub as_of: Timestamp,
}

/// What the chart shows, the same on every replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Grows by one with every change that is saved; 1 is the first.
    pub version: u64,
    /// Every city ever counted; one that was erased since stays, with a count of zero.
    pub cities: BTreeMap<CityCode, CityCount>,
    /// Sequence number of the latest snapshot in it.
    pub sequence: u64,
    /// When that was taken.
    pub as_of: Timestamp,
}

impl Totals {
    /// The first totals, from a count of every city.
    #[must_use]
    pub fn first(counted: &Counted) -> Self {
        let nothing = Self {
            version: 0,
            cities: BTreeMap::new(),
            sequence: 0,
            as_of: counted.as_of,
        };
        nothing.merge(counted)
    }

    /// Merges a count into the next version: of each city that was counted, the count of the later snapshot stays.
    #[must_use]
    pub fn merge(&self, counted: &Counted) -> Self {
        let mut next = self.clone();
        next.version += 1;
        if self.sequence <= counted.sequence {
            next.sequence = counted.sequence;
            next.as_of = counted.as_of;
        }
        let absent = counted
            .city
            .map_or_else(|| self.cities.keys().copied().collect(), |city| vec![city]);
        let zeros = absent.into_iter().map(|city| (city, 0));
        let counts: BTreeMap<_, _> = zeros
            .chain(counted.counts.iter().map(|(&city, &count)| (city, count)))
            .collect();
        for (city, count) in counts {
            let newer = CityCount {
                count,
                sequence: counted.sequence,
                as_of: counted.as_of,
            };
            next.cities
                .entry(city)
                .and_modify(|known| {
                    if known.sequence <= newer.sequence {
                        *known = newer;
                    }
                })
                .or_insert(newer);
        }
        next
    }

    /// Registrations in all cities.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.cities.values().map(|city| city.count).sum()
    }

    /// When every city was counted last: the time of the oldest count in it, `None` when there is none.
    #[must_use]
    pub fn complete_as_of(&self) -> Option<Timestamp> {
        self.cities.values().map(|city| city.as_of).min()
    }

    /// Cities with at least one registration, largest first, equal ones in order of code.
    #[must_use]
    pub fn largest_first(&self) -> Vec<(CityCode, u64)> {
        largest_first(self.cities.iter().map(|(&code, city)| (code, city.count)))
    }

    /// Those of one department.
    #[must_use]
    pub fn largest_of(&self, department: DepartmentCode) -> Vec<(CityCode, u64)> {
        let mut cities = self.largest_first();
        cities.retain(|(code, _)| code.department() == department);
        cities
    }

    /// Departments with at least one registration, as [`Totals::largest_first`] has the cities.
    #[must_use]
    pub fn departments(&self) -> Vec<(DepartmentCode, u64)> {
        let mut sums = BTreeMap::<_, u64>::new();
        for (code, city) in &self.cities {
            *sums.entry(code.department()).or_default() += city.count;
        }
        largest_first(sums.into_iter())
    }
}

fn largest_first<C: Copy + Ord>(counts: impl Iterator<Item = (C, u64)>) -> Vec<(C, u64)> {
    let mut counts: Vec<_> = counts.filter(|&(_, count)| count > 0).collect();
    counts.sort_by_key(|&(code, count)| (std::cmp::Reverse(count), code));
    counts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(number: u8) -> CityCode {
        format!("{number:05}").parse().unwrap()
    }

    /// Of the `sequence`th snapshot, which was taken so many seconds after the epoch.
    fn counted(sequence: u32, city: Option<u8>, counts: &[(u8, u64)]) -> Counted {
        Counted {
            sequence: sequence.into(),
            as_of: Timestamp::from_second(sequence.into()).unwrap(),
            city: city.map(code),
            counts: counts
                .iter()
                .map(|&(city, count)| (code(city), count))
                .collect(),
        }
    }

    #[test]
    fn a_report_of_one_city_moves_that_city_only() {
        let totals = Totals::first(&counted(10, None, &[(1, 5), (2, 7)]));
        let next = totals.merge(&counted(20, Some(1), &[(1, 6)]));
        assert_eq!(next.largest_first(), [(code(2), 7), (code(1), 6)]);
        assert_eq!((next.version, next.total()), (2, 13));
    }

    #[test]
    fn a_department_has_the_sum_of_its_cities() {
        let counts = [
            ("05001", 3),
            ("05002", 4),
            ("11001", 6),
            ("76001", 7),
            ("91001", 0),
        ];
        let counts = counts.map(|(code, count)| (code.parse().unwrap(), count));
        let totals = Totals::first(&Counted {
            counts: counts.into(),
            ..counted(1, None, &[])
        });
        let departments = totals.departments();
        let named: Vec<_> = departments
            .iter()
            .map(|(code, n)| (code.as_str(), *n))
            .collect();
        assert_eq!(named, [("05", 7), ("76", 7), ("11", 6)]);
        for (code, sum) in departments {
            let cities = totals.largest_of(code);
            assert_eq!(cities.iter().map(|(_, count)| count).sum::<u64>(), sum);
            assert!(cities.iter().all(|(city, _)| city.department() == code));
            assert!(cities.is_sorted_by_key(|&(_, count)| std::cmp::Reverse(count)));
        }
    }

    #[test]
    fn a_city_that_a_report_no_longer_finds_falls_to_zero() {
        let totals = Totals::first(&counted(10, None, &[(1, 5), (2, 7)]));
        let next = totals.merge(&counted(20, None, &[(2, 7)]));
        assert_eq!(next.largest_first(), [(code(2), 7)]);
        let next = totals.merge(&counted(20, Some(1), &[]));
        assert_eq!(next.largest_first(), [(code(2), 7)]);
    }

    #[test]
    fn a_report_of_one_city_is_no_count_of_every_city() {
        let second = |second| Timestamp::from_second(second).ok();
        assert_eq!(
            Totals::first(&counted(10, None, &[])).complete_as_of(),
            None
        );
        let totals = Totals::first(&counted(10, None, &[(1, 5), (2, 7)]));
        let one = totals.merge(&counted(20, Some(1), &[(1, 6)]));
        assert_eq!(
            (one.complete_as_of(), Some(one.as_of)),
            (second(10), second(20))
        );
        let all = one.merge(&counted(30, None, &[(1, 6), (2, 8)]));
        assert_eq!(all.complete_as_of(), second(30));
    }

    #[test]
    fn a_slow_report_does_not_overwrite_a_later_one() {
        let totals = Totals::first(&counted(10, None, &[(1, 5)]));
        let later = totals.merge(&counted(30, Some(1), &[(1, 9)]));
        let slow = later.merge(&counted(20, None, &[(1, 6), (2, 1)]));
        assert_eq!(slow.largest_first(), [(code(1), 9), (code(2), 1)]);
        assert_eq!(slow.as_of, Timestamp::from_second(30).unwrap());
    }

    #[test]
    fn a_clock_that_was_ahead_freezes_nothing() {
        let tomorrow = Counted {
            as_of: Timestamp::from_second(86_400).unwrap(),
            ..counted(10, None, &[(1, 5), (2, 7)])
        };
        let next = Totals::first(&tomorrow).merge(&counted(11, None, &[(1, 6), (2, 8)]));
        assert_eq!(next.largest_first(), [(code(2), 8), (code(1), 6)]);
        assert_eq!(next.as_of, Timestamp::from_second(11).unwrap());
        // Nothing was written in between.
        let same = Totals::first(&tomorrow).merge(&counted(10, None, &[(1, 5), (2, 7)]));
        assert_eq!(same.as_of, Timestamp::from_second(10).unwrap());
    }

    proptest! {
        #[test]
        fn reports_may_end_in_any_order(
            reports in prop::collection::vec(
                (prop::option::of(0..3_u8), prop::collection::vec(0..9_u64, 3)), 1..6,
            ),
            order in any::<prop::sample::Index>(),
        ) {
            let reports: Vec<_> = reports
                .into_iter()
                .enumerate()
                .map(|(second, (city, counts))| {
                    let counts: Vec<_> = (0..3_u8)
                        .zip(counts)
                        .filter(|&(number, _)| city.is_none_or(|only| only == number))
                        .collect();
                    counted(u32::try_from(second).unwrap() + 2, city, &counts)
                })
                .collect();
            let start = Totals::first(&counted(1, None, &[]));
            let in_order = reports.iter().fold(start.clone(), |totals, one| totals.merge(one));
            let mut turned = reports.clone();
            turned.rotate_left(order.index(reports.len()));
            turned.reverse();
            let other_order = turned.iter().fold(start, |totals, one| totals.merge(one));
            prop_assert_eq!(in_order, other_order);
        }
    }
}
