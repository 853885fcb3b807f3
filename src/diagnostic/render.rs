//! Findings as text with a caret, as JSON, and as GitHub annotations.
