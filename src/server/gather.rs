//! Small answers are written as one piece.
//!
//! A gathering write costs the kernel more than copying a few hundred bytes costs us.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::AsyncWrite;

/// Up to so many bytes, head included.
const SMALL: usize = 2048;

/// Writes pieces one after the other.
pub(super) fn poll_write<W: AsyncWrite>(
    stream: Pin<&mut W>,
    cx: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if slices.iter().map(|slice| slice.len()).sum::<usize>() > SMALL {
        return stream.poll_write_vectored(cx, slices);
    }
    let mut whole = [0; SMALL];
    let mut len = 0;
    for slice in slices {
        whole[len..len + slice.len()].copy_from_slice(slice);
        len += slice.len();
    }
    stream.poll_write(cx, &whole[..len])
}
