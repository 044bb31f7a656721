//! Claims about the whole box, told through its public calls.
