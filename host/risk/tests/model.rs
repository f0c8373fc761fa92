//! Models as the policy may name them: the embedded one, and hostile ones.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

use fusebox_core::Digest;
use fusebox_core::risk::{Features, RiskLevel, Thresholds};
use fusebox_risk::{Error, Model};
use proptest::prelude::*;
use prost::Message as _;

#[path = "../src/onnx/proto.rs"]
#[allow(missing_docs, reason = "tests")]
mod proto;

use proto::ModelProto;

const ONNX: &[u8] = include_bytes!("../../../models/risk.onnx");
const METADATA: &str = include_str!("../../../models/risk.json");

const PLAIN: Features = Features {
    num_steps: 4,
    num_tools: 3,
    tool_diversity: 2,
    has_high_risk_tool: false,
    est_tokens: 100,
    max_retries: 0,
    sequential_tool_calls: 2,
    plan_depth: 1,
    time_limit_sec: 300,
};

/// A model that was changed, with metadata that name it.
fn changed(change: impl FnOnce(&mut ModelProto)) -> Result<Model, Error> {
    let mut proto = ModelProto::decode(ONNX).unwrap();
    change(&mut proto);
    let onnx = proto.encode_to_vec();
    Model::from_bytes(&onnx, metadata_for(&onnx).as_bytes())
}

fn metadata_for(onnx: &[u8]) -> String {
    METADATA.replace(&Digest::of(ONNX).to_string(), &Digest::of(onnx).to_string())
}

#[test]
fn the_embedded_model_knows_plans() {
    let model = Model::embedded().unwrap();
    let predict = |features: Features| model.predict(&features).unwrap();
    let low = predict(PLAIN);
    assert_eq!(low.level, RiskLevel::Low);
    assert!(low.score < 0.01 && low.out_of_distribution.is_empty(), "{low:?}");
    assert_eq!(predict(Features { num_steps: 9, ..PLAIN }).level, RiskLevel::Medium);
    assert_eq!(predict(Features { num_steps: 20, ..PLAIN }).level, RiskLevel::High);
    assert_eq!(predict(Features { est_tokens: 15_000, ..PLAIN }).level, RiskLevel::High);
    let far = predict(Features { num_steps: 5000, est_tokens: 900_000, ..PLAIN });
    assert_eq!(
        (far.level, far.out_of_distribution),
        (RiskLevel::High, vec!["num_steps".to_owned(), "est_tokens".to_owned()])
    );
    assert_eq!(low.model.to_string(), Digest::of(ONNX).to_string());
}

#[test]
fn the_smallest_plans_are_not_far() {
    let model = Model::embedded().unwrap();
    let least = Features {
        num_steps: 1,
        num_tools: 1,
        tool_diversity: 1,
        has_high_risk_tool: false,
        est_tokens: 1,
        max_retries: 0,
        sequential_tool_calls: 1,
        plan_depth: 1,
        time_limit_sec: 1,
    };
    assert_eq!(model.predict(&least).unwrap().out_of_distribution, Vec::<String>::new());
}

#[test]
fn many_at_once_are_as_one_by_one() {
    let model = Model::embedded().unwrap();
    for count in [0, 1, 7, 8, 64, 65, 200] {
        let plans: Vec<Features> =
            (0..count).map(|n| Features { num_steps: n % 30 + 2, est_tokens: n * 99, ..PLAIN }).collect();
        let all = model.predict_all(&plans).unwrap();
        assert_eq!(all.len(), plans.len());
        for (plan, said) in plans.iter().zip(all) {
            let alone = model.predict(plan).unwrap();
            assert!((alone.score - said.score).abs() <= 2e-6 && alone.level == said.level, "{alone:?} {said:?}");
        }
    }
}

#[test]
fn what_is_out_of_range_is_an_error_that_names_it() {
    let model = Model::embedded().unwrap();
    let error = model.predict(&Features { tool_diversity: 9, ..PLAIN }).unwrap_err();
    assert!(matches!(&error, Error::Features(_)) && error.to_string().contains("tool_diversity"), "{error}");
    assert!(model.explain(&Features { num_steps: 0, ..PLAIN }).is_err());
    assert!(model.predict_all(&[PLAIN, Features { num_steps: 0, ..PLAIN }]).is_err());
}

