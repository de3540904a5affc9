#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_flv::fuzz::flv_round_trip(data));
