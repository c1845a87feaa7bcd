//! The dashboard: what is listed, in which order, and which pictures fit which screen.

use askama::Template;
use axum::response::Response;
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    ASSETS, page,
    views::{CityChoice, Page},
};
use crate::{
    app::live::Tally,
    domain::{
        city::{Cities, City, CityCode, Department},
        totals::Totals,
    },
    foundation::lang::Lang,
    http::state::AppState,
};

/// Lines of the list at first.
const LINES: usize = 50;

/// The order of the list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Order {
    /// Most people first.
    Count,
    /// By name.
    Name,
}

/// What of the totals is listed, and drawn.
pub(in crate::http) struct Listing {
    /// Only cities whose name, department or code holds this.
    pub(in crate::http) q: String,
    /// Only cities of this department.
    pub(in crate::http) department: Option<Department>,
    pub(in crate::http) order: Order,
    /// Whether all are listed, and not only the first [`LINES`].
    pub(in crate::http) all: bool,
    /// Whether the chart has a bar for each department.
    pub(in crate::http) by_department: bool,
}

impl Listing {
    /// The dashboard's address with this list, but for one parameter.
    fn address(&self, lang: Lang, key: &str, value: &str) -> String {
        let order = match self.order {
            Order::Count => "",
            Order::Name => "name",
        };
        let department = self.department.as_ref();
        let known = [
            ("q", self.q.as_str()),
            ("department", department.map_or("", |one| one.code.as_str())),
            ("sort", order),
            ("by", if self.by_department { "department" } else { "" }),
            ("all", if self.all { "1" } else { "" }),
        ];
        let mut address = format!("/staff?lang={}", lang.code());
        for (name, known) in known {
            let value = if name == key { value } else { known };
            if !value.is_empty() {
                address.extend(["&", name, "="]);
                address.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
            }
        }
        address
    }
}

/// One line of the list.
#[derive(Debug)]
pub(super) struct Line {
    code: CityCode,
    /// Its short name: on a narrow screen the department has no column of its own.
    label: String,
    department: String,
    count: u64,
}

/// The live counts.
#[derive(Debug)]
pub(super) struct Now {
    today: u64,
    total: u64,
    /// Hour, minute and second.
    at: String,
    at_rfc3339: String,
}

/// A department to choose.
#[derive(Debug)]
pub(super) struct DepartmentChoice {
    code: String,
    name: String,
    count: u64,
    chosen: bool,
}

/// A picture in the size and the colours that fit a screen.
#[derive(Debug)]
pub(super) struct Source {
    media: &'static str,
    url: String,
    width: u32,
    height: u32,
}

/// Pictures for screens from narrow to wide, each of them dark and light; the last fits whatever is left.
#[derive(Debug)]
pub(super) struct Picture {
    sources: Vec<Source>,
    last: Source,
}

/// Widths and the media that they are for: none is shown at less than 0.85 of its size, so that its letters keep eleven
/// pixels.
const SCREENS: [(u32, &str, &str); 3] = [
    (
        320,
        "(max-width: 36rem) and (prefers-color-scheme: dark)",
        "(max-width: 36rem)",
    ),
    (
        640,
        "(max-width: 60rem) and (prefers-color-scheme: dark)",
        "(max-width: 60rem)",
    ),
    (1000, "(prefers-color-scheme: dark)", ""),
];

impl Picture {
    /// Pictures of `what`, so many pixels high at the three widths.
    fn of(what: &str, heights: [u32; 3], lang: Lang) -> Self {
        let mut sources: Vec<_> = SCREENS
            .into_iter()
            .zip(heights)
            .flat_map(|((width, dark, light), height)| {
                [(dark, "&theme=dark"), (light, "")].map(|(media, theme)| Source {
                    media,
                    url: format!(
                        "/chart.svg?lang={}{what}&width={width}&height={height}{theme}",
                        lang.code()
                    ),
                    width,
                    height,
                })
            })
            .collect();
        let last = sources.remove(sources.len() - 1);
        Self { sources, last }
    }
}

/// The staff dashboard.
#[derive(Debug, Template)]
#[template(path = "staff.html")]
pub(super) struct StaffPage<'a> {
    page: Page<'a>,
    /// What is so now, if it could be counted.
    now: Option<Now>,
    /// When the latest report counted: as [`Lang::time`] writes it, and in RFC 3339.
    as_of: &'a str,
    as_of_rfc3339: &'a str,
    /// What it counted.
    total: u64,
    /// The lines that are shown, and of how many with how many people they are the first.
    lines: &'a [Line],
    found: usize,
    found_people: u64,
    /// Where all of them are, if some are not shown.
    more: Option<String>,
    q: &'a str,
    by_name: bool,
    order_by_name: String,
    order_by_count: String,
    by_department: bool,
    by_city_address: String,
    by_department_address: String,
    departments: Vec<DepartmentChoice>,
    department_name: Option<&'a str>,
    /// The cities that a report can be limited to.
    cities: &'a [CityChoice<'a>],
    chart: Picture,
    days: Picture,
    /// The beginning of what the latest report of all cities has not, in RFC 3339 and as people read it.
    since: Option<(String, String)>,
    /// The report that is downloaded as the page opens.
    download: Option<&'a str>,
    /// The parameters that the language switch keeps, escaped for an address.
    kept: String,
}

