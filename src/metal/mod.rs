//! metal
#![allow(unsafe_code)]
