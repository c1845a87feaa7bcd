//! The search of the catalogue, for the form's suggestions: the one that decides which city a form means.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};

use crate::{
    domain::city::City,
    http::{
        negotiate::is_known,
        problem::{Kind, Problem},
        state::AppState,
    },
};

/// Cities in an answer, at most.
const LIMIT: usize = 20;

/// What somebody has typed so far.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CityQuery {
    /// The beginning of a name or of a word in it, an abbreviation, or a name with its department or a typing
    /// error; without regard to accents and case.
    #[serde(default)]
    q: String,
}

/// Cities that fit.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Cities)]
pub(super) struct CitiesBody {
    /// At most 20: whole names, then names that begin so, then names with such words, then what looks alike.
    cities: Vec<City>,
}

/// Searches the catalogue of cities, which changes with a restart only.
#[utoipa::path(
    get, path = "/cities", tag = "public", params(CityQuery),
    responses(
        (status = 200, description = "At most 20 cities", body = CitiesBody, headers(("ETag" = String))),
        (status = 304, description = "The same catalogue as `If-None-Match` names"),
    ),
)]
pub(super) async fn search(
    State(app): State<Arc<AppState>>,
    Query(query): Query<CityQuery>,
    asked: HeaderMap,
) -> Result<Response, Problem> {
    // The URL is the whole cache key, and catalogue and program version the whole `ETag`: what is found
    // depends on no `Accept…` header; only whether it is compressed does.
    let version = env!("CARGO_PKG_VERSION");
    let etag = format!("\"{}-{version}\"", app.cities.fingerprint());
    let tag = HeaderValue::from_str(&etag).map_err(|_| Problem::new(Kind::Internal))?;
    let headers = [
        (header::ETAG, tag),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=86400"),
        ),
    ];
    if is_known(&asked, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let found = app.cities.search(&query.q, LIMIT);
    let cities = found.into_iter().cloned().collect();
    Ok((headers, Json(CitiesBody { cities })).into_response())
}
