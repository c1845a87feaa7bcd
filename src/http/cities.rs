//! The search of the catalogue, for the form's suggestions.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
};
use serde::{Deserialize, Serialize};

use crate::{domain::city::City, http::state::AppState};

/// Cities in an answer, at most.
const LIMIT: usize = 20;

/// What somebody has typed so far.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CityQuery {
    /// The beginning of a name or of a word in it; without regard to accents and case.
    #[serde(default)]
    q: String,
}

/// Cities that fit.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Cities)]
pub(super) struct CitiesBody {
    /// At most 20, names that begin so first.
    cities: Vec<City>,
}

/// Searches the catalogue of cities.
#[utoipa::path(
    get, path = "/cities", tag = "public", params(CityQuery),
    responses((status = 200, description = "At most 20 cities", body = CitiesBody)),
)]
pub(super) async fn search(
    State(app): State<Arc<AppState>>,
    Query(query): Query<CityQuery>,
) -> Json<CitiesBody> {
    let found = app.cities.search(&query.q, LIMIT);
    Json(CitiesBody {
        cities: found.into_iter().cloned().collect(),
    })
}
