"""The W&B report: its spec is read back, names only what probes log, and needs no network."""

import json
import os
import subprocess
import sys

import pytest
from report_runs import cost_rows, experiment, trained, write_run

from handan.cli import command
from handan.errors import UserError
from handan.records import append_jsonl, read_json, write_json
from handan.report.data import read_study
from handan.report.wandb_report import panels, read_address
from handan.report.wandb_report.run_sets import tracked_arms
from handan.report.wandb_report.spec import validated
from handan.training.probe import probe_metrics

HOSTILE = "it's \"a\" == 'b' or Config('x') = 1 <script>alert(1)</script> [l](javascript:alert(2)) "
HOSTILE += "${run:id} $x^2$ [[ ${x} ]] \x1b[31m \u202eright to left| *b*"
PROGRAM = """
import socket, sys

def refused(*arguments, **options):
    raise OSError("the network is not there")

socket.socket.connect = socket.getaddrinfo = refused
from handan.cli import command

command(sys.argv[1:])
"""


class Item:
    """What a probe knows of an item."""

    def __init__(self, task, name, human_rt_s):
        self.task, self.id, self.human_rt_s = task, name, human_rt_s
