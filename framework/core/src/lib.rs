//! The vocabulary of millstream: time, buffers, caps, items, elements, settings, registry, errors.
