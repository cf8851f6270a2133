//! On whose behalf a store is asked: a name that travels with a task, so that what a store consumes
//! is counted by the command it was consumed for, and no port has to carry it.

use std::future::Future;

tokio::task_local! {
    static COMMAND: &'static str;
}

/// What is counted of a task that nobody named.
const NOBODY: &str = "other";

/// Runs `doing` on behalf of a command. What it hands over to tasks of their own is not counted so.
pub async fn named<F: Future>(command: &'static str, doing: F) -> F::Output {
    COMMAND.scope(command, doing).await
}

/// The command that this task works for.
#[must_use]
pub fn name() -> &'static str {
    COMMAND.try_with(|command| *command).unwrap_or(NOBODY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_goes_as_far_as_its_task() {
        let inner = async { (name(), named("get", async { name() }).await, name()) };
        assert_eq!(named("create", inner).await, ("create", "get", "create"));
        let (one, other) = tokio::join!(named("one", async { name() }), async { name() });
        assert_eq!((one, other), ("one", "other"));
    }
}
