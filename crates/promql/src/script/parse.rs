//! Lines to statements.

use tsdb_model::parse_duration_ms;

use super::Statement;
use super::eval::Eval;
use super::load::Load;

/// What is wrong, and in which line (from 1).
pub(super) type LineError = (usize, String);

/// The lines of a script, trimmed; comments are blank.
pub(super) struct Lines<'a> {
    lines: Vec<&'a str>,
    next: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let plain = |line: &'a str| {
            let line = line.trim_matches([' ', '\t', '\r']);
            if line.starts_with('#') { "" } else { line }
        };
        Self {
            lines: text.split('\n').map(plain).collect(),
            next: 0,
        }
    }

    /// The next line of a block with its number; `None` at a blank line and at the end.
    pub(super) fn next_in_block(&mut self) -> Option<(usize, &'a str)> {
        let line = self.lines.get(self.next).filter(|l| !l.is_empty())?;
        self.next += 1;
        Some((self.next, line))
    }

    /// The next line that is not blank, with its number.
    pub(super) fn next_statement(&mut self) -> Option<(usize, &'a str)> {
        while self.lines.get(self.next)?.is_empty() {
            self.next += 1;
        }
        self.next_in_block()
    }
}

/// Splits a text into its first word and the rest.
pub(super) fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (word, rest.trim_start_matches([' ', '\t']))
}

/// A duration of a script: no sign, no fraction, in milliseconds.
pub(super) fn duration(text: &str) -> Result<i64, String> {
    parse_duration_ms(text).map_err(|e| e.to_string())
}

pub(super) fn statements(text: &str) -> Result<Vec<Statement>, LineError> {
    let mut lines = Lines::new(text);
    let mut statements = Vec::new();
    while let Some((number, line)) = lines.next_statement() {
        let command = split_word(line).0.to_lowercase();
        statements.push(match command.as_str() {
            "clear" => Statement::Clear,
            c if c.starts_with("load") => Statement::Load(Load::parse(number, line, &mut lines)?),
            c if c.starts_with("eval") => {
                Statement::Eval(Box::new(Eval::parse(number, line, &mut lines)?))
            }
            _ => return Err((number, format!("unknown command {command:?}"))),
        });
    }
    Ok(statements)
}

/// Number of lines that begin an eval, also in a file that cannot be parsed.
pub(super) fn count_evals(text: &str) -> usize {
    let lines = Lines::new(text).lines.into_iter();
    lines
        .filter(|line| split_word(line).0.to_lowercase().starts_with("eval"))
        .count()
}
