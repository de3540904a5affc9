//! Runs a checked graph: tasks, links, clock, bus, statistics, shutdown.
