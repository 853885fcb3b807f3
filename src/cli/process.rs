//! The seam between the commands and the server: the only place here that starts one.

use std::{net::SocketAddr, path::Path, sync::Arc};

use crate::plan::Plan;

/// Where `{env: NAME}` looks its variables up.
pub(super) type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A gateway that serves in threads of its own.
pub(super) struct Running {
    /// Where the first listener accepts.
    pub(super) address: SocketAddr,
    stop: Box<dyn FnOnce()>,
}

impl Running {
    /// Drains it and waits for its end.
    pub(super) fn stop(self) {
        (self.stop)();
    }
}

/// Serves the tree of a directory, reloads included, until it has drained.
pub(super) fn serve(root: &Path) -> Result<(), String> {
    Err(format!("no server to serve {}", root.display()))
}

/// Starts a gateway from a plan, without reloads.
pub(super) fn start(plan: Plan, environment: Environment) -> Result<Running, String> {
    let _ = (plan, environment);
    let _ = Running { address: SocketAddr::from(([127, 0, 0, 1], 0)), stop: Box::new(|| ()) };
    Err("no server to start".to_owned())
}
