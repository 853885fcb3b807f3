//! Addresses and ranges of addresses: CEL's network extension, and `inCidr`.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{
    Evaluated, Machine, Value,
    argument::{elements, refuse, text},
};
use crate::expr::{EvalError, eval::failed};

/// An address as the extension takes it: no zone, and no IPv4 inside of IPv6.
fn parse_ip(text: &str) -> Option<IpAddr> {
    match text.parse::<IpAddr>().ok()? {
        IpAddr::V6(address) if text.contains('.') && address.to_ipv4_mapped().is_some() => None,
        address => Some(address),
    }
}

fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address = parse_ip(address)?;
    let digits = !length.is_empty() && length.len() <= 3 && length.bytes().all(|byte| byte.is_ascii_digit());
    let length = if digits { length.parse::<u8>().ok()? } else { return None };
    (length <= width(address)).then_some((address, length))
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The bits of an address that a prefix keeps.
fn prefix(address: IpAddr, length: u8) -> u128 {
    let dropped = u32::from(width(address) - length.min(width(address)));
    bits(address).checked_shr(dropped).unwrap_or(0)
}

/// IPv4 inside of IPv6 is IPv4 to whoever asks who is calling.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn contains((range, length): (IpAddr, u8), address: IpAddr) -> bool {
    range.is_ipv4() == address.is_ipv4() && prefix(range, length) == prefix(address, length)
}

fn ip_of(name: &str, value: &Value<'_>) -> Result<IpAddr, EvalError> {
    match value {
        Value::Ip(address) => Ok(*address),
        other => match parse_ip(&text(name, other)?) {
            Some(address) => Ok(address),
            None => Err(failed(format!("`{name}` was given a string that is no IP address"))),
        },
    }
}

fn cidr_of(name: &str, value: &Value<'_>) -> Result<(IpAddr, u8), EvalError> {
    match value {
        Value::Cidr(address, length) => Ok((*address, *length)),
        other => match parse_cidr(&text(name, other)?) {
            Some(cidr) => Ok(cidr),
            None => Err(failed(format!("`{name}` was given a string that is no CIDR, such as `10.0.0.0/8`"))),
        },
    }
}

/// `ip(text)`, and `range.ip()`.
pub(super) fn ip<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    match value {
        Value::Cidr(address, _) => Ok(Value::Ip(address)),
        other => ip_of("ip", &other).map(Value::Ip),
    }
}

pub(super) fn cidr<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    cidr_of("cidr", &value).map(|(address, length)| Value::Cidr(address, length))
}

pub(super) fn is_ip<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    Ok(Value::Bool(parse_ip(&text("isIP", &value)?).is_some()))
}

pub(super) fn is_cidr<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    Ok(Value::Bool(parse_cidr(&text("isCIDR", &value)?).is_some()))
}

pub(super) fn is_canonical<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    let text = text("ip.isCanonical", &value)?;
    match parse_ip(&text) {
        Some(address) => Ok(Value::Bool(address.to_string() == *text)),
        None => Err(failed("`ip.isCanonical` was given a string that is no IP address")),
    }
}

fn ask<'a>(
    name: &str,
    value: &Value<'a>,
    v4: fn(Ipv4Addr) -> bool,
    v6: fn(Ipv6Addr) -> bool,
) -> Evaluated<'a> {
    match value {
        Value::Ip(IpAddr::V4(address)) => Ok(Value::Bool(v4(*address))),
        Value::Ip(IpAddr::V6(address)) => Ok(Value::Bool(v6(*address))),
        other => Err(refuse(name, "an IP address", other)),
    }
}

pub(super) fn family<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    match value {
        Value::Ip(address) => Ok(Value::Int(if address.is_ipv4() { 4 } else { 6 })),
        other => Err(refuse("family", "an IP address", &other)),
    }
}

pub(super) fn is_unspecified<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    ask("isUnspecified", &value, |v4| v4.is_unspecified(), |v6| v6.is_unspecified())
}

