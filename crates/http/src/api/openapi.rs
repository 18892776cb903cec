//! `/openapi.yaml`: the API described for programs.

use tsdb_net::server::Response;

use crate::answer::page;
use crate::router::Call;

/// The document; the server's address is filled in.
const DOCUMENT: &str = include_str!("openapi.yaml");

/// The description of this API. Its server is the place the document was fetched from: clients
/// resolve relative addresses against that.
pub(crate) fn document(call: &Call) -> Response {
    // `/openapi.yaml` stands at the root, the other one two levels below.
    let server = if call.path.starts_with("/api/") {
        "../.."
    } else {
        "."
    };
    let text = DOCUMENT.replacen("{SERVER}", server, 1);
    page("application/yaml; charset=utf-8", text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http::Method;
    use serde_json::Value;

    use super::*;
    use crate::ApiOptions;
    use crate::test_server::{Answer, TestServer};

    /// Puts in place what is referred to, except schemas.
    fn resolve(value: &mut Value, document: &Value) {
        let place = value
            .get("$ref")
            .and_then(Value::as_str)
            .map(|r| r.trim_start_matches('#'));
        if let Some(place) = place.filter(|p| !p.contains("/schemas/")) {
            *value = document
                .pointer(place)
                .expect("a place in the document")
                .clone();
        }
        match value {
            Value::Array(all) => all.iter_mut().for_each(|v| resolve(v, document)),
            Value::Object(all) => all.values_mut().for_each(|v| resolve(v, document)),
            _ => {}
        }
    }

    /// Path, method and operation of all that the document describes.
    fn operations() -> Vec<(String, Method, Value)> {
        let source: Value = serde_saphyr::from_str(DOCUMENT).unwrap();
        let mut document = source.clone();
        resolve(&mut document["paths"], &source);
        let mut all = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let method = method.to_uppercase().parse().unwrap();
                all.push((path.clone(), method, operation.clone()));
            }
        }
        all
    }

    #[test]
    fn it_describes_every_route_and_nothing_else() {
        let mut described: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (path, method, _) in operations() {
            described.entry(path).or_default().push(method.to_string());
        }
        let mut routed: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (pattern, methods) in crate::router::routes() {
            let mut methods: Vec<String> = methods.iter().map(Method::to_string).collect();
            // These answer GET only to refuse it.
            if matches!(pattern, "/-/reload" | "/-/quit") {
                methods.retain(|m| m != "GET");
            }
            routed.insert(pattern.to_string(), methods);
        }
        for methods in described.values_mut().chain(routed.values_mut()) {
            methods.sort();
        }
        assert_eq!(described, routed);
    }

    fn example(name: &str) -> &'static str {
        match name {
            "query" => "up",
            "start" | "time" => "1700000000",
            "end" => "1700000030",
            "step" | "timeout" | "lookback_delta" => "15s",
            "match[]" => "%7Bjob%3D~%22.%2B%22%7D",
            "label" => "job",
            _ => "",
        }
    }

    /// The names of the parameters that an operation needs, and whether they go into the body.
    fn required(operation: &Value) -> (Vec<String>, bool) {
        let form = &operation["requestBody"]["content"]["application/x-www-form-urlencoded"];
        if let Some(names) = form["schema"]["required"].as_array() {
            let names = names.iter().map(|n| n.as_str().unwrap().to_string());
            return (names.collect(), true);
        }
        let parameters = operation["parameters"].as_array();
        let needed = parameters
            .into_iter()
            .flatten()
            .filter(|p| p["in"] == "query" && p["required"] == true);
        let names = needed.map(|p| p["name"].as_str().unwrap().to_string());
        (names.collect(), false)
    }

    #[track_caller]
    fn check(path: &str, operation: &Value, answer: &Answer) {
        let status = answer.status.to_string();
        let described = &operation["responses"][&status];
        assert!(described.is_object(), "{path}: {status} {answer:?}");
        let content_type = answer.header("content-type");
        let media_type = content_type.split(';').next().unwrap();
        let Some(content) = described["content"].as_object() else {
            assert!(answer.bytes.is_empty() || content_type.starts_with("text/plain"));
            return;
        };
        assert!(content.contains_key(media_type), "{path}: {content_type}");
        let schema = &content[media_type]["schema"]["$ref"];
        if let Some(schema) = schema.as_str() {
            let body: Value = serde_json::from_slice(&answer.bytes).unwrap();
            let success = schema.ends_with("Success");
            let word = if success { "success" } else { "error" };
            assert_eq!(body["status"], word, "{path}: {body}");
        }
    }

    #[tokio::test]
    async fn every_operation_answers_as_described() {
        let data = tempfile::tempdir().unwrap();
        let server = TestServer::with(ApiOptions {
            enable_admin_api: true,
            data_dir: data.path().to_path_buf(),
            ..ApiOptions::default()
        });
        let starting = TestServer::starting(ApiOptions::default());
        for (path, method, operation) in operations() {
            // Its answer has no end.
            if path.ends_with("/live") {
                continue;
            }
            let place = path.replace("{name}", "job");
            let (names, in_body) = required(&operation);
            let pairs = names.iter().map(|n| format!("{n}={}", example(n)));
            let pairs = pairs.collect::<Vec<_>>().join("&");
            let form_type = [("content-type", "application/x-www-form-urlencoded")];
            let (place_with, body, headers) = if in_body {
                (place.clone(), pairs.as_str(), &form_type[..])
            } else {
                (format!("{place}?{pairs}"), "", &[][..])
            };
            let answer = server
                .send(method.clone(), &place_with, headers, body)
                .await;
            check(&path, &operation, &answer);
            if answer.status < 300 && !matches!(path.as_str(), "/api/v1/write" | "/api/v1/import") {
                // What is required is required.
                let bare = server.send(method.clone(), &place, &[], "").await;
                check(&path, &operation, &bare);
                assert_eq!(bare.status == 400, !names.is_empty(), "{path} {bare:?}");
            }
            let early = starting
                .send(method.clone(), &place_with, headers, body)
                .await;
            check(&path, &operation, &early);
        }
    }
}
