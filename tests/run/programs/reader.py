"""Becomes a user of a group, and prints whom it finds in the flight folder; with ``exporter`` it is `gc-otel exporter`."""

import json
import os
import sys

import gc_otel.cli.exporter
import gc_otel.flight.group
import gc_otel.otel.prometheus
import gc_otel.service.control
import gc_otel.service.exporter
import gc_otel.service.port
import gc_otel.service.status  # what is imported later could not be read then
from gc_otel import cli
from gc_otel.config import Config
from gc_otel.errors import FlightFolderError
from gc_otel.service import fleet

user, group = map(int, sys.argv[1:3])
parser = cli.make_parser(only="exporter")
os.setgroups([])
os.setgid(group)
os.setuid(user)
if sys.argv[3:] == ["exporter"]:
    sys.exit(gc_otel.cli.exporter.run(parser.parse_args(["exporter", "--port", "0"])))
try:
    found = fleet.read_fleet(fleet.find_folder(Config.from_env()))
except FlightFolderError as error:
    print(json.dumps(type(error).__name__))
else:
    print(json.dumps([[each.snapshot.identity.pid, each.snapshot.collector.collections] for each in found.processes]))
