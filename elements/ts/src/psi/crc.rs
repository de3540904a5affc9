//! CRC-32/MPEG-2: polynomial 0x04C11DB7, start value all ones, bits not reflected, no final XOR. ISO/IEC 13818-1:2023, annex A.

/// Bytes that one step of the loop takes; as many tables are kept (8 KiB in all).
const SLICES: usize = 8;

static TABLES: [[u32; 256]; SLICES] = tables();

/// The CRC of `data`. Over a section with its CRC at the end it is 0.
#[must_use]
pub fn crc32(data: &[u8]) -> u32 {
    let (blocks, tail) = data.as_chunks::<SLICES>();
    let crc = blocks.iter().fold(u32::MAX, |crc, b| {
        let x = crc ^ u32::from_be_bytes([b[0], b[1], b[2], b[3]]);
        let [x0, x1, x2, x3] = x.to_be_bytes();
        [x0, x1, x2, x3, b[4], b[5], b[6], b[7]]
            .iter()
            .zip(TABLES.iter().rev())
            .fold(0, |sum, (&byte, table)| sum ^ table[usize::from(byte)])
    });
    tail.iter().fold(crc, |crc, &byte| crc << 8 ^ TABLES[0][usize::from((crc >> 24) as u8 ^ byte)])
}

/// Table `n` holds the CRC of each byte followed by `n` zero bytes.
const fn tables() -> [[u32; 256]; SLICES] {
    let mut tables = [[0; 256]; SLICES];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000_0000 != 0 { crc << 1 ^ 0x04C1_1DB7 } else { crc << 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut n = 1;
    while n < SLICES {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[n - 1][byte];
            tables[n][byte] = crc << 8 ^ tables[0][(crc >> 24) as usize];
            byte += 1;
        }
        n += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_of_the_crc_catalogue() {
        // CRC-32/MPEG-2 in the catalogue of parametrised CRC algorithms.
        assert_eq!(crc32(b"123456789"), 0x0376_E6E7);
        assert_eq!(crc32(b""), u32::MAX);
    }

    #[test]
    fn slices_agree_with_one_bit_at_a_time() {
        let data: Vec<u8> = (0..100u32).map(|n| (n * 37 + 11) as u8).collect();
        for len in 0..data.len() {
            let plain =
                data[..len].iter().fold(u32::MAX, |crc, &byte| {
                    (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
                        if crc >> 31 == 1 { crc << 1 ^ 0x04C1_1DB7 } else { crc << 1 }
                    })
                });
            assert_eq!(crc32(&data[..len]), plain, "{len} bytes");
        }
    }
}
