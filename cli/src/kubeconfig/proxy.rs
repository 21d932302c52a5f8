//! Which proxy stands before a server: the kubeconfig's, else the environment's, as kubectl decides it.
//!
//! **Words**: the *exceptions* are the entries of `NO_PROXY`: hosts that are reached without one.
//!
//! **Invariants.**
//! 1. What kubectl reaches through a proxy is reached through the same one, and what it reaches directly is reached directly:
//!    a `proxy-url` of the kubeconfig knows no exceptions; the environment's proxy is never taken to this host itself
//!    [`Environment::proxy_for`].
//! 2. An exception that cannot be read is no error: it belongs to somebody else's program.
//! 3. A proxy's password reaches no message [`shown`].

use std::net::IpAddr;

use http::Uri;

use crate::failure::{Failure, Result};

#[cfg(test)]
mod tests;

/// What the environment says of proxies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    http: String,
    https: String,
    exceptions: Vec<Exception>,
}

/// One entry of `NO_PROXY`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Exception {
    Everything,
    Network(IpAddr, u8),
    Address(IpAddr, Option<u16>),
    /// A domain with a dot before it; `itself` says whether the name without a host before it counts.
    Domain {
        suffix: String,
        itself: bool,
        port: Option<u16>,
    },
}

impl Environment {
    /// The environment of this process.
    pub(crate) fn of_process() -> Self {
        Self::read(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// The environment that `variable` tells; names in capitals come first, and an empty value is none.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| {
            let mut found = [name.to_owned(), name.to_lowercase()].into_iter().filter_map(|name| variable(&name));
            found.find(|value| !value.is_empty()).unwrap_or_default()
        };
        let exceptions = either("NO_PROXY").split(',').filter_map(Exception::read).collect();
        Self { http: either("HTTP_PROXY"), https: either("HTTPS_PROXY"), exceptions }
    }

    /// The proxy before `server`, if there is one.
    pub(crate) fn proxy_for(&self, server: &Uri) -> Result<Option<Uri>> {
        let (name, proxy) = match server.scheme_str() {
            Some("http") => ("HTTP_PROXY", &self.http),
            _ => ("HTTPS_PROXY", &self.https),
        };
        if proxy.is_empty() || self.spares(server) {
            return Ok(None);
        }
        read(name, proxy).map(Some)
    }

    /// Whether `server` is reached without a proxy.
    fn spares(&self, server: &Uri) -> bool {
        let host = server.host().unwrap_or_default().trim_matches(['[', ']']).to_lowercase();
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        let port = server.port_u16().unwrap_or(match server.scheme_str() {
            Some("http") => 80,
            _ => 443,
        });
        self.exceptions.iter().any(|exception| exception.covers(&host, address, port))
    }
}

impl Exception {
    fn read(entry: &str) -> Option<Self> {
        let entry = entry.trim().to_lowercase();
        if entry == "*" {
            return Some(Self::Everything);
        }
        if let Some((address, length)) = entry.split_once('/') {
            let address = address.parse::<IpAddr>().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            return length.parse().ok().filter(|length| *length <= most).map(|length| Self::Network(address, length));
        }
        let (host, port) = host_and_port(&entry)?;
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical(), port));
        }
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        if host.is_empty() {
            return None;
        }
        let itself = !host.starts_with('.');
        let suffix = if itself { format!(".{host}") } else { host.to_owned() };
        Some(Self::Domain { suffix, itself, port })
    }

    fn covers(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        let at = |wanted: &Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        match self {
            Self::Everything => true,
            Self::Network(network, length) => address.is_some_and(|address| within(address, *network, *length)),
            Self::Address(wanted, wanted_port) => address == Some(*wanted) && at(wanted_port),
            Self::Domain { suffix, itself, port } => {
                let is_itself = *itself && suffix.strip_prefix('.') == Some(host);
                (host.ends_with(suffix.as_str()) || is_itself) && at(port)
            }
        }
    }
}

/// `host`, `host:port`, `[address]:port` or an address with colons of its own.
fn host_and_port(entry: &str) -> Option<(&str, Option<u16>)> {
    if let Some(inside) = entry.strip_prefix('[') {
        let (host, rest) = inside.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match entry.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Some((entry, None)),
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((entry, None)),
    }
}

/// Whether an address is in a network.
fn within(address: IpAddr, network: IpAddr, length: u8) -> bool {
    let (address, network, bits) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (u128::from(address.to_bits()), u128::from(network.to_bits()), 32_u32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128_u32),
        _ => return false,
    };
    // A shift by all bits, of the network that is everything, has no result.
    let shift = bits.saturating_sub(u32::from(length));
    address.checked_shr(shift).unwrap_or(0) == network.checked_shr(shift).unwrap_or(0)
}

/// A proxy's URL, which `name` holds. Without a scheme it is an HTTP proxy's.
pub(crate) fn read(name: &str, text: &str) -> Result<Uri> {
    let forms = "a proxy is http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT";
    let text = text.trim();
    let whole = match text.split_once("://") {
        // Both leave the resolving of names to the proxy.
        Some(("socks5h", rest)) => format!("socks5://{rest}"),
        Some(_) => text.to_owned(),
        None => format!("http://{text}"),
    };
    let uri: Uri = whole.parse().map_err(|_| Failure::new(format!("the proxy of {name}"), "is no URL").hint(forms))?;
    let said = format!("the proxy {} of {name}", shown(&uri));
    match uri.scheme_str() {
        Some("http" | "https") => Ok(uri),
        Some("socks5") if uri.authority().is_some_and(|a| a.as_str().contains('@')) => {
            Err(Failure::new(said, "a name and a password for a SOCKS proxy are not supported")
                .hint("use the proxy's HTTP port, or one that asks for none"))
        }
        // The client would take port 80.
        Some("socks5") if uri.port().is_none() => {
            let host = uri.host().unwrap_or_default();
            format!("socks5://{host}:1080").parse().map_err(|_| Failure::new(said, "is no URL").hint(forms))
        }
        Some("socks5") => Ok(uri),
        scheme => Err(Failure::new(said, format!("`{}` is no kind of proxy", scheme.unwrap_or_default())).hint(forms)),
    }
}

/// A proxy's URL without its name and password.
pub(crate) fn shown(uri: &Uri) -> String {
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", uri.scheme_str().unwrap_or("http"), uri.host().unwrap_or_default())
}
