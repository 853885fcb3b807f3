//! The `segue` command: arguments in, text and an exit code out.
//!
//! What a command says goes to standard output, findings included; what it says about itself (a
//! summary, a misuse) goes to standard error, so that output can be piped. A reader that closes the
//! pipe early changes neither the work nor the exit code.

mod arguments;
mod check;
mod demo;
mod explain;
mod health;
mod logging;
mod memory;
mod output;
mod plan;
mod request;
mod routes;
mod serve;
mod test;
mod token;

use std::{
    ffi::OsString,
    io::{self, BufWriter, Write},
    process::ExitCode,
};

use clap::Parser;

use arguments::{Arguments, Command, Format};
use output::Patient;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to complain about: 0.
    Fine,
    /// Findings, or something failed while running: 1.
    Findings,
    /// The command was used wrongly: 2.
    Usage,
}

impl Outcome {
    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Findings => 1,
            Self::Usage => 2,
        }
    }
}

/// Runs the command that the arguments name, on the process's own streams.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.get(1).is_some_and(|command| command == "serve") {
        memory::return_at_once();
    }
    // Neither stream stays locked: a serving gateway writes its own lines to them.
    let mut out = Patient(BufWriter::new(io::stdout()));
    let mut err = Patient(io::stderr());
    let outcome = run_with(arguments, &mut out, &mut err);
    let outcome = outcome.and_then(|outcome| out.flush().map(|()| outcome));
    let code = outcome.map_or_else(
        |error| {
            // Nothing is left to say it on when this fails too.
            let _ = writeln!(err, "error: {error}");
            Outcome::Findings.code()
        },
        Outcome::code,
    );
    ExitCode::from(code)
}

/// Runs the command that the arguments name; `Err` is a failure to write.
pub fn run_with(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Outcome> {
    let Arguments { config, format, command } = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers, the rest is misuse.
            let misuse = error.use_stderr();
            let stream: &mut dyn Write = if misuse { err } else { out };
            write!(stream, "{}", error.render())?;
            return Ok(if misuse { Outcome::Usage } else { Outcome::Fine });
        }
    };
    if format == Format::Junit && !matches!(command, Command::Test { .. }) {
        writeln!(err, "error: `--format junit` is for `segue test` only")?;
        return Ok(Outcome::Usage);
    }
    match command {
        Command::Serve => serve::run(&config, format, out, err),
        Command::Check { strict } => check::run(&config, format, strict, out, err),
        Command::Routes => routes::run(&config, format, out, err),
        Command::Plan(options) => plan::run(&config, format, &options, out, err),
        Command::Explain { what } => explain::run(&config, format, &what, out, err),
        Command::Schema => writeln!(out, "{:#}", crate::config::schema::schema()).map(|()| Outcome::Fine),
        Command::Demo(demo) => demo::run(&config, format, &demo, out, err),
        Command::Token(options) => token::run(&options, out, err),
        Command::Health => health::run(&config, err),
        Command::Test { path, show } => test::run(&config, format, (path.as_deref(), show), out, err),
        Command::Mock(_) | Command::Diff(_) | Command::Status(_) | Command::Export(_) => {
            writeln!(err, "error: `segue {}` is not in this version", command.name())?;
            Ok(Outcome::Usage)
        }
    }
}

#[cfg(test)]
mod tests;
