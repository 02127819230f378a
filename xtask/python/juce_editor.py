"""Opens the editor of the built VST3 in DawDreamer, a JUCE host, until its window is closed."""

import sys

import dawdreamer

engine = dawdreamer.RenderEngine(48_000, 512)
plugin = engine.make_plugin_processor("segue", sys.argv[1])
plugin.open_editor()
print("closed", flush=True)
