//! Typed access to a node tree that reports every shape finding, with "did you mean".
