//! Ports that stay ours for as long as a server is, running or not.

use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};

use ha_core::seam::Seam;

/// How many ports a block has, the guard included.
const BLOCK: u16 = 8;
/// Below what systems give to outgoing connections, so that none takes the port of a server that restarts.
const FIRST: u16 = 11_000;
const BLOCKS: u16 = (32_000 - FIRST) / BLOCK;

/// A block of ports, the same on several addresses. Given back when it is dropped, or its process ends.
#[derive(Debug)]
pub(super) struct Ports {
    first: u16,
    /// Listened on and never accepted from: who wants the block finds it taken.
    _guard: TcpListener,
}

impl Ports {
    /// A block whose ports are free on each of those addresses, for TCP and UDP.
    ///
    /// # Panics
    /// The machine has no free block.
    pub(super) fn reserve(seam: &Seam, hosts: &[Ipv4Addr]) -> Self {
        // Not all from the same one: those who look at the same time would meet at each.
        let start = u16::try_from(seam.random_u64() % u64::from(BLOCKS)).unwrap_or(0);
        let blocks = (0..BLOCKS).map(|turn| FIRST + (start + turn) % BLOCKS * BLOCK);
        let mut found = blocks.filter_map(|first| Self::take(first, hosts));
        found.next().expect("a free block among thousands of ports")
    }

    // Race: a stranger may take a port between this look and the start of the server.
    // Closed by: the server says so and ends, and the test that waits for it shows what it wrote.
    // Cost if missed: a failed test, with the reason in its text.
    fn take(first: u16, hosts: &[Ipv4Addr]) -> Option<Self> {
        let guard = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).ok()?;
        let free = |port: u16| {
            hosts.iter().all(|host| {
                let at = (IpAddr::V4(*host), port);
                TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok()
            })
        };
        (first + 1..first + BLOCK).all(free).then_some(Self { first, _guard: guard })
    }

    /// The port of that number in the block, counted from zero.
    ///
    /// # Panics
    /// The block has fewer ports.
    pub(super) fn port(&self, number: u16) -> u16 {
        assert!(number < BLOCK - 1, "a block has {} ports", BLOCK - 1);
        self.first + 1 + number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_taken_once_and_given_back() {
        let hosts = [Ipv4Addr::LOCALHOST];
        let seam = Seam::system();
        let block = Ports::reserve(&seam, &hosts);
        assert!(Ports::take(block.first, &hosts).is_none(), "a block that is taken");
        let first = block.first;
        drop(block);
        assert!(Ports::take(first, &hosts).is_some(), "a block that was given back");
    }

    #[test]
    fn a_block_with_a_port_in_use_is_passed_over() {
        let (seam, hosts) = (Seam::system(), [Ipv4Addr::LOCALHOST]);
        let block = Ports::reserve(&seam, &hosts);
        let (first, used) = (block.first, block.port(3));
        drop(block);
        let _udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, used)).unwrap();
        assert!(Ports::take(first, &hosts).is_none());
    }
}
