//! What a graph's bytes may say, looked at before ONNX Runtime sees them: a graph is one file and holds everything itself.
//! ONNX lets a tensor lie in another file, by a path; a pack that says so could have any file of the user's machine read.
//! And it lets nodes come from a library of custom operators; none is ever loaded.
//!
//! This walks the protobuf of `ModelProto` (onnx.proto3 of ONNX 1.16) as far as tensors and nodes and skips the rest.

use std::collections::HashMap;

/// Graphs within graphs: what an exporter makes has a few; a file that was made to exhaust the stack has thousands.
const MAX_DEPTH: usize = 32;

/// Domains whose operators the runtime brings itself.
const DOMAINS: [&[u8]; 5] = [b"", b"ai.onnx", b"ai.onnx.ml", b"com.microsoft", b"com.ms.internal.nhwc"];

/// Checks one graph; the error is (found, expected).
///
/// # Errors
/// Bytes that are no ONNX model, a tensor whose data lies elsewhere, a node of a custom operator.
pub fn check(bytes: &[u8]) -> Result<(), (String, String)> {
    let mut graphs = 0;
    fields(bytes, &mut |number, value| match (number, value) {
        (7, Value::Bytes(graph)) => {
            graphs += 1;
            self::graph(graph, 0)
        }
        // Functions: a graph of nodes by another name.
        (25, Value::Bytes(function)) => fields(function, &mut |number, value| match (number, value) {
            (7, Value::Bytes(node)) => self::node(node, 0),
            _ => Ok(()),
        }),
        (20, _) => Err(complaint("training data in the graph", "a graph for inference")),
        _ => Ok(()),
    })?;
    if graphs == 1 { Ok(()) } else { Err(malformed()) }
}

/// Bytes of constant matrices that one run of a graph of 8-bit layers reads, each as often as a `MatMulNBits` does: a step cannot
/// be faster than these are. Tables of which a run reads a few rows are not among them.
///
/// # Errors
/// As [`check`].
pub fn matrices_read(bytes: &[u8]) -> Result<u64, (String, String)> {
    let mut sizes = HashMap::<&[u8], u64>::new();
    let mut read = Vec::<&[u8]>::new();
    fields(bytes, &mut |number, value| match (number, value) {
        (7, Value::Bytes(graph)) => fields(graph, &mut |number, value| match (number, value) {
            (5, Value::Bytes(tensor)) => {
                let (mut name, mut size) = (&b""[..], 0);
                fields(tensor, &mut |number, value| {
                    match (number, value) {
                        (8, Value::Bytes(found)) => name = found,
                        (9, Value::Bytes(raw)) => size = raw.len() as u64,
                        _ => {}
                    }
                    Ok(())
                })?;
                sizes.insert(name, size);
                Ok(())
            }
            (1, Value::Bytes(node)) => {
                let (mut inputs, mut is_matrix) = (Vec::new(), false);
                fields(node, &mut |number, value| {
                    match (number, value) {
                        (1, Value::Bytes(input)) => inputs.push(input),
                        (4, Value::Bytes(operator)) => is_matrix = operator == b"MatMulNBits",
                        _ => {}
                    }
                    Ok(())
                })?;
                read.extend(inputs.into_iter().skip(1).filter(|_| is_matrix));
                Ok(())
            }
            _ => Ok(()),
        }),
        _ => Ok(()),
    })?;
    Ok(read.iter().filter_map(|name| sizes.get(name)).sum())
}

/// A constant of a graph, as it lies in the file.
#[derive(Debug)]
pub(crate) struct Constant<'a> {
    /// Its shape.
    pub(crate) dims: Vec<usize>,
    /// `TensorProto.DataType`.
    kind: u64,
    raw: &'a [u8],
}

impl<'a> Constant<'a> {
    /// Values that its shape promises, unless that is nonsense.
    fn size(&self) -> Option<usize> {
        self.dims.iter().try_fold(1_usize, |size, dim| size.checked_mul(*dim))
    }

    fn of<const N: usize, T>(&self, kind: u64, from: fn([u8; N]) -> T) -> Option<Vec<T>> {
        let (values, rest) = self.raw.as_chunks::<N>();
        let whole = self.kind == kind && rest.is_empty() && self.size() == Some(values.len());
        whole.then(|| values.iter().map(|bytes| from(*bytes)).collect())
    }

    /// If it is of such.
    pub(crate) fn floats(&self) -> Option<Vec<f32>> {
        self.of(1, f32::from_le_bytes)
    }

    /// The same of half precision.
    pub(crate) fn halves(&self) -> Option<Vec<u16>> {
        self.of(10, u16::from_le_bytes)
    }

    /// The same of 64 bits.
    pub(crate) fn integers(&self) -> Option<Vec<i64>> {
        self.of(7, i64::from_le_bytes)
    }

    /// The same of 8 bits.
    pub(crate) fn signed_bytes(&self) -> Option<Vec<i8>> {
        self.of(3, i8::from_le_bytes)
    }

