//! The description of the interface as a page, made from the same document as `/openapi.json`, without a script.

use std::sync::LazyLock;

use askama::Template;
use axum::response::Response;
use serde_json::Value;

use super::{ASSETS, page, views::Page};
use crate::{foundation::lang::Texts, http::negotiate::Language};

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(crate::http::openapi()).unwrap_or_default());

/// What `/openapi.json` is, made once.
pub(in crate::http) fn document() -> &'static Value {
    &DOCUMENT
}

/// A text in pieces, the ones in backquotes marked as code.
type Rich = Vec<(bool, String)>;

/// A parameter, a field of a form or of an object.
#[derive(Debug)]
struct Item {
    name: String,
    /// What it may be: `integer, 320–2000, 1000`.
    kind: String,
    required: bool,
    meaning: Rich,
}

#[derive(Debug)]
struct Operation {
    id: String,
    method: String,
    path: String,
    /// What it does, in the page's language if it has the words.
    summary: Rich,
    translated: bool,
    staff: bool,
    parameters: Vec<Item>,
    body: Vec<Item>,
    answers: Vec<(String, Rich)>,
}

#[derive(Debug)]
struct Schema {
    name: String,
    meaning: Rich,
    fields: Vec<Item>,
}

/// `GET /docs`.
#[derive(Debug, Template)]
#[template(path = "docs.html")]
pub(super) struct DocsPage<'a> {
    page: Page<'a>,
    operations: Vec<Operation>,
    schemas: Vec<Schema>,
}

/// `GET /docs`.
pub(in crate::http) async fn docs(Language(lang): Language) -> Response {
    page(&DocsPage {
        page: Page::new(lang, "/docs", &ASSETS),
        operations: operations(lang.texts()),
        schemas: schemas(),
    })
}

/// The members of an object, by name.
fn members<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    of[name].as_object().into_iter().flatten()
}

fn operations(t: &'static Texts) -> Vec<Operation> {
    let paths = members(&DOCUMENT, "paths");
    let all = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| (path, method, operation))
    });
    let mut all: Vec<_> = all
        .map(|(path, method, of)| {
            let words = in_words(path, t);
            let parameters = of["parameters"].as_array().into_iter().flatten();
            let bodies = members(&of["requestBody"], "content");
            let answers = members(of, "responses");
            Operation {
                id: of["operationId"].as_str().unwrap_or_default().to_owned(),
                method: method.to_uppercase(),
                path: path.clone(),
                summary: words.map_or_else(|| text(&of["summary"]), rich),
                translated: words.is_some(),
                staff: !of["security"].is_null(),
                parameters: parameters
                    .map(|one| Item {
                        name: one["name"].as_str().unwrap_or_default().to_owned(),
                        kind: kind(&one["schema"]),
                        required: one["required"] == true,
                        meaning: text(&one["description"]),
                    })
                    .collect(),
                body: bodies
                    .flat_map(|(_, media)| fields(resolved(&media["schema"])))
                    .collect(),
                answers: answers
                    .map(|(status, answer)| (status.clone(), text(&answer["description"])))
                    .collect(),
            }
        })
        .collect();
    all.sort_by_key(|operation| operation.staff);
    all
}

fn schemas() -> Vec<Schema> {
    let all = members(&DOCUMENT["components"], "schemas");
    all.map(|(name, schema)| Schema {
        name: name.clone(),
        meaning: text(&schema["description"]),
        fields: fields(schema).collect(),
    })
    .collect()
}

fn fields(schema: &Value) -> impl Iterator<Item = Item> {
    let required = schema["required"].as_array();
    members(schema, "properties").map(move |(name, field)| Item {
        name: name.clone(),
        kind: kind(field),
        required: required.is_some_and(|all| all.iter().any(|one| one == name)),
        meaning: text(&field["description"]),
    })
}

/// What a `$ref` names.
fn resolved(schema: &Value) -> &Value {
    let name = schema["$ref"]
        .as_str()
        .and_then(|name| name.rsplit('/').next());
    name.map_or(schema, |name| &DOCUMENT["components"]["schemas"][name])
}

/// Type, bounds, values and default of a schema, in OpenAPI's own words.
fn kind(schema: &Value) -> String {
    let one = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let several = |values: &Value| match values {
        Value::Array(values) => values.iter().map(one).collect::<Vec<_>>().join(" | "),
        Value::Null => String::new(),
        value => one(value),
    };
    let mut parts = vec![several(&schema["type"])];
    if let Some(name) = schema["$ref"].as_str() {
        parts.push(name.rsplit('/').next().unwrap_or_default().to_owned());
    }
    if schema["items"].is_object() {
        parts.push(kind(&schema["items"]));
    }
    parts.push(several(&schema["enum"]));
    if let (Some(least), Some(most)) = (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
        parts.push(format!("{least}–{most}"));
    }
    if !schema["default"].is_null() {
        parts.push(format!("= {}", one(&schema["default"])));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

fn text(value: &Value) -> Rich {
    rich(value.as_str().unwrap_or_default())
}

fn rich(text: &str) -> Rich {
    let pieces = text.split('`').enumerate();
    let pieces = pieces.map(|(at, piece)| (at % 2 == 1, piece.to_owned()));
    pieces.filter(|(_, piece)| !piece.is_empty()).collect()
}

/// What a route does, in the words of the page.
fn in_words(path: &str, t: &'static Texts) -> Option<&'static str> {
    Some(match path {
        "/chart.png" | "/chart.svg" => t.docs_chart,
        "/totals" => t.docs_totals,
        "/cities" => t.docs_cities,
        "/livez" => t.docs_livez,
        "/readyz" => t.docs_readyz,
        "/registrations" => t.docs_register,
        "/registrations/{reference}" => t.docs_registration,
        "/registrations/{reference}/photo" => t.docs_photo,
        "/report.xlsx" => t.docs_xlsx,
        "/report.csv" => t.docs_csv,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_backquotes_is_code() {
        let pieces = [
            (false, "one ".into()),
            (true, "two".into()),
            (false, ", three".into()),
        ];
        assert_eq!(rich("one `two`, three"), pieces);
        assert_eq!(rich(""), []);
    }

    #[test]
    fn every_reference_of_the_document_leads_somewhere() {
        let text = DOCUMENT.to_string();
        for name in text.split("#/components/schemas/").skip(1) {
            let name = name.split('"').next().unwrap();
            assert!(
                DOCUMENT["components"]["schemas"][name].is_object(),
                "{name}"
            );
        }
        assert!(text.contains("#/components/schemas/"));
    }
}
