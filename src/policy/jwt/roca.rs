//! RSA keys that anybody can factor: those of a library of smart cards that made primes in a hurry (CVE-2017-15361,
//! "The Return of Coppersmith's Attack", CCS 2017).
//!
//! Its primes are k·M + (65537^a mod M), where M is the product of the first primes: up to 701 for every key of 2048
//! bits and more. So the modulus is a power of 65537 by each of these primes, which one of other primes is with a
//! chance of one in 2¹⁶⁷.

/// The last of the first primes.
const LAST: u32 = 701;
const GENERATOR: u32 = 65_537;

/// Whether a modulus, big-endian, has that mark.
pub(super) fn is_marked(modulus: &[u8]) -> bool {
    let is_prime = |number: u32| {
        (2..number).take_while(|one| one * one <= number).all(|one| !number.is_multiple_of(one))
    };
    (3..=LAST).filter(|number| is_prime(*number)).all(|prime| {
        let rest = modulus.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let powers = std::iter::successors(Some(1), |power| Some(power * GENERATOR % prime));
        // They come round within so many.
        powers.take(prime as usize).any(|power| power == rest)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Of the public test data of those who found it (crocs-muni/roca, `mod03.txt`).
    const MARKED: &str = "9dcd7420e420c270a68060eb8b5aa7457a9f6648f86fafed2775cc1f79ae962f1e63f1b9e51c55f9ea6fdc7332e9b005\
        8c9ff2eb1fc89855029cf6aafe21e689feb38ac9ffb12f1ce371bb5d0e9aae64161abce74b4244bf68f1edb4411f756a097c8929c1474024\
        5ea355f8332d1aa36bb50c7dcb4505da8de02e4e53d38f8df06097da7524df0df93db48eac8cc4af2d3a16257eb2b2adca6ba464e5974fa9\
        2550d31b1babf161e7692d00b86e3dd886ecab4abfbe1a8f8cc263ff4af55cdb45f4249a5193925f5e983d762f0b6800943eb0267b08f42e\
        d311ce1f5c86eacbc8ce4d3cb7a2fee1ef5641423a1cf4114e5ecf50034a60a412523af9e6f4aa11";

    pub(crate) fn marked() -> Vec<u8> {
        let digits: Vec<u32> = MARKED.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
    }

    /// `M` times a random number of so many bytes, plus a small one.
    fn made(bytes: usize, plus: u64) -> Vec<u8> {
        let mut little: Vec<u8> = (0..bytes).map(|_| fastrand::u8(..)).collect();
        little[bytes - 1] |= 0x80;
        for factor in (2..=LAST).filter(|number| (2..*number).all(|one| number % one != 0)) {
            let mut carry = 0;
            for byte in &mut little {
                carry += u32::from(*byte) * factor;
                *byte = (carry % 256) as u8;
                carry /= 256;
            }
            while carry > 0 {
                little.push((carry % 256) as u8);
                carry /= 256;
            }
        }
        let mut carry = u128::from(plus);
        for byte in &mut little {
            carry += u128::from(*byte);
            *byte = (carry % 256) as u8;
            carry /= 256;
        }
        little.reverse();
        little
    }

    #[test]
    fn the_mark_is_found() {
        assert!(is_marked(&marked()));
        for bytes in [140, 200, 270, 400] {
            for power in 0..=3 {
                assert!(is_marked(&made(bytes, 65_537u64.pow(power))), "{bytes} {power}");
            }
            assert!(!is_marked(&made(bytes, 65_537 + 2)));
        }
    }

    #[test]
    fn other_numbers_have_none() {
        for _ in 0..20_000 {
            let mut number = [0u8; 256];
            number.fill_with(|| fastrand::u8(..));
            number[255] |= 1;
            assert!(!is_marked(&number));
        }
        let mut nearly = marked();
        nearly[255] ^= 2;
        assert!(!is_marked(&nearly));
    }
}
