//! Where log lines go: standard error, one line each, from `info` up unless `SEGUE_LOG` says otherwise.

use std::io;

use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::telemetry::diagnostics::Exported;

/// Starts logging. `SEGUE_LOG` takes filters such as `debug` or `segue::reload=debug,warn`.
pub(super) fn start(default: &str) {
    let filter = EnvFilter::try_from_env("SEGUE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    // Only one can be started; a host that has its own keeps it.
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let _ = tracing_subscriber::registry().with(filter).with(lines).with(Exported).try_init();
}
