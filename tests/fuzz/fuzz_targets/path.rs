//! Any text as a path: its canonical form is canonical, has no dot segment and nothing that was refused, and
//! means what the path means.
#![no_main]

use libfuzzer_sys::fuzz_target;
use segue::gateway::path::{canonical, canonical_query};

fuzz_target!(|path: &str| {
    // A query goes on without what no query holds, and no further than that.
    if let Ok(form) = canonical_query(path) {
        assert_eq!(canonical_query(&form).as_deref(), Ok(&*form));
        assert!(form.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)));
    }
    let Ok(form) = canonical(path) else { return };
    assert!(form.starts_with('/') && form.is_ascii());
    assert_eq!(canonical(&form).as_deref(), Ok(&*form));
    for segment in form.split('/') {
        assert!(segment != "." && segment != "..");
    }
    let lower = form.to_ascii_lowercase();
    for refused in ["%2f", "%5c", "%00", "\\", "%2e", "%61", "%7e"] {
        assert!(!lower.contains(refused), "{form}");
    }
    // What is left of the percents is well formed.
    for part in form.split('%').skip(1) {
        assert!(part.len() >= 2 && part.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit));
    }
});