#[test]
fn another_file_than_was_meant_is_refused() {
    let wrong = Model::from_bytes(
        ONNX,
        METADATA.replace("9\",", "8\",").replace(&Digest::of(ONNX).to_string(), &"0".repeat(64)).as_bytes(),
    );
    assert!(matches!(wrong, Err(Error::WrongDigest { .. })), "{wrong:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    assert!(matches!(Model::open(&path, None), Err(Error::Read { .. })));
    std::fs::write(&path, ONNX).unwrap();
    std::fs::write(path.with_extension("json"), METADATA).unwrap();
    assert!(Model::open(&path, Some(&Digest::of(ONNX).to_string().to_uppercase())).is_ok());
    assert!(matches!(Model::open(&path, Some(&"1".repeat(64))), Err(Error::WrongDigest { by: "the policy", .. })));
    std::fs::File::create(&path).unwrap().set_len(5 * 1024 * 1024).unwrap();
    assert!(matches!(Model::open(&path, None), Err(Error::TooLarge { .. })));
}

#[test]
fn graphs_that_are_not_served_are_refused() {
    let refused = |what: &str, model: Result<Model, Error>, named: &str| {
        let error = model.expect_err(what).to_string();
        assert!(error.contains(named), "{what}: {error}");
    };
    refused("no graph", changed(|proto| proto.graph = None), "no graph");
    refused("another operator", changed(|proto| node(proto, 1).op_type = "Loop".into()), "Loop");
    refused("another domain", changed(|proto| node(proto, 1).domain = "evil".into()), "not served");
    refused("a missing constant", changed(|proto| graph(proto).initializer.truncate(3)), "");
    refused("a constant elsewhere", changed(|proto| graph(proto).initializer[0].data_location = 1), "another file");
    let far_output = |proto: &mut ModelProto| graph(proto).output[0].name = "nowhere".into();
    refused("an output of nothing", changed(far_output), "given by nothing");
    let to_itself = |proto: &mut ModelProto| node(proto, 5).input[0] = "probabilities".into();
    refused("a softmax of itself", changed(to_itself), "which nothing before it gives");
    refused("a node without outputs", changed(|proto| node(proto, 5).output.clear()), "given by nothing");
    refused("a name that is given twice", changed(|proto| node(proto, 1).output[0] = "dense_0".into()), "twice");
    refused("a broadcast", changed(|proto| graph(proto).initializer[0].dims = vec![10_000, 1]), "the sides");
    refused("a huge constant", changed(|proto| graph(proto).initializer[0].dims = vec![1 << 40, 1 << 40]), "the sides");
    refused("a constant of another size", changed(|proto| graph(proto).initializer[0].dims = vec![9, 63]), "");
    refused("no softmax", changed(|proto| node(proto, 5).op_type = "Identity".into()), "");
    refused("a loop of nodes", changed(|proto| node(proto, 0).input[0] = "probabilities".into()), "");
    refused(
        "many nodes",
        changed(|proto| {
            let one = graph(proto).node[1].clone();
            graph(proto).node.extend(std::iter::repeat_n(one, 300));
        }),
        "the most is 256",
    );
    refused(
        "weights that are no numbers",
        changed(|proto| {
            graph(proto).initializer[5].raw_data.fill(0xff);
        }),
        "nonsense",
    );
    refused(
        "two outputs",
        changed(|proto| {
            let one = graph(proto).output[0].clone();
            graph(proto).output.push(one);
        }),
        "",
    );
}

#[test]
fn metadata_of_another_shape_are_refused() {
    for (from, to, named) in [
        ("\"format\": 1", "\"format\": 2", "format is 2"),
        ("\"num_tools\"", "\"num_fools\"", "num_fools"),
        ("\"temperature\": 1.", "\"temperature\": -1.", "temperature"),
        ("\"levels\": [\n    \"low\"", "\"levels\": [\n    \"high\"", "levels"),
        ("\"least\": 1.0", "\"least\": 99999999.0", "range"),
        ("\"background\": [", "\"background\": [], \"other\": [", "background"),
        ("{", "[", "wrong"),
    ] {
        let text = METADATA.replacen(from, to, 1);
        assert_ne!(text, METADATA, "{from}");
        let error = Model::from_bytes(ONNX, text.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::BadMetadata { .. }) && error.to_string().contains(named), "{from}: {error}");
    }
}

fn graph(proto: &mut ModelProto) -> &mut proto::GraphProto {
    proto.graph.as_mut().unwrap()
}

fn node(proto: &mut ModelProto, place: usize) -> &mut proto::NodeProto {
    &mut graph(proto).node[place]
}

fn any_features() -> impl Strategy<Value = Features> {
    (1..90_u64, 1..20_u64, 1..20_u64, any::<bool>(), 0..40_000_u64, 0..100_u64, 1..90_u64, 1..17_u64, 1..90_000_u64)
        .prop_map(
            |(
                num_steps,
                num_tools,
                diversity,
                has_high_risk_tool,
                est_tokens,
                max_retries,
                streak,
                plan_depth,
                time_limit_sec,
            )| {
                Features {
                    num_steps,
                    num_tools,
                    tool_diversity: diversity.min(num_tools).min(num_steps),
                    has_high_risk_tool,
                    est_tokens,
                    max_retries,
                    sequential_tool_calls: streak.min(num_steps),
                    plan_depth,
                    time_limit_sec,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn shares_sum_to_score_minus_base(features in any_features()) {
        let model = Model::embedded().unwrap();
        let (said, explained) = (model.predict(&features).unwrap(), model.explain(&features).unwrap());
        let sum: f64 = explained.shares.iter().sum();
        prop_assert!((explained.base + sum - explained.score).abs() < 1e-9);
        prop_assert!((explained.score - said.score).abs() < 2e-6, "{explained:?} {said:?}");
        // Far beyond any threshold, the model says what the rules say.
        if features.num_steps > 20 {
            prop_assert_eq!(said.level, Thresholds::default().level(&features));
        }
    }

    #[test]
    fn no_damaged_file_makes_it_panic(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
                                      cut in prop::option::of(any::<prop::sample::Index>())) {
        let mut onnx = ONNX.to_vec();
        for (place, byte) in &damage {
            let place = place.index(onnx.len());
            onnx[place] = *byte;
        }
        if let Some(cut) = cut {
            onnx.truncate(cut.index(onnx.len()));
        }
        if let Ok(model) = Model::from_bytes(&onnx, metadata_for(&onnx).as_bytes()) {
            let _ = model.predict(&PLAIN);
        }
    }
}
