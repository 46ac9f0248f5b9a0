//! Messages of the schema within kept state: in their protobuf form.

use prost::Message;
use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

pub(crate) fn serialize<M: Message, S: Serializer>(message: &M, serializer: S) -> Result<S::Ok, S::Error> {
    message.encode_to_vec().serialize(serializer)
}

pub(crate) fn deserialize<'de, M: Message + Default, D: Deserializer<'de>>(deserializer: D) -> Result<M, D::Error> {
    let bytes = Vec::<u8>::deserialize(deserializer)?;
    M::decode(bytes.as_slice()).map_err(D::Error::custom)
}
