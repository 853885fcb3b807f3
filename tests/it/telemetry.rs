//! What the gateway says of itself, against what it did.

mod page;
