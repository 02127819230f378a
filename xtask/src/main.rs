//! The command line.

use clap::Parser;
#[cfg(all(unix, not(target_os = "macos")))]
use segue_xtask::shots;
use segue_xtask::{bench, bundle, check, demo, error::Result, fuzz, install, pack, render, runtime, test, validate};
use std::process::ExitCode;

/// Everything about Segue that a person runs.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, clap::Subcommand)]
enum Task {
    Demo(demo::Args),
    Render(render::Args),
    Bench(bench::Args),
    #[cfg(all(unix, not(target_os = "macos")))]
    Shots(shots::Args),
    Runtime(runtime::Args),
    Test(test::Args),
    Validate(validate::Args),
    Fuzz(fuzz::Args),
    #[command(hide = true)]
    ValidateOne(validate::run::One),
    #[command(hide = true)]
    HostCheck(check::Args),
    Bundle(bundle::Args),
    Install(install::Args),
    Pack(pack::Args),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) if e.use_stderr() => {
            // One clear line instead of a page; the page is one --help away.
            let text = e.to_string();
            let lines =
                text.lines().map(str::trim).take_while(|l| !l.starts_with("Usage:") && !l.starts_with("For more"));
            let line = lines.filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ");
            eprintln!("{line} (see cargo xtask TASK --help)");
            return ExitCode::from(2);
        }
        Err(help) => {
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
    };
    match run(&arguments.task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(e.exit_code())
        }
    }
}

fn run(task: &Task) -> Result<()> {
    match task {
        Task::Demo(args) => demo::run(args),
        Task::Render(args) => render::run(args),
        Task::Runtime(args) => runtime::run(args),
        Task::Bench(args) => bench::run(args),
        #[cfg(all(unix, not(target_os = "macos")))]
        Task::Shots(args) => shots::run(args),
        Task::Test(args) => test::run(args),
        Task::Validate(args) => validate::run(args),
        Task::Fuzz(args) => fuzz::run(args),
        Task::ValidateOne(args) => validate::run::one(args),
        Task::HostCheck(args) => check::run(args),
        Task::Bundle(args) => bundle::run(args),
        Task::Install(args) => install::run(args),
        Task::Pack(args) => pack::run(args),
    }
}
