//! Roots of the format as slots: what a name in an expression becomes at load.

/// Where a value comes from. Resolved at load; read at request time by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// `request.method`
    Method,
    /// `request.host`
    Host,
    /// `request.scheme`
    Scheme,
    /// `request.clientIp`
    ClientIp,
    /// `request.id`
    RequestId,
    /// `request.path.NAME`: the capture at this index
    Path(u16),
    /// `request.query` (an [`super::Object`] with `values` for `queryValues`)
    Query,
    /// `request.headers` (an [`super::Object`] with `values` for `headerValues`)
    Headers,
    /// `request.cookies`
    Cookies,
    /// `request.body`
    RequestBody,
    /// `principal.FIELD`
    Principal(PrincipalField),
    /// `steps.NAME.FIELD`
    Step(u16, StepField),
    /// `vars.NAME`
    Var(u16),
    /// `input.NAME`
    Input(u16),
    /// `self.FIELD`
    Own(AnswerField),
    /// `execution.now`
    Now,
    /// `execution.traceId`
    TraceId,
    /// `execution.degraded`
    Degraded,
    /// `execution.deadlineMs`
    DeadlineMs,
    /// `error.FIELD`
    Error(ErrorField),
}

/// A field of `principal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrincipalField {
    /// `id`
    Id,
    /// `kind`
    Kind,
    /// `claims` (a map, empty unless a token was shown)
    Claims,
    /// `scopes` (a list)
    Scopes,
    /// `consumer` (its name)
    Consumer,
    /// `plan` of the Consumer
    Plan,
}

/// A field of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepField {
    /// `status`
    Status,
    /// `headers`
    Headers,
    /// `body`
    Body,
    /// `outcome`
    Outcome,
    /// `error` (an object: `code`, `status`)
    Error,
    /// `items` of a `forEach`
    Items,
    /// `byKey` of a `forEach`
    ByKey,
    /// `output` of a `compose`
    Output,
}

/// A field of `self` in `ensure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnswerField {
    /// `status`
    Status,
    /// `headers`
    Headers,
    /// `body`
    Body,
}

/// A field of `error` in `errors`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorField {
    /// `code`
    Code,
    /// `status`
    Status,
    /// `step`
    Step,
    /// `message`
    Message,
    /// `upstream` (an object: `status`, `body`)
    Upstream,
    /// `upstream.status` alone, for which nobody waits for a body.
    UpstreamStatus,
}

/// One place of an expression that reads a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// What it reads.
    pub slot: Slot,
    /// Read through `.?`, `[?]` or `has`: absence is no error.
    pub tolerant: bool,
    /// Byte offset of the root (`steps`, `request`) in the expression's source.
    pub offset: usize,
}

/// What names mean where an expression stands.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Capture names of the route's path, in order.
    pub captures: Vec<String>,
    /// Steps in file order.
    pub steps: Vec<StepScope>,
    /// Names under `vars`.
    pub vars: Vec<String>,
    /// Names under `input`; `None` where there is no `input` root (a route).
    pub inputs: Option<Vec<String>>,
    /// Whether `request` may be read (not in a Composition).
    pub request: bool,
    /// Whether `principal` may be read (not in a Composition).
    pub principal: bool,
    /// Whether `self` may be read.
    pub own: bool,
    /// Whether `error` may be read.
    pub error: bool,
    /// Loop variables around the expression (`forEach.as`, `$as`), outermost first.
    pub locals: Vec<String>,
}

/// What an expression may know of a step.
#[derive(Clone, Debug)]
pub struct StepScope {
    /// Its name.
    pub name: String,
    /// Whether it has `items` and `byKey` instead of one answer.
    pub for_each: bool,
    /// Whether it has `output` instead of `body`.
    pub compose: bool,
}
