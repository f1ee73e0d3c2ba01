//! What a stored value looks like: one line of JSON that a person can read.
//!
//! ```json
//! {"format":1,"kind":"checkpoint_id_counter","write_id":"4f…","epoch":7,"body":{"next":42}}
//! ```
//! `format` comes first so that an old library can refuse a new record, `kind` tells a foreign
//! value apart, `write_id` tells a writer whose answer was lost that the value is its own, and
//! `epoch` is the term it was written under (0: by no leader). `format` and `write_id` keep their names
//! and places in every format to come.
//!
//! # How to add a format
//! A new format is needed as soon as an older version would misread, refuse or lose what is written: a new
//! field in a body that denies unknown ones (all pointers do), a field that changes its meaning, a new kind of
//! state file or key that an older leader would not clean up after. Say the newest is 1:
//!
//! 1. Raise `newest` in [`Formats::SUPPORTED`] to 2. Nothing is written differently by that alone.
//! 2. In each kind whose shape changes, override [`Body::write`], which is told in which format to write, and
//!    [`Body::read`], which is told which one it reads. One struct has the new shape; the older one is
//!    read into it, and written from it *without loss or not at all* (an error names what needs the raise).
//! 3. Whatever else depends on it (new keys, other contents of a state file, which its pointer names) asks
//!    the draft: [`Draft::format`](crate::writer::Draft::format).
//! 4. Add the range 1 to 2 to the tests in `tests/formats`, and a row to `docs/decisions/0010-formats.md`.
//!
//! The oldest format is dropped in a later version, and only together with a tool that rewrites what is
//! stored in it: raising a cluster's format rewrites nothing.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::backend::{Entry, Key, Revision, WriteId};
use crate::excerpt::{Unreadable, excerpt};
use crate::formats::Formats;
use crate::{Error, ErrorKind};

/// The body of a record of one kind.
pub trait Body: Serialize + DeserializeOwned {
    /// Stands in the record, so that a value of another kind under the same key is recognised.
    const KIND: &'static str;

    /// The body as JSON, in that format. Every format has the same shape unless a kind says otherwise.
    ///
    /// # Errors
    /// It cannot be written as JSON, or not in that format without loss.
    fn write(&self, format: u32) -> Result<Box<RawValue>, serde_json::Error> {
        let _same_in_all = format;
        serde_json::value::to_raw_value(self)
    }

    /// Reads a body that was written in that format.
    ///
    /// # Errors
    /// It has another shape.
    fn read(format: u32, body: &RawValue) -> Result<Self, serde_json::Error> {
        let _same_in_all = format;
        serde_json::from_str(body.get())
    }
}

/// A value as it was read: body, who wrote it, and the revision for the next write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<T> {
    /// What was stored.
    pub body: T,
    /// The commit that stored it.
    pub write_id: WriteId,
    /// The epoch of the leader that stored it; 0 if it was stored without one.
    pub epoch: u64,
    /// Which write of the key it is.
    pub revision: Revision,
}

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    kind: &'static str,
    #[serde(serialize_with = "as_text")]
    write_id: WriteId,
    epoch: u64,
    body: &'a RawValue,
}

fn as_text<S: Serializer>(id: &WriteId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

#[derive(Deserialize)]
struct WriteIdOnly<'a> {
    write_id: &'a str,
}

#[derive(Deserialize)]
struct Read<'a> {
    format: u32,
    kind: &'a str,
    write_id: &'a str,
    epoch: u64,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// The bytes to store for this body, written by that commit under that epoch, in the oldest format that this
/// version reads.
///
/// # Errors
/// As [`encode_in`].
pub fn encode<T: Body>(body: &T, write_id: WriteId, epoch: u64) -> Result<Bytes, Error> {
    encode_in(Formats::SUPPORTED.oldest(), body, write_id, epoch)
}

/// The bytes to store for this body, written by that commit under that epoch, in that format.
///
/// # Errors
/// [`ErrorKind::Invalid`]: the body cannot be written as JSON (a map with keys that are no text), or not in
/// that format.
pub fn encode_in<T: Body>(format: u32, body: &T, write_id: WriteId, epoch: u64) -> Result<Bytes, Error> {
    let invalid = |e: serde_json::Error| {
        let why = format!("it cannot be written in format {format}");
        Error::new(ErrorKind::Invalid, "encode").at(T::KIND).because(why).caused_by(e)
    };
    let body = body.write(format).map_err(invalid)?;
    let written = Written { format, kind: T::KIND, write_id, epoch, body: &body };
    Ok(serde_json::to_vec(&written).map_err(invalid)?.into())
}

