//! The functions on AWS: what Lambda gives them, handed to the same router, runner and handler that
//! run anywhere else. Their mains in `src/bin/` compose; here is what Lambda's forms mean.

pub mod api;
pub mod audit;
pub mod bucket;
pub mod compose;
pub mod emf;
pub mod function;
pub mod projector;
#[cfg(test)]
mod testing;
