//! Any text as an expression over any document: faults with places or an evaluation within its bounds, the
//! same by value and streamed, whole and in slices.
//!
//! The text is up to the first zero byte, the document what follows.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use segue::{
    expr::{Data, EvalError, Frame, Meter, Program, Scope, Slot, StepField, StepScope, Value, sliced, split},
    json::Document,
};

struct One(Document);

impl Data for One {
    fn read(&self, slot: Slot) -> Result<Option<Value<'_>>, EvalError> {
        Ok(match slot {
            Slot::Step(0, StepField::Body) => Some(Value::Json(self.0.root())),
            Slot::Now => Some(Value::Timestamp(1_700_000_000, 500_000_000)),
            _ => None,
        })
    }

    fn seed(&self) -> [u8; 16] {
        [7; 16]
    }
}

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (source, document) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let Ok(source) = std::str::from_utf8(source) else { return };
    let _ = split(source);
    let step = StepScope { name: "a".to_owned(), for_each: false, compose: false };
    let scope = Scope { steps: vec![step], locals: vec!["x".to_owned()], ..Scope::default() };
    let program = match Program::compile(source, &scope) {
        Ok(program) => program,
        Err(faults) => {
            assert!(!faults.is_empty());
            assert!(faults.iter().all(|fault| fault.len > 0 && fault.offset <= source.len()), "{faults:?}");
            return;
        }
    };
    let document = Document::parse(Bytes::copy_from_slice(document));
    let Ok(document) = document.or_else(|_| Document::parse(Bytes::from_static(b"{\"k\":[1,\"\\n\",{\"k\":1.5}]}"))) else { return };
    let (data, meter) = (One(document), Meter::default());
    let locals = [Value::Json(data.0.root())];
    let frame = Frame::new(&data, &meter, &locals);

    let mut streamed = Vec::new();
    let by_stream = program.write(&frame, &mut streamed);
    assert!(streamed.len() <= 8 << 20);
    let mut made = Vec::new();
    let by_value = program.leaf(&frame).and_then(|leaf| match leaf {
        Some(value) => value.write_json(&mut made, &meter).map(|()| true),
        None => Ok(false),
    });
    match (by_stream, by_value) {
        (Ok(a), Ok(b)) => {
            assert_eq!(a, b);
            assert_eq!(streamed, made);
            assert!(!a || serde_json::from_slice::<serde_json::Value>(&streamed).is_ok() || too_much_for_others(&streamed));
        }
        (Err(_), Err(_)) => assert!(streamed.is_empty()),
        // Making a value takes more than writing it, and the bound may lie in between.
        (Ok(_), Err(EvalError::Budget)) | (Err(EvalError::Budget), Ok(_)) => {}
        (a, b) => panic!("streamed {a:?}, by value {b:?}"),
    }
    // A slice gives the same or nothing.
    let fresh = Meter::default();
    let mut again = Vec::new();
    let in_slice = sliced(&fresh, || program.write(&Frame::new(&data, &fresh, &locals), &mut again).is_ok());
    if let Some(true) = in_slice {
        assert_eq!(streamed, again);
    }
});

/// Nested too deeply, or with numbers that are beyond float64.
fn too_much_for_others(json: &[u8]) -> bool {
    let theirs = serde_json::from_slice::<serde_json::Value>(json);
    theirs.is_err_and(|error| {
        let words = error.to_string();
        words.contains("recursion limit") || words.contains("out of range")
    })
}
