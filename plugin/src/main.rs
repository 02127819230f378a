//! Segue without a host: JACK, ALSA or a dummy backend. Needs the feature `standalone`.

use nice_plug::prelude::*;

fn main() {
    nice_export_standalone::<segue::Segue>();
}
