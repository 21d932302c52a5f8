//! Where a plugin listens.
//!
//! **Invariant.** An address is of this machine: a unix socket, whose file says by its owner and mode who may connect.

use std::{fmt, path::PathBuf};

use hindcast_journal::{Result, error::Error};

/// Where a plugin listens: `unix:///path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    path: PathBuf,
}

impl Address {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |reason: &str| {
            Err(Error::invalid(format!("plugin {}", text.escape_debug()), reason).with_hint(
                "the address of a plugin is the unix socket it listens on: unix:///run/hindcast/sample.sock",
            ))
        };
        let Some(path) = text.strip_prefix("unix://") else {
            return refuse("is not at an address of the form unix:///path");
        };
        if !path.starts_with('/') {
            return refuse("is at a path that does not begin with /");
        }
        if path.ends_with('/') || path.contains(char::is_control) {
            return refuse("is not at the path of a socket");
        }
        // The kernel's own limit, with the zero at the end.
        if path.len() > 107 {
            return refuse("is at a path of more than 107 bytes, which no unix socket can have");
        }
        Ok(Self { path: path.into() })
    }

    /// The socket's path.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix://{}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_absolute_path_of_a_socket() {
        let address = Address::parse("unix:///run/hindcast/sample.sock").unwrap();
        assert_eq!(address.to_string(), "unix:///run/hindcast/sample.sock");
        let long = format!("unix:///{}", "a".repeat(107));
        for wrong in ["/run/a.sock", "http://127.0.0.1:1", "unix://a.sock", "unix:///", "unix:///a\nb", "", &long] {
            let error = Address::parse(wrong).unwrap_err();
            assert!(error.hint().is_some() && !error.to_string().contains('\n'), "{wrong}: {error}");
        }
    }
}