/// Reads a stored value in any format that this version knows, as [`decode_within`].
///
/// # Errors
/// As [`decode_within`].
pub fn decode<T: Body>(entry: &Entry) -> Result<Record<T>, Error> {
    decode_within(entry, Formats::SUPPORTED)
}

/// Reads a stored value in any of these formats. Never panics, whatever the bytes are.
///
/// # Errors
/// * [`ErrorKind::NewerFormat`]: upgrade this process; nothing was changed.
/// * [`ErrorKind::Unsupported`]: written in a format that is too old; a version between reads it.
/// * [`ErrorKind::Corrupt`]: the bytes are no record of this kind. The text names the key.
pub fn decode_within<T: Body>(entry: &Entry, formats: Formats) -> Result<Record<T>, Error> {
    let header = header(&entry.key, &entry.value, formats)?;
    let corrupt = |why: String| Error::new(ErrorKind::Corrupt, "decode").at(&entry.key).because(why);
    if header.kind != T::KIND {
        return Err(corrupt(format!("expected a record of kind {:?}, found {}", T::KIND, excerpt(header.kind, 40))));
    }
    let Some(write_id) = WriteId::parse(header.write_id) else {
        return Err(corrupt("its write_id is not 32 hexadecimal digits".into()));
    };
    let body = T::read(header.format, header.body)
        .map_err(|e| corrupt(format!("the body of this {} cannot be read", T::KIND)).caused_by(Unreadable::from(e)))?;
    Ok(Record { body, write_id, epoch: header.epoch, revision: entry.revision })
}

/// The commit that wrote these bytes, in whatever format; `None` if they are no record.
#[must_use]
pub fn write_id_of(entry: &Entry) -> Option<WriteId> {
    // Whoever looks for its own commit wants to know this of every value, also of one that it could
    // not read: two commits never have one identity.
    let found: WriteIdOnly<'_> = serde_json::from_slice(&entry.value).ok()?;
    WriteId::parse(found.write_id)
}

