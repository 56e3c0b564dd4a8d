//! One path and method, as OpenAPI describes it.

use serde_json::{Value as Json, json};
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, ContentBuilder, HttpMethod, Ref, RefOr, Required, ResponseBuilder, Schema};

/// How keys are shown, by its name in the document.
pub(super) const BEARER: &str = "bearer";
/// The schema of errors, and of those on Feast's paths, by their names in the document.
pub(super) const PROBLEM: &str = "Problem";
pub(super) const REFUSAL: &str = "Refusal";

/// Statuses that an error can have, and when it does.
const ERRORS: [(u16, &str); 15] = [
    (400, "The request is wrong: a type, a name that cannot be, a column that is missing."),
    (401, "No key was shown that is one."),
    (403, "The key does not open this."),
    (404, "Nothing goes by that name."),
    (406, "There is no form that the answer can have."),
    (408, "The body took too long."),
    (409, "Understood, and refused."),
    (413, "The body is too long."),
    (415, "The body is of a form that is not read."),
    (422, "The body is not of the form that it should be."),
    (429, "The key asks more often than it may; Retry-After says when to ask again."),
    (431, "The head of the request is too long."),
    (500, "Damage, or an error of the system."),
    (503, "The store takes no writes, or there is too much to do; ask again."),
    (507, "The disk is full; nothing was written."),
];

/// What is said of one path and method.
pub(super) struct Documented {
    pub path: &'static str,
    pub method: HttpMethod,
    operation: OperationBuilder,
    body: Option<RequestBodyBuilder>,
    answer: (u16, ResponseBuilder),
    errors: Option<&'static str>,
}

impl Documented {
    /// A path that is asked with GET.
    pub(super) fn get(path: &'static str, summary: &str) -> Documented {
        Documented::new(HttpMethod::Get, path, summary)
    }

    /// A path that is asked with POST.
    pub(super) fn post(path: &'static str, summary: &str) -> Documented {
        Documented::new(HttpMethod::Post, path, summary)
    }

    fn new(method: HttpMethod, path: &'static str, summary: &str) -> Documented {
        // As clients that are generated call it.
        let words: Vec<&str> = path.split(['/', '{', '}', '-']).filter(|word| !word.is_empty()).collect();
        let verb = if method == HttpMethod::Get { "get" } else { "post" };
        let id = format!("{verb}_{}", words.join("_"));
        Documented {
            path,
            method,
            operation: OperationBuilder::new().summary(Some(summary)).operation_id(Some(id)),
            body: None,
            answer: (200, ResponseBuilder::new().description("Done.")),
            errors: Some(PROBLEM),
        }
    }

    /// The group that it is listed in.
    pub(super) fn tag(mut self, tag: &str) -> Documented {
        self.operation = self.operation.tag(tag);
        self
    }

    /// Says more.
    pub(super) fn says(mut self, description: &str) -> Documented {
        self.operation = self.operation.description(Some(description));
        self
    }

    /// Its errors are in Feast's forms.
    pub(super) fn refuses_as_feast(mut self) -> Documented {
        self.errors = Some(REFUSAL);
        self
    }

    /// It is open to everybody, and has no errors but these.
    pub(super) fn open_to_all(mut self) -> Documented {
        self.errors = None;
        self
    }

    /// A name in the path.
    pub(super) fn name(self, name: &str, description: &str, example: &str) -> Documented {
        let schema = json!({ "type": "string", "minLength": 1, "example": example });
        self.parameter(ParameterIn::Path, Required::True, (name, schema), description)
    }

    /// A parameter of the query.
    pub(super) fn query(self, name: &str, schema: Json, description: &str) -> Documented {
        self.parameter(ParameterIn::Query, Required::False, (name, schema), description)
    }

    /// A parameter of the query that must be there.
    pub(super) fn needs(self, name: &str, schema: Json, description: &str) -> Documented {
        self.parameter(ParameterIn::Query, Required::True, (name, schema), description)
    }

    /// A header of the request.
    pub(super) fn header(self, name: &str, schema: Json, description: &str) -> Documented {
        self.parameter(ParameterIn::Header, Required::False, (name, schema), description)
    }

    fn parameter(
        mut self,
        place: ParameterIn,
        required: Required,
        (name, schema): (&str, Json),
        description: &str,
    ) -> Documented {
        let parameter: Parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(required)
            .description(Some(description))
            .schema(Some(schema_of(schema)))
            .build();
        self.operation = self.operation.parameter(parameter);
        self
    }

    /// A form that the body can have.
    pub(super) fn body(mut self, media: &str, schema: Json, example: Option<Json>) -> Documented {
        let body = self.body.unwrap_or_else(|| RequestBodyBuilder::new().required(Some(Required::True)));
        self.body = Some(body.content(media, content(schema, example)));
        self
    }

    /// A form that the answer can have.
    pub(super) fn answer(mut self, media: &str, schema: Json, example: Option<Json>) -> Documented {
        let (status, response) = self.answer;
        self.answer = (status, response.content(media, content(schema, example)));
        self
    }

    /// One more error, or answer, that has no body of interest.
    pub(super) fn also(mut self, status: u16, description: &str, schema: Json) -> Documented {
        let response = ResponseBuilder::new().description(description).content(JSON, content(schema, None));
        self.operation = self.operation.response(status.to_string(), response.build());
        self
    }

    /// As the document has it.
    pub(super) fn build(self) -> Operation {
        let mut operation = self.operation;
        if let Some(body) = self.body {
            operation = operation.request_body(Some(body.build()));
        }
        let (status, response) = self.answer;
        operation = operation.response(status.to_string(), response.build());
        let Some(errors) = self.errors else { return operation.build() };
        for (status, description) in ERRORS {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(errors))).build();
            let response = ResponseBuilder::new().description(description).content(JSON, content);
            operation = operation.response(status.to_string(), response.build());
        }
        // Where no key was ever made, none is shown.
        operation
            .security(SecurityRequirement::new::<&str, [&str; 0], &str>(BEARER, []))
            .security(SecurityRequirement::default())
            .build()
    }
}

/// The media type of JSON.
pub(super) const JSON: &str = "application/json";

fn content(schema: Json, example: Option<Json>) -> Content {
    ContentBuilder::new().schema(Some(schema_of(schema))).example(example).build()
}

/// A schema that is written as JSON. The documents are written in this folder, and the tests read them all.
pub(super) fn schema_of(mut schema: Json) -> RefOr<Schema> {
    tell_types(&mut schema);
    serde_json::from_value(schema).unwrap_or_else(|error| unreachable!("a schema of this folder is none: {error}"))
}

/// Where a schema says no type it is of any, which is read from a null.
fn tell_types(schema: &mut Json) {
    let Json::Object(says) = schema else { return };
    if !["type", "$ref", "oneOf"].iter().any(|key| says.contains_key(*key)) {
        says.insert("type".to_owned(), Json::Null);
    }
    for key in ["items", "additionalProperties"] {
        says.get_mut(key).into_iter().for_each(tell_types);
    }
    let properties = says.get_mut("properties").and_then(Json::as_object_mut);
    properties.into_iter().flat_map(|all| all.values_mut()).for_each(tell_types);
    says.get_mut("oneOf").and_then(Json::as_array_mut).into_iter().flatten().for_each(tell_types);
}
