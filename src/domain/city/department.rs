//! Departments: the level above the cities, told by the first two digits of a city's code.

use std::{fmt, str::FromStr};

use super::{Cities, City, CityCode, search::fold};

/// DANE code of a department: two digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DepartmentCode([u8; 2]);

impl DepartmentCode {
    /// The two digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for DepartmentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for DepartmentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A department code is two ASCII digits.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a department code is two digits")]
pub struct NotADepartmentCode;

impl FromStr for DepartmentCode {
    type Err = NotADepartmentCode;

    fn from_str(text: &str) -> Result<Self, NotADepartmentCode> {
        match <[u8; 2]>::try_from(text.as_bytes()) {
            Ok(digits) if digits.iter().all(u8::is_ascii_digit) => Ok(Self(digits)),
            _ => Err(NotADepartmentCode),
        }
    }
}

impl CityCode {
    /// The department that the city lies in.
    #[must_use]
    pub fn department(self) -> DepartmentCode {
        let [first, second, ..] = self.0;
        DepartmentCode([first, second])
    }
}

/// One department of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Department {
    /// DANE code.
    pub code: DepartmentCode,
    /// Official name.
    pub name: String,
}

impl Cities {
    /// Every department, in order of name.
    #[must_use]
    pub fn departments(&self) -> Vec<Department> {
        let mut all: Vec<Department> = Vec::new();
        for City {
            code, department, ..
        } in self.iter()
        {
            let code = code.department();
            if all.iter().all(|known| known.code != code) {
                let name = department.clone();
                all.push(Department { code, name });
            }
        }
        all.sort_by_cached_key(|department| (fold(&department.name), department.code));
        all
    }

    /// The department that `text` names: by its code, or by its name without regard to accents, case and punctuation.
    #[must_use]
    pub fn department(&self, text: &str) -> Option<Department> {
        let name = fold(text);
        let mut all = self.departments().into_iter();
        all.find(|one| one.code.as_str() == name || fold(&one.name) == name)
    }

    /// The name of a department; of one that left the catalogue the bare code.
    #[must_use]
    pub fn department_name(&self, code: DepartmentCode) -> String {
        let city = self.iter().find(|city| city.code.department() == code);
        city.map_or_else(|| code.to_string(), |city| city.department.clone())
    }

    /// `text` as it is compared with the names of cities: lower case, without accents and punctuation.
    #[must_use]
    pub fn folded(text: &str) -> String {
        fold(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_department_is_found_by_its_code_and_by_its_name() {
        let cities = Cities::embedded().unwrap();
        let all = cities.departments();
        assert_eq!(all.len(), 33);
        assert!(all.is_sorted_by_key(|department| fold(&department.name)));
        for text in ["76", "Valle del Cauca", " valle  del CAUCA"] {
            assert_eq!(
                cities.department(text).unwrap().code.as_str(),
                "76",
                "{text}"
            );
        }
        assert_eq!(cities.department("bogota d c").unwrap().code.as_str(), "11");
        for text in ["", "7", "00", "761", "Macondo"] {
            assert_eq!(cities.department(text), None, "{text}");
        }
        for city in cities.iter() {
            let department = city.code.department();
            assert_eq!(cities.department_name(department), city.department);
        }
        assert_eq!(cities.department_name("00".parse().unwrap()), "00");
    }
}