    /// The same of 8 bits without sign.
    pub(crate) fn bytes(&self) -> Option<&'a [u8]> {
        (self.kind == 2 && self.size() == Some(self.raw.len())).then_some(self.raw)
    }
}

/// A graph's constants by name.
pub(crate) type Constants<'a> = HashMap<String, Constant<'a>>;

/// The constants of a graph that hold their values as bytes.
///
/// # Errors
/// As [`check`].
pub(crate) fn constants(bytes: &[u8]) -> Result<Constants<'_>, Complaint> {
    let mut found = Constants::new();
    fields(bytes, &mut |number, value| match (number, value) {
        (7, Value::Bytes(graph)) => fields(graph, &mut |number, value| match (number, value) {
            (5, Value::Bytes(tensor)) => {
                let mut constant = Constant { dims: Vec::new(), kind: 0, raw: &[] };
                let mut name = String::new();
                fields(tensor, &mut |number, value| {
                    match (number, value) {
                        (1, Value::Number(dim)) => constant.dims.push(dim as usize),
                        (1, Value::Bytes(mut packed)) => {
                            while !packed.is_empty() {
                                constant.dims.push(varint(&mut packed)? as usize);
                            }
                        }
                        (2, Value::Number(kind)) => constant.kind = kind,
                        (8, Value::Bytes(found)) => name = String::from_utf8_lossy(found).into_owned(),
                        (9, Value::Bytes(raw)) => constant.raw = raw,
                        _ => {}
                    }
                    Ok(())
                })?;
                found.insert(name, constant);
                Ok(())
            }
            _ => Ok(()),
        }),
        _ => Ok(()),
    })?;
    Ok(found)
}

/// What a graph says of itself under this key.
///
/// # Errors
/// As [`check`].
pub(crate) fn metadata<'a>(bytes: &'a [u8], wanted: &str) -> Result<Option<&'a str>, Complaint> {
    let mut found = None;
    fields(bytes, &mut |number, value| match (number, value) {
        (14, Value::Bytes(entry)) => {
            let (mut key, mut text) = (&b""[..], &b""[..]);
            fields(entry, &mut |number, value| {
                match (number, value) {
                    (1, Value::Bytes(found)) => key = found,
                    (2, Value::Bytes(found)) => text = found,
                    _ => {}
                }
                Ok(())
            })?;
            if key == wanted.as_bytes() {
                found = Some(std::str::from_utf8(text).map_err(|_| malformed())?);
            }
            Ok(())
        }
        _ => Ok(()),
    })?;
    Ok(found)
}

type Complaint = (String, String);

fn complaint(found: impl Into<String>, expected: &str) -> Complaint {
    (found.into(), expected.into())
}

fn malformed() -> Complaint {
    complaint("bytes that are no ONNX model", "an ONNX model")
}

fn graph(bytes: &[u8], depth: usize) -> Result<(), Complaint> {
    if depth > MAX_DEPTH {
        return Err(complaint(format!("more than {MAX_DEPTH} graphs within graphs"), "a graph of reasonable depth"));
    }
    fields(bytes, &mut |number, value| match (number, value) {
        (1, Value::Bytes(node)) => self::node(node, depth),
        (5, Value::Bytes(tensor)) => self::tensor(tensor),
        (15, Value::Bytes(sparse)) => self::sparse(sparse),
        _ => Ok(()),
    })
}

fn node(bytes: &[u8], depth: usize) -> Result<(), Complaint> {
    fields(bytes, &mut |number, value| match (number, value) {
        (7, Value::Bytes(domain)) if !DOMAINS.contains(&domain) => Err(complaint(
            format!("an operator of {:?}", String::from_utf8_lossy(domain)),
            "operators of ONNX or ONNX Runtime itself",
        )),
        (5, Value::Bytes(attribute)) => fields(attribute, &mut |number, value| match (number, value) {
            (5 | 10, Value::Bytes(tensor)) => self::tensor(tensor),
            (6 | 11, Value::Bytes(graph)) => self::graph(graph, depth + 1),
            (22 | 23, Value::Bytes(sparse)) => self::sparse(sparse),
            _ => Ok(()),
        }),
        _ => Ok(()),
    })
}

fn sparse(bytes: &[u8]) -> Result<(), Complaint> {
    fields(bytes, &mut |number, value| match (number, value) {
        (1 | 2, Value::Bytes(tensor)) => self::tensor(tensor),
        _ => Ok(()),
    })
}

fn tensor(bytes: &[u8]) -> Result<(), Complaint> {
    fields(bytes, &mut |number, value| match (number, value) {
        // `external_data` at all, or a `data_location` that is not the default: which of them the runtime believes is
        // its own affair.
        (13, _) | (14, Value::Number(1..)) => {
            Err(complaint("a tensor whose data lies in another file", "everything inside the graph's own file"))
        }
        _ => Ok(()),
    })
}