/// The dashboard.
pub(in crate::http) fn dashboard(
    app: &AppState,
    totals: &Totals,
    tally: Option<&Tally>,
    listing: &Listing,
    download: Option<&str>,
    lang: Lang,
) -> Response {
    let found = lines(&app.cities, totals, listing, lang);
    let shown = if listing.all {
        found.len()
    } else {
        found.len().min(LINES)
    };
    let order = app.cities.alphabetical(lang);
    let mut choices: Vec<_> = app
        .cities
        .iter()
        .map(|city| (city.full_name(), city))
        .collect();
    choices.sort_unstable_by_key(|(_, city)| order.rank(city.code));
    let cities: Vec<_> = choices
        .iter()
        .map(|(label, city)| CityChoice {
            code: city.code.as_str(),
            label,
        })
        .collect();
    let what = match (&listing.department, listing.by_department) {
        (_, true) => "&by=department".to_owned(),
        (Some(department), _) => format!("&department={}", department.code),
        (None, _) => "&top=10".to_owned(),
    };
    let heights = match (listing.by_department, &listing.department) {
        (false, None) => [400, 400, 400],
        _ => [600, 600, 600],
    };
    let address = |key, value| listing.address(lang, key, value);
    let kept = address("", "");
    let kept = kept.split_once('&').map_or("", |(_, kept)| kept);
    page(&StaffPage {
        page: Page::new(lang, "/staff", &ASSETS),
        now: tally.map(|tally| Now {
            today: tally.today(),
            total: tally.total,
            at: tally
                .at
                .to_zoned(app.time_zone.clone())
                .strftime("%H:%M:%S")
                .to_string(),
            at_rfc3339: tally.at.to_string(),
        }),
        as_of: &lang.time(totals.as_of, &app.time_zone),
        as_of_rfc3339: &totals.as_of.to_string(),
        total: totals.total(),
        lines: &found[..shown],
        found: found.len(),
        found_people: found.iter().map(|line| line.count).sum(),
        more: (shown < found.len()).then(|| address("all", "1")),
        q: &listing.q,
        by_name: listing.order == Order::Name,
        order_by_name: address("sort", "name"),
        order_by_count: address("sort", ""),
        by_department: listing.by_department,
        by_city_address: address("by", ""),
        by_department_address: address("by", "department"),
        departments: departments(&app.cities, totals, listing),
        department_name: listing.department.as_ref().map(|one| one.name.as_str()),
        cities: &cities,
        since: totals
            .complete_as_of()
            .and_then(|as_of| since(as_of, app, lang)),
        chart: Picture::of(&what, heights, lang),
        days: Picture::of("&by=day", [240; 3], lang),
        download,
        kept: match kept {
            "" => String::new(),
            kept => format!("&{kept}"),
        },
    })
}

/// From when on people are in the next report who may not be in the one of `as_of`: a minute before, because an id is drawn
/// before its record is committed. Twice is better than never.
fn since(as_of: Timestamp, app: &AppState, lang: Lang) -> Option<(String, String)> {
    let minute = as_of.as_second().div_euclid(60) - 1;
    let since = Timestamp::from_second(minute * 60).ok()?;
    Some((since.to_string(), lang.time(since, &app.time_zone)))
}

/// The cities that are found, in order.
fn lines(cities: &Cities, totals: &Totals, listing: &Listing, lang: Lang) -> Vec<Line> {
    let counted = match &listing.department {
        Some(department) => totals.largest_of(department.code),
        None => totals.largest_first(),
    };
    let wanted = Cities::folded(&listing.q);
    let mut found: Vec<Line> = counted
        .into_iter()
        .filter_map(|(code, count)| {
            let City {
                name, department, ..
            } = cities.named(code);
            let text = Cities::folded(&format!("{name} {department} {code}"));
            text.contains(&wanted).then_some(Line {
                code,
                label: cities.short_name(code),
                department,
                count,
            })
        })
        .collect();
    if listing.order == Order::Name {
        let order = cities.alphabetical(lang);
        found.sort_unstable_by_key(|line| order.rank(line.code));
    }
    found
}

fn departments(cities: &Cities, totals: &Totals, listing: &Listing) -> Vec<DepartmentChoice> {
    let counted = totals.departments();
    let all = cities.departments().into_iter();
    all.map(|Department { code, name }| DepartmentChoice {
        count: counted
            .iter()
            .find(|one| one.0 == code)
            .map_or(0, |one| one.1),
        chosen: listing
            .department
            .as_ref()
            .is_some_and(|one| one.code == code),
        code: code.to_string(),
        name,
    })
    .collect()
}

/// Whether it is the address of a report of this origin.
pub(in crate::http) fn is_report(address: &str) -> bool {
    ["/report.xlsx", "/report.csv"].iter().any(|report| {
        let rest = address.strip_prefix(report);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('?'))
    }) && !address.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_report_of_this_origin_starts_by_itself() {
        for address in ["/report.xlsx", "/report.csv?city=11001&lang=es"] {
            assert!(is_report(address), "{address}");
        }
        for address in [
            "",
            "/",
            "/staff",
            "/report.xlsxx",
            "/report.pdf",
            "//evil.example/report.xlsx",
            "https://evil.example/report.csv",
            "/report.csv\r\nx",
            "/report.csv/..",
        ] {
            assert!(!is_report(address), "{address}");
        }
    }
}
