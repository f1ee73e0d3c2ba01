use std::net::{IpAddr, SocketAddr};

use crate::{Error, ErrorKind};

/// Whether this process lets others see that it lives, and looks at whether they do.
///
/// Contenders serve a tiny socket that says nothing but a random identity. A standby that was connected
/// to it, and is then refused three times, takes the place of the leader at once instead of waiting for
/// its silence to run out. Everything else that can happen to the connection counts as silence. Whoever
/// can forge addresses can cost a leader change, never data.
///
/// Needs the cargo feature `presence`, and a seam whose critical tasks run where I/O is enabled, as those of
/// [`Seam::system`](crate::seam::Seam::system) do.
///
/// ```
/// use ha_core::PresenceOptions;
/// assert_eq!(PresenceOptions::default(), PresenceOptions::Automatic);
/// let everywhere = PresenceOptions::At {
///     bind: "0.0.0.0:0".parse().unwrap(),
///     advertise: Some("192.0.2.7:0".parse().unwrap()),
/// };
/// assert!(everywhere.validate().is_ok());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresenceOptions {
    /// On the loopback address, where the backend wants it and the cargo feature is there; otherwise off.
    /// A standby on another host finds nobody there, and waits for the silence.
    #[default]
    Automatic,
    /// Neither serve nor look.
    Off,
    /// Exactly there, whatever the backend wants.
    At {
        /// Where the socket is bound; port 0 takes a free one.
        bind: SocketAddr,
        /// Where others reach it, if that differs; port 0 stands for the port that was bound. It must lead
        /// to this process alone: neither to a balancer nor to an address that moves.
        advertise: Option<SocketAddr>,
    },
}

impl PresenceOptions {
    /// Checks the addresses.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: what is advertised (or bound, if nothing is) is not the address of one host.
    pub fn validate(&self) -> Result<(), Error> {
        let Self::At { bind, advertise } = self else { return Ok(()) };
        let (field, address) = match advertise {
            Some(advertise) => ("presence.advertise", advertise),
            None => ("presence.bind", bind),
        };
        // An IPv4 address in IPv6's clothes is what it is below them.
        let several = match address.ip().to_canonical() {
            IpAddr::V4(ip) => ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast(),
            IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast(),
        };
        if several {
            return Err(Error::new(ErrorKind::Invalid, "services options")
                .at(field)
                .because(format!("{address} is not the address of one host; advertise one that is")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_connect_to_must_be_one_host() {
        let at = |bind: &str, advertise: Option<&str>| PresenceOptions::At {
            bind: bind.parse().unwrap(),
            advertise: advertise.map(|a| a.parse().unwrap()),
        };
        for good in [at("127.0.0.1:0", None), at("[::1]:7", None), at("0.0.0.0:0", Some("192.0.2.1:0"))] {
            good.validate().unwrap();
        }
        let mapped =
            ["[::ffff:0.0.0.0]:0", "[::ffff:224.0.0.1]:1", "[::ffff:255.255.255.255]:1"].map(|bind| at(bind, None));
        let bad = [at("0.0.0.0:0", None), at("[::]:1", None), at("127.0.0.1:0", Some("224.0.0.1:1"))];
        for bad in bad.into_iter().chain(mapped) {
            let error = bad.validate().unwrap_err();
            assert!(error.to_string().contains("presence."), "{error}");
        }
    }
}
