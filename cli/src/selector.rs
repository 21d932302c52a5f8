//! Label selectors after `-l`; the restorer's, since a plan matches labels too.

pub(crate) use hindcast_restorer::selection::Selector;
