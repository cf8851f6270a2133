//! Exports: written, read, and altered.

mod checkpoint;
mod hostile;
mod round;
mod streams;
mod tampered;
mod world;
