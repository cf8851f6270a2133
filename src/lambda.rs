//! The functions on AWS: they pass Lambda's events to the same router, runner and handler that run
//! elsewhere. The mains in `src/bin/` compose the parts; this module interprets Lambda's forms.

pub mod api;
pub mod audit;
#[cfg(test)]
mod bill;
pub mod bucket;
pub mod compose;
pub mod emf;
pub mod function;
pub mod projector;
#[cfg(test)]
mod testing;
