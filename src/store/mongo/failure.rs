//! Classifies the driver's errors: transient or lasting, certain or uncertain, and what of them may be logged.
//!
//! A server's error message may hold what was written: a conflict names the key, a refused document is shown field by
//! field. So only kinds, labels, codes and the names of codes leave this module.

use std::fmt::Write as _;

use mongodb::error::{
    Error, ErrorKind, NO_WRITES_PERFORMED, SYSTEM_OVERLOADED_ERROR, WriteFailure,
};

use crate::store::{Cause, StoreError};

/// Error code of a unique index that refused a document.
const DUPLICATE_KEY: i32 = 11000;

/// Error codes that no retry mends, until somebody mends the database, its users or the URL: a command or an option
/// that the server does not know, missing rights, an index or a collection in the way.
const LASTING: [i32; 16] = [
    2,
    9,
    13,
    14,
    18,
    20,
    59,
    67,
    72,
    73,
    85,
    86,
    115,
    121,
    8000,
    DUPLICATE_KEY,
];

/// The error of a read: nothing was changed.
pub(super) fn of_read(error: &Error) -> StoreError {
    StoreError::Unavailable(cause(error))
}

/// The error of a write, which may be stored all the same.
pub(super) fn of_write(error: &Error) -> StoreError {
    if may_have_written(error) {
        StoreError::Uncertain(cause(error))
    } else {
        StoreError::Unavailable(cause(error))
    }
}

pub(super) fn is_duplicate(error: &Error) -> bool {
    matches!(&*error.kind,
        ErrorKind::Write(WriteFailure::WriteError(refused)) if refused.code == DUPLICATE_KEY)
}

/// Whether a retry may succeed, against the same or another server.
pub(super) fn is_transient(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Command(refused) => !LASTING.contains(&refused.code),
        ErrorKind::Write(WriteFailure::WriteError(_))
        | ErrorKind::Authentication { .. }
        | ErrorKind::InvalidArgument { .. }
        | ErrorKind::InvalidTlsConfig { .. }
        | ErrorKind::IncompatibleServer { .. }
        | ErrorKind::SessionsNotSupported
        | ErrorKind::Shutdown => false,
        _ => true,
    }
}

/// Whether a failed write may be stored all the same. The driver retries a write once and reports the error of either
/// attempt, so that only what rules both out says no.
pub(super) fn may_have_written(error: &Error) -> bool {
    if error.contains_label(NO_WRITES_PERFORMED) {
        return false;
    }
    match &*error.kind {
        // This label marks a connection that was never established.
        ErrorKind::Io(_) => !error.contains_label(SYSTEM_OVERLOADED_ERROR),
        ErrorKind::ServerSelection { .. }
        | ErrorKind::Authentication { .. }
        | ErrorKind::InvalidArgument { .. }
        | ErrorKind::InvalidTlsConfig { .. }
        | ErrorKind::IncompatibleServer { .. }
        | ErrorKind::SessionsNotSupported
        | ErrorKind::Shutdown
        | ErrorKind::Write(WriteFailure::WriteError(_)) => false,
        // `ConnectionPoolCleared` among them: of a connection that was waited for, or of one that was closed with the
        // write in flight, which cannot be told apart. And any error of the server: it may be about the retry of a
        // write that was stored.
        _ => true,
    }
}

/// What may be logged of an error.
pub(super) fn cause(error: &Error) -> Cause {
    let mut told = match &*error.kind {
        ErrorKind::ServerSelection { .. } => "no server can be reached".to_owned(),
        ErrorKind::ConnectionPoolCleared { .. } => "the connections were given up".to_owned(),
        ErrorKind::Io(error) => error.kind().to_string(),
        ErrorKind::Authentication { .. } => "the server refuses user or password".to_owned(),
        ErrorKind::InvalidTlsConfig { .. } => "the TLS settings are wrong".to_owned(),
        ErrorKind::IncompatibleServer { .. } => "the server is too old or too new".to_owned(),
        ErrorKind::SessionsNotSupported => "the server has no sessions".to_owned(),
        ErrorKind::Shutdown => "the store is closed".to_owned(),
        ErrorKind::Command(refused) => {
            coded("the server refuses", refused.code, &refused.code_name)
        }
        ErrorKind::Write(WriteFailure::WriteConcernError(late)) => coded(
            "the write is not on a majority yet",
            late.code,
            &late.code_name,
        ),
        ErrorKind::Write(WriteFailure::WriteError(refused)) => coded(
            "the server refuses the document",
            refused.code,
            refused.code_name.as_deref().unwrap_or_default(),
        ),
        ErrorKind::InvalidResponse { .. } | ErrorKind::Bson(_) => {
            "the server's answer cannot be read".to_owned()
        }
        _ => "the driver failed".to_owned(),
    };
    let mut labels: Vec<_> = error.labels().iter().map(String::as_str).collect();
    if !labels.is_empty() {
        labels.sort_unstable();
        let _ = write!(told, " [{}]", labels.join(", "));
    }
    told.into()
}

fn coded(what: &str, code: i32, name: &str) -> String {
    format!("{what}: {code} {name}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(code: i32) -> Error {
        let refused = json!({ "code": code, "codeName": "", "errmsg": "" });
        Error::from(ErrorKind::Command(serde_json::from_value(refused).unwrap()))
    }

    #[test]
    fn a_server_that_refuses_a_command_may_have_obeyed_the_attempt_before() {
        // Shutdown in progress, unauthorised, a signing key that was not loaded again after a restart.
        for code in [11600, 13, 211] {
            assert!(may_have_written(&refused(code)), "{code}");
            assert!(
                matches!(of_write(&refused(code)), StoreError::Uncertain(_)),
                "{code}"
            );
        }
    }

    #[test]
    fn what_waiting_may_mend_is_tried_again() {
        for code in [91, 112, 189, 211, 262, 10107, 11600, 12587] {
            assert!(is_transient(&refused(code)), "{code}");
        }
        for code in [13, 18, 67, 85, 86, 11000] {
            assert!(!is_transient(&refused(code)), "{code}");
        }
    }
}
