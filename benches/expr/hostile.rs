//! What hostile expressions take: each must end within 50 ms and 8 MiB, by an answer, an error or a refusal
//! at load.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use bytes::Bytes;
use peak_alloc::PeakAlloc;
use segue::{
    expr::{EvalError, Frame, Meter, Program},
    json::Document,
};

use crate::{
    One,
    cases::{Case, End, cases},
    scope,
};

const TIME: Duration = Duration::from_millis(50);
const MEMORY: usize = 8 << 20;

/// Runs every case and prints what it took. False if one is over a bound.
pub(crate) fn run(heap: &PeakAlloc) -> bool {
    println!("\n{:38} {:>9} {:>10}  end", "hostile", "time", "memory");
    std::panic::set_hook(Box::new(|_| {}));
    let mut fine = true;
    for Case { name, body, source, end: expected } in cases() {
        let data = One(Document::parse(Bytes::from(body)).expect(name));
        let once = || {
            let before = heap.current_usage();
            heap.reset_peak_usage();
            let started = Instant::now();
            let end = catch_unwind(AssertUnwindSafe(|| end(&source, &data)))
                .unwrap_or_else(|_| (None, "PANIC".to_owned()));
            (started.elapsed(), heap.peak_usage().saturating_sub(before), end)
        };
        let (first, memory, (end, words)) = once();
        let time = (0..2).map(|_| once().0).fold(first, Duration::min);
        let over = time > TIME || memory > MEMORY || end != Some(expected);
        fine &= !over;
        let mark = if over { "  OVER" } else { "" };
        println!(
            "{name:38} {:>6.2} ms {:>6.2} MiB  {words}{mark}",
            time.as_secs_f64() * 1e3,
            memory as f64 / f64::from(1 << 20)
        );
    }
    fine
}

fn end(source: &str, data: &One) -> (Option<End>, String) {
    let program = match Program::compile(source, &scope()) {
        Ok(program) => program,
        Err(faults) => {
            let code = faults.first().map_or("?", |fault| fault.code.as_str());
            return (Some(End::Refused), format!("refused: {code}"));
        }
    };
    let (meter, mut out) = (Meter::default(), Vec::new());
    match program.write(&Frame::new(data, &meter, &[]), &mut out) {
        Ok(_) => (Some(End::Answer), format!("{} bytes", out.len())),
        Err(EvalError::Budget) => (Some(End::Budget), "budget".to_owned()),
        Err(error) => (Some(End::Error), error.to_string().chars().take(60).collect()),
    }
}
