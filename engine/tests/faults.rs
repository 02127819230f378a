//! What is missing or broken is named, and mending it needs no restart. One test, because the process loads one runtime.

mod common;

use common::{runtime, tiny_pack};
use segue_engine::error::Error;
use segue_engine::models::{Device, LoadRequest, Models};

#[test]
fn every_missing_piece_is_named_and_can_be_put_there_later() {
    let folder = tempfile::tempdir().unwrap();
    let request = LoadRequest { pack: Some(tiny_pack()), ..LoadRequest::default() };

    let nowhere = folder.path().join("nowhere.so");
    let error = Models::load(&LoadRequest { runtime: Some(nowhere), ..request.clone() }).unwrap_err();
    assert!(matches!(error, Error::RuntimeMissing { .. }) && error.to_string().contains("nowhere.so"), "{error}");

    let text = folder.path().join("libonnxruntime.so");
    std::fs::write(&text, "not a library").unwrap();
    let error = Models::load(&LoadRequest { runtime: Some(text), ..request.clone() }).unwrap_err();
    assert!(
        matches!(error, Error::RuntimeUnusable { .. }) && error.to_string().contains("libonnxruntime.so"),
        "{error}"
    );

    #[cfg(target_os = "linux")]
    for version in ["1.10.0", "1.23.2", "99"] {
        let old = stub(folder.path(), version);
        let error = Models::load(&LoadRequest { runtime: Some(old), ..request.clone() }).unwrap_err();
        let said = format!("{error} {}", error.remedy());
        assert!(
            matches!(error, Error::RuntimeUnusable { .. }) && said.contains(version) && said.contains("1.24"),
            "{said}"
        );
    }

    let error =
        Models::load(&LoadRequest { pack: Some(folder.path().join("no-pack")), ..request.clone() }).unwrap_err();
    assert!(matches!(error, Error::PackMissing { .. }) && error.to_string().contains("no-pack"), "{error}");

    let models = Models::load(&LoadRequest { runtime: runtime(), ..request.clone() });
    assert!(models.is_ok(), "the right runtime still loads after the wrong ones: {:?}", models.err());

    // This is the CPU build of the runtime: a GPU it cannot have is a clear message.
    let error = Models::load(&LoadRequest { runtime: runtime(), device: Device::Cuda, ..request.clone() }).unwrap_err();
    assert!(matches!(error, Error::Device { .. }) && error.to_string().contains("cuda"), "{error}");

    // A graph where another one belongs: right hash, wrong tensors.
    let swapped = folder.path().join("swapped");
    std::fs::create_dir(&swapped).unwrap();
    for entry in std::fs::read_dir(tiny_pack()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, swapped.join(path.file_name().unwrap())).unwrap();
    }
    let manifest = std::fs::read_to_string(swapped.join("manifest.toml")).unwrap();
    let manifest = manifest.replace("graph = \"stage_coarse.onnx\"", "graph = \"stage_fine.onnx\"");
    std::fs::write(swapped.join("manifest.toml"), manifest).unwrap();
    let error = Models::load(&LoadRequest { pack: Some(swapped), runtime: runtime(), ..request }).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("stage_fine.onnx") && text.contains("found") && text.contains("expected"), "{text}");
    assert!(!error.remedy().is_empty());
}

/// A library that says it is another version of ONNX Runtime, and has no interface of the one that is asked for.
#[cfg(target_os = "linux")]
fn stub(folder: &std::path::Path, version: &str) -> std::path::PathBuf {
    let (source, library) = (folder.join("stub.c"), folder.join(format!("libonnxruntime-{version}.so")));
    let text = format!(
        r#"static const void *api(unsigned version) {{ return 0; }}
        static const char *version(void) {{ return "{version}"; }}
        static const struct {{ const void *(*api)(unsigned); const char *(*version)(void); }} base = {{ api, version }};
        const void *OrtGetApiBase(void) {{ return &base; }}"#
    );
    std::fs::write(&source, text).unwrap();
    let built = std::process::Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(built.unwrap().success());
    library
}
