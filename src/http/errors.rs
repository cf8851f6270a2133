//! What can go wrong: each error's code and status, and the problem that a client is told.

mod code;
mod problem;

pub(super) use code::Code;
pub(super) use problem::{PROBLEM_JSON, Problem, ProblemBody, ReadinessFailure};
