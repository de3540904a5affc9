#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_mp4::fuzz::mp4_demux(data));
