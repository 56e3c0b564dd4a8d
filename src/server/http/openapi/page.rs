//! The document as one page of HTML, without anything from elsewhere.

use std::fmt::Write as _;

use serde_json::Value as Json;
use utoipa::openapi::OpenApi;

pub(super) const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:58rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}\
h1{margin-bottom:0}h2{margin-top:3rem;border-bottom:1px solid #ccc}h3{margin:2rem 0 .3rem;font-size:1rem}\
code,pre{font:13px/1.45 ui-monospace,monospace}pre{background:#f4f4f4;padding:.7rem;overflow-x:auto;border-radius:4px}\
table{border-collapse:collapse;margin:.5rem 0}td,th{text-align:left;vertical-align:top;padding:.15rem .9rem .15rem 0}\
th{font-weight:600}.method{display:inline-block;min-width:3.2rem;font-weight:700}summary{cursor:pointer}nav li{list-style:none}nav ul{padding:0}\
a{color:#0550ae;text-decoration:none}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}pre{background:#222}h2{border-color:#444}a{color:#79b8ff}}";

/// The page of a document.
pub(super) fn of(document: &OpenApi) -> String {
    // As JSON it is looked through in one way.
    let document = serde_json::to_value(document).unwrap_or_default();
    let mut page = String::new();
    let info = &document["info"];
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>asof {version}: HTTP API</title><style>{STYLE}</style></head><body><h1>asof {version}</h1><p>{about}</p><p>The same for programs: <a href=\"/openapi.json\">/openapi.json</a></p>",
        version = escaped(&info["version"]),
        about = escaped(&info["description"]),
    );
    let operations = operations(&document);
    let mut tags: Vec<&str> = Vec::new();
    for operation in &operations {
        if !tags.contains(&operation.tag) {
            tags.push(operation.tag);
        }
    }
    page.push_str("<nav><ul>");
    for operation in &operations {
        let _ = write!(
            page,
            "<li><a href=\"#{id}\"><code><span class=\"method\">{method}</span> {path}</code></a> {summary}</li>",
            id = escaped(&operation.says["operationId"]),
            method = operation.method.to_ascii_uppercase(),
            path = escape(operation.path),
            summary = escaped(&operation.says["summary"]),
        );
    }
    page.push_str("</ul></nav>");
    for tag in tags {
        let _ = write!(page, "<h2>{}</h2>", escape(tag));
        operations.iter().filter(|operation| operation.tag == tag).for_each(|operation| push(operation, &mut page));
    }
    page.push_str("</body></html>\n");
    page
}

/// A path and method of the document.
struct Operation<'a> {
    path: &'a str,
    method: &'a str,
    tag: &'a str,
    says: &'a Json,
}

fn operations(document: &Json) -> Vec<Operation<'_>> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let operations = paths.flat_map(|(path, item)| {
        item.as_object().into_iter().flatten().map(move |(method, says)| Operation {
            path,
            method,
            tag: says["tags"][0].as_str().unwrap_or_default(),
            says,
        })
    });
    operations.collect()
}

fn push(operation: &Operation<'_>, page: &mut String) {
    let says = operation.says;
    let _ = write!(
        page,
        "<h3 id=\"{id}\"><code><span class=\"method\">{method}</span> <span>{path}</span></code></h3><p>{summary}. {description}</p>",
        id = escaped(&says["operationId"]),
        method = operation.method.to_ascii_uppercase(),
        path = escape(operation.path),
        summary = escaped(&says["summary"]),
        description = escaped(&says["description"]),
    );
    if let Some(parameters) = says["parameters"].as_array() {
        page.push_str("<table><tr><th>parameter</th><th>in</th><th>type</th><th></th></tr>");
        for parameter in parameters {
            let is_required = parameter["required"] == Json::Bool(true);
            let _ = write!(
                page,
                "<tr><td><code>{}</code>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escaped(&parameter["name"]),
                if is_required { " *" } else { "" },
                escaped(&parameter["in"]),
                escape(&type_of(&parameter["schema"])),
                escaped(&parameter["description"]),
            );
        }
        page.push_str("</table>");
    }
    push_contents("Body", &says["requestBody"]["content"], page);
    let answers = says["responses"].as_object().into_iter().flatten();
    let (errors, answers): (Vec<_>, Vec<_>) = answers.partition(|(status, _)| status.as_str() >= "300");
    for (status, answer) in answers {
        push_contents(&format!("Answer {status}"), &answer["content"], page);
    }
    if !errors.is_empty() {
        let _ = write!(page, "<details><summary>Errors</summary><table>");
        for (status, error) in errors {
            let _ = write!(page, "<tr><td>{}</td><td>{}</td></tr>", escape(status), escaped(&error["description"]));
        }
        page.push_str("</table></details>");
    }
}

/// The forms of a body or an answer: their fields, and an example.
fn push_contents(title: &str, contents: &Json, page: &mut String) {
    let Some(contents) = contents.as_object() else { return };
    for (media, content) in contents {
        let _ = write!(
            page,
            "<p><b>{}</b> <code>{}</code> {}</p>",
            escape(title),
            escape(media),
            escaped(&content["schema"]["description"])
        );
        push_fields(&content["schema"], page);
        if let Some(example) = content.get("example") {
            let example = serde_json::to_string_pretty(example).unwrap_or_default();
            let _ = write!(page, "<pre>{}</pre>", escape(&example));
        }
    }
}

fn push_fields(schema: &Json, page: &mut String) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let is_required =
        |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name));
    page.push_str("<table><tr><th>field</th><th>type</th><th></th></tr>");
    for (name, property) in properties {
        let _ = write!(
            page,
            "<tr><td><code>{}</code>{}</td><td>{}</td><td>{}</td></tr>",
            escape(name),
            if is_required(name) { " *" } else { "" },
            escape(&type_of(property)),
            escaped(&property["description"]),
        );
    }
    page.push_str("</table>");
}

/// A schema in a word or some.
fn type_of(schema: &Json) -> String {
    if let Some(names) = schema["enum"].as_array() {
        return names.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(" | ");
    }
    if let Some(several) = schema["oneOf"].as_array() {
        return several.iter().map(type_of).collect::<Vec<_>>().join(" | ");
    }
    match &schema["type"] {
        Json::String(name) if name == "array" => format!("array of {}", type_of(&schema["items"])),
        Json::String(name) => name.clone(),
        Json::Array(names) => names.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(" | "),
        _ => "any".to_owned(),
    }
}

fn escaped(json: &Json) -> String {
    escape(json.as_str().unwrap_or_default())
}

/// Text as HTML shows it.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
