//! The name server of a namespace: it records every name, and knows the declared ones alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::endpoints::Endpoint;

/// The first address that a name gets.
const FIRST: u32 = u32::from_be_bytes([10, 53, 0, 1]);
/// Types of records (RFC 1035, 3.2.2).
const A: u16 = 1;
/// A response to a query, with recursion (RFC 1035, 4.1.1).
const RESPONSE: u8 = 0x81;
const NO_ERROR: u8 = 0x80;
const NO_SUCH_NAME: u8 = 0x83;

/// The server, which ends with the test's process.
pub(super) struct Dns(Arc<Mutex<State>>);

struct State {
    declared: Vec<Endpoint>,
    asked: BTreeSet<String>,
    addresses: BTreeMap<String, Ipv4Addr>,
}

impl State {
    // Each name has its own address: a connection shows which name it is for.
    fn address(&mut self, name: &str) -> Option<Ipv4Addr> {
        let is_declared = self.declared.iter().any(|one| one.is_named(name));
        let next = FIRST + u32::try_from(self.addresses.len()).ok()?;
        let known = self.addresses.entry(name.to_owned());
        is_declared.then(|| *known.or_insert_with(|| next.into()))
    }
}

impl Dns {
    pub(super) fn start(declared: &[Endpoint]) -> Self {
        let state = Arc::new(Mutex::new(State {
            declared: declared.to_vec(),
            asked: BTreeSet::new(),
            addresses: BTreeMap::new(),
        }));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).expect("the port of names");
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                if let Some(response) = respond(&buffer[..length], &shared) {
                    // Who asked may be gone.
                    let _ = socket.send_to(&response, peer);
                }
            }
        });
        Self(state)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn asked(&self) -> BTreeSet<String> {
        self.state().asked.clone()
    }

    pub(super) fn forget(&self) {
        self.state().asked.clear();
    }

    /// The address of a declared name.
    pub(super) fn address(&self, name: &str) -> Ipv4Addr {
        let address = self.state().address(name);
        address.unwrap_or_else(|| panic!("`{name}` is not declared"))
    }

    /// The name whose address this is.
    pub(super) fn name(&self, address: &str) -> Option<String> {
        let state = self.state();
        let mut all = state.addresses.iter();
        let (name, _) = all.find(|(_, known)| known.to_string() == address)?;
        Some(name.clone())
    }
}

// A query with one name (RFC 1035, 4.1).
fn respond(query: &[u8], state: &Mutex<State>) -> Option<Vec<u8>> {
    let (header, mut rest) = query.split_at_checked(12)?;
    let mut labels = Vec::new();
    loop {
        let (length, after) = rest.split_first()?;
        if *length == 0 {
            rest = after;
            break;
        }
        let (label, after) = after.split_at_checked(usize::from(*length))?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        rest = after;
    }
    let (kind, rest) = rest.split_at_checked(2)?;
    let question = &query[12..query.len() - rest.len() + 2];
    let name = labels.join(".");
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    state.asked.insert(name.clone());
    let address = state.address(&name);
    let code = if address.is_some() {
        NO_ERROR
    } else {
        NO_SUCH_NAME
    };
    let address = address.filter(|_| kind == A.to_be_bytes());
    let answers = u8::from(address.is_some());
    let mut response = header[..2].to_vec();
    response.extend([RESPONSE, code, 0, 1, 0, answers, 0, 0, 0, 0]);
    response.extend(question);
    if let Some(address) = address {
        // The name is the one of the query; class IN, no time to live, four bytes.
        response.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        response.extend(address.octets());
    }
    Some(response)
}
