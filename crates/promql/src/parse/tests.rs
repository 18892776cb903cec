//! Trees, errors and limits of the parser.

mod errors;
mod limits;
mod trees;

use super::*;

/// Parses with everything on.
fn parsed(query: &str) -> Expr {
    parse(query, &ParseOptions::all()).unwrap_or_else(|e| panic!("{query}: {e}"))
}

fn error(query: &str) -> String {
    match parse(query, &ParseOptions::all()) {
        Ok(expr) => panic!("{query} is accepted: {expr:?}"),
        Err(e) => e.to_string(),
    }
}

/// All queries of Prometheus's own tests, where they are at hand.
#[test]
fn every_query_of_the_test_scripts_parses() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/promqltest");
    let Ok(files) = std::fs::read_dir(directory) else {
        eprintln!("skipped: no test scripts");
        return;
    };
    let mut count = 0;
    for file in files {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|e| e != "test") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let Some(query) = query_of(line) else {
                continue;
            };
            count += 1;
            let fails = line.starts_with("eval_fail")
                || lines
                    .peek()
                    .is_some_and(|l| l.trim().starts_with("expect fail"));
            match parse(query, &ParseOptions::all()) {
                Ok(expr) => assert_eq!(
                    parsed(&expr.to_string()).to_string(),
                    expr.to_string(),
                    "{}: {query}",
                    path.display()
                ),
                // A few scripts test errors of the parser.
                Err(e) => assert!(fails, "{}: {query}: {e}", path.display()),
            }
        }
    }
    assert!(count > 1000, "only {count} queries found");
}

/// The query of an `eval` line.
fn query_of(line: &str) -> Option<&str> {
    let mut words = line.splitn(2, ' ');
    if !words.next()?.starts_with("eval") {
        return None;
    }
    let rest = words.next()?.trim_start();
    if let Some(rest) = rest.strip_prefix("instant at ") {
        return Some(rest.split_once(' ')?.1);
    }
    let rest = rest.strip_prefix("range from ")?;
    Some(rest.split_once(" step ")?.1.split_once(' ')?.1)
}
