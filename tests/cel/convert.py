#!/usr/bin/env python3
"""Turns the conformance data of cel-spec into the compact form that the tests run.

    git clone https://github.com/google/cel-spec
    python3 tests/cel/convert.py cel-spec

reads `tests/simple/testdata/*.textproto` of that clone and writes beside this script

    cases.jsonl    one case per line: [name, expression, expected, bindings, flags]
    excluded.txt   one line per case that needs protobuf messages or a type checker: name, reason

A name is file/section/test, with `#2` and so on after a name that is used again. `expected` is a value,
or "error", or "errors" for any one of several. A value is null, a boolean or a map with one member: `i`
int64, `u` uint64, `d` double (both ends of the line as text), `s` string, `b` bytes in hexadecimal, `l`
list, `m` list of key and value, `t` the name of a type, `at` a timestamp, `for` a duration. Flags are
`untyped` (the type check is off) and `plain` (macros are off), and `container=NAME`.

Only the standard library is needed. The data is that of the commit named in README.md.
"""

import json
import pathlib
import re
import sys

TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
    r"""|(?P<extension>\[[\w./]+\])|(?P<word>[-+]?[\w.+-]+)|(?P<symbol>[{}<>:;,\[\]])""",
    re.S,
)
ESCAPE = re.compile(rb"""\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))""", re.S)
SIMPLE = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}

MESSAGES = re.compile(
    r"TestAllTypes|NestedTestAllTypes|TestRequired|GlobalEnum|NestedEnum|proto\.(?:get|has)Ext|"
    r"google\.protobuf\.(?!Timestamp\b(?!\s*\{)|Duration\b(?!\s*\{))|"
    r"(?:Int32|Int64|UInt32|UInt64|Float|Double|Bool|String|Bytes|List)?Value\s*\{|Struct\s*\{|Any\s*\{"
)


class Text(bytes):
    """A string of the text format, told from a word."""


def unescape(raw):
    """The bytes of a quoted string."""

    def one(match):
        octal, hexadecimal, short, long, other = match.groups()
        if octal:
            return bytes([int(octal, 8)])
        if hexadecimal:
            return bytes([int(hexadecimal, 16)])
        if short or long:
            return chr(int(short or long, 16)).encode("utf-8", "surrogatepass")
        return SIMPLE.get(other, other)

    return Text(ESCAPE.sub(one, raw[1:-1].encode()))


def tokens(text):
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            sys.exit(f"what is this? {text[at:at + 40]!r}")
        at = match.end()
        if match.lastgroup == "string":
            yield unescape(match.group())
        elif match.lastgroup:
            yield match.group()


class Parser:
    """The text format as far as the data uses it: a message is a list of (name, value)."""

    def __init__(self, text):
        self.tokens = list(tokens(text))
        self.at = 0

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self):
        self.at += 1
        return self.tokens[self.at - 1]

    def message(self, end):
        fields = []
        while self.peek() != end:
            name = self.take()
            if self.peek() == ":":
                self.take()
            fields.extend((name, value) for value in self.values())
            if self.peek() in (",", ";"):
                self.take()
        if end:
            self.take()
        return fields

    def values(self):
        if self.peek() == "[":
            self.take()
            found = []
            while self.peek() != "]":
                found.append(self.value())
                if self.peek() == ",":
                    self.take()
            self.take()
            return found
        return [self.value()]

    def value(self):
        token = self.take()
        if token == "{":
            return self.message("}")
        if token == "<":
            return self.message(">")
        while isinstance(token, Text) and isinstance(self.peek(), Text):
            token = Text(token + self.take())
        return token


def only(message, name, default=None):
    return next((value for key, value in message if key == name), default)


def every(message, name):
    return [value for key, value in message if key == name]


def text(value):
    return value.decode("utf-8", "surrogatepass") if isinstance(value, Text) else value


class Excluded(Exception):
    """The case cannot be run here; the message says why."""


def seconds(message):
    return [only(message, "seconds", "0"), only(message, "nanos", "0")]


