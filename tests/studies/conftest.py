from __future__ import annotations

import sys

import pytest

from sat_probe.studies.corpus_pass import decoder_process
from sat_probe.studies.corpus_pass.decoder_process import AudioDecoder

# a decoder like the real one, except for files whose name says how it ends
DEADLY = """
import os, signal
from sat_probe.studies.corpus_pass import decoder_process
read = decoder_process.read_audio
def deadly(source, rate, name):
    if "segfault" in name: os.kill(os.getpid(), signal.SIGSEGV)
    if "exit" in name: os._exit(7)
    return read(source, rate, name)
decoder_process.read_audio = deadly
decoder_process.serve()
"""


@pytest.fixture
def deadly_decoder(monkeypatch):
    decoder = AudioDecoder()
    decoder.command = (sys.executable, "-c", DEADLY)
    monkeypatch.setattr(decoder_process, "_DECODER", decoder)
    return decoder
