//! What is written is what the standard says.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use super::*;

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Tagged {
    One { z: u8, a: Option<f64> },
    Two(Inner),
}

#[derive(Serialize)]
struct Inner {
    y: (i64, char),
    b: BTreeMap<u32, Plain>,
    #[serde(flatten)]
    more: BTreeMap<String, u64>,
}

#[derive(Serialize)]
enum Plain {
    Unit,
    Tuple(u8, String),
    Fields { z: bool, a: () },
    New(f32),
}

#[test]
fn types_are_written_as_their_values_are() {
    let inner = |plain| Inner {
        y: (-7, '"'),
        b: BTreeMap::from([(10, plain), (9, Plain::Unit)]),
        more: BTreeMap::from([("a\n".to_owned(), u64::MAX), ("\u{fffd}".to_owned(), 1), ("😀".to_owned(), 2)]),
    };
    let values = [
        Tagged::One { z: 1, a: Some(0.1) },
        Tagged::One { z: 1, a: Some(f64::NAN) },
        Tagged::One { z: 1, a: None },
        Tagged::Two(inner(Plain::Tuple(1, "\u{1}\u{7f}".to_owned()))),
        Tagged::Two(inner(Plain::Fields { z: true, a: () })),
        Tagged::Two(inner(Plain::New(0.5))),
    ];
    for value in values {
        let text = text_of(&value).unwrap();
        let tree = serde_json::to_value(&value).unwrap();
        assert_eq!(text, serde_json_canonicalizer::to_string(&tree).unwrap());
    }
}

#[test]
fn the_last_of_two_members_with_one_key_counts() {
    struct Twice;
    impl Serialize for Twice {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map([("b", 1), ("a", 2), ("b", 3)])
        }
    }
    assert_eq!(text_of(&Twice).unwrap(), r#"{"a":2,"b":3}"#);
    assert_eq!(text_of(&BTreeMap::from([(None::<u8>, 1)])), None);
    assert_eq!(text_of(&BTreeMap::from([(true, 1)])).unwrap(), r#"{"true":1}"#);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-c\"\\\\\u{0}-\u{1f}é\u{e000}-\u{ffff}😀]{0,3}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_is_written_as_the_standard_says(value in any_value()) {
        prop_assert_eq!(text_of(&value).unwrap(), serde_json_canonicalizer::to_string(&value).unwrap());
        let in_order = json!({ "b": value, "a": value });
        prop_assert_eq!(text_of(&in_order).unwrap(), serde_json_canonicalizer::to_string(&in_order).unwrap());
    }
}
