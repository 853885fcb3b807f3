//! Steps in waves.

use std::{sync::Arc, time::Duration};

use super::{Action, BodyUse, Problem};
use crate::{
    config::retry::Reasons,
    expr::{Program, Shape},
    id::StepId,
};

/// Steps and variables that an execution runs.
#[derive(Debug)]
pub struct Composition {
    /// Steps in file order.
    pub steps: Box<[Step]>,
    /// Variables in file order, evaluated once on first use.
    pub vars: Box<[(String, Shape)]>,
    /// Checked before any step.
    pub require: Box<[(Program, Problem)]>,
    /// How many waves the references give: the length of the longest chain.
    pub waves: u16,
    /// Whether any expression reads `request.body`, and how.
    pub request_body: BodyUse,
    /// Every step only reads.
    pub safe: bool,
}

/// A step.
#[derive(Debug)]
pub struct Step {
    /// Its name.
    pub name: Arc<str>,
    /// Its wave, from 0: one more than the latest step it waits for.
    pub wave: u16,
    /// Steps that must have settled first, by reference or `after`.
    pub needs: Box<[StepId]>,
    /// Runs only if true.
    pub when: Option<Program>,
    /// Runs once per element. Its `as` is local 0 of every expression of the call.
    pub for_each: Option<ForEach>,
    /// What it does.
    pub action: Action,
    /// Only reads, with all that it runs: an unsafe one is never dropped once it has sent something.
    pub safe: bool,
    /// What happens when it fails.
    pub tolerance: Tolerance,
    /// One attempt; the Service's when absent.
    pub timeout: Option<Duration>,
    /// Statuses that are ok instead of 2xx, if any.
    pub expect: Box<[http::StatusCode]>,
    /// Upstream statuses that become ours.
    pub pass_status: Box<[http::StatusCode]>,
    /// Checks of an answer that is ok; they read `self`.
    pub ensure: Box<[(Program, Problem)]>,
    /// Whether expressions read its body, and how.
    pub body: BodyUse,
    /// More attempts.
    pub retry: Option<Retry>,
}

/// More attempts of a call that may be repeated.
#[derive(Clone, Debug)]
pub struct Retry {
    /// All attempts, the first counted.
    pub attempts: u32,
    /// What is worth another one.
    pub on: Reasons,
    /// The first wait; it doubles.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
}

/// A step's fan-out.
#[derive(Debug)]
pub struct ForEach {
    /// The list.
    pub list: Program,
    /// The name of the element, local 0.
    pub name: String,
    /// The key of an element under `byKey`.
    pub key: Option<crate::expr::Text>,
    /// More elements fail the step.
    pub max: usize,
    /// Calls at the same time.
    pub concurrency: usize,
}

/// What happens when a step (or, with `forEach`, an item) fails.
#[derive(Debug)]
pub enum Tolerance {
    /// The route fails.
    Required,
    /// Nothing stands in for it.
    Optional,
    /// This stands in for `body`, when failed or skipped.
    Fallback(Shape),
}
