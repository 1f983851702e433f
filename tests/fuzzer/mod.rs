//! The parts of the fuzzer: texts to begin with, what becomes of them, what must hold, and the process around it.

pub mod drive;
pub mod mutate;
pub mod seeds;
pub mod targets;
