//! The value of `content`: text, escapes, and bytes in hexadecimal between bars.

use crate::rules::payload::{CONTENT_BYTES_MAX, Content};

/// Reads `"..."` or `!"..."`.
pub(super) fn read(value: &str) -> Result<Content, String> {
    let value = value.trim();
    let (negated, quoted) = match value.strip_prefix('!') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, value),
    };
    let bytes = bytes(super::options::unquote(quoted)?)?;
    match bytes.len() {
        0 => Err("it is empty; write what to look for".to_owned()),
        length if length > CONTENT_BYTES_MAX => Err(format!(
            "it has {length} bytes; {CONTENT_BYTES_MAX} are the most, write a part of it"
        )),
        _ => Ok(Content::new(bytes, negated)),
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '|' => {
                let (hex, behind) = rest
                    .as_str()
                    .split_once('|')
                    .ok_or("its bytes in hexadecimal do not end; close them with \"|\"")?;
                hexadecimal(hex, &mut bytes)?;
                rest = behind.chars();
            }
            '\\' => match rest.next() {
                Some(escaped @ ('\\' | '"' | ';' | ':')) => push(&mut bytes, escaped),
                _ => {
                    return Err("a \"\\\" stands before something that needs none; write \\\\ for itself, |0A| for a byte".to_owned());
                }
            },
            // What a reader puts where bytes are not UTF-8: which they were is lost.
            char::REPLACEMENT_CHARACTER => {
                return Err("it holds a byte that is not UTF-8, or U+FFFD; write the bytes in hexadecimal, such as |E9|".to_owned());
            }
            '"' => return Err("a quote stands inside it; write \\\" or |22|".to_owned()),
            letter => push(&mut bytes, letter),
        }
    }
    Ok(bytes)
}

fn push(bytes: &mut Vec<u8>, letter: char) {
    bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

fn hexadecimal(text: &str, bytes: &mut Vec<u8>) -> Result<(), String> {
    let mut high = None;
    for letter in text.chars().filter(|letter| !letter.is_whitespace()) {
        let digit =
            letter.to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or_else(|| {
                format!(
                    "\"{}\" is no hexadecimal digit; write bytes such as |0D 0A|",
                    letter.escape_debug()
                )
            })?;
        match high.take() {
            None => high = Some(digit),
            Some(high) => bytes.push(high << 4 | digit),
        }
    }
    if high.is_some() {
        return Err("its hexadecimal digits are odd in number; write two for each byte".to_owned());
    }
    Ok(())
}
