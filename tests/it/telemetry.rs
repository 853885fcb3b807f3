//! What the gateway says of itself, against what it did.

mod agree;
mod canary;
mod collector;
mod counts;
mod gauges;
mod left;
mod page;
mod policy;
mod records;
mod requests;
mod series;
mod traces;
mod unwell;
mod uploads;
