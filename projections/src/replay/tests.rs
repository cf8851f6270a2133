//! Replays in memory.
