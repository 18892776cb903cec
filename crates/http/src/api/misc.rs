//! Rules, alerts and alertmanagers (there are none), and the plain endpoints.

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::json;
use tsdb_net::body::Body;
use tsdb_net::server::Response;

use crate::answer::{ApiResult, Success, plain};
use crate::error::ApiError;
use crate::json;
use crate::params::{Params, parse_bool, parse_int, quoted};
use crate::router::{Call, no_sniff};
use crate::state::{ApiState, Running};

/// No rules: this program evaluates none. Parameters are checked as Prometheus does.
pub(crate) fn rules(call: &Call, _: &Running) -> ApiResult {
    call.params.check_form()?;
    call.params.matchers()?;
    check_rule_filters(&call.params)?;
    Success::json(&json!({"groups": []}))
}

fn check_rule_filters(params: &Params) -> Result<(), ApiError> {
    let kind = params.get("type").to_lowercase();
    if !matches!(kind.as_str(), "" | "alert" | "record") {
        let cause = format!("not supported value {}", quoted(&kind));
        return Err(ApiError::invalid("type", cause));
    }
    let exclude = params.get("exclude_alerts");
    if !exclude.is_empty() {
        parse_bool(exclude).map_err(|e| {
            ApiError::invalid(
                "exclude_alerts",
                format!("error converting exclude_alerts: {e}"),
            )
        })?;
    }
    match params.get("group_limit") {
        "" if params.get("group_next_token").is_empty() => Ok(()),
        "" => {
            let cause = "group_limit needs to be present in order to paginate over the groups";
            Err(ApiError::invalid("group_next_token", cause))
        }
        text => {
            let invalid = |cause: String| Err(ApiError::invalid("group_limit", cause));
            match parse_int32(text) {
                Ok(1..) => {}
                Ok(_) => return invalid("group_limit needs to be greater than 0".into()),
                Err(e) => {
                    return invalid(format!("group_limit needs to be a valid number: {e}"));
                }
            }
            match params.get("group_next_token") {
                "" => Ok(()),
                // There are no groups, so there is none that it could mean.
                token => Err(ApiError::invalid(
                    "group_next_token",
                    format!("invalid group_next_token '{token}'. were rule groups changed?"),
                )),
            }
        }
    }
}

/// An integer as Go's `strconv.ParseInt` of 32 bits reads it.
fn parse_int32(text: &str) -> Result<i32, String> {
    let fail = |reason: &str| format!("strconv.ParseInt: parsing {}: {reason}", quoted(text));
    match parse_int(text) {
        Ok(n) => i32::try_from(n).map_err(|_| fail("value out of range")),
        Err(e) if e.ends_with("value out of range") => Err(fail("value out of range")),
        Err(_) => Err(fail("invalid syntax")),
    }
}

/// No alerts.
pub(crate) fn alerts(_: &Call, _: &Running) -> ApiResult {
    Success::json(&json!({"alerts": []}))
}

/// No alertmanagers.
pub(crate) fn alertmanagers(_: &Call, _: &Running) -> ApiResult {
    Success::json(&json!({"activeAlertmanagers": [], "droppedAlertmanagers": []}))
}

/// Build information without the envelope.
pub(crate) fn version(call: &Call) -> Response {
    let text = json::to_json(&call.state.options.build).unwrap_or_default();
    let mut response = Response::new(Body::full(text + "\n"));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// The program runs.
pub(crate) fn healthy(_: &Call) -> Response {
    plain(StatusCode::OK, "Prometheus Server is Healthy.\n")
}

/// The program answers queries.
pub(crate) fn ready(call: &Call) -> Response {
    if call.state.running().is_none() {
        return unavailable(&call.state);
    }
    plain(StatusCode::OK, "Prometheus Server is Ready.\n")
}

/// What every endpoint that needs the store answers while there is none.
pub(crate) fn unavailable(state: &ApiState) -> Response {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
    let stopping = if state.is_stopping() { "true" } else { "false" };
    response.headers_mut().insert(
        HeaderName::from_static("x-prometheus-stopping"),
        HeaderValue::from_static(stopping),
    );
    response
}

/// The lifecycle endpoints' refusals, in Prometheus's words.
fn refused(call: &Call) -> Option<Response> {
    if call.method == Method::GET {
        let text = "Only POST or PUT requests allowed";
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, text);
        let allowed = HeaderValue::from_static("OPTIONS, POST, PUT");
        response.headers_mut().insert(ALLOW, allowed);
        return Some(response);
    }
    if !call.state.options.enable_lifecycle {
        return Some(plain(
            StatusCode::FORBIDDEN,
            "Lifecycle API is not enabled.",
        ));
    }
    None
}

/// Reads the configuration anew.
pub(crate) fn reload(call: &Call) -> Response {
    if let Some(response) = refused(call) {
        return response;
    }
    let Some(reload) = &call.state.options.reload else {
        return failed_reload("this server cannot reload");
    };
    match reload() {
        Ok(()) => plain(StatusCode::OK, ""),
        Err(e) => failed_reload(&e),
    }
}

fn failed_reload(cause: &str) -> Response {
    let text = format!("failed to reload config: {cause}\n");
    no_sniff(plain(StatusCode::INTERNAL_SERVER_ERROR, text))
}

/// Ends the program.
pub(crate) fn quit(call: &Call) -> Response {
    if let Some(response) = refused(call) {
        return response;
    }
    if let Some(quit) = &call.state.options.quit {
        quit();
    }
    plain(StatusCode::OK, "Requesting termination... Goodbye!")
}