fn header<'a>(key: &Key, bytes: &'a [u8], formats: Formats) -> Result<Read<'a>, Error> {
    // The format is read by itself first: a newer record may have other fields beside it, and
    // must be recognised as newer rather than called broken.
    let not_a_record = |e| {
        Error::new(ErrorKind::Corrupt, "decode")
            .at(key)
            .because(format!("{} bytes that are no record of this library", bytes.len()))
            .caused_by(Unreadable::from(e))
    };
    let refused = |kind, format: u32, advice: &str| {
        let why = format!("format {format}, and this version reads {formats}: {advice}");
        Err(Error::new(kind, "decode").at(key).because(why))
    };
    let FormatOnly { format } = serde_json::from_slice(bytes).map_err(not_a_record)?;
    if format > formats.newest() {
        return refused(ErrorKind::NewerFormat, format, "upgrade this process");
    }
    if format < Formats::FIRST {
        let why = "format 0, which there is not";
        return Err(Error::new(ErrorKind::Corrupt, "decode").at(key).because(why));
    }
    if format < formats.oldest() {
        return refused(ErrorKind::Unsupported, format, "read it with a version that knows both");
    }
    serde_json::from_slice(bytes).map_err(not_a_record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Number {
        n: u64,
    }
    impl Body for Number {
        const KIND: &'static str = "number";
    }

    fn entry(value: impl Into<Bytes>) -> Entry {
        let key = Key::new("a/b").unwrap();
        Entry { key, value: value.into(), revision: Revision::from_native(3), held: None }
    }

    #[test]
    fn a_record_survives_the_round_trip_and_can_be_read_by_a_person() {
        let id = WriteId::from_bits(1, 2);
        let bytes = encode(&Number { n: 5 }, id, 9).unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        assert!(text.starts_with(r#"{"format":1,"kind":"number","write_id":"0000000000000001"#), "{text}");
        let record: Record<Number> = decode(&entry(bytes)).unwrap();
        assert_eq!((record.body.n, record.epoch, record.write_id), (5, 9, id));
    }

    /// What an application measured, as it is stored in results of jobs and beside plans.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Measured(Vec<serde_json::Value>);
    impl Body for Measured {
        const KIND: &'static str = "measured";
    }

    #[test]
    fn a_fraction_is_read_as_it_was_written_and_not_as_its_neighbour() {
        // Fails if JSON is read by the quicker way that is off by one in the last place.
        let fractions =
            [f64::from_bits(0x13ce_3c36_0ff3_e2f1), 1.17549435082229e-38, 9.5e-21, 0.1 + 0.2, f64::MAX, -0.0];
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        let mut drawn = || {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from_bits(bits)
        };
        let drawn: Vec<f64> = (0..1000).map(|_| drawn()).filter(|number| number.is_finite()).collect();
        let body = Measured(fractions.into_iter().chain(drawn).map(serde_json::Value::from).collect());
        let bytes = encode(&body, WriteId::from_bits(1, 2), 9).unwrap();
        assert_eq!(decode::<Measured>(&entry(bytes)).unwrap().body, body);
    }

    /// A kind whose shape differs between two formats: the second counts in halves.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Halves(u64);
    impl Body for Halves {
        const KIND: &'static str = "number";
        fn write(&self, format: u32) -> Result<Box<RawValue>, serde_json::Error> {
            match format {
                1 if self.0 % 2 == 1 => Err(serde::ser::Error::custom("a half: raise the format to 2")),
                1 => serde_json::value::to_raw_value(&Number { n: self.0 / 2 }),
                _ => serde_json::value::to_raw_value(self),
            }
        }
        fn read(format: u32, body: &RawValue) -> Result<Self, serde_json::Error> {
            match format {
                1 => serde_json::from_str(body.get()).map(|Number { n }| Self(n * 2)),
                _ => serde_json::from_str(body.get()),
            }
        }
    }

    #[test]
    fn a_kind_may_have_another_shape_in_another_format_and_is_written_without_loss_or_not_at_all() {
        let (id, both) = (WriteId::from_bits(1, 2), Formats::new(1, 2).unwrap());
        for format in [1, 2] {
            let bytes = encode_in(format, &Halves(6), id, 9).unwrap();
            assert_eq!(decode_within::<Halves>(&entry(bytes.clone()), both).unwrap().body, Halves(6));
            assert_eq!(write_id_of(&entry(bytes)), Some(id), "whatever the format");
        }
        let old = encode_in(1, &Halves(6), id, 9).unwrap();
        assert_eq!(decode::<Number>(&entry(old)).unwrap().body, Number { n: 3 }, "the older version reads it");
        assert_eq!(encode_in(1, &Halves(7), id, 9).unwrap_err().kind(), ErrorKind::Invalid);
        let new = encode_in(2, &Halves(7), id, 9).unwrap();
        assert_eq!(decode::<Number>(&entry(new)).unwrap_err().kind(), ErrorKind::NewerFormat);
        let second = Formats::new(2, 2).unwrap();
        let old = encode_in(1, &Halves(6), id, 9).unwrap();
        assert_eq!(decode_within::<Halves>(&entry(old), second).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn a_newer_format_is_told_from_corruption_even_with_unknown_fields() {
        let newer = entry(r#"{"format":2,"shape":"unheard of"}"#);
        assert_eq!(decode::<Number>(&newer).unwrap_err().kind(), ErrorKind::NewerFormat);
    }

    #[test]
    fn foreign_truncated_and_random_bytes_are_corrupt_and_never_panic() {
        let good = encode(&Number { n: 5 }, WriteId::from_bits(1, 2), 9).unwrap();
        for cut in 0..good.len() {
            assert_eq!(decode::<Number>(&entry(good.slice(..cut))).unwrap_err().kind(), ErrorKind::Corrupt);
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.to_vec();
                bytes[at] ^= 1 << bit;
                // A flipped digit may give another valid record; what counts is that nothing panics.
                let _ = decode::<Number>(&entry(bytes));
            }
        }
        let deep = "[".repeat(100_000);
        let trailing = [&good[..], b"garbage"].concat();
        for bytes in [&b"\xff\xfe"[..], b"null", b"{}", deep.as_bytes(), &trailing] {
            let error = decode::<Number>(&entry(bytes.to_vec())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.to_string().contains("a/b"), "{error}");
        }
    }
}
