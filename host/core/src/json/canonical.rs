//! Canonical JSON (RFC 8785), written straight from what serialises to it: building a tree of values first takes several
//! times as long, and each event of the log is written so. A test compares it with a library that builds one.

use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use serde::ser::{self, Serialize, Serializer};

use super::MAX_INTEGER;

/// Largest buffer that a thread keeps for the next text.
const MAX_KEPT: usize = 64 * 1024;

thread_local! {
    static SPARE: Cell<Writer> = const { Cell::new(Writer::new()) };
}

/// The canonical text of a value; `None` when JSON cannot hold it, as with maps whose keys are no texts.
pub fn text_of<T: Serialize + ?Sized>(value: &T) -> Option<String> {
    // A value that asks for another text while it is written finds a new writer.
    let mut writer = SPARE.take();
    writer.out.clear();
    writer.members.clear();
    let written = value.serialize(&mut writer);
    let text = written.ok().and_then(|()| std::str::from_utf8(&writer.out).ok().map(ToOwned::to_owned));
    if writer.out.capacity().max(writer.scratch.capacity()) <= MAX_KEPT {
        SPARE.set(writer);
    }
    text
}

#[derive(Default)]
struct Writer {
    out: Vec<u8>,
    /// Members of the objects that are open, the innermost last.
    members: Vec<Member>,
    /// An object's members while they are put in order.
    scratch: Vec<u8>,
}

/// A member of an object, as places in the output.
struct Member {
    /// The key, without its quotes.
    key: Range<usize>,
    /// Key and value.
    whole: Range<usize>,
    /// Whether the key is ASCII without escapes, which bytes order as UTF-16 does.
    is_plain: bool,
}

/// Why a value has no JSON.
#[derive(Debug)]
struct NoJson;

impl fmt::Display for NoJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it cannot be written as JSON")
    }
}

impl std::error::Error for NoJson {}

impl ser::Error for NoJson {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl Writer {
    const fn new() -> Self {
        Self { out: Vec::new(), members: Vec::new(), scratch: Vec::new() }
    }

    /// Writes a text in quotes.
    fn string(&mut self, text: &str) {
        self.out.push(b'"');
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|byte| needs_escape(*byte)) {
            let (plain, from) = rest.split_at(at);
            self.out.extend_from_slice(plain);
            let Some((byte, after)) = from.split_first() else { break };
            match byte {
                b'"' | b'\\' => self.out.extend_from_slice(&[b'\\', *byte]),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                b'\r' => self.out.extend_from_slice(b"\\r"),
                b'\t' => self.out.extend_from_slice(b"\\t"),
                0x08 => self.out.extend_from_slice(b"\\b"),
                0x0c => self.out.extend_from_slice(b"\\f"),
                control => self.out.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
            }
            rest = after;
        }
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
    }

    fn whole(&mut self, number: u64) {
        match number <= MAX_INTEGER {
            true => self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
            false => self.float(number as f64),
        }
    }

    fn signed(&mut self, number: i64) {
        match number.unsigned_abs() <= MAX_INTEGER {
            true => self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
            false => self.float(number as f64),
        }
    }

    /// As ECMAScript writes it; not a number and infinities are null, as for `serde_json`.
    fn float(&mut self, number: f64) {
        if number.is_finite() {
            self.out.extend_from_slice(ryu_js::Buffer::new().format_finite(number).as_bytes());
        } else {
            self.out.extend_from_slice(b"null");
        }
    }

    /// Closes an object whose members begin here, and sorts them if they are not in order. Of two with one key, the last
    /// counts.
    fn close(&mut self, first: usize) {
        let Self { out, members, scratch } = self;
        let order = |one: &Member, other: &Member| by_key(out, one, other);
        let open = members.get_mut(first..).unwrap_or_default();
        if !open.is_sorted_by(|one, other| order(one, other) == Ordering::Less) {
            let start = open.first().map_or(out.len(), |member| member.whole.start);
            open.sort_by(order);
            scratch.clear();
            for (place, member) in open.iter().enumerate() {
                if open.get(place + 1).is_some_and(|next| order(member, next) == Ordering::Equal) {
                    continue;
                }
                if !scratch.is_empty() {
                    scratch.push(b',');
                }
                scratch.extend_from_slice(part(out, &member.whole));
            }
            out.truncate(start);
            out.extend_from_slice(scratch);
        }
        members.truncate(first);
        out.push(b'}');
    }
}

fn part<'a>(out: &'a [u8], range: &Range<usize>) -> &'a [u8] {
    out.get(range.clone()).unwrap_or_default()
}

/// Whether a byte of a text stands there escaped (RFC 8785, 3.2.2.2).
fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Order of keys by their UTF-16 code units (RFC 8785, 3.2.3).
fn by_key(out: &[u8], one: &Member, other: &Member) -> Ordering {
    let (first, second) = (part(out, &one.key), part(out, &other.key));
    if one.is_plain && other.is_plain {
        return first.cmp(second);
    }
    let units = |key: &[u8]| -> Vec<u16> {
        let quoted = [b"\"", key, b"\""].concat();
        serde_json::from_slice::<String>(&quoted).unwrap_or_default().encode_utf16().collect()
    };
    units(first).cmp(&units(second))
}

/// An array or object that is being written.
struct Open<'a> {
    writer: &'a mut Writer,
    /// First of its members, for an object.
    first: usize,
    is_empty: bool,
    /// Where the member begins whose value comes next, and its key.
    member: (usize, Range<usize>, bool),
    /// What closes it beyond its own bracket: a variant with content is an object of one member.
    is_variant: bool,
}

