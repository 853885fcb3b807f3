//! One line, as JSON or as `key=value` pairs. What a client sends is escaped, so that no client writes a line.

use std::{
    io::Write as _,
    net::IpAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{Field, Format, Now, Settings};
use crate::telemetry::{Exchange, Record, RequestError, StepOutcome, route::protocol_version, trace};

/// Appends the line of a request.
pub(super) fn write(out: &mut Vec<u8>, settings: &Settings, exchange: &Exchange, record: &Record, now: &Now) {
    let mut line = Line { json: settings.format == Format::Json, first: true, out };
    if line.json {
        line.out.push(b'{');
    }
    for field in &settings.fields {
        one(&mut line, *field, exchange, record, now);
    }
    if line.json {
        line.out.push(b'}');
    }
    line.out.push(b'\n');
}

fn one(line: &mut Line<'_>, field: Field, exchange: &Exchange, record: &Record, now: &Now) {
    let Now { us, outcome, code, traced } = *now;
    let route = record.route.as_deref();
    match field {
        Field::Time => {
            let mut text = [0; 24];
            rfc3339(SystemTime::now(), &mut text);
            line.plain(field, &text);
        }
        Field::TraceId => {
            let mut digits = [0; 32];
            trace::hex(exchange.trace.id, &mut digits);
            line.plain(field, &digits);
        }
        Field::SpanId => {
            let mut digits = [0; 16];
            trace::hex(exchange.span.into(), &mut digits);
            line.plain(field, &digits);
        }
        Field::RequestId => line.plain(field, exchange.id.as_bytes()),
        Field::Unit => line.some(field, route.map(|route| &*route.info.unit)),
        Field::Route => line.some(field, route.map(|route| &*route.info.name)),
        Field::Owner => line.some(field, route.map(|route| &*route.info.owner)),
        Field::Version => line.some(field, route.and_then(|route| route.info.version.as_deref())),
        Field::Generation => {
            if let Some(route) = route {
                line.number(field, route.generation.number);
            }
        }
        Field::Principal => line.some(field, exchange.principal_id()),
        Field::Client => line.address(field, exchange.client, None),
        Field::Peer => {
            line.address(field, exchange.peer.address.ip(), Some(exchange.peer.address.port()));
        }
        Field::Method => line.text(field, exchange.method.as_str()),
        Field::Scheme => line.plain(field, exchange.scheme.as_bytes()),
        Field::Host => line.some(field, Some(&*exchange.host).filter(|host| !host.is_empty())),
        Field::Path => line.some(field, Some(exchange.path()).filter(|path| !path.is_empty())),
        Field::Protocol => line.plain(field, protocol_version(exchange.version).as_bytes()),
        Field::Status => {
            if let Some(status) = record.status {
                line.number(field, status.as_u16().into());
            }
        }
        Field::Outcome => line.plain(field, outcome.as_bytes()),
        Field::Code => line.some(field, code.as_ref().map(RequestError::as_text)),
        Field::DurationMs => line.millis(field, us),
        Field::UpstreamMs => {
            if let Some(us) = record.upstream_us() {
                line.millis(field, us);
            }
        }
        Field::Received => line.number(field, record.received),
        Field::Sent => line.number(field, record.sent),
        Field::Steps => steps(line, record, us),
        Field::Degraded => {
            if !record.degraded.is_empty() {
                line.list(field, record.degraded.iter().map(String::as_str));
            }
        }
        Field::Service => {
            if let Some(route) = route.filter(|_| !record.calls.is_empty()) {
                let names = record.calls.iter().map(|(_, call)| route.generation.service_name(call.service));
                line.list(field, names);
            }
        }
        Field::Attempts => line.number(field, record.calls.len() as u64),
        Field::Sampled => line.raw(field, if traced { b"true" } else { b"false" }),
    }
}

fn steps(line: &mut Line<'_>, record: &Record, now_us: u64) {
    let Some(route) = record.route.as_deref().filter(|_| !record.steps.is_empty()) else { return };
    line.key(Field::Steps);
    let json = line.json;
    line.out.push(if json { b'{' } else { b'"' });
    let mut first = true;
    for step in record.own_steps() {
        let Some(info) = route.info.steps.get(usize::from(step.step)) else { continue };
        if !std::mem::take(&mut first) {
            line.out.push(b',');
        }
        let us = step.us(now_us);
        let ran = step.outcome != StepOutcome::Skipped;
        let (name, outcome) = (&info.name, step.outcome().as_str());
        if json {
            let _ = write!(line.out, "\"{name}\":{{\"outcome\":\"{outcome}\"");
            if ran {
                line.out.extend_from_slice(b",\"ms\":");
                millis(line.out, us);
            }
            line.out.push(b'}');
        } else {
            let _ = write!(line.out, "{name}:{outcome}");
            if ran {
                line.out.push(b':');
                millis(line.out, us);
            }
        }
    }
    line.out.push(if json { b'}' } else { b'"' });
}

struct Line<'a> {
    json: bool,
    first: bool,
    out: &'a mut Vec<u8>,
}

