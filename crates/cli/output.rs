//! Standard output of the commands, and how they end.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Runs a command: exit code 1 and a line on standard error when it fails. A reader of its output
/// that has seen enough (`tsdb export .. | head -1`) may go away: that is no failure.
#[expect(clippy::print_stderr, reason = "commands say why they fail")]
pub(crate) fn report(command: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    match command() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if is_closed_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// Writes a line to standard output, for commands whose exit code does not depend on it.
#[expect(clippy::print_stderr, reason = "commands say why they fail")]
pub(crate) fn say(line: &str) {
    if let Err(e) = print(&format!("{line}\n")) {
        eprintln!("error: standard output: {e}");
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
}

/// Writes text to standard output. A reader that has seen enough (`tsdb query .. | head -1`) may
/// go away: that is no failure.
pub(crate) fn print(text: &str) -> io::Result<()> {
    write_to(&mut io::stdout().lock(), text)
}

fn write_to(out: &mut impl Write, text: &str) -> io::Result<()> {
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_readers_leaving_is_no_failure() {
        let end = |kind: ErrorKind| format!("{:?}", report(|| Err(io::Error::from(kind).into())));
        assert_eq!(
            end(ErrorKind::BrokenPipe),
            format!("{:?}", ExitCode::SUCCESS)
        );
        assert_eq!(
            end(ErrorKind::StorageFull),
            format!("{:?}", ExitCode::FAILURE)
        );
    }

    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_may_go_away_but_a_full_disk_is_told() {
        assert!(write_to(&mut Failing(ErrorKind::BrokenPipe), "x").is_ok());
        assert!(write_to(&mut Failing(ErrorKind::StorageFull), "x").is_err());
        let mut text = Vec::new();
        write_to(&mut text, "x\n").unwrap();
        assert_eq!(text, b"x\n");
    }
}
