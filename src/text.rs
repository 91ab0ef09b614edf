//! Text in files of any origin: editors mark it, and shells of other systems write it in other encodings.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Path that stands for stdin where a file is read, and for stdout where one is written.
pub const STANDARD: &str = "-";
/// Byte order mark, which some editors and PowerShell put before UTF-8.
const MARK: char = '\u{feff}';
/// Bytes of a file without a mark that are checked for its encoding.
const HEAD_BYTES: usize = 1024;

/// Returns the bytes of a file, or of stdin.
///
/// # Errors
/// It cannot be read, or has more bytes than that; `what` names the limit in the message.
pub fn read_bytes(path: &Path, most_bytes: u64, what: &str) -> Result<Vec<u8>> {
    let reading = || format!("reading {}", name(path));
    // Not by its size alone: a pipe has none.
    let file = if path == Path::new(STANDARD) {
        File::from(io::stdin().as_fd().try_clone_to_owned().with_context(reading)?)
    } else {
        File::open(path).with_context(reading)?
    };
    let size = file.metadata().with_context(reading)?.len();
    let mut bytes = Vec::new();
    file.take(most_bytes + 1).read_to_end(&mut bytes).with_context(reading)?;
    if bytes.len() as u64 > most_bytes {
        bail!("{} has {} bytes, more than {what}", name(path), size.max(most_bytes + 1));
    }
    Ok(bytes)
}

/// Returns a path as messages name it.
pub fn name(path: &Path) -> String {
    if path == Path::new(STANDARD) { "stdin".to_string() } else { path.display().to_string() }
}

/// Returns UTF-8 text without its byte order mark.
///
/// # Errors
/// The bytes are text of another encoding, compressed, or no text; reports which, and a command that converts them.
pub fn decode(bytes: &[u8]) -> Result<&str> {
    refuse_others(bytes)?;
    let text = std::str::from_utf8(bytes).context("this is not UTF-8 text")?;
    Ok(without_mark(text))
}

/// Returns UTF-8 text as [`decode`] does, each invalid byte replaced by `�`: for text of which the ASCII matters, with a log
/// line in Latin-1 between.
///
/// # Errors
/// As [`decode`], but for bytes that are not UTF-8.
pub fn decode_lossy(bytes: &[u8]) -> Result<Cow<'_, str>> {
    refuse_others(bytes)?;
    Ok(match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => Cow::Borrowed(without_mark(text)),
        Cow::Owned(text) => Cow::Owned(without_mark(&text).to_string()),
    })
}

/// Returns the text without a mark before it: concatenated files have marks within, too.
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix(MARK).unwrap_or(text)
}

fn refuse_others(bytes: &[u8]) -> Result<()> {
    let name = match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => "UTF-32",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16",
        [0x1f, 0x8b, ..] => bail!("this is compressed by gzip: decompress it first (gzip -d)"),
        _ if is_utf16_without_mark(bytes) => "UTF-16",
        _ if bytes.contains(&0) => bail!("this is no text: it has zero bytes"),
        _ => return Ok(()),
    };
    bail!(
        "this is {name} text, as PowerShell's > writes it, and UTF-8 is needed: convert it (iconv -f {name} -t UTF-8 FILE > NEW)"
    )
}

/// Returns true if every second byte is zero, as in English UTF-16 text.
fn is_utf16_without_mark(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(HEAD_BYTES) / 2 * 2];
    let zeros = |at: usize| head.iter().skip(at).step_by(2).filter(|byte| **byte == 0).count();
    let pairs = head.len() / 2;
    pairs >= 2 && (zeros(0) == 0 && zeros(1) * 10 >= pairs * 9 || zeros(1) == 0 && zeros(0) * 10 >= pairs * 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    fn check_refused(bytes: &[u8], words: &[&str]) {
        for error in [decode(bytes).unwrap_err(), decode_lossy(bytes).unwrap_err()] {
            let error = format!("{error:#}");
            assert!(words.iter().all(|word| error.contains(word)), "{words:?} are not in {error:?}");
        }
    }

    #[test]
    fn a_mark_before_utf_8_is_left_out() {
        assert_eq!(decode(b"\xef\xbb\xbf{}").unwrap(), "{}");
        assert_eq!(decode(b"{}").unwrap(), "{}");
        assert_eq!(decode(b"").unwrap(), "");
        assert_eq!(decode_lossy(b"\xef\xbb\xbf\xb5s").unwrap(), "\u{fffd}s");
        assert!(decode(b"\xb5s").unwrap_err().to_string().contains("UTF-8"));
    }

    #[test]
    fn other_encodings_are_named_with_or_without_a_mark() {
        for to_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            check_refused(&utf16("\u{feff}goos: linux\r\n", to_bytes), &["UTF-16", "iconv"]);
            check_refused(&utf16("goos: linux\r\nBenchmarkPing µs", to_bytes), &["UTF-16", "iconv"]);
        }
        let utf32: Vec<u8> = "\u{feff}goos".chars().flat_map(|char| (char as u32).to_le_bytes()).collect();
        check_refused(&utf32, &["UTF-32"]);
        check_refused(&[0x1f, 0x8b, 8, 0], &["gzip"]);
        check_refused(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0", &["no text"]);
    }

    #[test]
    fn a_file_is_read_up_to_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_bytes(&path, 5, "any").unwrap(), b"12345");
        let error = read_bytes(&path, 4, "any x has").unwrap_err().to_string();
        assert!(error.contains("5 bytes, more than any x has"), "{error}");
        assert!(read_bytes(&folder.path().join("y"), 4, "any").is_err());
    }
}
