//! Expressions that are meant to hurt end as they should and within their bounds, and slices of evaluations.

#[path = "../../../benches/expr/cases.rs"]
mod cases;

use cases::{Case, End};

use super::*;
use crate::expr::meter::{BYTES, FUEL};

#[test]
fn every_hostile_expression_ends_as_it_should_and_within_its_bounds() {
    let mut wrong = Vec::new();
    for Case { name, body, source, end } in cases::cases() {
        let document = Document::parse(Bytes::from(body)).expect(name);
        let mut data = data("null");
        data.documents.insert(Slot::Step(0, StepField::Body), document);
        let (meter, mut out) = (Meter::default(), Vec::new());
        let before = meter.left();
        let found = match Program::compile(&source, &scope()) {
            Err(_) => End::Refused,
            Ok(program) => match program.write(&Frame::new(&data, &meter, &[]), &mut out) {
                Ok(_) => End::Answer,
                Err(EvalError::Budget) => End::Budget,
                Err(_) => End::Error,
            },
        };
        if found != end {
            wrong.push(format!("{name}: {found:?}, not {end:?}"));
        }
        let (fuel, bytes) = (before.0 - meter.left().0, before.1 - meter.left().1);
        assert!(fuel <= FUEL as i64 && bytes <= BYTES as i64, "{name}: {fuel} steps, {bytes} bytes");
        assert!(out.len() as i64 <= bytes, "{name}: {} bytes were written and {bytes} paid", out.len());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A document and an expression that takes about so many steps for each of its elements.
fn steps(elements: usize) -> (Holder, Program) {
    (data(&format!("[{}]", vec!["0"; elements].join(","))), compile("request.body.map(a, a + 1).size()"))
}

#[test]
fn an_evaluation_that_fits_a_slice_is_done_in_it() {
    let ((data, program), meter) = (steps(100), Meter::default());
    let size = sliced(&meter, || program.eval(&Frame::new(&data, &meter, &[])).unwrap().as_i64());
    assert_eq!(size, Some(Some(100)));
    assert!(meter.left().0 < Meter::default().left().0);
    assert!(!is_cut());
}

#[test]
fn an_evaluation_that_does_not_fit_a_slice_is_given_up_and_costs_nothing() {
    let ((data, program), meter) = (steps(10_000), Meter::default());
    let frame = Frame::new(&data, &meter, &[]);
    let mut cut = false;
    let given_up = sliced(&meter, || {
        let result = program.eval(&frame).is_ok();
        cut = is_cut();
        result
    });
    assert_eq!((given_up, cut, meter.left()), (None, true, Meter::default().left()));
    // Nothing is left of the slice, so that whoever runs it now has all its time.
    assert_eq!(program.eval(&frame).unwrap().as_i64(), Some(10_000));
}

#[test]
fn evaluations_of_a_slice_share_it() {
    let ((data, program), meter) = (steps(200), Meter::default());
    let frame = Frame::new(&data, &meter, &[]);
    let mut done = 0;
    let given_up = sliced(&meter, || {
        while program.eval(&frame).is_ok() && done < 100 {
            done += 1;
        }
    });
    assert!(given_up.is_none() && (1..5).contains(&done), "{done}");
}

#[test]
fn a_spent_execution_is_no_cut_slice() {
    let ((data, program), meter) = (steps(100), Meter::default());
    meter.take_fuel(999_999).unwrap();
    let result = sliced(&meter, || program.eval(&Frame::new(&data, &meter, &[])).map(|_| ()));
    assert!(matches!(result, Some(Err(EvalError::Budget))));
}

#[test]
fn what_cannot_run_aside_may_look_at_the_groups_of_a_principal() {
    // As many as the largest providers put into a token.
    let groups: Vec<_> = (0..200).map(|index| format!("\"8f14e45f-ceea-467f-a0e6-{index:012}\"")).collect();
    let data = data(&format!("[{}]", groups.join(",")));
    for source in [
        "request.body.exists(g, g.startsWith(\"admin-\"))",
        "request.body.exists(g, g == \"a\" || g == \"b\")",
    ] {
        let (program, meter) = (compile(source), Meter::default());
        let found = bounded(&meter, || program.test(&Frame::new(&data, &meter, &[])).unwrap());
        assert_eq!(found, Some(false), "{source}");
    }
}
