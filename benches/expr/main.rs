//! Expressions against what an engineer would write by hand with `serde_json::Value`, interleaved in one
//! run on one machine: only the ratios mean something. Exits with 1 if one is over its bar.
//!
//!     cargo bench --bench expr                      ratios of time, loading, hostile expressions
//!     python3 benches/instructions.py               ratios of instructions (valgrind), for a noisy machine
//!
//! E1 is a field path, E2 a `filter` and a `map` of 20 items to objects, E3 a condition and a
//! concatenation, each over a document of about 2 KB that is parsed already. `parse` reads it.

#![allow(clippy::print_stdout, reason = "a benchmark reports there")]

mod hostile;

use std::{
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

use bytes::Bytes;
use peak_alloc::PeakAlloc;
use segue::{
    expr::{Data, EvalError, Frame, Meter, Program, Scope, Slot, StepField, StepScope, Value},
    json::Document,
};
use serde_json::{Map, json};

/// Tells how much memory a hostile expression took at its worst.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const E1: &str = "steps.orders.body.customer.address.city";
const E2: &str = r#"steps.orders.body.items.filter(i, i.status != "returned").map(i, {"id": i.id, "name": i.name, "price": i.price})"#;
const E3: &str = r#"steps.orders.body.customer.vip && steps.orders.body.total > 100.0 ? "Dear " + steps.orders.body.customer.first + " " + steps.orders.body.customer.last : "Hello""#;

/// Seconds in which 10 000 expressions must be loaded.
const LOADING: f64 = 0.3;

/// Data with one document behind every slot.
pub(crate) struct One(pub(crate) Document);

impl Data for One {
    fn seed(&self) -> [u8; 16] {
        [0; 16]
    }

    fn read(&self, slot: Slot) -> Result<Option<Value<'_>>, EvalError> {
        Ok(match slot {
            Slot::Step(0, StepField::Body) => Some(Value::Json(self.0.root())),
            _ => None,
        })
    }
}

fn frame<'a, 'f>(data: &'a One, meter: &'f Meter) -> Frame<'a, 'f> {
    Frame::new(data, meter, &[])
}

pub(crate) fn scope() -> Scope {
    let step = StepScope { name: "orders".to_owned(), for_each: false, compose: false };
    Scope { steps: vec![step], ..Scope::default() }
}

fn compile(source: &str) -> Program {
    Program::compile(source, &scope()).expect("the expression compiles")
}

fn document() -> String {
    let items: Vec<_> = (0..20)
        .map(|i| {
            let status = if i % 4 == 0 { "returned" } else { "shipped" };
            json!({"id": format!("i-{i}"), "name": format!("Item number {i}"), "status": status, "price": 9.95, "quantity": i})
        })
        .collect();
    let address = json!({"street": "1 High Street", "city": "York", "zip": "YO1 7HH"});
    let customer = json!({"first": "Ada", "last": "Byron", "vip": true, "address": address});
    json!({"id": "o-17", "customer": customer, "items": items, "total": 199.0}).to_string()
}

