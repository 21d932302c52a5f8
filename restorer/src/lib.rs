//! Answers what was, at any moment, out of the journal alone.
