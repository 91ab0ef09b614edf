//! Sizes on the command line.

/// Parses a number of bytes, with or without a unit of 1024.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let digits = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().trim_end_matches("ib").trim_end_matches('b') {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return Err("not a size; write it as 4096, 16KiB or 1MiB".to_string()),
    };
    let number: usize = number.parse().map_err(|_| "not a size; write it as 4096, 16KiB or 1MiB".to_string())?;
    number.checked_mul(factor).ok_or_else(|| "too large".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_have_units_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("16KiB", 16_384),
            ("16k", 16_384),
            ("1MiB", 1 << 20),
            ("2 kB", 2048),
            ("1G", 1 << 30),
            ("64B", 64),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "k", "-1", "1.5k", "4x", "99999999999999999999", "18446744073709551615M", "B"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = size(&text);
        }
    }
}
