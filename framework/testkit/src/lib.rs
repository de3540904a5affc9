//! Test tools: element harness, virtual runs, fixtures, timelines.
