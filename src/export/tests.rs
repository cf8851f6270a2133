//! Exports as they come, go, and are meddled with.

mod checkpoint;
mod hostile;
mod round;
mod streams;
mod tampered;
mod world;