/// A field's value: a number, or bytes.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Hands every field of a message to `see`.
fn fields<'a>(
    mut bytes: &'a [u8],
    see: &mut dyn FnMut(u64, Value<'a>) -> Result<(), Complaint>,
) -> Result<(), Complaint> {
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut bytes)?),
            1 => Value::Bytes(take(&mut bytes, 8)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).map_err(|_| malformed())?;
                Value::Bytes(take(&mut bytes, length)?)
            }
            5 => Value::Bytes(take(&mut bytes, 4)?),
            _ => return Err(malformed()),
        };
        see(tag >> 3, value)?;
    }
    Ok(())
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Complaint> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or_else(malformed)?;
    *bytes = rest;
    Ok(taken)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Complaint> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or_else(malformed)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field of bytes.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let tag = (u16::from(number) << 3) | 2;
        let mut bytes = if tag < 128 { vec![tag as u8] } else { vec![(tag & 0x7f) as u8 | 0x80, (tag >> 7) as u8] };
        let mut length = content.len();
        while length >= 128 {
            bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend_from_slice(content);
        bytes
    }

    fn found(model: &[u8]) -> String {
        check(model).expect_err("refused").0
    }

    #[test]
    fn the_graphs_that_ship_are_good() {
        let packs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets");
        let mut seen = 0;
        for folder in ["packs/second", "test/tiny-pack"] {
            for entry in std::fs::read_dir(packs.join(folder)).unwrap().flatten() {
                if entry.path().extension().is_some_and(|x| x == "onnx") {
                    assert_eq!(check(&std::fs::read(entry.path()).unwrap()), Ok(()), "{}", entry.path().display());
                    seen += 1;
                }
            }
        }
        assert!(seen >= 12);
    }

    #[test]
    fn a_matrix_counts_as_often_as_it_is_read_and_a_table_not() {
        let tensor = |name: &[u8], size: usize| field(5, &[field(8, name), field(9, &vec![7; size])].concat());
        let node = |operator: &[u8], inputs: [&[u8]; 2]| {
            field(1, &[field(1, inputs[0]), field(1, inputs[1]), field(4, operator)].concat())
        };
        let twice = [node(b"MatMulNBits", [b"x", b"w"]), node(b"MatMulNBits", [b"y", b"w"])].concat();
        let table = node(b"Gather", [b"table", b"ids"]);
        let graph = field(7, &[twice, table, tensor(b"w", 100), tensor(b"table", 5000)].concat());
        assert_eq!(matrices_read(&graph), Ok(200));
        assert!(matrices_read(&[0xff; 9]).is_err());
    }

    #[test]
    fn a_constant_is_as_large_as_its_shape_says_or_not_read() {
        // 2⁶² by 4: as 64 bits that is nothing, as much as is there.
        let huge = [&[8][..], &[0x80; 8], &[0x40, 8, 4]].concat();
        let tensor = |dims: &[u8], raw: &[u8]| [dims, &[16, 2], &field(8, b"w"), &field(9, raw)].concat();
        let model = |tensor: Vec<u8>| field(7, &field(5, &tensor));
        let read = |model: &[u8]| constants(model).unwrap()["w"].bytes().map(<[u8]>::to_vec);
        assert_eq!(read(&model(tensor(&[8, 3, 8, 2], b"abcdef"))), Some(b"abcdef".to_vec()));
        assert_eq!(read(&model(tensor(&[8, 3, 8, 2], b"abcde"))), None);
        assert_eq!(read(&model(tensor(&huge, b""))), None);
    }

    #[test]
    fn data_in_another_file_is_refused_wherever_it_is_said() {
        let elsewhere = field(13, &[field(1, b"location"), field(2, b"/etc/passwd")].concat());
        // `data_location = EXTERNAL` alone.
        let located = [14 << 3, 1].to_vec();
        for tensor in [elsewhere, located] {
            let initializer = field(7, &field(5, &tensor));
            let sparse = field(7, &field(15, &field(1, &tensor)));
            let attribute = field(7, &field(1, &field(5, &field(5, &tensor))));
            let tensors = field(7, &field(1, &field(5, &field(10, &tensor))));
            let nested = field(7, &field(1, &field(5, &field(6, &field(5, &tensor)))));
            let function = [field(7, &[]), field(25, &field(7, &field(5, &field(5, &tensor))))].concat();
            for model in [initializer, sparse, attribute, tensors, nested, function] {
                assert!(found(&model).contains("another file"), "{model:?}");
            }
        }
        let inside = field(7, &field(5, &[14 << 3, 0]));
        assert_eq!(check(&inside), Ok(()));
    }

    #[test]
    fn custom_operators_depth_and_rubbish_are_refused() {
        assert!(found(&field(7, &field(1, &field(7, b"evil.domain")))).contains("evil.domain"));
        assert_eq!(check(&field(7, &field(1, &field(7, b"com.microsoft")))), Ok(()));
        let mut deep = Vec::new();
        for _ in 0..5000 {
            deep = field(1, &field(5, &field(6, &deep)));
        }
        assert!(found(&field(7, &deep)).contains("within"));
        for rubbish in [&b"not a model"[..], b"", &[0xff; 40], &[0x3a, 0x7f]] {
            assert!(found(rubbish).contains("no ONNX model"), "{rubbish:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = check(&bytes);
            let _ = check(&field(7, &bytes));
        }
    }
}
