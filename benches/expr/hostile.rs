//! Expressions and data that are meant to hurt: each must end within 50 ms and 8 MiB, by an answer, an
//! error or a refusal at load.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use bytes::Bytes;
use peak_alloc::PeakAlloc;
use segue::{
    expr::{Frame, Meter, Program},
    json::Document,
};

use crate::{One, scope};

const TIME: Duration = Duration::from_millis(50);
const MEMORY: usize = 8 << 20;

/// A name, the document behind `steps.orders.body`, which is `@` in the expression.
type Case = (&'static str, String, String);

fn list(count: usize, element: impl Fn(usize) -> String) -> String {
    format!("[{}]", (0..count).map(element).collect::<Vec<_>>().join(","))
}

/// `inner` inside of `depth` times `open … close`.
fn nest(depth: usize, open: &str, inner: &str, close: &str) -> String {
    format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
}

fn case(name: &'static str, body: impl Into<String>, source: impl Into<String>) -> Case {
    (name, body.into(), source.into())
}

fn cases() -> Vec<Case> {
    let hundred = list(100, |i| i.to_string());
    let text = |length: usize| format!("\"{}\"", "x".repeat(length));
    let doubled = |times: usize| {
        let binds: String =
            (1..=times).map(|i| format!("cel.bind(v{i}, v{} + v{}, ", i - 1, i - 1)).collect();
        format!("cel.bind(v0, @, {binds}v{times}{})", ")".repeat(times))
    };
    vec![
        case(
            "comprehensions, 4 deep, 100 each",
            &hundred,
            "@.map(a, @.map(b, @.map(c, @.map(d, a + b + c + d))))",
        ),
        case(
            "quantifiers, 5 deep, 100 each",
            &hundred,
            "@.all(a, @.all(b, @.all(c, @.all(d, @.all(e, e >= 0)))))",
        ),
        case("comprehensions, 30 deep", "[1,2]", nest(30, "@.map(x, ", "1", ")")),
        case("two variables, 4 deep", &hundred, "@.all(i, a, @.all(j, b, @.all(k, c, @.all(l, d, d >= 0))))"),
        case("a string doubled", text(1024), doubled(20)),
        case("a list doubled", list(64, |i| i.to_string()), doubled(20)),
        case("a map that refers to itself twice", "{\"a\":1}", {
            let binds: String =
                (1..=20).map(|i| format!("cel.bind(v{i}, {{'l': v{0}, 'r': v{0}}}, ", i - 1)).collect();
            format!("cel.bind(v0, @, {binds}v20 == v20 && v20.l == v20.r{})", ")".repeat(20))
        }),
        case("a text in every turn", text(8192), format!("{hundred}.map(a, {hundred}.map(b, @ + @))")),
        case("1+1+…, 40 KB", "1", format!("1{}", "+1".repeat(20_000))),
        case("10 000 brackets (", "1", nest(10_000, "(", "1", ")")),
        case("10 000 brackets [", "1", nest(10_000, "[", "1", "]")),
        case("10 000 brackets {", "1", nest(10_000, "{'a':", "1", "}")),
        case("10 000 signs", "1", format!("{}1", "-".repeat(10_000))),
        case("10 000 selections", "1", format!("@{}", ".a".repeat(10_000))),
        case("10 000 choices", "1", format!("{}1", "true ? 1 : ".repeat(5_000))),
        case("10 000 operands of &&", "true", format!("@{}", " && @".repeat(5_000))),
        case("a pattern that backtracks", format!("\"{}!\"", "a".repeat(64 << 10)), "@.matches('^(a+)+$')"),
        case("a pattern with nested counts", text(1024), "@.matches('((a{100}){100}){100}')"),
        case("a pattern from data", format!("\"{}\"", "(x+x+)+y".repeat(100)), "'x'.matches(@)"),
        case("wide patterns over a text", text(256 << 10), "@.matches('(x|xx|xxx|.*x.*x.*x)*y')"),
        case(
            "patterns in a loop",
            &hundred,
            "@.map(a, @.exists(b, string(b).matches('^[a-z]+' + string(a))))",
        ),
        case("a replacement that grows", text(1 << 20), "@.replace('x', @)"),
        case("a replacement of nothing", text(1 << 20), "@.replace('', 'yyyyyyyyyy')"),
        case(
            "a join that grows",
            list(20_000, |_| "\"x\"".to_owned()),
            "@.join(@.join('yyyyyyyyyyyyyyyyyyyyyyyy'))",
        ),
        case("a split into bytes", text(1 << 20), "@.split('')"),
        case("a split in a loop", text(4096), format!("{hundred}.map(a, @.split('x'))")),
        case("a format that grows", text(1 << 20), "'%s%s%s%s%s%s%s%s%s%s'.format([@,@,@,@,@,@,@,@,@,@])"),
        case("a format with a wide number", "1", "'%.1000000f'.format([1.5])"),
        case("a range without end", "1", "lists.range(1000000000)"),
        case("a long list sorted", list(90_000, |i| (i * 7919 % 90_001).to_string()), "@.sort()"),
        case("long texts sorted", list(200, |i| format!("\"{}\\n{i}\"", "x".repeat(4096))), "@.sort()"),
        case(
            "a long list sorted by a key",
            list(20_000, |i| format!("{{\"k\":{}}}", i * 7919 % 20_011)),
            "@.sortBy(x, x.k)",
        ),
        case("a long list without repeats", list(50_000, |i| i.to_string()), "@.distinct()"),
        case("a list grouped", list(30_000, |i| format!("{{\"k\":\"{i}\"}}")), "groupBy(@, 'k')"),
        case("a long list reversed in a loop", list(10_000, |i| i.to_string()), "@.map(a, @.reverse())"),
        case("slices of a long list", list(10_000, |i| i.to_string()), "@.map(a, @.slice(0, 9000))"),
        case("lists flattened", nest(100, "[", "1", "]"), format!("{hundred}.map(a, @.flatten(100))")),
        case("JSON in JSON", text(64), format!("{}@{}", "json.encode(".repeat(25), ")".repeat(25))),
        case(
            "JSON of control characters",
            format!("\"{}\"", "\\u0001".repeat(300_000)),
            "json.encode(@ + '')",
        ),
        case(
            "JSON decoded to many values",
            format!("\"[{}1]\"", "1,".repeat(1_000_000)),
            "json.decode(@).size()",
        ),
        case(
            "JSON decoded in a loop",
            format!("\"[{}1]\"", "1,".repeat(10_000)),
            format!("{hundred}.map(a, json.decode(@))"),
        ),
        case("a huge integer", "9".repeat(1 << 20), "@ == @ && @ + 1 > 0"),
        case("huge numbers added up", list(10_000, |_| "9".repeat(100)), "sum(@)"),
        case("a huge exponent", "1e999999999", "@ * @ > 0.0"),
        case("a huge literal", "1", "9".repeat(60_000)),
        case("a huge literal with a fraction", "1", format!("0.{}", "9".repeat(60_000))),
        case("a text as a number", text(1 << 20), "double(@)"),
        case("deep maps compared", nest(120, "{\"a\":", "1", "}"), format!("{hundred}.all(x, @ == @)")),
        case(
            "a large map compared in a loop",
            format!("{{{}}}", (0..10_000).map(|i| format!("\"k{i}\":{i}")).collect::<Vec<_>>().join(",")),
            format!("{hundred}.all(x, @ == merge(@, {{'k': 1}}))"),
        ),
        case(
            "lookups in a large map",
            format!("{{{}}}", (0..20_000).map(|i| format!("\"k{i}\":{i}")).collect::<Vec<_>>().join(",")),
            "@.all(k, @[k] >= 0)",
        ),
        case(
            "large maps merged in a loop",
            format!("{{{}}}", (0..5_000).map(|i| format!("\"k{i}\":{i}")).collect::<Vec<_>>().join(",")),
            "@.map(k, merge(@, @))",
        ),
        case("indexes of a long list", list(50_000, |i| i.to_string()), "@.all(i, @[i] >= 0)"),
        case("membership in a long list", list(50_000, |i| i.to_string()), "@.all(i, i in @)"),
        case(
            "escaped texts compared",
            list(2, |_| format!("\"\\n{}\"", "x".repeat(500_000))),
            format!("{hundred}.all(a, {hundred}.all(b, @[0] != 'x' && @[1] != 'y'))"),
        ),
        case(
            "escaped texts joined",
            format!("\"{}\"", "\\n".repeat(400_000)),
            format!("{hundred}.map(a, @ + @)"),
        ),
        case(
            "searches in a long text",
            text(1 << 20),
            format!("{hundred}.all(a, !@.contains('xxxxxxxxxxxxxxxy'))"),
        ),
        case("searches for a long text", text(256 << 10), format!("{hundred}.map(a, @.indexOf(@ + 'y'))")),
        case(
            "characters of a long text",
            text(64 << 10),
            format!("{hundred}.map(a, {hundred}.map(b, @.charAt(60000)))"),
        ),
        case(
            "a long text to lower case in a loop",
            text(1 << 20),
            format!("{hundred}.map(a, @.lowerAscii())"),
        ),
        case("hashes of a long text", text(1 << 20), format!("{hundred}.map(a, sha256(@))")),
        case("base64 of base64", text(1 << 20), nest(20, "base64.encode(bytes(", "@", "))")),
        case("escapes for a URL", text(1 << 20), nest(20, "url.encode('/' + ", "@", ")")),
    ]
}

/// Runs every case and prints what it took. False if one is over a bound.
pub(crate) fn run(heap: &PeakAlloc) -> bool {
    println!("\n{:38} {:>9} {:>10}  end", "hostile", "time", "memory");
    std::panic::set_hook(Box::new(|_| {}));
    let mut fine = true;
    for (name, body, source) in cases() {
        let source = source.replace('@', "steps.orders.body");
        let data = One(Document::parse(Bytes::from(body)).expect(name));
        let once = || {
            let before = heap.current_usage();
            heap.reset_peak_usage();
            let started = Instant::now();
            let end =
                catch_unwind(AssertUnwindSafe(|| end(&source, &data))).unwrap_or_else(|_| "PANIC".to_owned());
            (started.elapsed(), heap.peak_usage().saturating_sub(before), end)
        };
        let (first, memory, end) = once();
        let time = (0..2).map(|_| once().0).fold(first, Duration::min);
        let over = time > TIME || memory > MEMORY || end == "PANIC";
        fine &= !over;
        let mark = if over { "  OVER" } else { "" };
        println!(
            "{name:38} {:>6.2} ms {:>6.2} MiB  {end}{mark}",
            time.as_secs_f64() * 1e3,
            memory as f64 / f64::from(1 << 20)
        );
    }
    fine
}

fn end(source: &str, data: &One) -> String {
    let program = match Program::compile(source, &scope()) {
        Ok(program) => program,
        Err(faults) => {
            return format!("refused: {}", faults.first().map_or("?", |fault| fault.code.as_str()));
        }
    };
    let (meter, mut out) = (Meter::default(), Vec::new());
    match program.write(&Frame::new(data, &meter, &[]), &mut out) {
        Ok(_) => format!("{} bytes", out.len()),
        Err(error) => error.to_string().chars().take(60).collect(),
    }
}
