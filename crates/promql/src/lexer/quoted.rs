//! Quoted texts with Go's escapes.

use super::{Fault, Lexer};
use crate::token::{TokenKind, quote_char};

const INVALID_CODE_POINT: &str = "escape sequence is an invalid Unicode code point";
const NOT_TERMINATED: &str = "escape sequence not terminated";

impl Lexer<'_> {
    /// Reads a text whose opening quote has been read.
    pub(super) fn string(&mut self, quote: char) -> Result<TokenKind, Fault> {
        let raw = quote == '`';
        loop {
            match self.bump() {
                Some(c) if c == quote => return Ok(TokenKind::String),
                Some('\u{fffd}') => return Err(self.fault("invalid UTF-8 rune")),
                None if raw => return Err(self.fault("unterminated raw string")),
                None => return Err(self.fault("unterminated quoted string")),
                Some('\n') if !raw => return Err(self.fault("unterminated quoted string")),
                Some('\\') if !raw => self.escape(quote)?,
                Some(_) => {}
            }
        }
    }

    /// Reads what stands behind a backslash.
    fn escape(&mut self, quote: char) -> Result<(), Fault> {
        let (digits, radix, mut next) = match self.bump() {
            None => return Err(self.fault(NOT_TERMINATED)),
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\') => return Ok(()),
            Some(c) if c == quote => return Ok(()),
            Some(c @ '0'..='7') => (3, 8, Some(c)),
            Some('x') => (2, 16, self.bump()),
            Some('u') => (4, 16, self.bump()),
            Some('U') => (8, 16, self.bump()),
            Some(c) => {
                let c = describe_char(c);
                return Err(self.fault(format!("unknown escape sequence {c}")));
            }
        };
        let mut value = 0u32;
        for left in (0..digits).rev() {
            let Some(c) = next else {
                return Err(self.fault(NOT_TERMINATED));
            };
            let Some(digit) = c.to_digit(radix) else {
                let c = describe_char(c);
                return Err(self.fault(format!("illegal character {c} in escape sequence")));
            };
            value = value.wrapping_mul(radix).wrapping_add(digit);
            if left > 0 {
                next = self.bump();
            }
        }
        let too_large = digits <= 3 && value > 255;
        if too_large || char::from_u32(value).is_none() {
            return Err(self.fault(INVALID_CODE_POINT));
        }
        Ok(())
    }
}

/// `U+0063 'c'`
fn describe_char(c: char) -> String {
    let code = format!("U+{:04X}", c as u32);
    if c.is_control() {
        code
    } else if c == '\'' {
        format!("{code} '''")
    } else {
        format!("{code} {}", quote_char(Some(c)))
    }
}

/// The text between the quotes, escapes resolved. `quoted` has passed the lexer. Bytes that are no
/// UTF-8 (`"\xff"`) become U+FFFD.
pub(crate) fn unquote(quoted: &str) -> String {
    let inside = quoted.get(1..quoted.len().saturating_sub(1));
    let inside = inside.unwrap_or_default();
    if quoted.starts_with('`') || !inside.contains('\\') {
        return inside.to_string();
    }
    let mut out: Vec<u8> = Vec::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let Some(escaped) = chars.next() else { break };
        let mut number = |first: u32, digits: usize, radix: u32| {
            let more = chars.by_ref().take(digits);
            more.fold(first, |n, c| {
                n.wrapping_mul(radix)
                    .wrapping_add(c.to_digit(radix).unwrap_or(0))
            })
        };
        let code = match escaped {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            'x' => number(0, 2, 16),
            '0'..='7' => number(escaped as u32 - '0' as u32, 2, 8),
            'u' => number(0, 4, 16),
            'U' => number(0, 8, 16),
            c => c as u32,
        };
        match (escaped, char::from_u32(code)) {
            ('x' | '0'..='7', _) => out.push(code as u8),
            (_, Some(c)) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            (_, None) => {}
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
