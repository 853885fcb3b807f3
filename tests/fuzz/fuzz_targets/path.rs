//! Any text as a path: its canonical form is canonical, has no dot segment and nothing that was refused, and
//! means what the path means.
#![no_main]

use libfuzzer_sys::fuzz_target;
use segue::gateway::path::canonical;

fuzz_target!(|path: &str| {
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
