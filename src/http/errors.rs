//! Errors: each error's code and status, and the problem in the answer.

mod code;
mod problem;

pub(super) use code::Code;
pub(super) use problem::{PROBLEM_JSON, Problem, ProblemBody, QuotaExceeded, ReadinessFailure};
