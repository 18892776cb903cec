//! `tsdb query`: asks a server or a data directory, prints the answer.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value as Json;

use tsdb::{Db, Engine, Options, QueryOptions};
use tsdb_http::json::data_json;
use tsdb_model::{Clock as _, SystemClock};
use tsdb_net::client::{Client, ClientOptions};

use crate::flags::QueryArgs;
use crate::output;
use crate::render;
use crate::time::{default_step_ms, parse_time};

/// What is asked: one time, or a range; milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum When {
    At(i64),
    Range { start: i64, end: i64, step: i64 },
}

/// An answer of either source: the `data` member of the HTTP API, and the notes.
pub(crate) struct Answer {
    pub(crate) data: Json,
    pub(crate) notes: Vec<String>,
}

/// A query that has no answer: what the engine or the server said about it.
struct Refused(String);

/// Runs the command; the exit code is 1 when there is no answer.
#[expect(clippy::print_stderr, reason = "printing is this command's job")]
pub(crate) fn run(args: &QueryArgs) -> ExitCode {
    match answer(args) {
        Ok((when, Ok(answer))) => {
            for note in &answer.notes {
                eprintln!("{note}");
            }
            let terminal = std::io::stdout().is_terminal();
            let printed = render::render(&answer.data, when, args.format, terminal)
                .and_then(|text| output::print(&text).context("standard output"));
            match printed {
                Ok(()) => ExitCode::SUCCESS,
                Err(e) => {
                    eprintln!("error: {e:#}");
                    ExitCode::FAILURE
                }
            }
        }
        Ok((_, Err(Refused(message)))) => {
            eprint!("{}", render::query_error(&args.expr, &message));
            ExitCode::FAILURE
        }
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn answer(args: &QueryArgs) -> anyhow::Result<(When, Result<Answer, Refused>)> {
    let when = when(args, SystemClock.now_ms())?;
    let answer = match &args.dir {
        Some(dir) => from_directory(dir, args, when)?,
        None => {
            let headers = crate::source::credentials(args.token_file.as_deref())?;
            from_server(&args.url, &headers, &args.expr, when)?
        }
    };
    Ok((when, answer))
}

fn when(args: &QueryArgs, now: i64) -> anyhow::Result<When> {
    let time = |name: &str, text: &str| {
        parse_time(text, now)
            .map_err(anyhow::Error::msg)
            .with_context(|| format!("--{name}"))
    };
    if args.start.is_none() && args.since.is_none() {
        if args.end.is_some() || args.step.is_some() {
            bail!("a range query needs --start or --since");
        }
        return Ok(When::At(match &args.time {
            Some(text) => time("time", text)?,
            None => now,
        }));
    }
    let end = match &args.end {
        Some(text) => time("end", text)?,
        None => now,
    };
    let start = match (&args.start, args.since) {
        (Some(text), _) => time("start", text)?,
        (None, Some(since)) => end - since,
        (None, None) => end,
    };
    if end < start {
        bail!("--end is before --start");
    }
    let step = args.step.unwrap_or_else(|| default_step_ms(end - start));
    // On the step's grid, so that asking again soon gives the same points.
    let align = args.since.is_some();
    let (start, end) = if align {
        (start / step * step, end / step * step)
    } else {
        (start, end)
    };
    Ok(When::Range { start, end, step })
}

fn from_directory(
    dir: &Path,
    args: &QueryArgs,
    when: When,
) -> anyhow::Result<Result<Answer, Refused>> {
    let db = Db::open_read_only(dir, Options::default())?;
    let engine = Engine::new(crate::serve::engine_options(&args.enable_feature).0);
    let options = QueryOptions::default();
    let output = match when {
        When::At(t) => engine.instant(&db, &args.expr, t, &options),
        When::Range { start, end, step } => {
            engine.range(&db, &args.expr, start, end, step, &options)
        }
    };
    let output = match output {
        Ok(output) => output,
        Err(e) => return Ok(Err(Refused(e.to_string()))),
    };
    let mut notes = output.annotations.warning_texts(&args.expr);
    notes.extend(output.annotations.info_texts(&args.expr));
    let data = serde_json::from_str(&data_json(&output)).context("invariant: own JSON")?;
    Ok(Ok(Answer { data, notes }))
}

/// The largest answer that is read from a server, in bytes.
const MAX_ANSWER_BYTES: u64 = 1 << 30;

fn from_server(
    url: &str,
    headers: &[(&str, String)],
    expr: &str,
    when: When,
) -> anyhow::Result<Result<Answer, Refused>> {
    let seconds = |ms: i64| format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000));
    let (path, form) = match when {
        When::At(t) => (
            "query",
            vec![("query", expr.to_string()), ("time", seconds(t))],
        ),
        When::Range { start, end, step } => (
            "query_range",
            vec![
                ("query", expr.to_string()),
                ("start", seconds(start)),
                ("end", seconds(end)),
                ("step", seconds(step)),
            ],
        ),
    };
    let base = if url.contains("://") {
        url.to_string()
    } else {
        format!("http://{url}")
    };
    let target = format!("{}/api/v1/{path}", base.trim_end_matches('/'));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let client = Client::new(ClientOptions::default());
    let response = runtime
        .block_on(client.post_form(
            &target,
            &form,
            headers,
            Duration::from_secs(150),
            MAX_ANSWER_BYTES,
        ))
        .with_context(|| {
            format!("no answer from {base} (is `tsdb serve` running? --url or --dir say where)")
        })?;
    let Ok(body) = serde_json::from_slice::<Json>(&response.body) else {
        bail!("{target} answered status {} and no JSON", response.status);
    };
    if body["status"] != "success" {
        let message = body["error"]
            .as_str()
            .unwrap_or("the server gave no reason")
            .to_string();
        return Ok(Err(Refused(message)));
    }
    let texts = |key: &str| {
        let list = body[key].as_array().cloned().unwrap_or_default();
        list.iter()
            .filter_map(|t| t.as_str().map(str::to_string))
            .collect::<Vec<_>>()
    };
    let notes = [texts("warnings"), texts("infos")].concat();
    Ok(Ok(Answer {
        data: body["data"].clone(),
        notes,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{Cli, Command};
    use clap::Parser as _;

    fn args(flags: &[&str]) -> QueryArgs {
        let line = ["tsdb", "query", "up"].iter().chain(flags);
        match Cli::try_parse_from(line).unwrap().command {
            Command::Query(args) => args,
            _ => panic!("query"),
        }
    }

    #[test]
    fn times_of_a_query() {
        let now = 1_000_000_000;
        assert_eq!(when(&args(&[]), now).unwrap(), When::At(now));
        assert_eq!(
            when(&args(&["--time", "-1m"]), now).unwrap(),
            When::At(now - 60_000)
        );
        assert_eq!(
            when(&args(&["--since", "1h"]), now).unwrap(),
            When::Range {
                start: 996_390_000,
                end: 999_990_000,
                step: 15_000
            }
        );
        assert_eq!(
            when(
                &args(&["--start", "100", "--end", "200", "--step", "10s"]),
                now
            )
            .unwrap(),
            When::Range {
                start: 100_000,
                end: 200_000,
                step: 10_000
            }
        );
        assert!(when(&args(&["--end", "200"]), now).is_err());
        assert!(when(&args(&["--start", "300", "--end", "200"]), now).is_err());
    }
}
