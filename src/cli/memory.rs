//! Memory that is free goes back to the system at once.
//!
//! The allocator gives pages back some time after they were freed, but only when it is busy again: after a
//! rush of clients an idle gateway would keep its peak. It takes the setting from its environment alone, and
//! before the first allocation, so the program starts itself anew with it: same process, same arguments.

use std::{env, os::unix::process::CommandExt, process::Command};

const SETTING: &str = "MIMALLOC_PURGE_DELAY";

/// To be called before anything is under way. Whoever has set the delay keeps it.
pub(super) fn return_at_once() {
    if env::var_os(SETTING).is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else {
        return;
    };
    let mut arguments = env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // Only comes back if it failed, and then the gateway serves as it is.
    let error = again.args(arguments).env(SETTING, "0").exec();
    tracing::debug!(%error, "not started anew: memory goes back later");
}
