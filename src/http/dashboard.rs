//! The staff dashboard: live counts, reports, charts, and the totals per city with search, order and filter.
//!
//! Everything is a parameter of its address, so that it works without script; `static/staff.js` asks for the same
//! addresses and shows a part of the answer.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    response::Response,
};
use serde::Deserialize;

use crate::http::{
    negotiate::Language,
    pages::{self, Listing, Order},
    problem::Problem,
    staff::Staff,
    state::AppState,
};

/// What the dashboard lists; what is unknown is as if it were not there.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct DashboardQuery {
    /// Only cities whose name, department or code holds this.
    q: String,
    /// Only cities of this department, by its code.
    department: String,
    /// `name`, or by count.
    sort: String,
    /// Whether all are listed, and not only the first fifty.
    all: String,
    /// `department` draws a bar for each department.
    by: String,
    /// A report whose download starts with the page: what was asked for before a sign-in.
    download: String,
}

/// The dashboard.
pub(super) async fn dashboard(
    State(app): State<Arc<AppState>>,
    _: Staff,
    Language(lang): Language,
    Query(query): Query<DashboardQuery>,
) -> Result<Response, Problem> {
    let totals = app.board.totals().await?;
    // The numbers of the last report are shown although those of now cannot be had.
    let tally = app.live.tally().await.ok();
    let department = Some(query.department.as_str()).filter(|text| !text.is_empty());
    let listing = Listing {
        q: query.q.chars().take(100).collect(),
        department: department.and_then(|text| app.cities.department(text)),
        order: match query.sort.as_str() {
            "name" => Order::Name,
            _ => Order::Count,
        },
        all: !query.all.is_empty(),
        by_department: query.by == "department",
    };
    let download = Some(query.download).filter(|asked| pages::is_report(asked));
    Ok(pages::dashboard(
        &app,
        &totals,
        tally.as_deref(),
        &listing,
        download.as_deref(),
        lang,
    ))
}
