use proptest::prelude::*;

use super::super::samples;
use super::*;

fn load(bytes: &[u8]) -> Result<Model, ModelError> {
    Model::from_bytes("m.json", bytes, &samples::schema())
}

/// What the gate says of bytes that must not pass.
fn said(bytes: &[u8]) -> String {
    load(bytes).expect_err("it must be refused").to_string()
}

/// The file with one text replaced, and sealed again: what a clever but wrong maker would write.
fn resealed(from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(samples::model().to_bytes()).unwrap();
    assert!(text.contains(from), "the sample has no {from}");
    let text = text.replacen(from, to, 1);
    sealed(text.split_once("\"check\":").unwrap().0)
}

fn sealed(body: &str) -> Vec<u8> {
    format!("{body}{}", seal::seal(body.as_bytes())).into_bytes()
}

#[test]
fn what_is_written_is_read_back_and_written_the_same() {
    let model = samples::model();
    let bytes = model.to_bytes();
    let again = load(&bytes).unwrap();
    assert_eq!(again.to_bytes(), bytes);
    assert_eq!(again.forest(), model.forest());
    assert_eq!(again.about(), model.about());
    assert_eq!(again.training(), model.training());
    assert_eq!(again.sha256(), model.sha256());
    for row in samples::rows(200, 77) {
        assert_eq!(again.score(&row), model.score(&row));
        assert_eq!(
            again.risk(again.score(&row)).to_bits(),
            model.risk(model.score(&row)).to_bits()
        );
    }
}

#[test]
fn the_file_is_one_json_document() {
    let value: serde_json::Value = serde_json::from_slice(&samples::model().to_bytes()).unwrap();
    assert_eq!(value["format"], "phantomnet-model");
    assert_eq!(value["trees"].as_array().unwrap().len(), 3);
    assert!(value["golden"].as_array().unwrap().len() >= 32);
}

