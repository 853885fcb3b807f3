//! The only place that names metrics: one record per request, and what is written from it at its end.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Instant,
};

pub mod registry;

/// What the gateway knows of a request, filled on the way by whoever learns it. Signals are written
/// from it once, when the response's body has ended.
#[derive(Debug)]
pub struct Exchange {
    /// `request.id`: given by a trusted proxy or made here.
    pub id: Arc<str>,
    /// Trace id, continued or new: 16 bytes.
    pub trace_id: u128,
    /// When the head was complete.
    pub started: Instant,
    /// The peer of the connection.
    pub peer: SocketAddr,
    /// `http` or `https`, or what a trusted proxy said.
    pub scheme: &'static str,
    /// What is learnt on the way.
    pub record: Mutex<Record>,
}

/// The part of an [`Exchange`] that is filled on the way.
#[derive(Debug, Default)]
pub struct Record {
    /// One entry per settled step, in order of settling.
    pub steps: Vec<StepRecord>,
    /// Names of degraded steps.
    pub degraded: Vec<String>,
}

/// How a step ended.
#[derive(Clone, Debug)]
pub struct StepRecord {
    /// Index in the composition.
    pub step: u16,
    /// `ok`, `failed`, `skipped`
    pub outcome: &'static str,
    /// From the start of the request, in microseconds.
    pub started_us: u64,
    /// Until it settled, in microseconds.
    pub ended_us: u64,
    /// The failure's code.
    pub code: Option<&'static str>,
}
