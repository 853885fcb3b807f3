//! HTTP/2 clients that are wrong, hostile or slow, frame by frame.

mod cut;
mod floods;
mod malformed;
mod websocket;
mod windows;