def value_of(message):
    """A cel.expr.Value in the compact form."""
    if not message:
        raise Excluded("the expected value is an empty message")
    kind, held = message[0]
    if kind == "null_value":
        return None
    if kind == "bool_value":
        return held == "true"
    if kind == "int64_value":
        return {"i": str(int(held, 0))}
    if kind == "uint64_value":
        return {"u": str(int(held, 0))}
    if kind == "double_value":
        return {"d": held.lower().removesuffix("f") if "inf" not in held.lower() else held.lower()}
    if kind == "string_value":
        return {"s": text(held)}
    if kind == "bytes_value":
        return {"b": held.hex()}
    if kind == "list_value":
        return {"l": [value_of(element) for element in every(held, "values")]}
    if kind == "map_value":
        entries = every(held, "entries")
        return {"m": [[value_of(only(entry, "key")), value_of(only(entry, "value"))] for entry in entries]}
    if kind == "type_value":
        return {"t": text(held)}
    if kind == "object_value":
        name, inner = held[0]
        if name == "[type.googleapis.com/google.protobuf.Timestamp]":
            return {"at": seconds(inner)}
        if name == "[type.googleapis.com/google.protobuf.Duration]":
            return {"for": seconds(inner)}
        raise Excluded("needs protobuf messages")
    if kind == "enum_value":
        raise Excluded("needs protobuf enums")
    raise Excluded(f"has a value of kind {kind}")


def case_of(name, test):
    """A SimpleTest in the compact form."""
    expression = text(only(test, "expr", Text()))
    container = text(only(test, "container", Text()))
    if MESSAGES.search(expression):
        raise Excluded("needs protobuf messages")
    if "proto" in container and name.split("/")[0] in ("enums", "proto2", "proto3", "proto2_ext"):
        raise Excluded("needs protobuf messages")
    if only(test, "check_only") == "true":
        raise Excluded("needs a type checker: it expects a deduced type and no value")
    if only(test, "unknown") is not None or only(test, "any_unknowns") is not None:
        raise Excluded("needs unknown values")
    bindings = {}
    for binding in every(test, "bindings"):
        held = only(binding, "value")
        if only(held, "value") is None:
            raise Excluded("binds an error or an unknown value")
        bindings[text(only(binding, "key"))] = value_of(only(held, "value"))
    expected = True
    typed = only(test, "typed_result")
    if only(test, "eval_error") is not None:
        expected = "error"
    elif only(test, "any_eval_errors") is not None:
        expected = "errors"
    elif only(test, "value") is not None:
        expected = value_of(only(test, "value"))
    elif typed is not None:
        if only(typed, "result") is None:
            raise Excluded("needs a type checker: it expects a deduced type and no value")
        expected = value_of(only(typed, "result"))
    flags = []
    if only(test, "disable_check") == "true":
        flags.append("untyped")
    if only(test, "disable_macros") == "true":
        flags.append("plain")
    if container:
        flags.append(f"container={container}")
    return [name, expression, expected, bindings, flags]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    here = pathlib.Path(__file__).resolve().parent
    files = sorted((pathlib.Path(sys.argv[1]) / "tests/simple/testdata").glob("*.textproto"))
    cases, excluded, seen = [], [], {}
    for file in files:
        whole = Parser(file.read_text()).message(None)
        for section in every(whole, "section"):
            for test in every(section, "test"):
                name = "/".join([file.stem, text(only(section, "name")), text(only(test, "name", Text()))])
                name = " ".join(name.split())
                seen[name] = seen.get(name, 0) + 1
                if seen[name] > 1:
                    name += f"#{seen[name]}"
                try:
                    cases.append(case_of(name, test))
                except Excluded as reason:
                    excluded.append(f"{name}\t{reason}")
    lines = (json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in cases)
    (here / "cases.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (here / "excluded.txt").write_text("".join(f"{line}\n" for line in excluded))
    print(f"{len(cases)} cases, {len(excluded)} excluded")


if __name__ == "__main__":
    main()
