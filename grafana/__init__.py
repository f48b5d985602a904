"""Dashboards and alert rules as code: what stands in dashboards/ and rules/ is generated from here.

python -m grafana            write them
python -m grafana --check    exit 1 when the files have other contents

Nothing of this package is installed; the generated files are, as ``gc-otel assets export``.
"""
