//! One line of progress on a terminal, rewritten in place.

use std::io::{IsTerminal as _, Write as _};

/// The line; nothing is printed when standard error is no terminal.
pub(crate) struct Progress {
    verb: &'static str,
    terminal: bool,
    shown: Option<(u8, u64)>,
}

impl Progress {
    /// `verb` stands behind the number of samples or bytes.
    pub(crate) fn new(verb: &'static str) -> Self {
        Self {
            verb,
            terminal: std::io::stderr().is_terminal(),
            shown: None,
        }
    }

    /// Shows that all between `from` and `at` of the times until `to` is done.
    pub(crate) fn show(&mut self, at: i64, from: i64, to: i64, samples: u64) {
        let percent = percent(at, from, to);
        // Twice the same line is not written.
        let key = (percent, samples / 100_000);
        if self.terminal && self.shown != Some(key) {
            self.shown = Some(key);
            let mut err = std::io::stderr();
            let _ = write!(err, "\r{percent:3} %  {samples} samples {}", self.verb);
            let _ = err.flush();
        }
    }

    /// Shows that `done` of `all` is done.
    pub(crate) fn show_bytes(&mut self, done: u64, all: u64) {
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let percent = percent(signed(done), 0, signed(all));
        if self.terminal && self.shown != Some((percent, 0)) {
            self.shown = Some((percent, 0));
            let mut err = std::io::stderr();
            let _ = write!(err, "\r{percent:3} % of {all} {}", self.verb);
            let _ = err.flush();
        }
    }

    /// Takes the line away.
    pub(crate) fn finish(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(std::io::stderr(), "\r{:60}\r", "");
        }
    }
}

fn percent(at: i64, from: i64, to: i64) -> u8 {
    let (done, all) = (
        i128::from(at) - i128::from(from),
        i128::from(to) - i128::from(from),
    );
    (done.clamp(0, all.max(0)) * 100 / all.max(1)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents() {
        assert_eq!(percent(50, 0, 200), 25);
        assert_eq!(percent(300, 0, 200), 100);
        assert_eq!(percent(0, 5, 5), 0);
        assert_eq!(percent(i64::MAX, i64::MIN, i64::MAX), 100);
    }
}
