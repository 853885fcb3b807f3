//! The one integration binary: linked once, however many modules it has.

mod layering;
mod shipped;
mod size;
mod sources;
