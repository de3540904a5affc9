//! Format-independent elements: queue, tee, identity, funnel, valve and friends.
