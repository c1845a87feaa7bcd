//! From the store's encrypted rows to the cells of a report.

use jiff::{Timestamp, civil::DateTime};

use super::{Report, ReportError, feed::Segment, rows::Cells};
use crate::{
    domain::{city::City, registration::Person},
    store::Row,
};

impl Report {
    /// Decrypts the rows of a segment one after the other and gives each to `write`.
    ///
    /// # Errors
    /// When a row cannot be decrypted, or `write` fails.
    pub(super) fn decrypt(
        &self,
        segment: &Segment,
        mut write: impl FnMut(&Cells<'_>) -> Result<(), ReportError>,
    ) -> Result<(), ReportError> {
        let mut last = None;
        for (number, row) in (segment.number..).zip(&segment.rows) {
            let code = row.envelope.city;
            let city = last.take().filter(|city: &City| city.code == code);
            let city = city.unwrap_or_else(|| self.spec.cities.named(code));
            let person = Person::open(&self.spec.keyring, &row.envelope, &row.sealed)
                .map_err(|error| ReportError::Sealed(row.envelope.reference, error))?;
            let reference = row.envelope.reference.to_string();
            write(&Cells {
                number,
                reference: &reference,
                name: person.name.as_str(),
                document_number: person
                    .document_number
                    .as_ref()
                    .map_or("", |number| number.as_str()),
                city: &city.name,
                department: &city.department,
                registered_at: self.local(row.envelope.registered_at),
                email: person.email.as_ref().map_or("", |email| email.as_str()),
                photo_address: &self.photo_address(row, &reference),
            })?;
            last = Some(city);
        }
        Ok(())
    }

    /// A time in the report's zone.
    pub(super) fn local(&self, time: Timestamp) -> DateTime {
        time.to_zoned(self.spec.zone.clone()).datetime()
    }

    fn photo_address(&self, row: &Row, reference: &str) -> String {
        if row.envelope.photo_key.is_some() {
            format!("{}/registrations/{reference}/photo", self.spec.origin)
        } else {
            String::new()
        }
    }
}
