//! One binary, hindcast, with every process and every verb.
