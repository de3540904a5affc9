//! Registers every element that ships with millstream.
