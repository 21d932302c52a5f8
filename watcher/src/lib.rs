//! Turns the API server's watches into changes, in order, without gaps.
