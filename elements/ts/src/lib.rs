//! MPEG transport stream: packets, tables, PES, tsdemux and tsmux.