impl<'a> Open<'a> {
    fn array(writer: &'a mut Writer, is_variant: bool) -> Self {
        writer.out.push(b'[');
        Self::of(writer, is_variant)
    }

    fn object(writer: &'a mut Writer, is_variant: bool) -> Self {
        writer.out.push(b'{');
        Self::of(writer, is_variant)
    }

    fn of(writer: &'a mut Writer, is_variant: bool) -> Self {
        let first = writer.members.len();
        Self { writer, first, is_empty: true, member: (0, 0..0, true), is_variant }
    }

    fn separate(&mut self) {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.writer.out.push(b',');
        }
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoJson> {
        self.separate();
        value.serialize(&mut *self.writer)
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), NoJson> {
        self.separate();
        let start = self.writer.out.len();
        key.serialize(&mut *self.writer)?;
        match self.writer.out.get(start) {
            Some(b'"') => {}
            // A number or a truth stands as a text.
            Some(b'-' | b'0'..=b'9' | b't' | b'f') => {
                self.writer.out.insert(start, b'"');
                self.writer.out.push(b'"');
            }
            _ => return Err(NoJson),
        }
        let key = start + 1..self.writer.out.len() - 1;
        let is_plain = part(&self.writer.out, &key).iter().all(|byte| byte.is_ascii() && *byte != b'\\');
        self.member = (start, key, is_plain);
        self.writer.out.push(b':');
        Ok(())
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoJson> {
        value.serialize(&mut *self.writer)?;
        let (start, key, is_plain) = self.member.clone();
        self.writer.members.push(Member { key, whole: start..self.writer.out.len(), is_plain });
        Ok(())
    }

    fn close_array(self) {
        self.writer.out.push(b']');
        if self.is_variant {
            self.writer.out.push(b'}');
        }
    }

    fn close_object(self) {
        self.writer.close(self.first);
        if self.is_variant {
            self.writer.out.push(b'}');
        }
    }
}

/// Numbers that are written as larger ones.
macro_rules! as_larger {
    ($($of:ident($type:ty) $larger:ident)*) => {
        $(fn $of(self, value: $type) -> Result<(), NoJson> {
            self.$larger(value.into())
        })*
    };
}

impl<'a> Serializer for &'a mut Writer {
    type Ok = ();
    type Error = NoJson;
    type SerializeSeq = Open<'a>;
    type SerializeTuple = Open<'a>;
    type SerializeTupleStruct = Open<'a>;
    type SerializeTupleVariant = Open<'a>;
    type SerializeMap = Open<'a>;
    type SerializeStruct = Open<'a>;
    type SerializeStructVariant = Open<'a>;

    as_larger! {
        serialize_i8(i8) serialize_i64
        serialize_i16(i16) serialize_i64
        serialize_i32(i32) serialize_i64
        serialize_u8(u8) serialize_u64
        serialize_u16(u16) serialize_u64
        serialize_u32(u32) serialize_u64
        serialize_f32(f32) serialize_f64
    }

    fn serialize_bool(self, value: bool) -> Result<(), NoJson> {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_i64(self, value: i64) -> Result<(), NoJson> {
        self.signed(value);
        Ok(())
    }

    fn serialize_u64(self, value: u64) -> Result<(), NoJson> {
        self.whole(value);
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), NoJson> {
        self.float(value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), NoJson> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), NoJson> {
        self.string(value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), NoJson> {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result<(), NoJson> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), NoJson> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), NoJson> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), NoJson> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), NoJson> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), NoJson> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), NoJson> {
        self.begin_variant(variant);
        value.serialize(&mut *self)?;
        self.out.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Open<'a>, NoJson> {
        Ok(Open::array(self, false))
    }

    fn serialize_tuple(self, _: usize) -> Result<Open<'a>, NoJson> {
        Ok(Open::array(self, false))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Open<'a>, NoJson> {
        Ok(Open::array(self, false))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'a>, NoJson> {
        self.begin_variant(variant);
        Ok(Open::array(self, true))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Open<'a>, NoJson> {
        Ok(Open::object(self, false))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Open<'a>, NoJson> {
        Ok(Open::object(self, false))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'a>, NoJson> {
        self.begin_variant(variant);
        Ok(Open::object(self, true))
    }
}

impl Writer {
    fn begin_variant(&mut self, variant: &str) {
        self.out.push(b'{');
        self.string(variant);
        self.out.push(b':');
    }
}

/// The roles of an array, which differ in the name of one function.
macro_rules! array {
    ($($role:ident $item:ident)*) => {
        $(impl ser::$role for Open<'_> {
            type Ok = ();
            type Error = NoJson;

            fn $item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoJson> {
                self.item(value)
            }

            fn end(self) -> Result<(), NoJson> {
                self.close_array();
                Ok(())
            }
        })*
    };
}

array! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

/// The roles of an object whose keys are known.
macro_rules! object {
    ($($role:ident)*) => {
        $(impl ser::$role for Open<'_> {
            type Ok = ();
            type Error = NoJson;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), NoJson> {
                self.key(key)?;
                self.value(value)
            }

            fn end(self) -> Result<(), NoJson> {
                self.close_object();
                Ok(())
            }
        })*
    };
}

object! {
    SerializeStruct
    SerializeStructVariant
}

impl ser::SerializeMap for Open<'_> {
    type Ok = ();
    type Error = NoJson;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), NoJson> {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoJson> {
        self.value(value)
    }

    fn end(self) -> Result<(), NoJson> {
        self.close_object();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
