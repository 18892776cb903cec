//! Asking: CPU of each question on each program, and whether the answers agree.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;

use crate::compare::{Difference, compare};
use crate::fleet::SERIES;
use crate::load::quantile;
use crate::queries::{QUESTIONS, Question};
use crate::server::{Peer, Server};
use crate::table::{Table, number, ratio};
use crate::{Plan, note};

/// One way of asking one program: a column of the table.
struct Column<'a> {
    server: &'a Server,
    title: String,
    /// Sent along with each question.
    extra: Option<(&'static str, &'static str)>,
    /// CPU milliseconds, question by question.
    cold: Vec<f64>,
    warm: Vec<f64>,
    wall: Vec<f64>,
}

struct Asked {
    cpu_ms: f64,
    wall_ms: f64,
    body: Vec<u8>,
}

/// Program, question and what the comparison with Prometheus gave.
type Compared = (String, String, Result<Difference>);

/// Asks at least `times` times, and more until the kernel's steps of 10 ms no longer matter.
fn ask(
    column: &Column<'_>,
    question: &Question,
    end_ms: i64,
    times: usize,
    least_cpu: f64,
) -> Result<Asked> {
    let server = column.server;
    let (path, mut form) = question.request(end_ms);
    form.extend(column.extra.map(|(n, v)| (n, v.to_owned())));
    let mut client = server.client();
    let before = server.cpu()?;
    let mut walls = Vec::new();
    let mut body = Vec::new();
    while walls.len() < times || (server.cpu()? - before < least_cpu && walls.len() < 40 * times) {
        let from = Instant::now();
        let answer = if question.takes_post() {
            client.form(&path, &form)?
        } else {
            client.get_form(&path, &form)?
        };
        walls.push(u32::try_from(from.elapsed().as_micros()).unwrap_or(u32::MAX));
        body = answer.body;
    }
    Ok(Asked {
        cpu_ms: (server.cpu()? - before) * 1000.0 / walls.len() as f64,
        wall_ms: quantile(&mut walls, 0.5) / 1000.0,
        body,
    })
}

/// Asks everything once, then each question `times` times, the programs in turn.
pub(crate) fn run(servers: &[&Server], plan: &Plan, times: usize) -> Result<()> {
    let mut columns: Vec<Column<'_>> = Vec::new();
    for server in servers {
        let ways: &[_] = match server.peer {
            Peer::Victoria => &[Some(("nocache", "1")), None],
            _ => &[None],
        };
        for extra in ways {
            let cached = server.peer == Peer::Victoria && extra.is_none();
            let note = if cached { ", its cache" } else { "" };
            columns.push(Column {
                server,
                title: format!("{}{note}", server.peer.title()),
                extra: *extra,
                cold: Vec::new(),
                warm: Vec::new(),
                wall: Vec::new(),
            });
        }
    }
    let end = plan.end_ms();
    let mut differences: Vec<Compared> = Vec::new();
    // Both rounds are compared: a wrong or empty answer is cheap, and its cost says nothing.
    for (round, times, least_cpu) in [("once", 1, 0.0), ("warm", times, 0.15)] {
        for question in QUESTIONS {
            note(&format!("{round}: {}", question.name));
            let mut reference = None;
            let mut answers = Vec::new();
            for column in &mut columns {
                let asked = ask(column, question, end, times, least_cpu)?;
                if round == "once" {
                    column.cold.push(asked.cpu_ms);
                } else {
                    column.warm.push(asked.cpu_ms);
                    column.wall.push(asked.wall_ms);
                }
                if column.server.peer == Peer::Prometheus {
                    reference = Some(asked.body);
                } else {
                    answers.push((column.title.clone(), asked.body));
                }
            }
            if let Some(reference) = &reference {
                for (title, body) in answers {
                    let name = format!("{}, {round}", question.name);
                    differences.push((title, name, compare(&body, reference)));
                }
            }
        }
    }
    print(&columns, plan);
    print_differences(&differences);
    Ok(())
}

fn print(columns: &[Column<'_>], plan: &Plan) {
    let ours = columns.iter().position(|c| c.server.peer == Peer::Tsdb);
    let others: Vec<usize> = (0..columns.len())
        .filter(|i| ours.is_some_and(|o| o != *i))
        .collect();
    let mut head = vec!["question".to_owned()];
    let title = |i: &usize| format!("tsdb / {}", columns[*i].title);
    head.extend(others.iter().map(title));
    head.extend(columns.iter().map(|c| c.title.clone()));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let mut table = Table::new(&head);
    let mut row = |name: String, values: Vec<f64>| {
        let mut cells = vec![name];
        if let Some(ours) = ours {
            cells.extend(others.iter().map(|i| ratio(values[ours], values[*i])));
        }
        cells.extend(values.iter().map(|v| number(*v)));
        table.row(cells);
    };
    let each = |f: &dyn Fn(&Column<'_>) -> f64| -> Vec<f64> { columns.iter().map(f).collect() };
    row(
        "**sum, asked once**".to_owned(),
        each(&|c| c.cold.iter().sum()),
    );
    row("**sum, warm**".to_owned(), each(&|c| c.warm.iter().sum()));
    row(
        "**sum of median times to the answer, warm**".to_owned(),
        each(&|c| c.wall.iter().sum()),
    );
    for (i, question) in QUESTIONS.iter().enumerate() {
        row(question.name.to_owned(), each(&|c| c.warm[i]));
    }
    table.print(&format!(
        "Queries: server CPU in ms, {} series x {} scrapes (single questions: warm)",
        plan.targets * SERIES,
        plan.scrapes
    ));
}

fn print_differences(differences: &[Compared]) {
    let mut table = Table::new(&[
        "program",
        "question",
        "series on one side only",
        "points on one side only",
        "points that differ",
        "of",
        "largest relative difference",
    ]);
    let mut same = BTreeMap::<&str, (usize, usize)>::new();
    for (title, name, difference) in differences {
        let count = same.entry(title).or_default();
        count.1 += 1;
        let mut cells = vec![title.clone(), name.clone()];
        match difference {
            Ok(d) if d.none() => {
                count.0 += 1;
                continue;
            }
            Ok(d) => cells.extend([
                d.series.to_string(),
                d.points.to_string(),
                d.wrong.to_string(),
                d.compared.to_string(),
                format!("{:.1e}", d.largest),
            ]),
            Err(e) => {
                cells.push(format!("{e:#}"));
                cells.resize(7, String::new());
            }
        }
        table.row(cells);
    }
    println!("\nAnswers equal to Prometheus's within 1e-9:\n");
    for (title, (equal, of)) in &same {
        println!("- {title}: {equal} of {of}");
    }
    table.print("Answers that differ from Prometheus's");
}
