use super::*;
use proptest::prelude::*;

fn head(method: &str, uri: &str, content_type: &str) -> Parts {
    let request = http::Request::builder().method(method).uri(uri);
    request
        .header("content-type", content_type)
        .body(())
        .unwrap()
        .into_parts()
        .0
}

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn the_body_wins_over_the_url() {
    let params = Params::from_request(&head("POST", "/q?a=url&b=2&a=3", FORM), b"a=body&c=x+y%26");
    assert_eq!(params.get("a"), "body");
    assert_eq!(params.all("a").collect::<Vec<_>>(), ["body", "url", "3"]);
    assert_eq!(
        (params.get("b"), params.get("c"), params.get("d")),
        ("2", "x y&", "")
    );
    // The body of a GET and a body that is no form do not count.
    let params = Params::from_request(&head("GET", "/q?a=url", FORM), b"a=body");
    assert_eq!(params.get("a"), "url");
    let params = Params::from_request(&head("POST", "/q?a=url", "application/json"), b"a=body");
    assert_eq!(params.get("a"), "url");
    let params = Params::from_request(
        &head("POST", "/q?a=url", "multipart/form-data; boundary=B"),
        b"--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nbody\r\n--B--",
    );
    assert_eq!(params.get("a"), "body");
}

#[test]
fn malformed_pairs_vanish_and_can_be_asked_for() {
    let params = Params::from_query("a=%zz&b=1;2&%=x");
    assert_eq!((params.get("a"), params.get("b")), ("", "1;2"));
    let error = params.check_form().unwrap_err();
    assert_eq!(
        error.message,
        "error parsing form values: invalid URL escape \"%zz\""
    );
    assert!(Params::from_query("b=1").check_form().is_ok());
    assert_eq!(Params::from_query("a=%ff").get("a"), "\u{fffd}");
}

#[test]
fn times() {
    for (text, ms) in [
        ("0", 0),
        ("1.0005", 1000),
        ("1.9999999", 2000),
        ("-1.5", -1500),
        ("1e3", 1_000_000),
        ("1_000", 1_000_000),
        ("0x10p0", 16_000),
        ("1795391575.15", 1_795_391_575_150),
        ("1700000000000", 1_700_000_000_000_000),
        ("NaN", MIN_TIME_MS),
        ("+Inf", MAX_TIME_MS),
        ("9223372036854775807", MAX_TIME_MS),
        ("1970-01-01T00:00:00Z", 0),
        ("2024-02-29T23:59:59.1239Z", 1_709_251_199_123),
        ("2024-02-29T23:59:59.5+01:30", 1_709_245_799_500),
        ("1969-12-31T23:59:59.9Z", -100),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ("-292273086-05-16T16:47:06Z", MIN_TIME_MS),
        ("292277025-08-18T07:12:54.999999999Z", MAX_TIME_MS),
    ] {
        assert_eq!(parse_time_ms(text), Ok(ms), "{text}");
    }
    for text in [
        "",
        "abc",
        "2024-01-02",
        "2024-01-02T00:00:00",
        "2023-02-29T00:00:00Z",
        "2024-01-02t00:00:00Z",
        "2024-01-02T24:00:00Z",
        "2024-01-02T00:00:00.Z",
        "2024-01-02T00:00:00Zx",
        "1e999",
        "_1",
        "1__0",
        "0x10",
        "now",
    ] {
        let expected = format!("cannot parse {text:?} to a valid timestamp");
        assert_eq!(parse_time_ms(text), Err(expected), "{text}");
    }
    let params = Params::from_query("time=abc&start=");
    assert_eq!(
        params.time_or("time", 0).unwrap_err().message,
        "invalid parameter \"time\": invalid time value for 'time': \
         cannot parse \"abc\" to a valid timestamp"
    );
    assert_eq!(
        params.time("start").unwrap_err().message,
        "invalid parameter \"start\": cannot parse \"\" to a valid timestamp"
    );
    assert_eq!(params.time_or("start", 7), Ok(7));
}

#[test]
fn durations() {
    for (text, ns) in [
        ("15", 15_000_000_000),
        ("0.5", 500_000_000),
        ("300ms", 300_000_000),
        ("1m30s", 90_000_000_000),
        ("-1", -1_000_000_000),
        ("0", 0),
        ("NaN", i64::MIN),
    ] {
        assert_eq!(parse_duration_ns(text), Ok(ns), "{text}");
    }
    for text in ["", "x", "1.5s", "1ns", "-1m", "1m1h"] {
        let expected = format!("cannot parse {text:?} to a valid duration");
        assert_eq!(parse_duration_ns(text), Err(expected), "{text}");
    }
    let expected = "cannot parse \"1e20\" to a valid duration. It overflows int64";
    assert_eq!(parse_duration_ns("1e20"), Err(expected.into()));
    let error = Params::from_query("lookback_delta=x")
        .lookback_delta_ms()
        .unwrap_err();
    let expected = "error parsing lookback delta duration: cannot parse \"x\" to a valid duration";
    assert_eq!(error.message, expected);
    assert_eq!(
        Params::from_query("lookback_delta=0").lookback_delta_ms(),
        Ok(None)
    );
    assert_eq!(
        Params::from_query("lookback_delta=1m").lookback_delta_ms(),
        Ok(Some(60_000))
    );
}

#[test]
fn limits() {
    let limit = |text: &str| Params::from_query(&format!("limit={text}")).limit();
    assert_eq!(limit(""), Ok(0));
    assert_eq!(limit("10"), Ok(10));
    for (text, cause) in [
        ("-1", "limit must be non-negative"),
        ("x", "strconv.Atoi: parsing \"x\": invalid syntax"),
        ("1.5", "strconv.Atoi: parsing \"1.5\": invalid syntax"),
        (
            "99999999999999999999",
            "strconv.Atoi: parsing \"99999999999999999999\": value out of range",
        ),
    ] {
        assert_eq!(
            limit(text).unwrap_err().message,
            format!("invalid parameter \"limit\": {cause}")
        );
    }
}

#[test]
fn selectors() {
    let sets = Params::from_query("match[]=up&match[]={job=~\"a|b\"}")
        .matchers()
        .unwrap();
    assert_eq!(sets.len(), 2);
    for text in ["{}", "{x=\"\"}", "{x=~\".*\"}"] {
        let query = format!("match[]={text}");
        assert_eq!(
            Params::from_query(&query).matchers().unwrap_err().message,
            "match[] must contain at least one non-empty matcher",
            "{text}"
        );
    }
    let error = Params::from_query("match[]={").matchers().unwrap_err();
    assert!(error.message.contains("parse error: "), "{}", error.message);
}

proptest! {
    #[test]
    fn any_text_gives_an_answer(text in "\\PC{0,40}") {
        let _ = parse_time_ms(&text);
        let _ = parse_duration_ns(&text);
        let _ = parse_int(&text);
    }

    #[test]
    fn printed_times_read_back(ms in -62_135_596_800_000i64..253_402_300_799_999) {
        prop_assert_eq!(parse_rfc3339_ms(&crate::json::rfc3339_ms(ms)), Some(ms));
    }
}

#[test]
fn many_parameters_are_refused_and_take_no_memory() {
    let ok = Params::from_query(&"a&".repeat(MAX_PARAMS));
    assert!(ok.check_number().is_ok());
    let hostile = Params::from_query(&"a&".repeat(MAX_PARAMS + 1));
    assert!(hostile.pairs.len() <= MAX_PARAMS);
    let error = hostile.check_number().unwrap_err();
    assert_eq!(
        error.message,
        "too many parameters: a request may have 10000"
    );
}