fn by_hand_e2(value: &serde_json::Value) -> serde_json::Value {
    let items = value["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    items
        .iter()
        .filter(|item| item["status"] != "returned")
        .map(|item| {
            let mut map = Map::new();
            map.insert("id".to_owned(), item["id"].clone());
            map.insert("name".to_owned(), item["name"].clone());
            map.insert("price".to_owned(), item["price"].clone());
            serde_json::Value::Object(map)
        })
        .collect()
}

fn by_hand_e3(value: &serde_json::Value) -> String {
    let customer = &value["customer"];
    if customer["vip"].as_bool() == Some(true) && value["total"].as_f64().is_some_and(|total| total > 100.0) {
        let (first, last) =
            (customer["first"].as_str().unwrap_or(""), customer["last"].as_str().unwrap_or(""));
        format!("Dear {first} {last}")
    } else {
        "Hello".to_owned()
    }
}

/// The same thing done twice.
struct Pair {
    name: &'static str,
    /// How much slower ours may be.
    bar: f64,
    by_hand: Box<dyn FnMut()>,
    ours: Box<dyn FnMut()>,
}

fn pairs() -> Vec<Pair> {
    fn pair(
        name: &'static str,
        bar: f64,
        by_hand: impl FnMut() + 'static,
        ours: impl FnMut() + 'static,
    ) -> Pair {
        Pair { name, bar, by_hand: Box::new(by_hand), ours: Box::new(ours) }
    }
    // What lives as long as the process, so that closures may borrow it.
    let text: &'static str = document().leak();
    let bytes = Bytes::from_static(text.as_bytes());
    let value: &'static serde_json::Value = Box::leak(Box::new(serde_json::from_str(text).expect("JSON")));
    let data: &'static One = Box::leak(Box::new(One(Document::parse(bytes.clone()).expect("JSON"))));
    let [e1, e2, e3] = [E1, E2, E3].map(|source| &*Box::leak(Box::new(compile(source))));
    let (mut by_hand_out, mut ours_out) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
    vec![
        pair(
            "E1 field path",
            4.0,
            move || _ = black_box(black_box(value)["customer"]["address"]["city"].as_str()),
            move || _ = black_box(e1.eval(&frame(black_box(data), &Meter::default())).is_ok()),
        ),
        pair(
            "E2 filter and map to bytes",
            3.5,
            move || {
                by_hand_out.clear();
                serde_json::to_writer(&mut by_hand_out, &by_hand_e2(black_box(value)))
                    .expect("it is written");
                black_box(by_hand_out.len());
            },
            move || {
                ours_out.clear();
                black_box(e2.write(&frame(black_box(data), &Meter::default()), &mut ours_out).is_ok());
            },
        ),
        pair(
            "E2 filter and map to a value",
            3.5,
            move || _ = black_box(by_hand_e2(black_box(value))),
            move || _ = black_box(e2.eval(&frame(black_box(data), &Meter::default())).is_ok()),
        ),
        pair(
            "E3 condition and concatenation",
            3.5,
            move || _ = black_box(by_hand_e3(black_box(value))),
            move || _ = black_box(e3.eval(&frame(black_box(data), &Meter::default())).is_ok()),
        ),
        pair(
            "parse the document",
            1.0,
            move || _ = black_box(serde_json::from_str::<serde_json::Value>(black_box(text)).is_ok()),
            move || _ = black_box(Document::parse(black_box(&bytes).clone()).is_ok()),
        ),
    ]
}

fn time(work: &mut dyn FnMut(), times: u32) -> Duration {
    let started = Instant::now();
    (0..times).for_each(|_| work());
    started.elapsed() / times
}

/// The best of many short turns of each, taken in turn: what disturbs one disturbs the other.
fn ratios() -> bool {
    println!("{:32} {:>10} {:>10} {:>7} {:>7}", "", "by hand", "segue", "ratio", "bar");
    let mut fine = true;
    for Pair { name, bar, mut by_hand, mut ours } in pairs() {
        let (mut hand, mut own) = (Duration::MAX, Duration::MAX);
        for _ in 0..300 {
            hand = hand.min(time(&mut by_hand, 200));
            own = own.min(time(&mut ours, 200));
        }
        let ratio = own.as_secs_f64() / hand.as_secs_f64();
        println!("{name:32} {:>7} ns {:>7} ns {ratio:>7.2} {bar:>7.2}", hand.as_nanos(), own.as_nanos());
        fine &= ratio <= bar;
    }
    fine
}

fn loading() -> bool {
    let sources = [E1, E2, E3];
    let best = (0..5).map(|_| {
        let started = Instant::now();
        let programs: Vec<_> = (0..10_000).map(|i| compile(sources[i % 3])).collect();
        black_box(programs.len());
        started.elapsed().as_secs_f64()
    });
    let best = best.fold(f64::MAX, f64::min);
    println!("{:32} {:>21.3} s {:>7} {LOADING:>7.2}", "10 000 expressions loaded", best, "");
    best <= LOADING
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [which, side, times] = &arguments[..] {
        // For instruction counts: nothing but this.
        let Some(pair) = pairs().into_iter().find(|pair| pair.name == which) else {
            return ExitCode::from(2);
        };
        let mut work = if side == "ours" { pair.ours } else { pair.by_hand };
        (0..times.parse().unwrap_or(0)).for_each(|_| work());
        return ExitCode::SUCCESS;
    }
    let fine = [ratios(), loading(), hostile::run(&HEAP)];
    if fine.contains(&false) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
