//! Segue.
fn main() {}
