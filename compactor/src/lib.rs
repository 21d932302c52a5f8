//! Makes reading the past cheap: checkpoints of the state at closed cuts.
