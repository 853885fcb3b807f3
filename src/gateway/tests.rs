//! What only a whole gateway shows: requests under way while another one takes its place.

mod swap;
