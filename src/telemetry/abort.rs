//! Why an answer did not reach its end: one word for it in every signal.

use crate::problem::{Fault, Kind};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// The client left.
    ClientGone,
    /// The client took nothing of it for `limits.writeStall`.
    WriteStall,
    /// Nothing passed in either direction for `limits.idleTimeout`.
    IdleTimeout,
    /// The gateway ended before it did.
    Shutdown,
    /// What it was made of broke off, or its time was over.
    Broken(Kind),
}

// === impl Abort ===

impl Abort {
    /// Its word: the code of a problem where there is one.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientGone => "client_gone",
            Self::WriteStall => "write_stall",
            Self::IdleTimeout => "idle_timeout",
            Self::Shutdown => "shutdown",
            Self::Broken(kind) => kind.code(),
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn fault(self) -> Fault {
        match self {
            Self::ClientGone | Self::WriteStall => Fault::Client,
            // Its source kept silent.
            Self::IdleTimeout => Fault::Upstream,
            Self::Shutdown => Fault::Gateway,
            Self::Broken(kind) => kind.fault(),
        }
    }
}