#[test]
fn flipping_any_byte_is_refused_and_names_its_line() {
    let bytes = samples::model().to_bytes();
    let mut line = 1;
    for at in 0..bytes.len() {
        for mask in [0x01, 0x20, 0x80] {
            let mut damaged = bytes.clone();
            damaged[at] ^= mask;
            let error = load(&damaged).expect_err("a flipped byte must be refused");
            let text = error.to_string();
            assert!(!text.contains('\n'), "{text:?}");
            // A line that was joined to the next, or cut in two, is reported where the seal first disagrees.
            let near = error.line().is_some_and(|found| found.abs_diff(line) <= 1);
            assert!(near, "byte {at} on line {line}: {text}");
        }
        line += u64::from(bytes[at] == b'\n');
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let bytes = samples::model().to_bytes();
    for length in 0..bytes.len() {
        assert!(load(&bytes[..length]).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn a_file_of_more_lines_than_any_model_is_refused_before_they_are_sealed() {
    let lines = samples::model().to_bytes().iter().filter(|byte| **byte == b'\n').count();
    let model = samples::model();
    let items = model.forest().trees().len() + model.golden_rows();
    assert_eq!(lines, FIXED_LINES + items + 1, "the seal is one more");

    let head = "{\"format\":\"phantomnet-model\",\"version\":1,\n";
    let empty_lines = |count: usize| {
        let body = format!("{head}{}", "\n".repeat(count - 1));
        format!("{body}\"check\":{{}}}}\n").into_bytes()
    };
    assert_eq!(
        said(&empty_lines(BODY_LINES_MAX)),
        "m.json:2059: the seal does not fit the lines above it: it cannot be read"
    );
    let why = "m.json:2060: more than the 2059 lines of the largest model";
    assert_eq!(said(&empty_lines(BODY_LINES_MAX + 1)), why);
    assert_eq!(said(&empty_lines(1 << 20)), why);
    assert_eq!(
        said(&sealed(&format!("{head}{}", "\n".repeat(BODY_LINES_MAX - 1)))),
        "m.json:2: expected \"about\": and a value",
        "as many lines as there may be can be sealed"
    );
}

#[test]
fn a_seal_that_is_longer_than_any_is_not_read() {
    let bytes = samples::model().to_bytes();
    let text = String::from_utf8(bytes).unwrap();
    let (body, _) = text.split_once("\"check\":").unwrap();
    let crc32 = "\"\",".repeat(1 << 14);
    let long = format!("{body}\"check\":{{\"crc32\":[{crc32}\"\"],\"sha256\":\"\"}}}}\n");
    let error = said(long.as_bytes());
    assert!(error.ends_with("it is longer than that of the largest model"), "{error}");
}

#[test]
fn anything_added_is_refused() {
    let bytes = samples::model().to_bytes();
    for extra in [&b"\n"[..], b" ", b"{}", b"\0"] {
        assert!(load(&[&bytes, extra].concat()).is_err());
        assert!(load(&[extra, &bytes].concat()).is_err());
    }
}

#[test]
fn damage_is_named_by_file_line_and_reason() {
    let text = String::from_utf8(samples::model().to_bytes()).unwrap();
    let changed = text.replacen("\"subsample\":16", "\"subsample\":17", 1);
    assert!(
        said(changed.as_bytes())
            .starts_with("m.json:6: the line was changed after the model was made (CRC-32 ")
    );
    let spaced = text.replacen("\"trees\":[", "\"trees\": [", 1);
    assert!(said(spaced.as_bytes()).starts_with("m.json:7: the line was changed"));
    let lines = text.lines().count();
    let reseal = text.replacen("\"sha256\":\"", "\"sha256\":\"0", 2);
    assert!(said(reseal.as_bytes()).starts_with("m.json:"));
    let cut = text.lines().take(9).collect::<Vec<_>>().join("\n");
    assert_eq!(
        said(cut.as_bytes()),
        "m.json:9: the file is cut short: its last line is not a seal"
    );
    let without = text
        .lines()
        .enumerate()
        .filter(|&(n, _)| n != 8)
        .map(|(_, l)| format!("{l}\n"))
        .collect::<String>();
    assert!(said(without.as_bytes()).starts_with("m.json:9: the line was changed"), "{lines}");
}

#[test]
fn what_is_no_model_of_this_version_is_told_so_first() {
    assert!(said(b"").contains("not a PhantomNet model"));
    assert!(said(b"{\"format\":\"other\"}").contains("not a PhantomNet model"));
    assert!(
        said(b"{\"format\":\"phantomnet-model\",\"version\":2,\n...")
            .contains("m.json:1: format version 2; this program reads 1")
    );
    assert!(
        said(b"{\"format\":\"phantomnet-model\",\"version\":99999999999,\n")
            .contains("not a PhantomNet model")
    );
}

#[test]
fn another_schema_is_refused_with_both_named() {
    let mut other = samples::schema();
    other.fingerprint = "6".repeat(64);
    let bytes = samples::model().to_bytes();
    let error = Model::from_bytes("m.json", &bytes, &other).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("m.json:3: made for features of schema 1 with the fingerprint 555"),
        "{text}"
    );
    assert!(text.contains("this program measures features of schema 1 with the fingerprint 666"));
    assert_eq!(error.fault().label(), "schema");
    let mut renamed = samples::schema();
    renamed.names.swap(0, 1);
    let text = Model::from_bytes("m.json", &bytes, &renamed).unwrap_err().to_string();
    assert!(text.contains("the features feature_a, feature_b"), "{text}");
}

#[test]
fn what_cannot_be_true_is_refused_even_under_a_right_seal() {
    let first_tree = |model: &Model| {
        let text = String::from_utf8(model.to_bytes()).unwrap();
        text.lines().nth(7).unwrap().to_owned()
    };
    let tree = first_tree(&samples::model());
    let with_tree = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut value: serde_json::Value =
            serde_json::from_str(tree.trim_end_matches(',')).unwrap();
        change(&mut value);
        let columns = ["feature", "threshold", "left", "right", "rows"];
        let columns = columns.map(|name| format!("\"{name}\":{}", value[name]));
        said(&resealed(&tree, &format!("{{{}}},", columns.join(","))))
    };
    for (text, why) in [
        (said(&resealed("\"trees\":3", "\"trees\":2000")), "m.json:6: 2000 trees; from 1 to 1024"),
        (said(&resealed("\"trees\":3", "\"trees\":4")), "m.json:10: expected a comma at its end"),
        (said(&resealed("\"nodes\":", "\"nodes\":9")), "m.json:"),
        (said(&resealed("\"subsample\":16", "\"subsample\":1")), "subsample of 1"),
        (said(&resealed("\"subsample\":16", "\"subsample\":17")), "golden row 1 has the path sum"),
        (
            said(&resealed("\"contamination\":0.01", "\"contamination\":0.7")),
            "m.json:5: contamination = 0.7",
        ),
        (
            said(&resealed("\"contamination\":0.01", "\"contamination\":0.010")),
            "m.json:5: not in the one spelling",
        ),
        (said(&resealed("\"seed\":42", "\"seed\":\"42\"")), "m.json:2: invalid type"),
        (said(&resealed("{\"rows\":40,\"cont", "{\"rows\":41,\"cont")), "count 40 of 41 rows"),
        (said(&resealed("\"minimum\":[", "\"minimum\":[1e99,")), "m.json:4:"),
        (said(&resealed("1970-01-01T", "1970-13-01T")), "not a time of RFC 3339"),
        (
            with_tree(&|tree| tree["left"][0] = 0.into()),
            "m.json:8: node 0 has the child 0, which does not stand after it",
        ),
        (with_tree(&|tree| tree["right"][0] = 9999.into()), "m.json:8: node 0 has the child 9999"),
        (with_tree(&|tree| tree["right"][0] = tree["left"][0].clone()), "has two parents"),
        (with_tree(&|tree| tree["feature"][0] = 15.into()), "the schema has 15"),
        (with_tree(&|tree| tree["feature"][0] = (-3).into()), "feature -3"),
        (with_tree(&|tree| tree["threshold"][0] = 0.1.into()), "0.1 is not a finite 32-bit float"),
        (with_tree(&|tree| drop(tree["rows"].as_array_mut().unwrap().pop())), "differ in length"),
    ] {
        assert!(text.contains(why), "said {text:?}, not {why:?}");
    }
}

#[test]
fn a_golden_row_that_scores_otherwise_is_refused() {
    let text = String::from_utf8(samples::model().to_bytes()).unwrap();
    let line = text.lines().find(|line| line.contains("path_sum")).unwrap();
    let sum = line.split("\"path_sum\":").nth(1).unwrap().split(',').next().unwrap();
    let error = said(&resealed(&format!("\"path_sum\":{sum}"), &format!("\"path_sum\":{sum}0")));
    assert!(error.contains("golden row 1"), "{error}");
}

#[test]
fn a_forest_that_scores_packets_otherwise_than_plain_descent_is_refused() {
    use super::super::compiled::CompiledForest;
    let sound = samples::model();
    let bytes = sound.to_bytes();
    let proven = |model: Model| read::prove("m.json", &bytes, model);
    assert_eq!(proven(sound.clone()).unwrap().sha256(), sound.sha256());
    let mut broken = sound.clone();
    broken.compiled = CompiledForest::new(&samples::forest());
    let mut golden = sound.golden.iter();
    let differs = golden.position(|golden| broken.score(&golden.row) != golden.score);
    let row = 1 + differs.expect("or the sample would prove nothing");
    let error = proven(broken).unwrap_err();
    assert_eq!(error.fault().label(), "golden");
    let text = error.to_string();
    assert!(text.contains(&format!("golden row {row} scores ")), "{text}");
    // The line that the file has that row on.
    let file = String::from_utf8(bytes.clone()).unwrap();
    let line = file.lines().position(|line| line == "\"golden\":[").unwrap() + 1 + row;
    assert_eq!(error.line(), Some(line as u64));
}

#[test]
fn files_are_saved_whole_and_loaded_through_the_gate() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.json");
    let model = samples::model();
    model.save(&path).unwrap();
    model.save(&path).unwrap();
    assert_eq!(Model::load(&path, &samples::schema()).unwrap().sha256(), model.sha256());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    assert!(model.save(&folder.path().join("no/such/folder.json")).is_err());
}

#[test]
fn what_is_no_file_of_ours_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.json");
    let error = Model::load(&missing, &samples::schema()).unwrap_err();
    assert!(error.to_string().contains("missing.json: cannot be read"), "{error}");
    let error = Model::load(folder.path(), &samples::schema()).unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
    let sparse = folder.path().join("sparse.json");
    File::create(&sparse).unwrap().set_len(10 << 30).unwrap();
    let error = Model::load(&sparse, &samples::schema()).unwrap_err();
    assert_eq!(error.fault().label(), "size");
}

