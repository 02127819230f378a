use super::*;
use std::io::Cursor;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/test/tiny-pack")
}

/// The tiny pack's files.
fn files() -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(tiny()).expect("the tiny pack").flatten();
    entries.map(|e| (e.file_name().to_string_lossy().into_owned(), fs::read(e.path()).expect("bytes"))).collect()
}

fn zipped(root: &str, files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(format!("{root}{name}"), SimpleFileOptions::default()).expect("an entry");
        zip.write_all(bytes).expect("written");
    }
    zip.finish().expect("a zip").into_inner()
}

/// Installs these bytes into an empty folder; what became of it, and what is in the folder afterwards.
fn installed(bytes: &[u8]) -> (tempfile::TempDir, Result<Pack>, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("a.seguepack");
    fs::write(&archive, bytes).expect("written");
    let packs = folder.path().join("packs");
    let pack = install(&archive, &packs);
    let left = fs::read_dir(&packs).into_iter().flatten().flatten();
    let left = left.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    (folder, pack, left)
}

fn refused(bytes: &[u8]) -> String {
    let (_folder, pack, left) = installed(bytes);
    assert_eq!(left, [""; 0], "nothing is left behind");
    pack.expect_err("refused").to_string()
}

#[test]
fn a_pack_in_one_file_is_unpacked_once_whole_with_or_without_its_folder() {
    let original = Pack::open(&tiny()).expect("the tiny pack");
    for root in ["", "tiny/"] {
        let (folder, pack, left) = installed(&zipped(root, &files()));
        let pack = pack.expect("installed");
        assert_eq!((&pack.hash, left.len()), (&original.hash, 1), "{left:?}");
        for file in &pack.manifest.files {
            assert!(pack.read(&file.name).is_ok(), "{}", file.name);
        }
        // Again: it is there. Damaged: it is put right.
        let graph = pack.folder.join(&pack.manifest.files[0].name);
        let made = fs::metadata(&graph).and_then(|m| m.modified()).expect("a time");
        let again = install(&folder.path().join("a.seguepack"), &folder.path().join("packs")).expect("still there");
        assert_eq!(again.folder, pack.folder);
        assert_eq!(fs::metadata(&graph).and_then(|m| m.modified()).expect("a time"), made);
        fs::write(&graph, "cut").expect("written");
        install(&folder.path().join("a.seguepack"), &folder.path().join("packs")).expect("mended");
        assert!(pack.read(&pack.manifest.files[0].name).is_ok());
    }
}

#[test]
fn an_archive_writes_nothing_but_what_its_manifest_names() {
    let mut more = files();
    for name in ["../outside", "../../outside", "/segue-outside", "deep/inside", "other.txt", ".."] {
        more.push((name.into(), b"evil".to_vec()));
    }
    let (folder, pack, left) = installed(&zipped("", &more));
    let pack = pack.expect("the pack itself is sound");
    assert_eq!(left.len(), 1);
    assert_eq!(fs::read_dir(&pack.folder).expect("a folder").count(), pack.manifest.files.len() + 1);
    let outside = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(outside, 2, "the archive and the packs");
    assert!(!Path::new("/segue-outside").exists());
}

#[test]
fn a_bad_archive_is_refused_by_name_and_leaves_nothing() {
    for rubbish in [&b""[..], b"not a zip", &zipped("", &files())[..5_000]] {
        assert!(refused(rubbish).contains("a pack in one file"));
    }
    assert!(refused(&zipped("", &[])).contains("no such file"));
    assert!(refused(&zipped("a/b/", &files())).contains("manifest.toml"), "too deep");
    for n in 0..files().len() {
        let (name, bytes) = files().swap_remove(n);
        let mut without = files();
        without.remove(n);
        assert!(refused(&zipped("", &without)).contains(&name), "{name} is missing");
        if name == MANIFEST {
            continue;
        }
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut files = files();
            change(&mut files[n].1);
            refused(&zipped("", &files))
        };
        assert!(with(&|b| b[0] ^= 1).contains(&name), "{name} flipped");
        assert!(with(&|b| b.truncate(b.len() / 2)).contains(&name), "{name} cut");
        // A small entry that is a gigabyte when unpacked stops at what the manifest promises.
        let longer = with(&|b| b.resize(b.len() + 50_000_000, 0));
        assert!(longer.contains(&format!("more than {} bytes", bytes.len())), "{longer}");
    }
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink(MANIFEST, "/etc/passwd", SimpleFileOptions::default()).expect("an entry");
    let link = zip.finish().expect("a zip").into_inner();
    assert!(refused(&link).contains("not a plain file"));
}