impl Line<'_> {
    fn key(&mut self, field: Field) {
        let key = if self.json { field.json_key() } else { field.text_key() };
        // Without what parts it from the one before.
        self.out.extend_from_slice(&key.as_bytes()[usize::from(std::mem::take(&mut self.first))..]);
    }

    fn raw(&mut self, field: Field, value: &[u8]) {
        self.key(field);
        self.out.extend_from_slice(value);
    }

    /// Text that needs no escape.
    fn plain(&mut self, field: Field, value: &[u8]) {
        self.key(field);
        if self.json {
            self.out.push(b'"');
        }
        self.out.extend_from_slice(value);
        if self.json {
            self.out.push(b'"');
        }
    }

    fn address(&mut self, field: Field, ip: IpAddr, port: Option<u16>) {
        self.key(field);
        if self.json {
            self.out.push(b'"');
        }
        match (ip, port) {
            // Nearly every line has one, and formatting takes ten times as long as this.
            (IpAddr::V4(ip), _) => {
                for (at, octet) in ip.octets().into_iter().enumerate() {
                    if at > 0 {
                        self.out.push(b'.');
                    }
                    self.out.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
                }
            }
            (IpAddr::V6(ip), Some(_)) => drop(write!(self.out, "[{ip}]")),
            (IpAddr::V6(ip), None) => drop(write!(self.out, "{ip}")),
        }
        if let Some(port) = port {
            self.out.push(b':');
            self.out.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
        }
        if self.json {
            self.out.push(b'"');
        }
    }

    fn some(&mut self, field: Field, value: Option<&str>) {
        if let Some(value) = value {
            self.text(field, value);
        }
    }

    fn text(&mut self, field: Field, value: &str) {
        self.key(field);
        if self.json
            || value.is_empty()
            || !value.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'=')
        {
            quoted(self.out, value);
        } else {
            self.out.extend_from_slice(value.as_bytes());
        }
    }

    fn list<'v>(&mut self, field: Field, values: impl Iterator<Item = &'v str>) {
        self.key(field);
        self.out.push(if self.json { b'[' } else { b'"' });
        for (at, value) in values.enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            // Names of the configuration, which have nothing to escape.
            if self.json {
                quoted(self.out, value);
            } else {
                self.out.extend_from_slice(value.as_bytes());
            }
        }
        self.out.push(if self.json { b']' } else { b'"' });
    }

    fn number(&mut self, field: Field, value: u64) {
        self.key(field);
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    fn millis(&mut self, field: Field, us: u64) {
        self.key(field);
        millis(self.out, us);
    }
}

fn millis(out: &mut Vec<u8>, us: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(us / 1000).as_bytes());
    let rest = (us % 1000) as u16;
    let digit = |value: u16| b'0' + value as u8;
    out.extend_from_slice(&[b'.', digit(rest / 100), digit(rest / 10 % 10), digit(rest % 10)]);
}

/// A JSON string; in text lines the same.
fn quoted(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\' && byte != 0x7f;
    // All at once without a branch per byte, since nearly all values have nothing to escape.
    if value.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        out.extend_from_slice(value.as_bytes());
    } else {
        escaped(out, value);
    }
    out.push(b'"');
}

#[cold]
fn escaped(out: &mut Vec<u8>, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 | 0x7f => {
                let _ = write!(out, "\\u{byte:04x}");
            }
            _ => out.push(byte),
        }
    }
}

/// RFC 3339 in UTC, to the millisecond.
pub fn rfc3339(at: SystemTime, out: &mut [u8; 24]) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Days since the first of March of year 0, in eras of 400 years (Howard Hinnant, `civil_from_days`).
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    *out = *b"0000-00-00T00:00:00.000Z";
    let mut put = |at: usize, digits: usize, mut value: u64| {
        for place in (at..at + digits).rev() {
            out[place] = b'0' + (value % 10) as u8;
            value /= 10;
        }
    };
    put(0, 4, year);
    put(5, 2, month);
    put(8, 2, day);
    put(11, 2, seconds / 3600);
    put(14, 2, seconds / 60 % 60);
    put(17, 2, seconds % 60);
    put(20, 3, since.subsec_millis().into());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, wanted) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_767_225_599, "2025-12-31T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            let mut text = [0; 24];
            rfc3339(UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 7), &mut text);
            assert_eq!(std::str::from_utf8(&text).unwrap(), wanted);
        }
    }

    #[test]
    fn nobody_writes_a_line_of_his_own() {
        let mut out = Vec::new();
        quoted(&mut out, "a\"b\\c\nd\u{7f}é");
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\\"b\\\\c\\u000ad\\u007fé\"");
        let mut out = Vec::new();
        millis(&mut out, 12_034);
        assert_eq!(out, b"12.034");
    }
}
