//! Hostile queries: each gives an answer, soon, on an ordinary stack.

use super::*;

/// Deeper than [`MAX_DEPTH`], many times over.
const MANY: usize = 100_000;

fn too_deep(query: &str) {
    let e = error(query);
    assert!(e.contains("nested more than 1000 levels deep"), "{e}");
}

#[test]
fn deep_trees_are_refused() {
    too_deep(&("(".repeat(MANY) + "1" + &")".repeat(MANY)));
    too_deep(&("-".repeat(MANY) + "a"));
    too_deep(&("abs(".repeat(MANY) + "a" + &")".repeat(MANY)));
    too_deep(&("sum(".repeat(MANY) + "a" + &")".repeat(MANY)));
    too_deep(&("a^".repeat(MANY) + "a"));
    too_deep(&("a+".repeat(MANY) + "a"));
    too_deep(&("a".to_string() + &"[5m:]".repeat(MANY)));
    too_deep(&("a or b * ".repeat(MANY) + "a"));
    too_deep(&("topk(1, a + -(".repeat(MANY) + "a" + &"))".repeat(MANY)));
}

#[test]
fn trees_within_the_limit_are_fine() {
    let depth = MAX_DEPTH - 1;
    for query in [
        "(".repeat(depth) + "a" + &")".repeat(depth),
        "abs(".repeat(depth) + "a" + &")".repeat(depth),
        "sum(".repeat(depth) + "a" + &")".repeat(depth),
        "a^".repeat(depth) + "a",
        "a or ".repeat(depth) + "a",
        "-".repeat(depth) + "a",
    ] {
        let expr = parsed(&query);
        assert_eq!(parsed(&expr.to_string()).to_string(), expr.to_string());
        assert!(!crate::printer::format(&expr).is_empty());
        drop(expr);
    }
}

#[test]
fn deep_durations_are_refused() {
    for query in [
        format!("a[{}1m{}]", "(".repeat(MANY), ")".repeat(MANY)),
        format!("a[{}1m]", "-".repeat(MANY)),
        format!("a[{}1m]", "1m+".repeat(MANY)),
        format!("a[{}1m]", "1m^".repeat(MANY)),
        format!("a offset {}1m", "-".repeat(MANY)),
        format!("a offset (1m){}", "+1m".repeat(MANY)),
    ] {
        let e = error(&query);
        assert!(e.contains("more than 200 parts"), "{e}");
    }
    assert!(parse(&format!("a[{}1m]", "1m+".repeat(150)), &ParseOptions::all()).is_ok());
}

#[test]
fn long_queries_are_read_in_linear_time() {
    let megabyte = 1 << 20;
    let begin = std::time::Instant::now();
    for query in [
        " ".repeat(megabyte) + "a",
        "#".repeat(megabyte),
        "a".repeat(megabyte),
        "1".repeat(megabyte),
        "_".repeat(megabyte),
        format!("{{{}}}", "a=\"b\",".repeat(megabyte / 6)),
        format!("sum by ({}) (a)", "b,".repeat(megabyte / 2)),
        format!("\"{}\"", "\\n".repeat(megabyte / 2)),
        format!("label_join(a{})", ", \"b\"".repeat(megabyte / 5)),
        "fill ".repeat(megabyte / 5),
        "{".repeat(megabyte),
        "\"".repeat(megabyte),
        "1m".repeat(megabyte / 2),
        "sum by ".repeat(megabyte / 7),
        "a offset 0 ".repeat(megabyte / 11),
    ] {
        let _ = parse(&query, &ParseOptions::all());
    }
    // Slow machines and debug builds get a lot of room; quadratic time would take hours.
    assert!(begin.elapsed().as_secs() < 60);
}
