//! One list for the targets and for the bounded run among the tests.

#[path = "../ha/tests/hostile/decoders.rs"]
mod list;
#[path = "../ha/tests/hostile/mutations.rs"]
mod mutations;

/// Lets the decoder of that name read the bytes.
///
/// # Panics
/// There is none of that name, or it panics: that is what is looked for.
pub fn read(name: &str, bytes: &[u8]) {
    let decoder = list::ALL.iter().find(|decoder| decoder.name == name).expect("a decoder of that name");
    let _refused_or_not = (decoder.read)(bytes);
}
