//! The command line's grammar, with an example for every command.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// An API gateway that composes services from YAML templates.
#[derive(Debug, Parser)]
#[command(
    name = "segue",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "Examples:\n  segue demo                        see it work, with mock services on loopback\n  segue check                       every finding in ./policies and ./routes\n  segue serve --config /etc/segue   serve a configuration directory\n\nExit codes: 0 fine, 1 findings, 2 usage."
)]
pub(super) struct Arguments {
    /// The configuration directory, which holds `policies/` and `routes/`
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    pub(super) config: PathBuf,

    /// How findings and tables are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,

    #[command(subcommand)]
    pub(super) command: Command,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    // Comments, not documentation: a list of the three would bury the other options in the help.
    // For people: place, source line, caret and help.
    Text,
    // For programs.
    Json,
    // Annotations of a GitHub workflow.
    Github,
    // What continuous integration reads; of `test` only.
    Junit,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serves the templates until SIGTERM or Ctrl-C, then drains
    #[command(
        after_help = "Examples:\n  segue serve\n  segue serve --config /etc/segue\n\nA change of a template, or SIGHUP, reloads the tree; a broken tree keeps the last good one."
    )]
    Serve,

    /// Prints every finding in the templates
    #[command(
        after_help = "Examples:\n  segue check\n  segue check --strict --format github    in a pull request\n\nExits with 1 if there is an error, with --strict also if there is a warning."
    )]
    Check {
        /// Fail on warnings too
        #[arg(long)]
        strict: bool,
    },

    /// Runs the tests beside the templates, offline
    #[command(
        after_help = "Examples:\n  segue test\n  segue test routes/sales\n  segue test --show routes/sales/trip-search.test.yaml\n  segue test --format junit > tests.xml\n\nA test is written in a file `NAME.test.yaml` beside the templates. No network is used, and the clock is\nvirtual: a timeout takes no time. Exits with 1 if a test fails."
    )]
    Test {
        /// A test file, or a folder of them [default: all]
        #[arg(value_name = "PATH")]
        path: Option<PathBuf>,

        /// Print every call and every answer, as a start for what a test expects
        #[arg(long)]
        show: bool,
    },

    /// Lists the routes
    #[command(after_help = "Examples:\n  segue routes\n  segue routes --format json")]
    Routes,

    /// Shows what a route runs in which order, and what a request to it can cost
    #[command(
        after_help = "Examples:\n  segue plan sales/trip-search\n  segue plan sales/trip-search --format json\n  segue plan sales/trip-search --dot | dot -Tsvg > plan.svg"
    )]
    Plan(Plan),

    /// Explains what holds for a route and why, or the code of a finding or of a problem document
    #[command(
        after_help = "Examples:\n  segue explain sales/trip-search\n  segue explain sales/trip-search --format json\n  segue explain unknown_step\n  segue explain upstream_timeout"
    )]
    Explain {
        /// A route, or a code as printed in brackets by `check` or as `code` of a problem document
        #[arg(value_name = "UNIT/ROUTE|CODE")]
        what: String,
    },

    /// Prints the JSON Schema of the templates, for editors
    #[command(after_help = "Example:\n  segue schema > segue.schema.json")]
    Schema,

    /// Starts mock services and a gateway on loopback, and shows what composition saves
    #[command(
        after_help = "Examples:\n  segue demo\n  segue demo --port 9000\n  segue demo --once      one trip search, then exit\n\nServes the templates of --config if it has a `routes` folder, else the sample that is built in."
    )]
    Demo(Demo),

    /// Mints a token to try the demo with
    #[command(
        after_help = "Examples:\n  segue token\n  segue token --sub acme-tours --scope holds:write --ttl 15m\n  curl -i http://127.0.0.1:8080/v1/holds -H \"authorization: Bearer $(segue token)\" ...\n\nThe key is the one that the running `segue demo` made for itself; its gateway alone takes the token. No other\nkey signs: this is no issuer of tokens for production. Exits with 2 if there is no such key."
    )]
    Token(Token),

    /// Asks the gateway of this configuration whether it is healthy, for a container's health check
    #[command(hide = true)]
    Health,

    // Named by the format, not built yet: refused by name, never mistaken for a misspelt command.
    #[command(hide = true)]
    Mock(Later),
    #[command(hide = true)]
    Diff(Later),
    #[command(hide = true)]
    Status(Later),
    #[command(hide = true)]
    Export(Later),
}

impl Command {
    /// The word that names it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Check { .. } => "check",
            Self::Routes => "routes",
            Self::Explain { .. } => "explain",
            Self::Schema => "schema",
            Self::Demo(_) => "demo",
            Self::Token(_) => "token",
            Self::Health => "health",
            Self::Plan(_) => "plan",
            Self::Test { .. } => "test",
            Self::Mock(_) => "mock",
            Self::Diff(_) => "diff",
            Self::Status(_) => "status",
            Self::Export(_) => "export",
        }
    }
}

/// Options of `plan`.
#[derive(Debug, Args)]
pub(super) struct Plan {
    /// The route, as `segue routes` lists it
    #[arg(value_name = "UNIT/ROUTE")]
    pub(super) route: String,

    /// Print a graph for Graphviz
    #[arg(long)]
    pub(super) dot: bool,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Where the gateway listens on 127.0.0.1 [default: 8080, or a free port if it is taken]
    #[arg(long)]
    pub(super) port: Option<u16>,

    /// Run one trip search, print what it saved, and exit
    #[arg(long)]
    pub(super) once: bool,
}

/// Options of `token`.
#[derive(Debug, Args)]
pub(super) struct Token {
    /// Who it is for
    #[arg(long, value_name = "SUBJECT", default_value = "acme-tours")]
    pub(super) sub: String,

    /// What it allows; may be given more than once
    #[arg(long, value_name = "SCOPE", default_value = "holds:write")]
    pub(super) scope: Vec<String>,

    /// Which API it is for
    #[arg(long, value_name = "AUDIENCE", default_value = "example-rail")]
    pub(super) aud: String,

    /// How long it lives, at most 24h
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub(super) ttl: String,

    /// The folder that the demo printed, where several run
    #[arg(long, value_name = "DIR")]
    pub(super) state: Option<PathBuf>,
}

/// Whatever follows a command of a later version.
#[derive(Debug, Args)]
pub(super) struct Later {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<OsString>,
}
