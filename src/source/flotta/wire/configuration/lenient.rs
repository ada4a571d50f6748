//! JSON objects read field by field: `null` is absent, and a wrong type costs that field alone.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::model::hidden::Hidden;
use crate::model::problem::Problem;
use crate::source::reading::tree::short;

/// An object and its path.
pub(super) struct Object<'a> {
    pub path: String,
    fields: Option<&'a Map<String, Json>>,
}

/// Something wrong at a path of the server's configuration.
pub(super) fn problem(path: &str, message: impl Into<String>) -> Problem {
    Problem::new(format!("server: {path}"), message)
}

/// What a value is, in a word or two.
pub(super) fn what(value: &Json) -> String {
    match value {
        Json::Null => "nothing".into(),
        Json::Bool(yes) => format!("the boolean {yes}"),
        Json::Number(number) => format!("the number {}", short(&number.to_string())),
        Json::String(text) => format!("the text {:?}", short(text)),
        Json::Array(_) => "a list".into(),
        Json::Object(_) => "an object".into(),
    }
}

impl<'a> Object<'a> {
    /// The outermost one, without a path.
    pub fn root(value: &'a Json) -> Object<'a> {
        Object { path: String::new(), fields: value.as_object() }
    }

    pub fn of(problems: &mut Vec<Problem>, path: &str, value: &'a Json) -> Option<Object<'a>> {
        match value {
            Json::Object(fields) => Some(Object { path: path.to_owned(), fields: Some(fields) }),
            other => {
                problems.push(problem(path, format!("must be an object, not {}", what(other))));
                None
            }
        }
    }

    pub fn name_of(&self, field: &str) -> String {
        let field = short(field);
        if self.path.is_empty() { field } else { format!("{}.{field}", self.path) }
    }

    /// A field that is there.
    pub fn get(&self, field: &str) -> Option<&'a Json> {
        self.fields?.get(field).filter(|value| !value.is_null())
    }

    /// Whether a field holds anything: an empty list, object or text is nothing.
    pub fn holds(&self, field: &str) -> bool {
        match self.get(field) {
            None => false,
            Some(Json::Array(items)) => !items.is_empty(),
            Some(Json::Object(fields)) => !fields.is_empty(),
            Some(Json::String(text)) => !text.is_empty(),
            Some(Json::Bool(yes)) => *yes,
            Some(_) => true,
        }
    }

    fn typed<T>(
        &self,
        problems: &mut Vec<Problem>,
        field: &str,
        wanted: &str,
        read: impl FnOnce(&'a Json) -> Option<T>,
    ) -> Option<T> {
        let value = self.get(field)?;
        let found = read(value);
        if found.is_none() {
            problems.push(problem(&self.name_of(field), format!("must be {wanted}, not {}", what(value))));
        }
        found
    }

    pub fn text(&self, problems: &mut Vec<Problem>, field: &str) -> Option<String> {
        self.typed(problems, field, "text", |value| value.as_str().map(str::to_owned))
    }

    /// Text that no message may show, of whatever type it turns out to be.
    pub fn hidden_text(&self, problems: &mut Vec<Problem>, field: &str) -> Option<Hidden> {
        let value = self.get(field)?;
        if value.as_str().is_none() {
            problems.push(problem(&self.name_of(field), "must be text"));
        }
        value.as_str().map(Hidden::new)
    }

    pub fn boolean(&self, problems: &mut Vec<Problem>, field: &str) -> Option<bool> {
        self.typed(problems, field, "true or false", Json::as_bool)
    }

    pub fn whole(&self, problems: &mut Vec<Problem>, field: &str) -> Option<i64> {
        self.typed(problems, field, "a whole number", Json::as_i64)
    }

    pub fn number(&self, problems: &mut Vec<Problem>, field: &str) -> Option<f64> {
        self.typed(problems, field, "a number", Json::as_f64)
    }

    pub fn list(&self, problems: &mut Vec<Problem>, field: &str) -> Option<&'a [Json]> {
        self.typed(problems, field, "a list", |value| value.as_array().map(Vec::as_slice))
    }

    pub fn object(&self, problems: &mut Vec<Problem>, field: &str) -> Option<Object<'a>> {
        let path = self.name_of(field);
        Object::of(problems, &path, self.get(field)?)
    }

    /// A map of texts: labels, annotations.
    pub fn texts(&self, problems: &mut Vec<Problem>, field: &str) -> BTreeMap<String, String> {
        let Some(object) = self.object(problems, field) else { return BTreeMap::new() };
        let keys = object.fields.into_iter().flat_map(Map::keys);
        keys.filter_map(|key| Some((key.clone(), object.text(problems, key)?))).collect()
    }

    /// `name`, which must be there.
    pub fn name(&self, problems: &mut Vec<Problem>, of: &str) -> Option<String> {
        let before = problems.len();
        let name = self.text(problems, "name").filter(|name| !name.is_empty());
        if name.is_none() && problems.len() == before {
            problems.push(problem(&self.name_of("name"), format!("is missing: {of} needs a name")));
        }
        name
    }
}