pub(super) fn is_loopback<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    ask("isLoopback", &value, |v4| v4.is_loopback(), |v6| v6.is_loopback())
}

pub(super) fn is_global_unicast<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    ask(
        "isGlobalUnicast",
        &value,
        |v4| {
            !(v4.is_unspecified()
                || v4.is_loopback()
                || v4.is_multicast()
                || v4.is_link_local()
                || v4.is_broadcast())
        },
        |v6| !(v6.is_unspecified() || v6.is_loopback() || v6.is_multicast() || v6.is_unicast_link_local()),
    )
}

pub(super) fn is_link_local_multicast<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    ask(
        "isLinkLocalMulticast",
        &value,
        |v4| v4.octets()[..3] == [224, 0, 0],
        |v6| v6.segments()[0] & 0xff0f == 0xff02,
    )
}

pub(super) fn is_link_local_unicast<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    ask("isLinkLocalUnicast", &value, |v4| v4.is_link_local(), |v6| v6.is_unicast_link_local())
}

pub(super) fn contains_ip<'a>(_: &mut Machine<'a, '_>, range: Value<'a>, value: Value<'a>) -> Evaluated<'a> {
    let Value::Cidr(address, length) = range else { return Err(refuse("containsIP", "a CIDR", &range)) };
    Ok(Value::Bool(contains((address, length), ip_of("containsIP", &value)?)))
}

pub(super) fn contains_cidr<'a>(
    _: &mut Machine<'a, '_>,
    range: Value<'a>,
    value: Value<'a>,
) -> Evaluated<'a> {
    let Value::Cidr(address, length) = range else { return Err(refuse("containsCIDR", "a CIDR", &range)) };
    let (inner, inner_length) = cidr_of("containsCIDR", &value)?;
    Ok(Value::Bool(inner_length >= length && contains((address, length), inner)))
}

pub(super) fn masked<'a>(_: &mut Machine<'a, '_>, range: Value<'a>) -> Evaluated<'a> {
    let Value::Cidr(address, length) = range else { return Err(refuse("masked", "a CIDR", &range)) };
    let kept = prefix(address, length).checked_shl(u32::from(width(address) - length)).unwrap_or(0);
    let address = match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(kept).unwrap_or(0))),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(kept)),
    };
    Ok(Value::Cidr(address, length))
}

pub(super) fn prefix_length<'a>(_: &mut Machine<'a, '_>, range: Value<'a>) -> Evaluated<'a> {
    match range {
        Value::Cidr(_, length) => Ok(Value::Int(length.into())),
        other => Err(refuse("prefixLength", "a CIDR", &other)),
    }
}

/// Whether an address is in one of the ranges. An address without a length is a range of one.
pub(super) fn in_cidr<'a>(
    machine: &mut Machine<'a, '_>,
    address: Value<'a>,
    ranges: Value<'a>,
) -> Evaluated<'a> {
    let address = match &address {
        Value::Ip(address) => plain(*address),
        other => match text("inCidr", other)?.parse() {
            Ok(address) => plain(address),
            Err(_) => return Err(failed("`inCidr` was given a string that is no IP address")),
        },
    };
    let ranges = if ranges.is_list() { elements(machine, "inCidr", &ranges)? } else { vec![ranges] };
    for range in &ranges {
        machine.work(128)?;
        let (range, length) = match range {
            Value::Cidr(address, length) => (*address, *length),
            Value::Ip(address) => (*address, width(*address)),
            other => {
                let text: Cow<'_, str> = text("inCidr", other)?;
                let alone = || text.parse().ok().map(|address| (address, width(address)));
                parse_cidr(&text).or_else(alone).ok_or_else(|| {
                    failed("`inCidr` was given a range that is no CIDR, such as `10.0.0.0/8`")
                })?
            }
        };
        if contains((range, length), address) {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}
