//! Values that must not be shown.

use std::fmt;

/// What stands for a secret wherever it would be shown.
pub const SECRET: &str = "<secret>";

/// A password, token or key. Debug output and printed configurations show [`SECRET`] instead.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the place where it is used.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SECRET)
    }
}
