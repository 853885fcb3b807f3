//! Where a client's messages begin and end on a connection, and which of its bytes may pass.

use super::{
    INSTEAD, Limits, Refusal,
    chunked::{Chunked, Fault},
    head::{Framing, Head},
};

/// Bytes that are held while it is open whether they are HTTP: beyond, they stay with the kernel.
const OPEN: usize = 16 * 1024;

/// See the module. Bytes go in as they come; what may pass comes out in the same order.
#[derive(Debug)]
pub struct Messages {
    limits: Limits,
    state: State,
    head: Head,
    /// A head has been whole: the client speaks HTTP/1.
    begun: bool,
    /// An empty line has been skipped before this head.
    skipped: bool,
    /// A request asked to switch protocols and has not been answered: what follows may not be HTTP.
    open: bool,
    /// Bytes that have not passed: those up to `ready` may.
    kept: Vec<u8>,
    given: usize,
    ready: usize,
}

#[derive(Debug)]
enum State {
    Head,
    /// A body of which so many bytes are left.
    Length(u64),
    Chunked(Chunked),
    /// No HTTP any more.
    Aside,
    /// A head was refused.
    Refused(Refusal),
    /// A body was not what its framing says.
    Broken(Fault),
}

// === impl Messages ===

impl Messages {
    /// The beginning of a connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Head,
            head: Head::default(),
            begun: false,
            skipped: false,
            open: false,
            kept: Vec::new(),
            given: 0,
            ready: 0,
        }
    }

    /// What bounds its heads.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Judges bytes. Gives how many of them, from the first, may pass now; the others are kept if they may
    /// pass later. To be called when nothing is [`ready`](Self::ready).
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        if self.kept.is_empty() {
            let good = self.judge(bytes);
            if good < bytes.len() && !self.is_over() {
                self.kept.extend_from_slice(&bytes[good..]);
            }
            return good;
        }
        self.kept.extend_from_slice(bytes);
        self.judge_kept();
        0
    }

    /// Kept bytes that may pass now.
    #[must_use]
    pub fn ready(&self) -> &[u8] {
        &self.kept[self.given..self.ready]
    }

    /// So many of the [`ready`](Self::ready) ones have passed.
    pub fn passed(&mut self, count: usize) {
        self.given += count;
        if self.given == self.ready {
            self.kept.drain(..self.ready);
            (self.given, self.ready) = (0, 0);
            if self.kept.is_empty() {
                self.kept = Vec::new();
            }
        }
    }

    /// A head has begun and is not whole.
    #[must_use]
    pub fn head_has_begun(&self) -> bool {
        matches!(self.state, State::Head) && !self.open && self.kept.len() > self.ready
    }

    /// Bytes that had passed and have not been read come back; they pass again first.
    pub fn give_back(&mut self, bytes: &[u8]) {
        self.kept.splice(self.given..self.given, bytes.iter().copied());
        self.ready += bytes.len();
    }

    /// Whether the last message that began has ended.
    #[must_use]
    pub fn between(&self) -> bool {
        matches!(self.state, State::Head | State::Aside) && self.kept.is_empty()
    }

    /// Refuses the head that has begun. The next thing to pass stands in its place.
    pub fn refuse(&mut self, refusal: Refusal) {
        let refusal = match refusal {
            Refusal::Foreign if self.begun => Refusal::Malformed("the request line is not of HTTP"),
            refusal => refusal,
        };
        if matches!(self.state, State::Head) {
            self.state = State::Refused(refusal);
            self.kept.truncate(self.ready);
            self.kept.extend_from_slice(INSTEAD);
            self.ready = self.kept.len();
        }
    }

    /// Why a head was refused. Nothing more is read then.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        match self.state {
            State::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// What is wrong with the present body. Nothing more is read then.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self.state {
            State::Broken(fault) => Some(fault),
            _ => None,
        }
    }

    /// It is open whether what follows is HTTP, until [`resume`](Self::resume) or
    /// [`step_aside`](Self::step_aside).
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open && matches!(self.state, State::Head)
    }

    /// Enough is kept while that is open.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.kept.len() >= OPEN
    }

    /// The protocol was not switched: what follows is HTTP.
    pub fn resume(&mut self) {
        self.open = false;
        self.judge_kept();
    }

    /// The protocol was switched: everything passes from here.
    pub fn step_aside(&mut self) {
        self.state = State::Aside;
        self.ready = self.kept.len();
    }

    /// Whether everything passes.
    #[must_use]
    pub fn is_aside(&self) -> bool {
        matches!(self.state, State::Aside)
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Refused(_) | State::Broken(_))
    }

    fn judge_kept(&mut self) {
        let mut kept = std::mem::take(&mut self.kept);
        let from = self.ready;
        let good = from + self.judge(&kept[from..]);
        if self.is_over() {
            // A refusal has put its stand-in into what is kept.
            let instead = std::mem::take(&mut self.kept);
            kept.truncate(good);
            kept.extend_from_slice(&instead);
            self.ready = kept.len();
        } else {
            self.ready = good;
        }
        self.kept = kept;
    }

    /// How many of these bytes, from the first, may pass. They begin where the last judgement ended.
    fn judge(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            match &mut self.state {
                State::Head => {
                    if self.open {
                        return at;
                    }
                    let rest = &bytes[at..];
                    // RFC 9112 §2.2: an empty line before a request is ignored; one is.
                    if !self.skipped && rest[0] == b'\r' {
                        match rest.get(1) {
                            Some(b'\n') => {
                                self.skipped = true;
                                at += 2;
                                continue;
                            }
                            Some(_) => {}
                            None => return at,
                        }
                    }
                    match self.head.read(rest, &self.limits) {
                        Ok(Some(len)) => {
                            at += len;
                            self.began();
                        }
                        Ok(None) => return at,
                        Err(refusal) => {
                            self.refuse(refusal);
                            return at;
                        }
                    }
                }
                State::Length(left) => {
                    let part = (*left).min((bytes.len() - at) as u64);
                    *left -= part;
                    at += usize::try_from(part).unwrap_or_default();
                    if *left == 0 {
                        self.state = State::Head;
                    }
                }
                State::Chunked(body) => match body.read(&bytes[at..], &self.limits) {
                    Ok(len) => {
                        at += len;
                        if body.is_whole() {
                            self.state = State::Head;
                        }
                    }
                    Err(fault) => {
                        self.state = State::Broken(fault);
                        return at;
                    }
                },
                State::Aside => return bytes.len(),
                State::Refused(_) | State::Broken(_) => return at,
            }
        }
        at
    }

    /// A head is whole: its body follows, or the next head.
    fn began(&mut self) {
        self.begun = true;
        self.open = self.head.asks_upgrade();
        self.state = match self.head.framing() {
            Framing::Length(0) => State::Head,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunked::default()),
        };
        self.head = Head::default();
        self.skipped = false;
    }
}

#[cfg(test)]
mod tests;
