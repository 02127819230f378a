use super::*;

const GOOD: &str = r#"
format = 1
name = "t"
version = "1"
title = "T"
license = "CC0-1.0"
[audio]
sample_rate = 24000
channels = 1
level_dbfs = -24.0
[codec]
hop = 480
codebooks = 2
cardinality = 32
encoder = { graph = "e.onnx", analysis = [{ n_fft = 960, bins = 481, look_ahead = 480 }] }
decoder = { graph = "d.onnx", synthesis = [{ n_fft = 960, hop = 480, offset = -240 }] }
[[stage]]
id = "coarse"
kind = "autoregressive"
graph = "s.onnx"
writes = "acoustic"
first_codebook = 0
codebooks = 2
cardinality = 32
context = 64
layers = 1
heads = 1
head_dim = 32
candidates = 16
temperature = 0.8
top_p = 0.95
[[file]]
name = "e.onnx"
bytes = 3
sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"#;

fn pack_of(manifest: &str) -> (tempfile::TempDir, Result<Pack>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("manifest.toml"), manifest).unwrap();
    let pack = Pack::open(folder.path());
    (folder, pack)
}

#[test]
fn reads_a_good_manifest_and_checks_each_file() {
    let (folder, pack) = pack_of(GOOD);
    let pack = pack.unwrap();
    assert_eq!(pack.label(), "t 1");
    let complaint = |pack: &Pack| pack.read("e.onnx").unwrap_err().to_string();
    assert!(complaint(&pack).contains("expected a file of 3 bytes"), "missing: {}", complaint(&pack));
    std::fs::write(folder.path().join("e.onnx"), "abcd").unwrap();
    assert!(complaint(&pack).contains("4 bytes"));
    std::fs::write(folder.path().join("e.onnx"), "abd").unwrap();
    assert!(complaint(&pack).contains("sha256"));
    std::fs::write(folder.path().join("e.onnx"), "abc").unwrap();
    assert_eq!(pack.read("e.onnx").unwrap(), b"abc");
    assert!(pack.read("other.onnx").is_err(), "not in the manifest");
}

#[test]
fn names_what_is_wrong_with_a_bad_manifest() {
    for (from, to, word) in [
        ("format = 1", "format = 2", "format 2"),
        ("format = 1", "", "no format"),
        ("sample_rate = 24000", "sample_rate = 7", "sample_rate = 7"),
        ("channels = 1", "channels = 6", "channels = 6"),
        ("hop = 480, offset", "hop = 7, offset", "synthesis"),
        ("bins = 481", "bins = 482", "analysis"),
        ("look_ahead = 480", "look_ahead = 480, channel = \"side\"", "one channel"),
        ("offset = -240", "offset = -240, channel = \"side\"", "one channel"),
        ("offset = -240", "offset = -240, bins = 482", "synthesis"),
        ("offset = -240 }]", "offset = -240 }], memory = 1001", "memory = 1001"),
        ("cardinality = 32\ncontext", "cardinality = 33\ncontext", "cardinality = 33"),
        ("writes = \"acoustic\"", "writes = \"semantic\"", "needs the Semantic stream"),
        ("codebooks = 2\ncardinality = 32\ncontext", "codebooks = 1\ncardinality = 32\ncontext", "no stage writes"),
        ("context = 64", "context = 0", "context 0"),
        ("temperature = 0.8", "temperature = nan", "temperature = NaN"),
        (
            "top_p = 0.95",
            "top_p = 0.95\ndensity = { notes = [1, 9], codebooks = 1, seconds = 2, share = 1, gain = 1, most = 1 }",
            "Density",
        ),
        ("top_p = 0.95", "top_p = 0.95\npulse = { gain = 1, seconds = 4 }", "Pulse"),
        (
            "top_p = 0.95",
            "top_p = 0.95\nharmony = { lowest = 21, levels = 8, gain = 1, profile = 0.5, floor = 0.02 }",
            "Harmony",
        ),
        ("name = \"e.onnx\"", "name = \"../e.onnx\"", "file name"),
        ("kind = \"autoregressive\"", "kind = \"magic\"", "magic"),
        ("[audio]", "[audio", "TOML"),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let (_folder, pack) = pack_of(&GOOD.replacen(from, to, 1));
        let text = pack.unwrap_err().to_string();
        assert!(text.contains(word) && text.contains("manifest.toml"), "{to}: {text}");
    }
}

#[test]
fn a_folder_of_packs_or_a_pack_will_do_and_a_missing_one_says_where_it_looked() {
    let (folder, _) = pack_of(GOOD);
    assert!(find(Some(folder.path())).is_ok());
    let packs = tempfile::tempdir().unwrap();
    std::fs::create_dir(packs.path().join("a")).unwrap();
    std::fs::write(packs.path().join("a/manifest.toml"), GOOD).unwrap();
    assert!(find(Some(packs.path())).is_ok());
    let nowhere = packs.path().join("nowhere");
    let error = find(Some(&nowhere)).unwrap_err();
    assert!(matches!(error, Error::PackMissing { .. }) && error.to_string().contains("nowhere"));
}

proptest::proptest! {
    #[test]
    fn random_manifests_never_panic(text in "\\PC{0,400}", cut in 0_usize..1200) {
        let _ = pack_of(&text);
        let _ = pack_of(GOOD.get(..cut.min(GOOD.len())).unwrap_or(GOOD));
    }
}
