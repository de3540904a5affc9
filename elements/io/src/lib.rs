//! File elements: filesrc and filesink.
