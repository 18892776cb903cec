//! `tsdb completions` and `tsdb man`.

use std::process::ExitCode;

use clap::{Args, CommandFactory as _};

use crate::flags::Cli;
use crate::output::{self, print};

/// Settings of `tsdb completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell to complete commands in.
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// Settings of `tsdb man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Command to describe, such as `serve` or `export blocks`; the program when absent.
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// Prints a script for a shell.
pub(crate) fn completions(args: &CompletionsArgs) -> ExitCode {
    output::report(|| {
        let mut script = Vec::new();
        clap_complete::generate(args.shell, &mut Cli::command(), "tsdb", &mut script);
        Ok(print(&String::from_utf8(script)?)?)
    })
}

/// Prints a manual page (roff); `tsdb man | man -l -` shows it.
pub(crate) fn man(args: &ManArgs) -> ExitCode {
    output::report(|| {
        let mut command = Cli::command();
        command.build();
        for name in &args.command {
            let found = command.find_subcommand(name);
            command = match found {
                Some(found) => found.clone(),
                None => anyhow::bail!("there is no command {name:?}"),
            };
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        Ok(print(&String::from_utf8(page)?)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_and_every_command() {
        use clap::ValueEnum as _;
        for shell in clap_complete::Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "tsdb", &mut script);
            assert!(
                String::from_utf8(script).unwrap().contains("snapshot"),
                "{shell}"
            );
        }
        for name in Cli::command().get_subcommands() {
            let mut page = Vec::new();
            clap_mangen::Man::new(name.clone())
                .render(&mut page)
                .unwrap();
            assert!(page.len() > 100);
        }
    }
}
