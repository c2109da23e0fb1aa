//! Tests of one number in a packet: `dsize:>300`, `ttl:<5`, `itype:8`.

/// A test of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberTest {
    /// Lies in the range, both ends in.
    Within(u32, u32),
    /// Is any but this one.
    Not(u32),
}

impl NumberTest {
    pub(super) fn holds(self, number: u32) -> bool {
        match self {
            Self::Within(low, high) => low <= number && number <= high,
            Self::Not(other) => number != other,
        }
    }

    /// Reads `N`, `=N`, `!N`, `!=N`, `<N`, `<=N`, `>N`, `>=N`, `N<>M` and `N-M`, where a range leaves both its ends out, as
    /// Suricata has it. `max` is the largest value that the field can hold.
    pub(super) fn read(text: &str, max: u32) -> Result<Self, String> {
        let text = text.trim();
        let number = |digits: &str| {
            let digits = digits.trim();
            match digits.parse::<u32>() {
                Ok(value) if value <= max && digits.bytes().all(|b| b.is_ascii_digit()) => {
                    Ok(value)
                }
                _ => {
                    Err(format!("\"{digits}\" is no number from 0 to {max}; write one, such as 8"))
                }
            }
        };
        let never =
            || format!("\"{text}\" can never hold; write a range that leaves something between");
        let between = |low: &str, high: &str| {
            let (low, high) = (number(low)?, number(high)?);
            match (low.checked_add(1), high.checked_sub(1)) {
                (Some(low), Some(high)) if low <= high => Ok(Self::Within(low, high)),
                _ => Err(never()),
            }
        };
        if let Some((low, high)) = text.split_once("<>") {
            between(low, high)
        } else if let Some(value) = text.strip_prefix("<=") {
            Ok(Self::Within(0, number(value)?))
        } else if let Some(value) = text.strip_prefix(">=") {
            Ok(Self::Within(number(value)?, max))
        } else if let Some(value) = text.strip_prefix('<') {
            Ok(Self::Within(0, number(value)?.checked_sub(1).ok_or_else(never)?))
        } else if let Some(value) = text.strip_prefix('>') {
            let least = number(value)? + 1;
            if least > max { Err(never()) } else { Ok(Self::Within(least, max)) }
        } else if let Some(value) = text.strip_prefix("!=").or_else(|| text.strip_prefix('!')) {
            Ok(Self::Not(number(value)?))
        } else if let Some((low, high)) = text.split_once('-') {
            between(low, high)
        } else {
            let value = number(text.strip_prefix('=').unwrap_or(text))?;
            Ok(Self::Within(value, value))
        }
    }

    /// The least number that can pass.
    pub(super) fn least(self) -> u32 {
        match self {
            Self::Within(low, _) => low,
            Self::Not(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_holds_for_what_it_says() {
        let table: [(&str, &[u32], &[u32]); 10] = [
            ("300", &[300], &[299, 301]),
            (">300", &[301, 65_535], &[300]),
            (">=300", &[300], &[299]),
            ("<300", &[0, 299], &[300]),
            ("<=300", &[300], &[301]),
            ("300<>302", &[301], &[300, 302]),
            ("3-6", &[4, 5], &[3, 6]),
            ("!7", &[6, 8], &[7]),
            ("!=7", &[6], &[7]),
            (" = 7 ", &[7], &[8]),
        ];
        for (text, inside, outside) in table {
            let test = NumberTest::read(text, 65_535).unwrap();
            assert!(inside.iter().all(|&number| test.holds(number)), "{text}");
            assert!(!outside.iter().any(|&number| test.holds(number)), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_or_can_never_hold_is_refused() {
        for text in ["", "x", "-1", "+5", "256", ">255", "<0", "5<>6", "9<>3", "1<>", "0x10"] {
            assert!(NumberTest::read(text, 255).is_err(), "{text}");
        }
    }
}
