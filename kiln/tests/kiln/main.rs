//! The real kiln in a chroot. One program for all tests: many of them wait, and so they wait at the same time.
#![allow(clippy::unwrap_used)]

mod collector;
mod hostile;
mod jail;
mod life;
