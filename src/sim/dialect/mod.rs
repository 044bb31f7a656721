//! sim/dialect
