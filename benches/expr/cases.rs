//! Expressions and data that are meant to hurt, and how each must end. The benchmark measures them and the
//! tests of `src/expr` run them.

/// How an evaluation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Refused at load.
    Refused,
    /// More than it may do or produce.
    Budget,
    /// Another error.
    Error,
    Answer,
}

/// An expression, and the document behind its `steps.a.body` (`@` below).
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) body: String,
    pub(crate) source: String,
    pub(crate) end: End,
}

fn list(count: usize, element: impl Fn(usize) -> String) -> String {
    format!("[{}]", (0..count).map(element).collect::<Vec<_>>().join(","))
}

/// `inner` inside of `depth` times `open … close`.
fn nest(depth: usize, open: &str, inner: &str, close: &str) -> String {
    format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
}

fn case(end: End, name: &'static str, body: impl Into<String>, source: impl Into<String>) -> Case {
    Case { name, body: body.into(), source: source.into().replace('@', "steps.a.body"), end }
}

pub(crate) fn cases() -> Vec<Case> {
    use End::{Answer, Budget, Error, Refused};
    let hundred = list(100, |i| i.to_string());
    let text = |length: usize| format!("\"{}\"", "x".repeat(length));
    let doubled = |times: usize| {
        let binds: String =
            (1..=times).map(|i| format!("cel.bind(v{i}, v{} + v{}, ", i - 1, i - 1)).collect();
        format!("cel.bind(v0, @, {binds}v{times}{})", ")".repeat(times))
    };
    vec![
        case(
            Budget,
            "comprehensions, 4 deep, 100 each",
            &hundred,
            "@.map(a, @.map(b, @.map(c, @.map(d, a + b + c + d))))",
        ),
        case(
            Budget,
            "quantifiers, 5 deep, 100 each",
            &hundred,
            "@.all(a, @.all(b, @.all(c, @.all(d, @.all(e, e >= 0)))))",
        ),
        case(Budget, "comprehensions, 30 deep", "[1,2]", nest(30, "@.map(x, ", "1", ")")),
        case(
            Budget,
            "two variables, 4 deep",
            &hundred,
            "@.all(i, a, @.all(j, b, @.all(k, c, @.all(l, d, d >= 0))))",
        ),
        case(Budget, "a string doubled", text(1024), doubled(20)),
        case(Budget, "a list doubled", list(64, |i| i.to_string()), doubled(20)),
        case(Budget, "a map that refers to itself twice", "{\"a\":1}", {
            let binds: String =
                (1..=20).map(|i| format!("cel.bind(v{i}, {{'l': v{0}, 'r': v{0}}}, ", i - 1)).collect();
            format!("cel.bind(v0, @, {binds}v20 == v20 && v20.l == v20.r{})", ")".repeat(20))
        }),
        case(
            Budget,
            "a text in every turn",
            text(8192),
            format!("{hundred}.map(a, {hundred}.map(b, @ + @))"),
        ),
        case(Refused, "1+1+…, 40 KB", "1", format!("1{}", "+1".repeat(20_000))),
        case(Refused, "10 000 brackets (", "1", nest(10_000, "(", "1", ")")),
        case(Refused, "10 000 brackets [", "1", nest(10_000, "[", "1", "]")),
        case(Refused, "10 000 brackets {", "1", nest(10_000, "{'a':", "1", "}")),
        case(Refused, "10 000 signs", "1", format!("{}1", "-".repeat(10_000))),
        case(Refused, "10 000 selections", "1", format!("@{}", ".a".repeat(10_000))),
        case(Refused, "10 000 choices", "1", format!("{}1", "true ? 1 : ".repeat(5_000))),
        case(Refused, "10 000 operands of &&", "true", format!("@{}", " && @".repeat(5_000))),
        case(
            Answer,
            "a pattern that backtracks",
            format!("\"{}!\"", "a".repeat(64 << 10)),
            "@.matches('^(a+)+$')",
        ),
        case(Refused, "a pattern with nested counts", text(1024), "@.matches('((a{100}){100}){100}')"),
        case(Answer, "a pattern from data", format!("\"{}\"", "(x+x+)+y".repeat(100)), "'x'.matches(@)"),
        case(Answer, "wide patterns over a text", text(256 << 10), "@.matches('(x|xx|xxx|.*x.*x.*x)*y')"),
        case(
            Budget,
            "patterns in a loop",
            &hundred,
            "@.map(a, @.exists(b, string(b).matches('^[a-z]+' + string(a))))",
        ),
        case(Budget, "a replacement that grows", text(1 << 20), "@.replace('x', @)"),
        case(Budget, "a replacement of nothing", text(1 << 20), "@.replace('', 'yyyyyyyyyy')"),
        case(
            Budget,
            "a join that grows",
            list(20_000, |_| "\"x\"".to_owned()),
            "@.join(@.join('yyyyyyyyyyyyyyyyyyyyyyyy'))",
        ),
        case(Budget, "a split into bytes", text(1 << 20), "@.split('')"),
        case(Budget, "a split in a loop", text(4096), format!("{hundred}.map(a, @.split('x'))")),
        case(
            Budget,
            "a format that grows",
            text(1 << 20),
            "'%s%s%s%s%s%s%s%s%s%s'.format([@,@,@,@,@,@,@,@,@,@])",
        ),
        case(Error, "a format with a wide number", "1", "'%.1000000f'.format([1.5])"),
        case(Budget, "a range without end", "1", "lists.range(1000000000)"),
        case(Budget, "a long list sorted", list(90_000, |i| (i * 7919 % 90_001).to_string()), "@.sort()"),
        case(
            Answer,
            "long texts sorted",
            list(200, |i| format!("\"{}\\n{i}\"", "x".repeat(4096))),
            "@.sort()",
        ),
        case(
            Budget,
            "a long list sorted by a key",
            list(20_000, |i| format!("{{\"k\":{}}}", i * 7919 % 20_011)),
            "@.sortBy(x, x.k)",
        ),
        case(Answer, "a long list without repeats", list(50_000, |i| i.to_string()), "@.distinct()"),
        case(Budget, "a list grouped", list(30_000, |i| format!("{{\"k\":\"{i}\"}}")), "groupBy(@, 'k')"),
        case(
            Budget,
            "a long list reversed in a loop",
            list(10_000, |i| i.to_string()),
            "@.map(a, @.reverse())",
        ),
        case(Budget, "slices of a long list", list(10_000, |i| i.to_string()), "@.map(a, @.slice(0, 9000))"),
        case(
            Answer,
            "lists flattened",
            nest(100, "[", "1", "]"),
            format!("{hundred}.map(a, @.flatten(100))"),
        ),
        case(Budget, "JSON in JSON", text(64), format!("{}@{}", "json.encode(".repeat(25), ")".repeat(25))),
        case(
            Budget,
            "JSON of control characters",
            format!("\"{}\"", "\\u0001".repeat(300_000)),
            "json.encode(@ + '')",
        ),
        case(
            Budget,
            "JSON decoded to many values",
            format!("\"[{}1]\"", "1,".repeat(1_000_000)),
            "json.decode(@).size()",
        ),
        case(
            Budget,
            "JSON decoded in a loop",
            format!("\"[{}1]\"", "1,".repeat(10_000)),
            format!("{hundred}.map(a, json.decode(@))"),
        ),
        case(Error, "a huge integer", "9".repeat(1 << 20), "@ == @ && @ + 1 > 0"),
        case(Error, "huge numbers added up", list(10_000, |_| "9".repeat(100)), "sum(@)"),
        case(Answer, "a huge exponent", "1e999999999", "@ * @ > 0.0"),
        case(Refused, "a huge literal", "1", "9".repeat(60_000)),
        case(Answer, "a huge literal with a fraction", "1", format!("0.{}", "9".repeat(60_000))),
        case(Error, "a text as a number", text(1 << 20), "double(@)"),
        case(
            Answer,
            "deep maps compared",
            nest(120, "{\"a\":", "1", "}"),
            format!("{hundred}.all(x, @ == @)"),
        ),
        case(
            Answer,
            "a large map compared in a loop",
            format!("{{{}}}", (0..10_000).map(|i| format!("\"k{i}\":{i}")).collect::<Vec<_>>().join(",")),
            format!("{hundred}.all(x, @ == merge(@, {{'k': 1}}))"),
        ),
        case(
            Budget,
            "lookups in a large map",
            format!("{{{}}}", (0..20_000).map(|i| format!("\"k{i}\":{i}")).collect::<Vec<_>>().join(",")),
            "@.all(k, @[k] >= 0)",
        ),
        case(
            Budget,
            "large maps merged in a loop",
            format!("{{{}}}", (0..5_000).map(|i| format!("\"k{i}\":{i}")).collect::<Vec<_>>().join(",")),
            "@.map(k, merge(@, @))",
        ),
        case(Budget, "indexes of a long list", list(50_000, |i| i.to_string()), "@.all(i, @[i] >= 0)"),
        case(Budget, "membership in a long list", list(50_000, |i| i.to_string()), "@.all(i, i in @)"),
        case(
            Budget,
            "escaped texts compared",
            list(2, |_| format!("\"\\n{}\"", "x".repeat(500_000))),
            format!("{hundred}.all(a, {hundred}.all(b, @[0] != 'x' && @[1] != 'y'))"),
        ),
        case(
            Budget,
            "escaped texts joined",
            format!("\"{}\"", "\\n".repeat(400_000)),
            format!("{hundred}.map(a, @ + @)"),
        ),
        case(
            Budget,
            "searches in a long text",
            text(1 << 20),
            format!("{hundred}.all(a, !@.contains('xxxxxxxxxxxxxxxy'))"),
        ),
        case(
            Budget,
            "searches for a long text",
            text(256 << 10),
            format!("{hundred}.map(a, @.indexOf(@ + 'y'))"),
        ),
        case(
            Budget,
            "characters of a long text",
            text(64 << 10),
            format!("{hundred}.map(a, {hundred}.map(b, @.charAt(60000)))"),
        ),
        case(
            Budget,
            "a long text to lower case in a loop",
            text(1 << 20),
            format!("{hundred}.map(a, @.lowerAscii())"),
        ),
        case(Budget, "hashes of a long text", text(1 << 20), format!("{hundred}.map(a, sha256(@))")),
        case(
            Budget,
            "a long text contained in a longer one",
            text(256 << 10),
            format!("{hundred}.all(a, !@.contains(@.substring(9) + 'y'))"),
        ),
        case(Budget, "base64 of base64", text(1 << 20), nest(8, "base64.encode(bytes(", "@", "))")),
        case(Budget, "escapes for a URL", text(1 << 20), nest(20, "url.encode('/' + ", "@", ")")),
    ]
}