#[test]
fn floats_of_every_kind_survive_the_file() {
    let mut rows = samples::rows(60, 5);
    for (row, value) in rows.iter_mut().zip([
        f32::MIN_POSITIVE,
        1e-45,
        f32::MAX,
        f32::MIN,
        -0.0,
        1.0 / 3.0,
        16_777_217.0,
    ]) {
        row.0 = [value; 15];
    }
    let params = crate::model::TrainParams { trees: 9, subsample: 64, ..Default::default() };
    let model = crate::model::train(&rows, &params, &samples::schema()).unwrap();
    let again = load(&model.to_bytes()).unwrap();
    assert_eq!(again.forest(), model.forest());
}

/// Any JSON value, deep and odd.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        let key = prop_oneof![
            Just("feature".to_owned()),
            Just("rows".to_owned()),
            ".{0,6}".prop_map(String::from)
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::btree_map(key, inner, 0..8)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_line_of_any_json_makes_the_gate_panic(value in any_json(), line in 0_usize..45, keep_key in any::<bool>()) {
        let text = String::from_utf8(samples::model().to_bytes()).unwrap();
        let (body, _) = text.split_once("\"check\":").unwrap();
        let mut lines: Vec<String> = body.lines().map(str::to_owned).collect();
        let line = line % lines.len();
        let key = lines[line].split_once(':').filter(|_| keep_key).map(|(key, _)| format!("{key}:"));
        lines[line] = format!("{}{value},", key.unwrap_or_default());
        let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
        if let Err(error) = load(&sealed(&body)) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn no_tree_of_any_numbers_makes_the_gate_panic(
        columns in prop::collection::vec((-2_i16..17, any::<f32>(), 0_u32..12, 0_u32..12, 0_u32..4), 0..12),
    ) {
        let text = String::from_utf8(samples::model().to_bytes()).unwrap();
        let tree = text.lines().nth(7).unwrap();
        let text_of = |nodes: Vec<String>| nodes.join(",");
        let forged = format!(
            "{{\"feature\":[{}],\"threshold\":[{}],\"left\":[{}],\"right\":[{}],\"rows\":[{}]}},",
            text_of(columns.iter().map(|c| c.0.to_string()).collect()), text_of(columns.iter().map(|c| f64::from(c.1).to_string()).collect()),
            text_of(columns.iter().map(|c| c.2.to_string()).collect()), text_of(columns.iter().map(|c| c.3.to_string()).collect()), text_of(columns.iter().map(|c| c.4.to_string()).collect()),
        );
        prop_assert!(load(&resealed(tree, &forged)).is_err(), "the golden rows tell any other tree apart");
    }

    #[test]
    fn no_bytes_make_the_gate_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), prefix in any::<bool>()) {
        let mut file = if prefix { b"{\"format\":\"phantomnet-model\",\"version\":1,\n".to_vec() } else { vec![] };
        file.extend(bytes);
        prop_assert!(load(&file).is_err());
    }

    #[test]
    fn two_changes_at_once_are_refused_too(at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5)) {
        let bytes = samples::model().to_bytes();
        let mut damaged = bytes.clone();
        for (index, byte) in at {
            damaged[index.index(bytes.len())] = byte;
        }
        prop_assert_eq!(load(&damaged).is_ok(), damaged == bytes);
    }
}
