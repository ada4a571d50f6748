//! Agents that are broken on purpose: the invariants have to notice.

/// What is broken, in the simulator's part of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// The outcome of an operation gets lost now and then.
    DropsOutcomes,
    /// The lock is never stored, and said to be.
    ForgetsLock,
    /// What is remembered of the workloads is not loaded.
    ForgetsBooks,
    /// Truths of conditions are never stored.
    ForgetsTruths,
    /// The last good manifests are not used at a start.
    ForgetsManifests,
    /// The server's last configuration is not used at a start.
    ForgetsServer,
    /// Nothing is ever listed after the start.
    NeverLists,
    /// A start is asked for twice now and then.
    StartsTwice,
    /// Now and then a status is not published.
    DropsStatuses,
    /// What is to be stored is said to be before it is.
    SaysStoredTooEarly,
    /// A change of a manifest is not read.
    MissesEdits,
    /// It never wakes by itself.
    NeverWakes,
}

impl Mutation {
    pub const ALL: [Mutation; 12] = [
        Mutation::DropsOutcomes,
        Mutation::ForgetsLock,
        Mutation::ForgetsBooks,
        Mutation::ForgetsTruths,
        Mutation::ForgetsManifests,
        Mutation::ForgetsServer,
        Mutation::NeverLists,
        Mutation::StartsTwice,
        Mutation::DropsStatuses,
        Mutation::SaysStoredTooEarly,
        Mutation::MissesEdits,
        Mutation::NeverWakes,
    ];
}
