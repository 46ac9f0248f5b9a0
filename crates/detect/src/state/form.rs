//! What kept types look like, so that a test notices when that changes: everything that a type asks a deserializer for, written down.
//!
//! No value takes part, so nothing but the type changes it: fields by name and order, variants, and what is in them. Each pass makes one element of
//! every list, or none, and takes one variant of every enumeration.

use std::fmt::{Display, Write as _};

use serde::de::value::{Error, U32Deserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer as _, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

/// The form of a type, as text that means nothing but itself.
pub(crate) fn form<T: DeserializeOwned>() -> String {
    let mut form = String::new();
    let mut most = 1;
    let mut outer = 0;
    while outer < most {
        let mut inner = 0;
        while inner < most {
            for elements in [1, 0] {
                let mut pass = Pass { said: String::new(), pick: [outer, inner], elements, depth: 0, enums: 0, most };
                if T::deserialize(Asked(&mut pass)).is_err() {
                    // bytes of a message that are none: the next pass has none at all
                    pass.said.push('!');
                }
                most = pass.most;
                form.push_str(&pass.said);
                form.push('\n');
            }
            inner += 1;
        }
        outer += 1;
    }
    form
}

/// One deserialization.
struct Pass {
    said: String,
    /// The variants to take, of enumerations within an even number of others, and within an odd one.
    pick: [usize; 2],
    /// Of lists.
    elements: usize,
    depth: usize,
    enums: usize,
    /// Variants of the largest enumeration.
    most: usize,
}

struct Asked<'a>(&'a mut Pass);

impl Asked<'_> {
    fn say(&mut self, what: impl Display) {
        write!(self.0.said, "{what} ").expect("into a string");
    }

    /// Goes one level deeper, and comes back.
    fn within<T>(&mut self, what: impl FnOnce(&mut Pass) -> Result<T, Error>) -> Result<T, Error> {
        const DEEPEST: usize = 64;
        if self.0.depth == DEEPEST {
            return Err(Error::custom("it has no end"));
        }
        self.0.depth += 1;
        let done = what(self.0);
        self.0.depth -= 1;
        self.say(';');
        done
    }
}

macro_rules! plain {
    ($($method:ident $visit:ident $value:expr),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
            self.say(stringify!($visit));
            visitor.$visit($value)
        }
    )*};
}

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = Error;

    // one where it is a number: some must not be zero
    plain! {
        deserialize_bool visit_bool false,
        deserialize_i8 visit_i8 1, deserialize_i16 visit_i16 1, deserialize_i32 visit_i32 1, deserialize_i64 visit_i64 1,
        deserialize_u8 visit_u8 1, deserialize_u16 visit_u16 1, deserialize_u32 visit_u32 1, deserialize_u64 visit_u64 1,
        deserialize_i128 visit_i128 1, deserialize_u128 visit_u128 1,
        deserialize_f32 visit_f32 0.0, deserialize_f64 visit_f64 0.0, deserialize_char visit_char 'a',
        deserialize_str visit_str "", deserialize_string visit_string String::new(),
        deserialize_bytes visit_bytes &[], deserialize_byte_buf visit_byte_buf Vec::new(),
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("postcard does not say what comes"))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("postcard does not say what comes"))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("postcard has no names"))
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        self.say('?');
        self.within(|pass| visitor.visit_some(Asked(pass)))
    }

    fn deserialize_unit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        self.say("()");
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(mut self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        self.within(|pass| visitor.visit_newtype_struct(Asked(pass)))
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        self.say("list");
        let left = self.0.elements;
        self.within(|pass| visitor.visit_seq(Elements { pass, left, names: &[] }))
    }

    fn deserialize_tuple<V: Visitor<'de>>(mut self, length: usize, visitor: V) -> Result<V::Value, Error> {
        self.say(format_args!("{length} of"));
        self.within(|pass| visitor.visit_seq(Elements { pass, left: length, names: &[] }))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, length: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        self.say("map");
        self.within(|pass| visitor.visit_map(Elements { pass, left: 1, names: &[] }))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.within(|pass| visitor.visit_seq(Elements { pass, left: fields.len(), names: fields }))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.most = self.0.most.max(variants.len());
        let pick = self.0.pick[self.0.enums % 2].min(variants.len().saturating_sub(1));
        self.say(format_args!("{pick} of {variants:?}"));
        self.0.enums += 1;
        let done = self.within(|pass| visitor.visit_enum(Variant { pass, pick: pick as u32 }));
        self.0.enums -= 1;
        done
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Elements of a list, fields, or entries of a map.
struct Elements<'a> {
    pass: &'a mut Pass,
    left: usize,
    names: &'static [&'static str],
}

impl Elements<'_> {
    /// Whether one follows.
    fn next(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        if let Some(name) = self.names.len().checked_sub(self.left).and_then(|at| self.names.get(at)) {
            Asked(self.pass).say(format_args!("{name}:"));
        }
        self.left -= 1;
        true
    }
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        if self.next() { seed.deserialize(Asked(self.pass)).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        if self.next() { seed.deserialize(Asked(self.pass)).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(Asked(self.pass))
    }
}

struct Variant<'a> {
    pass: &'a mut Pass,
    pick: u32,
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let which: U32Deserializer<Error> = self.pick.into_deserializer();
        Ok((seed.deserialize(which)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(Asked(self.pass))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        Asked(self.pass).deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        Asked(self.pass).deserialize_struct("", fields, visitor)
    }
}
