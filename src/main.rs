//! contango
fn main() {}
