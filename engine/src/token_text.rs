//! Token ids as project files keep them: as many bits as the largest needs, one after the other, in Base64. A second of
//! music (50 frames of twelve ids, 25 of four) is 1.2 KB so, less than half of a list of numbers, which is what format 1 had
//! and what can still be read.
//!
//! `"5x10:BASE64"`: five ids of ten bits, most significant bit first, the last byte filled up with zeros.

use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserializer, Serializer};

/// For `#[serde(with)]`.
pub(crate) fn serialize<S: Serializer>(ids: &[u16], serializer: S) -> Result<S::Ok, S::Error> {
    let bits = ids.iter().max().map_or(1, |id| (u16::BITS - id.leading_zeros()).max(1));
    let mut bytes = Vec::with_capacity((ids.len() * bits as usize).div_ceil(8));
    let (mut held, mut count) = (0_u32, 0);
    for id in ids {
        held = held << bits | u32::from(*id);
        count += bits;
        while count >= 8 {
            count -= 8;
            bytes.push((held >> count) as u8);
        }
        held &= (1 << count) - 1;
    }
    if count > 0 {
        bytes.push((held << (8 - count)) as u8);
    }
    serializer.collect_str(&format_args!("{}x{bits}:{}", ids.len(), BASE64_STANDARD_NO_PAD.encode(bytes)))
}

/// For `#[serde(with)]`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u16>, D::Error> {
    struct Ids;
    impl<'de> Visitor<'de> for Ids {
        type Value = Vec<u16>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("token ids")
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            unpack(text).ok_or_else(|| E::custom("its tokens are damaged"))
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut ids = Vec::new();
            while let Some(id) = list.next_element()? {
                ids.push(id);
            }
            Ok(ids)
        }
    }
    deserializer.deserialize_any(Ids)
}

fn unpack(text: &str) -> Option<Vec<u16>> {
    let (head, body) = text.split_once(':')?;
    let (length, bits) = head.split_once('x')?;
    let (length, bits): (usize, u32) = (length.parse().ok()?, bits.parse().ok()?);
    let bytes = BASE64_STANDARD_NO_PAD.decode(body).ok()?;
    let fits = (1..=16).contains(&bits) && length.checked_mul(bits as usize)?.div_ceil(8) == bytes.len();
    if !fits {
        return None;
    }
    let mut ids = Vec::with_capacity(length);
    let (mut held, mut count) = (0_u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(byte);
        count += 8;
        while count >= bits && ids.len() < length {
            count -= bits;
            ids.push((held >> count) as u16);
            held &= (1 << count) - 1;
        }
    }
    Some(ids)
}

#[cfg(test)]
mod tests {
    use crate::take::Tokens;
    use proptest::prelude::*;

    fn text(ids: Vec<u16>) -> String {
        serde_json::to_string(&Tokens { codebooks: 1, ids }).expect("JSON")
    }

    fn read(text: &str) -> Option<Vec<u16>> {
        serde_json::from_str::<Tokens>(text).ok().map(|tokens| tokens.ids)
    }

    #[test]
    fn the_format_is_what_it_says() {
        assert_eq!(text(vec![]), r#"{"codebooks":1,"ids":"0x1:"}"#);
        assert_eq!(text(vec![1023, 0, 1, 512, 3]), r#"{"codebooks":1,"ids":"5x10:/8AABgAAwA"}"#);
        assert_eq!(read(r#"{"codebooks":1,"ids":[7,65535]}"#), Some(vec![7, 65535]), "a list, as in format 1");
    }

    #[test]
    fn damage_is_refused() {
        for ids in [
            "",
            "2x10",
            "2x10:",
            "2x10:AAAA!",
            "2x0:AA",
            "2x17:AAAAAA",
            "3x10:AAAA",
            "x:A",
            "99999999999999999999x16:AAAA",
        ] {
            assert_eq!(read(&format!(r#"{{"codebooks":1,"ids":"{ids}"}}"#)), None, "{ids}");
        }
        assert_eq!(read(r#"{"codebooks":1,"ids":[70000]}"#), None);
    }

    proptest! {
        #[test]
        fn any_ids_come_back(ids in proptest::collection::vec(any::<u16>(), 0..200), bits in 0u32..16) {
            let ids: Vec<u16> = ids.into_iter().map(|id| id >> bits).collect();
            prop_assert_eq!(read(&text(ids.clone())), Some(ids));
        }
    }
}
