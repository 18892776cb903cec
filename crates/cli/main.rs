//! The `tsdb` program: flags, wiring, signals, exit codes.

mod admin;
mod check;
mod compat;
mod complete;
mod export;
mod flags;
mod host_config;
mod import;
mod inspect;
mod lint;
mod logging;
mod memory;
mod notify;
mod output;
mod progress;
mod push;
mod query;
mod query_flags;
mod render;
mod select;
mod serve;
mod source;
mod storage_flags;
mod test;
mod time;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let prepared = compat::prepare(std::env::args_os());
    let cli = match flags::Cli::try_parse_from(prepared.args) {
        Ok(cli) => cli,
        Err(e) => {
            // `--help` and `--version` come this way too. Prometheus exits with 1 on a bad flag.
            let _ = e.print();
            return ExitCode::from(u8::from(e.use_stderr()));
        }
    };
    match cli.command {
        flags::Command::Serve(mut args) => {
            args.ignored = prepared.ignored;
            serve::run(*args)
        }
        flags::Command::Query(args) => query::run(&args),
        flags::Command::Export(args) => export::run(&args),
        flags::Command::Import(args) => import::run(&args),
        flags::Command::Series(args) => select::series(&args),
        flags::Command::Labels(args) => select::labels(&args),
        flags::Command::Push(args) => push::run(&args),
        flags::Command::Snapshot(args) => admin::snapshot(&args),
        flags::Command::Delete(args) => admin::delete(&args),
        flags::Command::Completions(args) => complete::completions(&args),
        flags::Command::Man(args) => complete::man(&args),
        flags::Command::Check(args) => check::run(&args),
        flags::Command::Inspect(args) => inspect::run(&args),
        flags::Command::Test(args) => match args.command {
            flags::TestCommand::Promql(args) => test::run(&args),
        },
    }
}
