//! What a manifest must satisfy so that the engine can trust its numbers.

use super::manifest::{Channel, Manifest, StageKind, StreamId};
use crate::take::MOST_DB;

type Complaint = (String, String);

fn expect(holds: bool, found: impl Into<String>, expected: impl Into<String>) -> Result<(), Complaint> {
    if holds { Ok(()) } else { Err((found.into(), expected.into())) }
}

/// Checks everything that can be checked without the graphs; the error is (found, expected).
pub(super) fn check(m: &Manifest) -> Result<(), Complaint> {
    let named = |name: &str| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
            && !name.starts_with('.')
    };
    expect(named(&m.name), format!("name = {:?}", m.name), "letters, digits, '-'")?;
    expect(
        (8_000..=192_000).contains(&m.audio.sample_rate),
        format!("sample_rate = {}", m.audio.sample_rate),
        "8000 to 192000",
    )?;
    expect((1..=2).contains(&m.audio.channels), format!("channels = {}", m.audio.channels), "channels = 1 or 2")?;
    expect((-60.0..=0.0).contains(&m.audio.level_dbfs), format!("level_dbfs = {}", m.audio.level_dbfs), "-60 to 0")?;
    if let Some(l) = &m.audio.loudness {
        expect(
            l.seconds > 0.0 && (0.0..=1.0).contains(&l.share) && (0.0..=MOST_DB).contains(&l.most),
            format!("audio.loudness {l:?}"),
            "seconds above 0, a share of 0 to 1, at most 40 dB",
        )?;
    }
    for file in &m.files {
        expect(named(&file.name), format!("file name {:?}", file.name), "a plain name inside the pack's folder")?;
        expect(file.bytes <= super::MAX_FILE_BYTES, format!("{}: {} bytes", file.name, file.bytes), "at most 2 GiB")?;
    }
    stream("codec", m.codec.hop, m.codec.cardinality, m.codec.codebooks)?;
    let transforms = |n: usize| (16..=65_536).contains(&n) && n.is_multiple_of(2);
    let mut analyses = m.codec.encoder.analysis.clone();
    if let Some(semantic) = &m.semantic {
        stream("semantic", semantic.hop, semantic.cardinality, semantic.codebooks)?;
        analyses.extend(&semantic.analysis);
        expect(!semantic.analysis.is_empty(), "semantic.analysis empty", "at least one analysis")?;
    }
    expect(!m.codec.encoder.analysis.is_empty(), "codec.encoder.analysis empty", "at least one analysis")?;
    let side = |channel: Channel| channel == Channel::Side && m.audio.channels == 1;
    for a in analyses {
        expect(!side(a.channel), format!("analysis {a:?}"), "channel = \"mid\" in a pack of one channel")?;
        expect(
            transforms(a.n_fft) && (1..=a.n_fft / 2 + 1).contains(&a.bins) && a.look_ahead <= a.n_fft,
            format!("analysis {a:?}"),
            "an even n_fft of 16 to 65536, bins of at most n_fft/2+1, look_ahead of at most n_fft",
        )?;
    }
    expect(!m.codec.decoder.synthesis.is_empty(), "codec.decoder.synthesis empty", "at least one synthesis")?;
    for s in &m.codec.decoder.synthesis {
        expect(!side(s.channel), format!("synthesis {s:?}"), "channel = \"mid\" in a pack of one channel")?;
        expect(
            transforms(s.n_fft)
                && s.hop > 0
                && s.hop <= s.n_fft
                && m.codec.hop.is_multiple_of(s.hop)
                && s.offset.unsigned_abs() <= s.n_fft
                && s.bins() <= s.n_fft / 2 + 1,
            format!("synthesis {s:?}"),
            "an even n_fft of 16 to 65536, a hop that divides the codec's and is at most n_fft, |offset| at most n_fft, bins of at most n_fft/2+1",
        )?;
    }
    let memory = m.codec.decoder.memory.unwrap_or(0);
    expect(memory <= 1000, format!("codec.decoder.memory = {memory}"), "at most 1000 frames")?;
    stages(m)
}

fn stream(name: &str, hop: usize, cardinality: usize, codebooks: usize) -> Result<(), Complaint> {
    expect((1..=65_536).contains(&hop), format!("{name}.hop = {hop}"), "1 to 65536")?;
    expect((1..=64).contains(&codebooks), format!("{name}.codebooks = {codebooks}"), "1 to 64")?;
    expect((2..=32_768).contains(&cardinality), format!("{name}.cardinality = {cardinality}"), "2 to 32768")
}

