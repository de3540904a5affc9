//! Action Message Format: AMF0 and AMF3, reader and writer.
