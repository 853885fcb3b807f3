//! Expressions against what an engineer would write by hand with `serde_json::Value`, in one run on
//! one machine: only the ratios mean something.
//!
//! E1 is a field path, E2 a `filter` and a `map` of 20 items to objects, E3 a condition and a
//! concatenation, each over a document of about 2 KB. `parse` compares reading that document.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use segue::{
    expr::{Data, EvalError, Frame, Meter, Program, Scope, Slot, StepField, StepScope, Value},
    json::Document,
};
use serde_json::{Map, json};

const E1: &str = "steps.orders.body.customer.address.city";
const E2: &str = r#"steps.orders.body.items.filter(i, i.status != "returned").map(i, {"id": i.id, "name": i.name, "price": i.price})"#;
const E3: &str = r#"steps.orders.body.customer.vip && steps.orders.body.total > 100.0 ? "Dear " + steps.orders.body.customer.first + " " + steps.orders.body.customer.last : "Hello""#;

struct One(Document);

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

fn expressions(c: &mut Criterion) {
    let text = document();
    let value: serde_json::Value = serde_json::from_str(&text).expect("the document is JSON");
    let data = One(Document::parse(Bytes::from(text)).expect("the document is JSON"));
    let step = StepScope { name: "orders".to_owned(), for_each: false, compose: false };
    let scope = Scope { steps: vec![step], ..Scope::default() };
    let compile = |source| Program::compile(source, &scope).expect("the expression compiles");
    let (e1, e2, e3) = (compile(E1), compile(E2), compile(E3));

    let mut group = c.benchmark_group("e1");
    group.bench_function("by hand", |b| {
        b.iter(|| black_box(black_box(&value)["customer"]["address"]["city"].as_str()));
    });
    group.bench_function("segue", |b| {
        b.iter(|| {
            let meter = Meter::default();
            black_box(e1.eval(&Frame { data: black_box(&data), meter: &meter, locals: &[], turn: 0 }).is_ok())
        });
    });
    group.finish();

    let mut group = c.benchmark_group("e2 to bytes");
    let mut out = Vec::with_capacity(4096);
    group.bench_function("by hand", |b| {
        b.iter(|| {
            out.clear();
            serde_json::to_writer(&mut out, &by_hand_e2(black_box(&value))).expect("it is written");
            black_box(out.len())
        });
    });
    group.bench_function("segue", |b| {
        b.iter(|| {
            out.clear();
            let meter = Meter::default();
            let frame = Frame { data: black_box(&data), meter: &meter, locals: &[], turn: 0 };
            black_box(e2.write(&frame, &mut out).is_ok())
        });
    });
    group.finish();

    let mut group = c.benchmark_group("e2 to a value");
    group.bench_function("by hand", |b| b.iter(|| black_box(by_hand_e2(black_box(&value)))));
    group.bench_function("segue", |b| {
        b.iter(|| {
            let meter = Meter::default();
            let frame = Frame { data: black_box(&data), meter: &meter, locals: &[], turn: 0 };
            black_box(e2.eval(&frame).is_ok())
        });
    });
    group.finish();

    let mut group = c.benchmark_group("e3");
    group.bench_function("by hand", |b| b.iter(|| black_box(by_hand_e3(black_box(&value)))));
    group.bench_function("segue", |b| {
        b.iter(|| {
            let meter = Meter::default();
            let frame = Frame { data: black_box(&data), meter: &meter, locals: &[], turn: 0 };
            black_box(e3.eval(&frame).is_ok())
        });
    });
    group.finish();
}

fn parse(c: &mut Criterion) {
    let text = Bytes::from(document());
    let mut group = c.benchmark_group(format!("parse {} bytes", text.len()));
    group.bench_function("serde_json::Value", |b| {
        b.iter(|| black_box(serde_json::from_slice::<serde_json::Value>(black_box(&text)).is_ok()));
    });
    group
        .bench_function("segue", |b| b.iter(|| black_box(Document::parse(black_box(&text).clone()).is_ok())));
    group.finish();
}

criterion_group!(benches, expressions, parse);
criterion_main!(benches);