fn stages(m: &Manifest) -> Result<(), Complaint> {
    expect(!m.stages.is_empty(), "no [[stage]]", "at least one stage")?;
    let mut written = vec![false; m.codec.codebooks];
    let mut semantic_written = false;
    for s in &m.stages {
        let id = &s.id;
        let streams = [Some(s.writes), s.condition.as_ref().map(|c| c.stream)];
        for needed in streams.into_iter().flatten() {
            expect(m.hop(needed).is_some(), format!("stage {id} needs the {needed:?} stream"), "a [semantic] section")?;
        }
        expect(
            s.cardinality == m.cardinality(s.writes),
            format!("stage {id}: cardinality = {}", s.cardinality),
            format!("{}", m.cardinality(s.writes)),
        )?;
        expect(
            (1..=s.cardinality).contains(&s.candidates),
            format!("stage {id}: candidates = {}", s.candidates),
            "1 to cardinality",
        )?;
        expect((0.0..=2.0).contains(&s.temperature), format!("stage {id}: temperature = {}", s.temperature), "0 to 2")?;
        expect(s.top_p > 0.0 && s.top_p <= 1.0, format!("stage {id}: top_p = {}", s.top_p), "above 0, at most 1")?;
        let end = s.first_codebook.saturating_add(s.codebooks);
        expect(
            s.codebooks > 0 && end <= m.codebooks(s.writes),
            format!("stage {id} writes codebooks {}..{end}", s.first_codebook),
            "codebooks of its stream",
        )?;
        match s.writes {
            StreamId::Semantic => {
                expect(
                    s.first_codebook == 0 && s.codebooks == m.codebooks(s.writes),
                    format!("stage {id} writes codebooks {}..{end} of the semantic stream", s.first_codebook),
                    "all of them at once",
                )?;
                semantic_written = true;
            }
            StreamId::Acoustic => {
                let in_order = written[..s.first_codebook].iter().all(|w| *w)
                    && !written[s.first_codebook..end].iter().any(|w| *w);
                expect(
                    in_order,
                    format!("stage {id} writes from codebook {}", s.first_codebook),
                    "each codebook once, lower ones first",
                )?;
                written[s.first_codebook..end].fill(true);
            }
        }
        if let Some(d) = &s.density {
            let of_notes = s.kind == StageKind::Autoregressive && s.writes == StreamId::Semantic;
            let [first, end] = d.notes.map(usize::from);
            let sizes = first < end && (s.candidates - 1..s.cardinality).contains(&end);
            let within = (0.1..=60.0).contains(&d.seconds) && (0.1..=10.0).contains(&d.share);
            expect(
                of_notes
                    && sizes
                    && within
                    && (1..=s.codebooks).contains(&d.codebooks)
                    && (0.0..=10.0).contains(&d.gain)
                    && (0.0..=10.0).contains(&d.most),
                format!("stage {id}: {d:?}"),
                "an autoregressive stage of the semantic stream, as many notes as candidates but fewer than tokens, some of its codebooks, 0.1 to 60 seconds, a share of 0.1 to 10, gain and most of at most 10",
            )?;
        }
        if let Some(h) = &s.harmony {
            let within = (0.0..=10.0).contains(&h.gain) && (0.0..=1.0).contains(&h.profile);
            expect(
                s.density.is_some() && h.lowest < 128 && h.levels > 0 && within && (1e-6..=1.0).contains(&h.floor),
                format!("stage {id}: {h:?}"),
                "a stage with a density, a MIDI key, tokens for each, a gain of at most 10, a profile of at most 1, a floor of 0.000001 to 1",
            )?;
        }
        if let Some(p) = &s.pulse {
            let within = (0.0..=10.0).contains(&p.gain) && (0.1..=60.0).contains(&p.seconds);
            expect(
                s.density.is_some() && within,
                format!("stage {id}: {p:?}"),
                "a stage with a density, a gain of at most 10, 0.1 to 60 seconds",
            )?;
        }
        if let Some(condition) = &s.condition {
            let n = condition.offsets.len();
            let flat = s.kind == StageKind::Flattened;
            expect(
                (flat && n == 0)
                    || (!flat && (1..=64).contains(&n)) && condition.offsets.iter().all(|o| o.unsigned_abs() <= 256),
                format!("stage {id}: offsets {:?}", condition.offsets),
                "1 to 64 offsets within ±256, none of a flattened stage",
            )?;
            expect(
                !flat || m.codebooks(condition.stream) == 1,
                format!("stage {id} is flattened and conditioned on {} codebooks", m.codebooks(condition.stream)),
                "a stream of one codebook",
            )?;
            let known = condition.stream != StreamId::Semantic || semantic_written;
            expect(
                known && condition.stream != s.writes,
                format!("stage {id} is conditioned on {:?}", condition.stream),
                "a stream that an earlier stage writes",
            )?;
        }
        if s.kind == StageKind::Flattened {
            let row = m.prefix(s).saturating_add(1).saturating_add(s.window.saturating_mul(s.codebooks));
            expect(
                (2..=65_536).contains(&s.window) && row <= s.context,
                format!("stage {id}: window = {}", s.window),
                "at least 2 frames, which fit into its context behind what conditions them",
            )?;
        }
        if s.kind != StageKind::Parallel {
            let sane = (4..=65_536).contains(&s.context)
                && (1..=256).contains(&s.layers)
                && (1..=256).contains(&s.heads)
                && (1..=1024).contains(&s.head_dim);
            expect(
                sane,
                format!(
                    "stage {id}: context {} layers {} heads {} head_dim {}",
                    s.context, s.layers, s.heads, s.head_dim
                ),
                "sizes of its cache",
            )?;
            // Keys and values; each factor is at most 65536, so that this cannot overflow.
            let cache = 2 * s.layers as u64 * s.heads as u64 * s.context as u64 * s.head_dim as u64 * 4;
            expect(
                cache <= super::MAX_FILE_BYTES,
                format!("stage {id}: a cache of {cache} bytes"),
                "at most 2 GiB of cache",
            )?;
        } else {
            expect(
                s.writes == StreamId::Acoustic && s.first_codebook > 0,
                format!("stage {id} is parallel"),
                "codebooks below it to start from",
            )?;
        }
    }
    let all = written.iter().all(|w| *w) && (semantic_written || m.semantic.is_none());
    expect(all, "codebooks that no stage writes", "stages that write every codebook")
}
