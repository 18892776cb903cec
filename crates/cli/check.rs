//! `tsdb check`: files and pages looked at before they are used. Words and exit codes are
//! promtool's.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use tsdb_config::{Config, ConfigError, Loader, RuleFile, glob, load_target_groups};

use crate::flags::{CheckArgs, CheckCommand, CheckConfigArgs};
use crate::lint::lint;
use crate::output::say;

/// Exit code when a page can be read, but breaks the rules of good metrics.
const EXIT_LINT: u8 = 3;

/// Longest page that is looked at.
const MAX_PAGE_BYTES: u64 = 256 << 20;

/// Runs the command.
pub(crate) fn run(args: &CheckArgs) -> ExitCode {
    match &args.command {
        CheckCommand::Config(args) => config(args),
        CheckCommand::WebConfig(args) => web_config(&args.files),
        CheckCommand::Metrics => metrics(),
    }
}

#[expect(clippy::print_stderr, reason = "printing is this command's job")]
fn config(args: &CheckConfigArgs) -> ExitCode {
    let loader = Loader {
        expand_env: args.expand_env,
        check: (!args.syntax_only).then_some(&tsdb_net::client::check),
        exprs: Some(&crate::serve::check_expr),
        without_rules: args.syntax_only,
    };
    let mut code = ExitCode::SUCCESS;
    for file in &args.files {
        say(&format!("Checking {}", file.display()));
        match loader.load(file).and_then(|config| {
            let warnings = if args.syntax_only {
                Vec::new()
            } else {
                target_files(&config)?
            };
            Ok((config, warnings))
        }) {
            Ok((config, warnings)) => {
                for warning in warnings {
                    say(&format!("  WARNING: {warning}"));
                }
                let found = &config.rules_found;
                if !found.is_empty() {
                    say(&format!("  SUCCESS: {} rule files found", found.len()));
                }
                let file = file.display();
                say(&format!(
                    " SUCCESS: {file} is valid prometheus config file syntax"
                ));
                for RuleFile { path, rules } in found {
                    say(&format!("\nChecking {}", path.display()));
                    say(&format!("  SUCCESS: {rules} rules found"));
                }
                if !found.is_empty() {
                    say("  WARNING: rules do not run yet");
                }
            }
            Err(e) => {
                eprintln!("  FAILED: {e}");
                code = ExitCode::FAILURE;
            }
        }
        say("");
    }
    code
}

/// Reads the files of `file_sd_configs`, as far as they are there; gives what to warn of.
fn target_files(config: &Config) -> Result<Vec<String>, ConfigError> {
    let mut warnings = Vec::new();
    for job in &config.scrape_configs {
        for pattern in job.file_sd_configs.iter().flat_map(|sd| &sd.files) {
            let found = glob(pattern).unwrap_or_default();
            for path in found {
                if path.exists() {
                    load_target_groups(&path)?;
                } else {
                    warnings.push(format!(
                        "file {:?} for file_sd in scrape job {:?} does not exist",
                        path.display().to_string(),
                        job.job_name
                    ));
                }
            }
        }
    }
    Ok(warnings)
}

#[expect(clippy::print_stderr, reason = "printing is this command's job")]
fn web_config(files: &[impl AsRef<Path>]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for file in files {
        let file = file.as_ref();
        match tsdb_net::web::check(file) {
            Ok(()) => eprintln!("{} SUCCESS", file.display()),
            Err(e) => {
                eprintln!("{} FAILED: {e}", file.display());
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

#[expect(clippy::print_stderr, reason = "printing is this command's job")]
fn metrics() -> ExitCode {
    let mut page = Vec::new();
    let read = std::io::stdin().take(MAX_PAGE_BYTES).read_to_end(&mut page);
    let complaints = match read.map(|_| lint(&page)) {
        Ok(Ok(complaints)) => complaints,
        Ok(Err(e)) => {
            eprintln!("error while linting: text format parsing error {e}");
            return ExitCode::FAILURE;
        }
        Err(e) => {
            eprintln!("error while linting: {e}");
            return ExitCode::FAILURE;
        }
    };
    for (metric, text) in &complaints {
        eprintln!("{metric} {text}");
    }
    match complaints.as_slice() {
        [] => ExitCode::SUCCESS,
        _ => ExitCode::from(EXIT_LINT),
    }
}
