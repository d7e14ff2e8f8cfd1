//! kiln, the supervisor inside the jail.
#![forbid(unsafe_code)]

fn main() {}
