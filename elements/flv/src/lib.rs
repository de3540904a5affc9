//! FLV and Enhanced FLV: tags, reader, writer, flvdemux and flvmux.
